"""Entries as people change them."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest
from tests.knowledge.people import entry

from airflow_oncall.knowledge.book import Book
from airflow_oncall.knowledge.entry import BadEntry, read_entry
from airflow_oncall.store import records
from airflow_oncall.store.knowledge import EntryChanged
from airflow_oncall.store.sql import Store

NOON = datetime(2026, 11, 20, 12, tzinfo=timezone.utc)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[datetime]:
    """The store's time: the last of these."""
    times = [NOON]
    monkeypatch.setattr(records.clock, "read", lambda: times[-1])
    return times


def names(store: Store) -> list[str]:
    return [kept.name for kept in store.knowledge.all()]


def test_what_a_person_adds_counts(book: Book, sqlite_store: Store) -> None:
    book.add(entry())
    assert not sqlite_store.knowledge.get(["ledger-frozen"])["ledger-frozen"].is_proposed


def test_a_name_is_given_once(book: Book) -> None:
    book.add(entry())
    with pytest.raises(BadEntry, match="'ledger-frozen' is there already"):
        book.add(entry(notes="another"))


def test_an_edit_changes_what_is_said_and_nothing_else(book: Book) -> None:
    book.add(entry(notes="first", confidence=0.7))
    book.edit("ledger-frozen", {"confidence": 0.4})
    kept = read_entry(book.get("ledger-frozen").entry)
    assert (kept.notes, kept.confidence, [one.confidence for one in kept.confidence_history]) == ("first", 0.4, [0.7, 0.4])


def test_an_edit_that_makes_nonsense_changes_nothing(book: Book) -> None:
    book.add(entry())
    with pytest.raises(BadEntry, match="field 'confidence'"):
        book.edit("ledger-frozen", {"confidence": 3})
    assert book.get("ledger-frozen").version == 1


def test_an_entry_that_is_not_there_is_told(book: Book) -> None:
    with pytest.raises(BadEntry, match="'ledger' is not there; `airflow oncall knowledge list`"):
        book.edit("ledger", {"notes": "x"})


def test_an_edit_of_something_that_changed_meanwhile_is_refused(book: Book, monkeypatch: pytest.MonkeyPatch) -> None:
    book.add(entry())
    read_before = book.get("ledger-frozen")
    book.edit("ledger-frozen", {"notes": "bob was faster"})
    monkeypatch.setattr(book, "get", lambda name: read_before)
    with pytest.raises(EntryChanged):
        book.edit("ledger-frozen", {"notes": "mine"})


def test_proposed_entries_count_when_they_are_confirmed(book: Book) -> None:
    book.propose([entry(), entry("other")])
    assert book.confirm(["ledger-frozen"]) == ["ledger-frozen"]
    assert not book.get("ledger-frozen").is_proposed
    assert book.get("other").is_proposed
    assert book.confirm(["ledger-frozen"]) == []


@pytest.mark.parametrize(("parent", "message"), [("nobody", "'nobody' is not there"), ("child", "goes round")])
def test_parents_exist_and_never_go_round(book: Book, parent: str, message: str) -> None:
    book.add(entry("root"))
    book.add(entry("child", parent="root"))
    with pytest.raises(BadEntry, match=message):
        book.edit("root", {"parent": parent})


def test_entries_of_a_file_are_proposals(book: Book) -> None:
    done = book.take_over([entry("child", parent="root"), entry("root")])
    assert done.written == ["child", "root"]
    assert book.get("child").is_proposed


def test_entries_of_a_file_whose_parents_go_round_are_refused_whole(book: Book, sqlite_store: Store) -> None:
    with pytest.raises(BadEntry, match="child -> root -> child goes round"):
        book.take_over([entry("child", parent="root"), entry("root", parent="child"), entry("fine")])
    assert names(sqlite_store) == []


def test_names_that_are_taken_stay_unless_told_otherwise(book: Book) -> None:
    book.add(entry(notes="ours"))
    assert book.take_over([entry(notes="theirs")]).taken == ["ledger-frozen"]
    assert book.get("ledger-frozen").entry["notes"] == "ours"
    assert book.take_over([entry(notes="ours")]).unchanged == ["ledger-frozen"]
    assert book.take_over([entry(notes="theirs")], replace=True, confirm=True).written == ["ledger-frozen"]
    assert book.get("ledger-frozen").entry["notes"] == "theirs"


def test_a_rollback_brings_back_a_day_and_loses_nothing(book: Book, sqlite_store: Store, clock: list[datetime]) -> None:
    book.add(entry("kept"))
    book.add(entry("edited", notes="before"))
    book.add(entry("removed"))
    book.propose([entry("confirmed")])
    clock.append(NOON + timedelta(days=2))
    book.edit("edited", {"notes": "after"})
    book.remove("removed")
    book.add(entry("added"))
    book.confirm(["confirmed"])
    changed = book.roll_back(NOON + timedelta(days=1))
    assert changed == ["added", "confirmed", "edited", "removed"]
    assert names(sqlite_store) == ["confirmed", "edited", "kept", "removed"]
    assert book.get("edited").entry["notes"] == "before"
    assert book.get("confirmed").is_proposed
    what = [change.what for change in sqlite_store.knowledge.history("edited")]
    assert what == ["added", "edited", "rolled back to 2026-11-21T12:00:00Z"]
    assert [change.entry is None for change in sqlite_store.knowledge.history("added")] == [False, True]


def test_a_rollback_can_be_rolled_back(book: Book, sqlite_store: Store, clock: list[datetime]) -> None:
    book.add(entry())
    clock.append(NOON + timedelta(days=2))
    book.roll_back(NOON - timedelta(days=1))
    assert names(sqlite_store) == []
    clock.append(NOON + timedelta(days=3))
    assert book.roll_back(NOON + timedelta(days=1)) == ["ledger-frozen"]
    assert names(sqlite_store) == ["ledger-frozen"]


def test_a_rollback_of_one_entry_leaves_the_others(book: Book, sqlite_store: Store, clock: list[datetime]) -> None:
    clock.append(NOON + timedelta(days=2))
    book.add(entry("one"))
    book.add(entry("two"))
    assert book.roll_back(NOON, "one") == ["one"]
    assert names(sqlite_store) == ["two"]
    with pytest.raises(BadEntry, match="'nobody' is not there"):
        book.roll_back(NOON, "nobody")
