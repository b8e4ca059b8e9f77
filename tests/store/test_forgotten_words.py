"""Words of evidence are found in the knowledge base without comparing every line with every text, or holding all texts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from weakref import WeakSet

import pytest
from hypothesis import example, given
from hypothesis.strategies import lists, text

from airflow_oncall.store.engine import transaction
from airflow_oncall.store.forgotten_words import QUOTED, Lines, Looked, Quoted, forget_words, look
from airflow_oncall.store.knowledge import Draft
from airflow_oncall.store.sql import Store

OWN = "customer Ada Lovelace is unknown to the vendor"
ANOTHER = "the disk of the warehouse is full again"


class Text(str):
    """Evidence of which it can be told whether anybody still has it."""


@given(lists(text("ab", min_size=QUOTED, max_size=QUOTED + 3)), text("ab", max_size=60))
@example(["a" * QUOTED, "a" * QUOTED + "b"], "a" * (QUOTED - 1))
@example(["a" * QUOTED + "b"], "a" * (QUOTED + 1) + "b")
@example(["b" + "a" * QUOTED], "a" * QUOTED + "b" + "a" * QUOTED)
def test_lines_are_found_where_a_plain_search_finds_them(lines: list[str], where: str) -> None:
    assert Quoted(lines).stand_in(where) == any(line in where for line in lines)


class Sliced(str):
    """A text that counts how often somebody compares at a place in it."""

    compared = 0

    def startswith(self, *args: Any) -> bool:
        self.compared += 1
        return super().startswith(*args)


def test_a_text_is_gone_through_once_however_many_lines_there_are() -> None:
    where = Sliced("nothing of theirs stands in this text")
    assert not Quoted(f"{number:05} is a line of evidence" for number in range(1_000)).stand_in(where)
    assert where.compared <= len(where)


def test_of_texts_that_come_one_by_one_no_whole_one_is_kept() -> None:
    alive = WeakSet[Text]()

    def texts() -> Iterator[str]:
        for number in range(5):
            one = Text(f"{number}: {OWN}\nshort")
            alive.add(one)
            yield one
            del one
            assert len(alive) <= 1, "what is being read"

    assert Lines.of(texts()).telling == {f"{number}: {OWN}" for number in range(5)}


def test_lines_that_tracebacks_have_in_common_are_told_apart() -> None:
    frame = 'File "/opt/airflow/task_runner.py", line 1215, in run'
    lines = Lines.of([f"Traceback (most recent call last):\n  {frame}\n    execute()\nValueError: {OWN}"])
    assert lines.telling == {f"ValueError: {OWN}"}
    assert lines.frames == {"Traceback (most recent call last):", frame}


def write(store: Store, name: str, example: str) -> None:
    """An entry that a pattern recognises."""
    entry = {"name": name, "category": "data_quality", "pattern": name, "example": example}
    store.knowledge.write([Draft(name, entry)], "ann", "added")


@pytest.fixture
def looked(store: Store) -> Looked:
    """One of two entries quotes the evidence, as was found before anything is locked."""
    write(store, "quoting", OWN)
    write(store, "another", ANOTHER)
    with transaction(store.engine, reading=True) as connection:
        return look(connection, Lines.of([OWN]))


def forgotten(store: Store, lines: Lines, looked: Looked) -> int:
    with transaction(store.engine) as connection:
        return forget_words(connection, [], lines, "ann", looked)


def test_entries_that_were_found_to_quote_nothing_are_not_read_again(store: Store, looked: Looked, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []
    search = Quoted.stand_in

    def noted(lines: Quoted, where: str) -> bool:
        read.append(where)
        return search(lines, where)

    monkeypatch.setattr(Quoted, "stand_in", noted)
    assert forgotten(store, looked.lines, looked) == 1
    assert OWN in read
    assert ANOTHER not in read


def test_an_entry_that_quotes_the_evidence_since_then_loses_it_too(store: Store, looked: Looked) -> None:
    write(store, "another", OWN)
    write(store, "newer", OWN)
    assert forgotten(store, looked.lines, looked) == 3


def test_evidence_that_came_since_then_is_looked_for_everywhere(store: Store, looked: Looked) -> None:
    assert forgotten(store, Lines.of([OWN, ANOTHER]), looked) == 2
