"""What entries of the knowledge base took over from failures: found, handed out, and taken out of all their versions.

An entry is about a failure where any version of it has its fingerprint. One without a fingerprint, which a pattern recognises, is
known by what it quotes: lines of evidence that tell more than where in the code something was.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from typing import Any, NamedTuple

from sqlalchemy import Connection, func, insert, or_, select, union, update

from airflow_oncall.store.audit import note
from airflow_oncall.store.knowledge import one_by_one
from airflow_oncall.store.records import now
from airflow_oncall.store.tables import knowledge, knowledge_history

QUOTED = 20
"""Characters of a line that a text has in common with evidence, from which it quotes it."""
TEXTS = ("example", "notes")
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


class _Words(NamedTuple):
    """What is to be forgotten."""

    about: frozenset[str]
    """Names of entries about the failures."""
    fingerprints: frozenset[str]
    examples: frozenset[str]
    lines: frozenset[str]
    telling: frozenset[str]
    """Lines by which what was said of something else is known to quote them, too."""

    def left(self, name: str, entry: Mapping[str, Any]) -> dict[str, Any]:
        """This version of an entry without them."""
        theirs = self.is_about(name, entry)
        lines = self.lines if theirs else self.telling
        gone = {field for field in TEXTS if _quotes(entry.get(field, ""), lines)}
        if theirs or entry.get("example") in self.examples:
            gone.add("example")
        return {field: value for field, value in entry.items() if field not in gone}

    def is_about(self, name: str, entry: Mapping[str, Any]) -> bool:
        """Whether this version, by its fingerprint or for want of one, is about the failures."""
        return name in self.about and entry.get("fingerprint", "") in ("", *self.fingerprints)


def names_about(connection: Connection, fingerprints: Collection[str], texts: Collection[str]) -> set[str]:
    """Names of entries about these failures, and of those without a fingerprint that quote these texts of evidence, in any version."""
    return _named(connection, fingerprints) | _quoting(connection, _telling(texts))


def forget_words(connection: Connection, fingerprints: Collection[str], texts: Collection[str], actor: str) -> int:
    """Take examples, and notes that quote one or these texts of evidence, out of entries about these failures; how many had some.

    Out of all their versions: what was said earlier is rewritten, with a new version that says so.
    """
    about = _named(connection, fingerprints)
    names = about | _quoting(connection, _telling(texts))
    if not names:
        return 0
    one_by_one(connection)
    versions = connection.execute(select(knowledge_history).where(knowledge_history.c.name.in_(names))).all()
    words = _words(about, fingerprints, texts, versions)
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


def _quoting(connection: Connection, lines: Collection[str]) -> set[str]:
    if not lines:
        return set()
    nameless = or_(_FINGERPRINT.is_(None), func.length(_FINGERPRINT) == 0)
    query = select(knowledge_history.c.name, knowledge_history.c.entry).where(knowledge_history.c.entry.is_not(None), nameless)
    return {row.name for row in connection.execute(query) if any(_quotes(row.entry.get(field, ""), lines) for field in TEXTS)}


def _words(about: Collection[str], fingerprints: Collection[str], texts: Collection[str], versions: Iterable[Any]) -> _Words:
    words = _Words(frozenset(about), frozenset(fingerprints), frozenset(), frozenset(), frozenset())
    told = [
        version.entry["example"]
        for version in versions
        if version.entry and version.entry.get("example") and words.is_about(version.name, version.entry)
    ]
    every = (*texts, *told)
    return words._replace(examples=frozenset(told), lines=_quotable(every), telling=_telling(every))


def _reword(connection: Connection, version: Any, words: _Words) -> bool:
    """Whether this version told something that is forgotten by now."""
    left = words.left(version.name, version.entry or {})
    if left == (version.entry or {}):
        return False
    connection.execute(update(knowledge_history).where(knowledge_history.c.id == version.id).values(entry=left))
    return True


def _quotes(text: str, lines: Collection[str]) -> bool:
    return any(line in text for line in lines)


def _telling(texts: Iterable[str]) -> frozenset[str]:
    """Quotable lines without those that tracebacks of all kinds of failures have in common."""
    return _quotable(_PLUMBING.sub("", text) for text in texts)


def _quotable(texts: Iterable[str]) -> frozenset[str]:
    """Lines that are long enough for whoever repeats one to have quoted it."""
    lines = (line.strip() for text in texts for line in text.splitlines())
    return frozenset(line for line in lines if len(line) >= QUOTED)
