"""Changing what is known: every change is a version of its own, and going back to a day is a change, too."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from airflow_oncall.knowledge.entry import BadEntry, Entry, read_entry
from airflow_oncall.store.knowledge import Draft, Kept
from airflow_oncall.store.records import now
from airflow_oncall.store.sql import Store


class Written(NamedTuple):
    """What became of several entries."""

    written: list[str]
    unchanged: list[str]
    taken: list[str]
    """Names that another entry has; that one stays."""


class Book:
    """The entries of one deployment, as people change them. Everything raises ``BadEntry`` for what cannot be kept."""

    def __init__(self, store: Store, actor: str, seen: Mapping[str, int] | None = None) -> None:
        """``seen``: versions of entries that the actor decided by; a change where there is another by now raises ``EntryChanged``."""
        self._known, self._actor, self._seen = store.knowledge, actor, seen or {}

    def get(self, name: str) -> Kept:
        """One entry."""
        kept = self._known.get([name]).get(name)
        if kept is None:
            raise BadEntry(f"knowledge {name!r} is not there; `airflow oncall knowledge list` shows what is")
        return kept

    def add(self, entry: Entry) -> None:
        """A new entry, confirmed by who adds it."""
        if self._known.get([entry.name]):
            raise BadEntry(f"knowledge {entry.name!r} is there already; `airflow oncall knowledge edit {entry.name}` changes it")
        self._check_parents([entry])
        self._known.write([Draft(entry.name, entry.kept(), version=0)], self._actor, "added")

    def propose(self, entries: Sequence[Entry]) -> None:
        """New entries that count for nothing until somebody confirms them."""
        self._known.write([Draft(one.name, one.kept(), is_proposed=True, version=0) for one in entries], self._actor, "proposed")

    def edit(self, name: str, changes: Mapping[str, Any]) -> Entry:
        """Change fields of an entry; whether it is proposed stays."""
        kept = self.get(name)
        entry = read_entry(kept.entry).changed(now(), **changes)
        self._check_parents([entry])
        self._known.write([Draft(name, entry.kept(), kept.is_proposed, self._version(kept))], self._actor, "edited")
        return entry

    def confirm(self, names: Sequence[str]) -> list[str]:
        """Let proposed entries count; the names of those that were proposed."""
        waiting = [kept for kept in map(self.get, names) if kept.is_proposed]
        entries = [read_entry(kept.entry) for kept in waiting]  # what was proposed long ago may name an action that is gone
        drafts = [Draft(kept.name, entry.kept(), False, self._version(kept)) for kept, entry in zip(waiting, entries, strict=True)]
        self._known.write(drafts, self._actor, "confirmed")
        return [kept.name for kept in waiting]

    def remove(self, name: str) -> None:
        """Take an entry out. What it was stays in its history."""
        kept = self.get(name)
        self._known.write([Draft(name, None, version=self._version(kept))], self._actor, "removed")

    def take_over(self, entries: Sequence[Entry], *, replace: bool = False, confirm: bool = False) -> Written:
        """Entries of a file, in one step; proposed unless ``confirm``. Other entries of their names stay unless ``replace``."""
        self._check_parents(entries)
        there = self._known.get([one.name for one in entries])
        same = [one.name for one in entries if one.name in there and there[one.name].entry == one.kept()]
        taken = [] if replace else [one.name for one in entries if one.name in there and one.name not in same]
        left = {*same, *taken}
        drafts = [
            Draft(one.name, one.kept(), not confirm, there[one.name].version if one.name in there else 0)
            for one in entries
            if one.name not in left
        ]
        self._known.write(drafts, self._actor, "imported")
        return Written([draft.name for draft in drafts], same, taken)

    def roll_back(self, to: datetime, name: str | None = None) -> list[str]:
        """Make everything (or one entry) what it was at that time; the names of what changed. Later changes stay in the history."""
        then = {one: change for one, change in self._known.as_of(to).items() if name in (None, one)}
        today = {kept.name: kept for kept in self._known.all() if name in (None, kept.name)}
        if name is not None and not then and not today:
            self.get(name)
        drafts = []
        for one in sorted({*then, *today}):
            before, current = then.get(one), today.get(one)
            entry = before.entry if before else None
            is_proposed = before.is_proposed if before and entry is not None else False
            if current is None and entry is None:
                continue
            if current is None or (current.entry, current.is_proposed) != (entry, is_proposed):
                drafts.append(Draft(one, entry, is_proposed, current.version if current else 0))
        self._known.write(drafts, self._actor, f"rolled back to {to:%Y-%m-%dT%H:%M:%SZ}")
        return [draft.name for draft in drafts]

    def _version(self, kept: Kept) -> int:
        return self._seen.get(kept.name, kept.version)

    def _check_parents(self, entries: Sequence[Entry]) -> None:
        parents = {one.name: one.parent for one in entries}
        wanted = {parent for parent in parents.values() if parent and parent not in parents}
        while wanted:
            found = {name: str(kept.entry.get("parent", "")) for name, kept in self._known.get(sorted(wanted)).items()}
            if missing := wanted - set(found):
                raise BadEntry(f"field 'parent': knowledge {min(missing)!r} is not there; add it first, or name none")
            parents |= found
            wanted = {parent for parent in found.values() if parent and parent not in parents}
        for entry in entries:
            _check_line(entry.name, parents)


def _check_line(name: str, parents: Mapping[str, str]) -> None:
    line = [name]
    while parent := parents.get(line[-1], ""):
        if parent in line:
            raise BadEntry(f"field 'parent': {' -> '.join([*line, parent])} goes round; a parent is never its own descendant")
        line.append(parent)
