"""Indexes on disk: read on from where the last process stopped, and never another store's."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
from tests.databases import Databases, fresh_store
from tests.knowledge.people import FROZEN, People, entry

from airflow_oncall.knowledge import index
from airflow_oncall.knowledge.book import Book
from airflow_oncall.knowledge.index import EntryIndex, IncidentIndex
from airflow_oncall.store.sql import Store
from airflow_oncall.triage import similar

DISK = "OSError: [Errno 28] No space left on device"


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Texts that were read."""
    texts, words = list[str](), similar.words

    def noted(text: str) -> list[str]:
        texts.append(text)
        return words(text)

    monkeypatch.setattr(similar, "words", noted)
    return texts


def names(found: EntryIndex | IncidentIndex, text: str = FROZEN) -> list[str]:
    return [match.name for match in found.texts.search(text, least=0.5)]


def test_another_process_reads_only_what_is_new(book: Book, sqlite_store: Store, models_path: Path, read: list[str]) -> None:
    book.add(entry("one", example=FROZEN))
    EntryIndex(sqlite_store, models_path).refresh(60)
    book.add(entry("two", example=DISK))
    read.clear()
    another = EntryIndex(sqlite_store, models_path)
    another.refresh(60)
    assert read == [DISK]
    assert (names(another), names(another, DISK)) == (["one"], ["two"])


def test_when_nothing_is_new_nothing_is_written(book: Book, sqlite_store: Store, models_path: Path) -> None:
    EntryIndex(sqlite_store, models_path).refresh(60)
    assert not models_path.exists()


def test_what_there_is_no_time_for_is_read_the_next_time(
    book: Book, sqlite_store: Store, models_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index, "AT_ONCE", 2)
    for number in range(5):
        book.add(entry(f"entry-{number}", example=FROZEN))
    found = EntryIndex(sqlite_store, models_path)
    sizes = []
    for _ in range(3):
        found.refresh(0)
        sizes.append(len(names(found)))
    assert sizes == [2, 4, 5]


def test_a_changed_entry_is_found_by_what_it_says_now(book: Book, sqlite_store: Store, models_path: Path) -> None:
    book.add(entry("one", example=FROZEN))
    found = EntryIndex(sqlite_store, models_path)
    found.refresh(60)
    book.edit("one", {"example": DISK})
    found.refresh(60)
    assert (names(found), names(found, DISK)) == ([], ["one"])
    book.remove("one")
    found.refresh(60)
    assert names(found, DISK) == []


def test_the_index_of_another_store_is_none_of_ours(book: Book, sqlite_store: Store, models_path: Path, databases: Databases) -> None:
    book.add(entry("one", example=FROZEN))
    EntryIndex(sqlite_store, models_path).refresh(60)
    for other in fresh_store(databases, "sqlite"):
        Book(other, "ada").add(entry("two", example=DISK))
        theirs = EntryIndex(other, models_path)
        theirs.refresh(60)
        assert (names(theirs), names(theirs, DISK)) == ([], ["two"])
    ours = EntryIndex(sqlite_store, models_path)
    ours.refresh(60)
    assert names(ours) == ["one"]


def test_a_broken_file_is_made_anew_with_a_warning(
    book: Book, sqlite_store: Store, models_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    book.add(entry("one", example=FROZEN))
    EntryIndex(sqlite_store, models_path).refresh(60)
    (models_path / "knowledge" / "entries.npz").write_bytes(b"broken")
    again = EntryIndex(sqlite_store, models_path)
    with caplog.at_level(logging.WARNING):
        again.refresh(60)
    assert names(again) == ["one"]
    assert "is made anew" in caplog.text


def test_a_folder_that_cannot_be_written_costs_only_the_copy(
    book: Book, sqlite_store: Store, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    book.add(entry("one", example=FROZEN))
    (tmp_path / "models").write_text("a file where the folder should be")
    found = EntryIndex(sqlite_store, tmp_path / "models")
    with caplog.at_level(logging.WARNING):
        found.refresh(60)
    assert names(found) == ["one"]
    assert "is not kept" in caplog.text


def test_incidents_are_found_by_the_text_of_one_of_their_kind(people: People, models_path: Path, read: list[str]) -> None:
    for _ in range(3):
        people.repaired_by_hand(people.saw("frozen"))
    people.saw("still-open", DISK)
    found = IncidentIndex(people.store, models_path)
    found.refresh(60)
    assert read == [FROZEN]
    assert (names(found), names(found, DISK)) == (["frozen"], [])
