"""What entries of the knowledge base took over from failures: found, handed out, and taken out of all their versions.

An entry is about a failure where any version of it has its fingerprint. One without a fingerprint, which a pattern recognises, is
known by what it quotes: lines of evidence that tell more than where in the code something was.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from itertools import groupby
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, func, insert, or_, select, union, update

from airflow_oncall.store.audit import note
from airflow_oncall.store.knowledge import one_by_one
from airflow_oncall.store.records import now
from airflow_oncall.store.tables import knowledge, knowledge_history

QUOTED = 20
"""Characters of a line that a text has in common with evidence, from which it quotes it."""
TEXTS = ("example", "notes")
AT_ONCE = 200
"""Versions that are read together."""
_PLUMBING = re.compile(
    r"""
    ^[ \t]*File[ ]".*",[ ]line[ ]\d+.*$ (\n[ \t]{4,}\S.*$)*   # a frame of Python, with its code and what marks a place in it
    | ^[ \t]+at[ ]\S+\(.*\)[ \t]*$ | ^[ \t]*\.\.\.[ ]\d+[ ]more[ \t]*$   # a frame of Java
    | ^.*Traceback[ ]\(most[ ]recent[ ]call[ ]last\):?[ \t]*$
    | ^(During[ ]handling[ ]of[ ]the[ ]above|The[ ]above)[ ]exception.*:[ \t]*$
    """,
    re.MULTILINE | re.VERBOSE,
)
_FINGERPRINT = knowledge_history.c.entry["fingerprint"].as_string()


class Lines(NamedTuple):
    """Lines of evidence that are long enough for whoever repeats one to have quoted it."""

    telling: frozenset[str]
    """Those by which what was said of something else is known to quote them, too."""
    frames: frozenset[str]
    """Others, which tracebacks of all kinds of failures have in common."""

    @classmethod
    def of(cls, texts: Iterable[str]) -> Lines:
        """Of each text only its lines are kept, so that texts may come one by one and be many."""
        telling, frames = set[str](), set[str]()
        for text in texts:
            told = _long_lines(_PLUMBING.sub("", text))
            telling |= told
            frames |= _long_lines(text) - told
        return cls(frozenset(telling), frozenset(frames))


NOTHING = Lines(frozenset(), frozenset())


class Looked(NamedTuple):
    """Which entries without a fingerprint quote evidence, as was found before anything was locked."""

    lines: Lines
    names: frozenset[str]
    through: int
    """The newest version of all entries at that time."""


class Quoted:
    """Lines that are looked for in texts, by their beginnings: only those that begin as a place in the text does are compared there."""

    def __init__(self, lines: Iterable[str]) -> None:
        self._beginning: dict[str, tuple[str, ...]] = {}
        ordered = sorted(lines)
        for start, same in groupby(ordered, key=lambda line: line[:QUOTED]):
            self._beginning[start] = tuple(same)

    def stand_in(self, text: str) -> bool:
        """Whether one of them does."""
        places = range(len(text) - QUOTED + 1) if self._beginning else ()
        return any(text.startswith(self._beginning.get(text[place : place + QUOTED], ()), place) for place in places)


class _Words(NamedTuple):
    """What is to be forgotten."""

    about: frozenset[str]
    """Names of entries about the failures."""
    fingerprints: frozenset[str]
    examples: frozenset[str]
    telling: Quoted
    frames: Quoted

    def left(self, name: str, entry: Mapping[str, Any]) -> dict[str, Any]:
        """This version of an entry without them."""
        theirs = _is_about(self.about, self.fingerprints, name, entry)
        gone = {field for field in TEXTS if self._stand_in(entry.get(field) or "", theirs)}
        if theirs or entry.get("example") in self.examples:
            gone.add("example")
        return {field: value for field, value in entry.items() if field not in gone}

    def _stand_in(self, text: str, theirs: bool) -> bool:
        return self.telling.stand_in(text) or (theirs and self.frames.stand_in(text))


def _is_about(names: Collection[str], fingerprints: Collection[str], name: str, entry: Mapping[str, Any]) -> bool:
    """Whether this version, by its fingerprint or for want of one, is about the failures."""
    return name in names and entry.get("fingerprint", "") in ("", *fingerprints)


def look(connection: Connection, lines: Lines) -> Looked:
    """Look for entries that quote these lines, ahead of forgetting them: what is written meanwhile is looked at then."""
    through = connection.execute(select(func.max(knowledge_history.c.id))).scalar() or 0
    return Looked(lines, frozenset(_quoting(connection, lines.telling)), through)


def names_about(connection: Connection, fingerprints: Collection[str], lines: Lines) -> set[str]:
    """Names of entries about these failures, and of those without a fingerprint that quote these lines of evidence, in any version."""
    return _named(connection, fingerprints) | _quoting(connection, lines.telling)


def forget_words(connection: Connection, fingerprints: Collection[str], lines: Lines, actor: str, looked: Looked | None = None) -> int:
    """Take examples, and notes that quote one or these lines of evidence, out of entries about these failures; how many had some.

    Out of all their versions: what was said earlier is rewritten, with a new version that says so.
    """
    one_by_one(connection)
    about = _named(connection, fingerprints)
    names = about | _still_quoting(connection, lines, looked)
    if not names:
        return 0
    versions = connection.execute(select(knowledge_history).where(knowledge_history.c.name.in_(names))).all()
    words = _words(about, fingerprints, lines, versions)
    rewritten = {version.name for version in versions if _reword(connection, version, words)}
    for row in connection.execute(select(knowledge).where(knowledge.c.name.in_(rewritten))).mappings().all():
        fresh = {"entry": words.left(row["name"], row["entry"]), "version": row["version"] + 1}
        connection.execute(update(knowledge).where(knowledge.c.id == row["id"]).values(**fresh, updated_at=now()))
        said = {"name": row["name"], "is_proposed": row["is_proposed"], "actor": actor, "what": "forgotten", "at": now()}
        gone = {"entry": None} if row["deleted_at"] else {}
        connection.execute(insert(knowledge_history).values(said | fresh | gone))
    if rewritten:
        note(connection, actor, "knowledge forgotten", {"entries": sorted(rewritten)})
    return len(rewritten)


def _named(connection: Connection, fingerprints: Collection[str]) -> set[str]:
    ever = select(knowledge_history.c.name).where(_FINGERPRINT.in_(fingerprints))
    return set(connection.execute(union(ever, select(knowledge.c.name).where(knowledge.c.fingerprint.in_(fingerprints)))).scalars())


def _still_quoting(connection: Connection, lines: Lines, looked: Looked | None) -> set[str]:
    """Names of entries that quote these lines; of what was looked at before with all of them, only what was found."""
    if looked is None or not lines.telling <= looked.lines.telling:
        return _quoting(connection, lines.telling)
    return _quoting(connection, lines.telling, or_(knowledge_history.c.name.in_(looked.names), knowledge_history.c.id > looked.through))


def _quoting(connection: Connection, lines: Collection[str], *which: ColumnElement[bool]) -> set[str]:
    if not lines:
        return set()
    nameless = or_(_FINGERPRINT.is_(None), func.length(_FINGERPRINT) == 0)
    query = select(knowledge_history.c.name, knowledge_history.c.entry).where(knowledge_history.c.entry.is_not(None), nameless, *which)
    quoted = Quoted(lines)
    versions = connection.execute(query.execution_options(yield_per=AT_ONCE))
    return {version.name for version in versions if any(quoted.stand_in(version.entry.get(field) or "") for field in TEXTS)}


def _words(about: Collection[str], fingerprints: Collection[str], lines: Lines, versions: Iterable[Any]) -> _Words:
    told = {
        version.entry["example"]
        for version in versions
        if version.entry and version.entry.get("example") and _is_about(about, fingerprints, version.name, version.entry)
    }
    more = Lines.of(told)
    telling, frames = Quoted(lines.telling | more.telling), Quoted(lines.frames | more.frames)
    return _Words(frozenset(about), frozenset(fingerprints), frozenset(told), telling, frames)


def _reword(connection: Connection, version: Any, words: _Words) -> bool:
    """Whether this version told something that is forgotten by now."""
    left = words.left(version.name, version.entry or {})
    if left == (version.entry or {}):
        return False
    connection.execute(update(knowledge_history).where(knowledge_history.c.id == version.id).values(entry=left))
    return True


def _long_lines(text: str) -> set[str]:
    lines = (line.strip() for line in text.splitlines())
    return {line for line in lines if len(line) >= QUOTED}
