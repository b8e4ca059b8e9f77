"""Rows fit for training, whatever comes in."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from airflow_oncall.errors import BadDataFile, TrainingSkipped
from airflow_oncall.learn.dataset import Dataset, Example, assemble, dump_examples, leaks, newest, parse_examples, require_trainable
from airflow_oncall.learn.estimators import splits

RESET = Example("Connection reset by peer", "network_connectivity", True, "reset")
FULL = Example("No space left on device", "storage_exhaustion", False, "disk")
NOON = datetime(2026, 11, 21, 12, tzinfo=timezone.utc)


def said(example: Example, origin: str, hours: int = 0, **changes: Any) -> Example:
    return replace(example, origin=origin, given_at=NOON + timedelta(hours=hours), **changes)


def test_what_is_said_twice_counts_once() -> None:
    found = assemble([RESET, replace(RESET, text="Connection  reset by peer\n"), FULL])
    assert found.examples == (RESET, FULL)
    assert found.notes == ("1 rows left out: said twice",)


def test_a_person_beats_an_outcome_beats_the_corpus() -> None:
    outcome, human = said(RESET, "outcome", category="rate_limit"), said(RESET, "human", category="missing_data")
    assert assemble([RESET, human, outcome]).examples == (human,)
    assert assemble([RESET, outcome]).examples == (outcome,)


def test_the_newest_of_equally_trusted_words_counts() -> None:
    older, newer = said(RESET, "human", 1, category="rate_limit"), said(RESET, "human", 2)
    assert assemble([newer, older]).examples == (newer,)


def test_corpus_rows_that_contradict_each_other_are_left_out() -> None:
    found = assemble([RESET, replace(RESET, category="rate_limit"), FULL])
    assert found.examples == (FULL,)
    assert found.notes == ("1 texts left out: equally trusted labels contradict each other",)


def test_rows_that_only_disagree_on_re_runs_leave_that_open() -> None:
    (row,) = assemble([RESET, replace(RESET, transient=False)]).examples
    assert row.transient is None


@pytest.mark.parametrize(
    ("broken", "problem"),
    [
        ({"text": math.nan}, "the text is missing"),
        ({"text": None}, "the text is missing"),
        ({"text": " \n"}, "the text is missing"),
        ({"category": "gremlins"}, "category 'gremlins' does not exist"),
        ({"origin": "rumour"}, "origin 'rumour' does not exist"),
        ({"weight": 0.0}, "the weight is not positive"),
    ],
)
def test_a_row_that_cannot_teach_is_left_out_and_said_so(broken: dict[str, Any], problem: str) -> None:
    found = assemble([replace(RESET, **broken), FULL])
    assert found.examples == (FULL,)
    assert found.notes == (f"1 rows left out: {problem}",)


def test_groups_that_share_a_text_up_to_its_numbers_become_one() -> None:
    other = replace(RESET, text="connection reset by peer", group="another")
    numbered = [replace(RESET, text=f"worker {number} was lost", group=f"g{number}") for number in range(3)]
    found = assemble([RESET, other, *numbered])
    assert len({row.group for row in found.examples}) == 2
    assert found.notes == ("3 groups merged: they share a text up to its numbers",)


def test_no_text_stands_on_both_sides_of_a_fold() -> None:
    rows = [
        Example(f"{'abcdefghi'[kind]} broke, try {number}", category, True, f"{kind}-{number}")
        for kind, category in enumerate(("rate_limit", "code_error", "missing_data") * 3)
        for number in range(3)
    ]
    labels, groups = [one.category for one in rows], [one.group for one in rows]
    assert sum(leaks(rows, *fold) for fold in splits(labels, groups)) > 0, "the raw rows do leak"
    clean = assemble(rows).examples
    folds = splits([one.category for one in clean], [one.group for one in clean])
    assert folds
    assert sum(leaks(clean, *fold) for fold in folds) == 0


def test_too_few_rows_are_a_reason_to_skip() -> None:
    with pytest.raises(TrainingSkipped, match=r"2 examples are fewer than .* train_min_rows = 3"):
        require_trainable(assemble([RESET, FULL]), 3)


def test_a_single_class_is_a_reason_to_skip() -> None:
    rows = [replace(RESET, text=f"reset {word}") for word in "abc"]
    with pytest.raises(TrainingSkipped, match="all 3 examples are of network_connectivity"):
        require_trainable(assemble(rows), 3)


def test_no_rows_at_all_are_a_reason_to_skip() -> None:
    with pytest.raises(TrainingSkipped, match="nothing to tell apart"):
        require_trainable(Dataset(()), 0)


def test_the_newest_fifth_of_the_labels_is_a_slice_of_its_own() -> None:
    rows = [RESET, *(said(FULL, "human", hours, text=f"t{hours}", group=f"g{hours}") for hours in range(50))]
    assert [rows[number].text for number in newest(rows)] == [f"t{hours}" for hours in range(40, 50)]


def test_a_group_of_which_older_rows_stay_behind_is_not_in_the_newest_slice() -> None:
    rows = [said(FULL, "human", hours, text=f"t{hours}", group="old" if hours in (0, 49) else f"g{hours}") for hours in range(50)]
    assert "t49" not in {rows[number].text for number in newest(rows)}


def test_few_dated_labels_make_no_slice() -> None:
    assert newest([RESET, said(FULL, "human")]) == []


def test_examples_survive_a_file() -> None:
    rows = (RESET, said(FULL, "human", also=("memory_exhaustion",), text="voll \ud83d \u2028 Zeile\nzwei"))
    assert parse_examples("run", dump_examples(rows)) == rows


def test_a_broken_line_is_named() -> None:
    with pytest.raises(BadDataFile, match="run, line 2"):
        parse_examples("run", dump_examples([RESET]) + b'{"text": 1}\n')


def test_the_digest_does_not_depend_on_the_order() -> None:
    assert assemble([RESET, FULL]).digest == assemble([FULL, RESET]).digest
    assert assemble([RESET, FULL]).digest != assemble([RESET]).digest
