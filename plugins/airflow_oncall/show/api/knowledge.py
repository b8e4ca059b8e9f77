"""What people know about failures. Every change is a version of its own, under the name of who made it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Body, Path, Query, Response
from pydantic import Field

from airflow_oncall.incident import CATEGORIES
from airflow_oncall.knowledge.book import Book
from airflow_oncall.knowledge.entry import NAME, TEXT_CHARACTERS, read_entry
from airflow_oncall.show.api.auth import Access, Inspector, Steerer
from airflow_oncall.show.api.errors import ApiError, missing, stale
from airflow_oncall.show.api.schemas import PAGE, Cursor, In, Limit, Name, Out, Page, page_of
from airflow_oncall.show.api.store import StoreDep
from airflow_oncall.store.knowledge import EntryChanged, Kept
from airflow_oncall.store.sql import Store

router = APIRouter(prefix="/knowledge", tags=["Knowledge"])
EntryName = Annotated[str, Path(pattern=rf"^{NAME}$")]
STALE = "`version` as the page shows it; where it is another by now, the answer is 409."


class KnownOut(Out):
    """One entry."""

    name: str
    version: int
    is_proposed: bool
    """Nobody has confirmed it, so it counts for nothing."""
    made_at: datetime
    updated_at: datetime
    entry: dict[str, Any]
    """What stands in it, as `include/oncall/knowledge.schema.json` describes it."""


class ChangeOut(Out):
    """One change of an entry."""

    version: int
    what: str
    actor: str
    at: datetime
    entry: dict[str, Any] | None
    """`null`: it was taken out."""


class KnownView(KnownOut):
    """One entry with its history, and how actions ended for incidents of its fingerprint."""

    history: list[ChangeOut]
    outcomes: dict[str, dict[str, int]]


class EntryIn(In):
    """What shall stand in an entry; what is left out stays as it is, or at its default."""

    category: Name | None = None
    fingerprint: Name | None = None
    pattern: Name | None = None
    """Regular expression as RE2 takes it."""
    example: Annotated[str, Body(max_length=TEXT_CHARACTERS)] | None = None
    actions: list[Name] | None = None
    confidence: float | None = None
    notes: Annotated[str, Body(max_length=TEXT_CHARACTERS)] | None = None
    runbook: Name | None = None
    tags: list[Name] | None = None
    parent: Name | None = None

    def said(self) -> dict[str, Any]:
        """What is given, in the words of an entry."""
        return self.model_dump(exclude_none=True, exclude={"name", "expected_version"})


class NewEntryIn(EntryIn):
    """A new entry."""

    name: Name


class ChangedEntryIn(EntryIn):
    """An entry as it shall be."""

    expected_version: Annotated[int, Field(description=STALE)]


class ConfirmIn(In):
    """Which entry is confirmed: what was proposed can change before somebody confirms it."""

    expected_version: Annotated[int, Field(description=STALE)]


@router.get("", response_model=Page[KnownOut])
def list_knowledge(
    access: Inspector,
    store: StoreDep,
    q: Annotated[Name, Query(max_length=200, description="Part of anything that stands in an entry.")] = "",
    category: Annotated[Name | None, Query(description=f"One of {', '.join(CATEGORIES)}.")] = None,
    proposed: Annotated[bool | None, Query(description="Only those that nobody has confirmed, or only the others.")] = None,
    limit: Limit = PAGE,
    cursor: Cursor = None,
) -> dict[str, Any]:
    """Entries by name."""
    found = store.browse.knowledge(limit + 1, after=cursor or "", text=q, category=category, is_proposed=proposed)
    return page_of(found, limit, lambda kept: kept.name)


@router.post("", status_code=201)
def add(access: Steerer, store: StoreDep, entry: NewEntryIn) -> KnownView:
    """Add an entry. It counts from the next look of triage on."""
    Book(store, access.name).add(read_entry({"name": entry.name, **entry.said()}))
    return _view(store, _known(store, entry.name))


@router.get("/{name}")
def get_knowledge(access: Inspector, store: StoreDep, name: EntryName) -> KnownView:
    """One entry with its history."""
    return _view(store, _known(store, name))


@router.put("/{name}")
def edit(access: Steerer, store: StoreDep, name: EntryName, entry: ChangedEntryIn) -> KnownView:
    """Change an entry."""
    with _book(store, access, name, entry.expected_version) as book:
        book.edit(name, entry.said())
    return _view(store, _known(store, name))


@router.post("/{name}/confirm")
def confirm(access: Steerer, store: StoreDep, name: EntryName, seen: ConfirmIn) -> KnownView:
    """Let a proposed entry count."""
    with _book(store, access, name, seen.expected_version) as book:
        book.confirm([name])
    return _view(store, _known(store, name))


@router.delete("/{name}", status_code=204)
def remove(access: Steerer, store: StoreDep, name: EntryName, expected_version: Annotated[int, Query(description=STALE)]) -> Response:
    """Take an entry out. What it was stays in its history."""
    with _book(store, access, name, expected_version) as book:
        book.remove(name)
    return Response(status_code=204)


@contextmanager
def _book(store: Store, access: Access, name: str, version: int) -> Iterator[Book]:
    """To change this entry, by what the page shows of it."""
    kept = _known(store, name)
    if kept.version != version:
        raise _stale(kept)
    try:
        yield Book(store, access.name, seen={name: version})
    except EntryChanged:  # between the look above and the change
        raise _stale(_known(store, name)) from None


def _stale(kept: Kept) -> ApiError:
    return stale(f"knowledge {kept.name!r}", {"name": kept.name, "version": kept.version, "entry": dict(kept.entry)})


def _known(store: Store, name: str) -> Kept:
    kept = store.knowledge.get([name]).get(name)
    if kept is None:
        raise missing(f"knowledge {name!r}")
    return kept


def _view(store: Store, kept: Kept) -> KnownView:
    fingerprint = str(kept.entry.get("fingerprint", ""))
    tallies = store.knowledge.tallies([fingerprint]).get(fingerprint, {})
    return KnownView(
        **vars(kept),
        history=[ChangeOut.model_validate(one) for one in store.knowledge.history(kept.name)],
        outcomes={action: tally._asdict() for action, tally in tallies.items()},
    )
