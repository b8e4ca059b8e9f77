from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from airflow_oncall.errors import BadDataFile
from airflow_oncall.incident import CATEGORIES
from airflow_oncall.learn.corpus import RENDERED_WEIGHT, parse_corpus, read_corpus

SHIPPED = Path(__file__).parents[2] / "include" / "oncall"
ROW: dict[str, Any] = {
    "text": "disk is full",
    "category": "storage_exhaustion",
    "transient": False,
    "provenance": {"made": "provoked", "engine": "python", "scenario": "full", "variation": 2},
}


def line(**changed: Any) -> str:
    return json.dumps(ROW | changed)


def test_the_shipped_corpus_has_every_category_and_healthy_texts() -> None:
    assert {example.category for example in read_corpus([SHIPPED])} == {*CATEGORIES, "none"}


def test_every_file_of_the_folder_is_read(tmp_path: Path) -> None:
    (tmp_path / "corpus").mkdir()
    for name in ("a", "b"):
        (tmp_path / "corpus" / f"{name}.jsonl").write_text(line(text=name) + "\n\n", encoding="utf-8")
    assert [example.text for example in read_corpus([tmp_path / "empty", tmp_path])] == ["a", "b"]


def test_variations_of_a_scenario_are_one_group() -> None:
    one, other = parse_corpus("c.jsonl", line() + "\n" + line(text="no space left", also=["memory_exhaustion"]))
    assert one.group == other.group == "python:full"
    assert (one.category, one.transient, one.weight, other.also) == ("storage_exhaustion", False, 1.0, ("memory_exhaustion",))


def test_what_was_rendered_weighs_less_than_what_a_program_wrote() -> None:
    (rendered,) = parse_corpus("c.jsonl", line(provenance=ROW["provenance"] | {"made": "rendered"}))
    assert rendered.weight == RENDERED_WEIGHT < 1


@pytest.mark.parametrize(
    ("wrong", "problem"),
    [
        ("{", "not JSON"),
        ("[]", "field 'text': missing"),
        ('{"text": "a"}', "field 'category': missing"),
        (line(category="cats"), "field 'category': is 'cats'"),
        (line(text=None), "field 'text': is None"),
        (line(text=" "), "field 'text': is ' '"),
        ('{"text": NaN, "category": "none", "transient": null, "provenance": {}}', "field 'text': is nan"),
        (line(transient="yes"), "field 'transient': is 'yes'"),
        (line(also=["dogs"]), r"field 'also': is \['dogs'\]"),
        (line(provenance="lab"), "field 'provenance': is 'lab'"),
    ],
)
def test_a_bad_row_is_named_by_line_and_field(wrong: str, problem: str) -> None:
    with pytest.raises(BadDataFile, match=rf"mine\.jsonl, line 3: .*{problem}"):
        parse_corpus("mine.jsonl", f"{line()}\n\n{wrong}")


def test_a_line_that_is_not_utf8_is_named() -> None:
    with pytest.raises(BadDataFile, match=r"mine\.jsonl, line 2: byte 3 is not UTF-8"):
        parse_corpus("mine.jsonl", line().encode() + b'\n{"\xff')


def test_no_corpus_anywhere_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(BadDataFile, match="include_path"):
        read_corpus([tmp_path])
