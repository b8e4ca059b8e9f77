"""What people know about failures: named entries, every change of them a row that stays, and how things of their kind ended.

An entry is JSON here; what may stand in it is the business of :mod:`airflow_oncall.knowledge`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, NamedTuple, TypeVar

from sqlalchemy import Connection, Engine, Select, func, insert, select, text

from airflow_oncall.errors import StoreError
from airflow_oncall.incident import ActionState, TaskRef
from airflow_oncall.store.audit import note
from airflow_oncall.store.engine import rows, transaction
from airflow_oncall.store.intake import upsert
from airflow_oncall.store.outcomes import ENDED, SUCCESS, newest_of
from airflow_oncall.store.records import now, ref_of
from airflow_oncall.store.tables import actions, has_pattern, incidents, knowledge, knowledge_history, labels, outcomes

AT_ONCE = 500
OUTCOMES = ("outcome", "outcome_without_us")
"""Labels that say how an incident ended."""
_LOCK = 5_126_917_303_114_022
"""Number of the lock under which entries change on PostgreSQL, so that changes become visible in the order of their ids."""
Item = TypeVar("Item")


class EntryChanged(StoreError):
    """Somebody changed this entry meanwhile; read it again."""


@dataclass(frozen=True)
class Kept:
    """One entry as it is now."""

    name: str
    entry: Mapping[str, Any]
    is_proposed: bool
    """Nobody has confirmed it, so it counts for nothing."""
    version: int
    made_at: datetime
    updated_at: datetime


@dataclass(frozen=True)
class Draft:
    """One entry as it shall be."""

    name: str
    entry: Mapping[str, Any] | None
    """``None`` takes it out."""
    is_proposed: bool = False
    version: int | None = None
    """The version that it was made from, 0 for a new one; ``None``: whatever is there."""


@dataclass(frozen=True)
class Change:
    """One change of one entry."""

    id: int
    name: str
    version: int
    entry: Mapping[str, Any] | None
    is_proposed: bool
    actor: str
    what: str
    at: datetime


class Tally(NamedTuple):
    """How often an action was seen to help, and how often not."""

    successes: int
    failures: int


@dataclass(frozen=True)
class Ending:
    """How one incident ended well."""

    incident_id: int
    ref: TaskRef
    at: datetime
    action: str | None
    """What was done; ``None``: people repaired it without us."""
    approved_by: str | None


@dataclass(frozen=True)
class Resolution:
    """One incident that people resolved: by themselves, by saying yes to an action, or by saying afterwards that it was right."""

    incident_id: int
    fingerprint: str
    category: str
    action: str | None
    """``None``: they did it by hand."""
    by: str
    opened_at: datetime
    at: datetime
    """When it was seen to be resolved."""


class Knowledge:
    """Entries, their history, and the outcomes that speak for and against them."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def get(self, names: Sequence[str]) -> dict[str, Kept]:
        """Entries by name; names that are not there are left out."""
        return {kept.name: kept for some in _chunks(names) for kept in self._kept(knowledge.c.name.in_(some))}

    def of_fingerprint(self, fingerprint: str) -> list[Kept]:
        """Entries about exactly this failure."""
        return self._kept(knowledge.c.fingerprint == fingerprint) if fingerprint else []

    def patterns(self) -> dict[str, str]:
        """Patterns of the confirmed entries, by name."""
        query = select(knowledge.c.name, knowledge.c.pattern).where(has_pattern, knowledge.c.deleted_at.is_(None), ~knowledge.c.is_proposed)
        return {row["name"]: row["pattern"] for row in rows(self._engine, query.order_by(knowledge.c.name))}

    def all(self, *, category: str | None = None, is_proposed: bool | None = None) -> list[Kept]:
        """Every entry, by name."""
        asked = {"category": category, "is_proposed": is_proposed}
        return self._kept(*(knowledge.c[column] == value for column, value in asked.items() if value is not None))

    def write(self, drafts: Sequence[Draft], actor: str, what: str) -> None:
        """Make these changes, all or none. Raises ``EntryChanged`` where an entry has another version than its draft was made from."""
        at = now()
        with transaction(self._engine) as connection:
            one_by_one(connection)
            for some in _chunks(drafts):
                self._write(connection, some, {"actor": actor, "what": what, "at": at})

    def changes(self, after: int = 0, limit: int = AT_ONCE) -> list[Change]:
        """Changes behind this one, oldest first."""
        query = select(knowledge_history).where(knowledge_history.c.id > after).order_by(knowledge_history.c.id).limit(limit)
        return [Change(**row) for row in rows(self._engine, query)]

    def history(self, name: str) -> list[Change]:
        """All changes of an entry, oldest first."""
        query = select(knowledge_history).where(knowledge_history.c.name == name).order_by(knowledge_history.c.version)
        return [Change(**row) for row in rows(self._engine, query)]

    def as_of(self, at: datetime) -> dict[str, Change]:
        """The newest change of every entry until then."""
        newest = select(func.max(knowledge_history.c.id)).where(knowledge_history.c.at <= at).group_by(knowledge_history.c.name)
        query = select(knowledge_history).where(knowledge_history.c.id.in_(newest))
        return {row["name"]: Change(**row) for row in rows(self._engine, query)}

    def known_fingerprints(self) -> frozenset[str]:
        """Fingerprints that ever had an entry, also those that people took out."""
        query = select(knowledge.c.fingerprint).where(knowledge.c.fingerprint != "").distinct()
        return frozenset(row["fingerprint"] for row in rows(self._engine, query))

    def tallies(self, fingerprints: Sequence[str]) -> dict[str, dict[str, Tally]]:
        """How each kind of action ended for all incidents of these fingerprints."""
        found: dict[str, dict[str, Tally]] = {}
        for some in _chunks([one for one in fingerprints if one]):
            for row in rows(self._engine, _TALLIES.where(incidents.c.fingerprint.in_(some))):
                found.setdefault(row["fingerprint"], {})[row["kind"]] = Tally(row["helped"], row["n"] - row["helped"])
        return found

    def endings(self, fingerprint: str, limit: int) -> list[Ending]:
        """Those of the newest incidents of a fingerprint that ended well, newest first."""
        names = [incidents.c[name] for name in ("dag_id", "run_id", "task_id", "map_index")]
        query = (
            select(incidents.c.id, *names, outcomes.c.seen_at, actions.c.kind, actions.c.approved_by)
            .join(outcomes, outcomes.c.incident_id == incidents.c.id)
            .outerjoin(actions, actions.c.id == outcomes.c.action_id)
            .where(incidents.c.id.in_(newest_of(fingerprint)), outcomes.c.kind == SUCCESS)
            .order_by(outcomes.c.id.desc())
            .limit(limit)
        )
        return [Ending(row["id"], ref_of(row), row["seen_at"], row["kind"], row["approved_by"]) for row in rows(self._engine, query)]

    def ended(self, after: int, limit: int = AT_ONCE) -> list[tuple[int, int, str]]:
        """Incidents whose end became known behind this place: place, incident, fingerprint; oldest first."""
        query = (
            select(labels.c.id, labels.c.incident_id, incidents.c.fingerprint)
            .join(incidents, incidents.c.id == labels.c.incident_id)
            .where(labels.c.id > after, labels.c.name.in_(OUTCOMES), incidents.c.fingerprint != "")
            .order_by(labels.c.id)
            .limit(limit)
        )
        return [(row["id"], row["incident_id"], row["fingerprint"]) for row in rows(self._engine, query)]

    def resolutions(self, since: datetime) -> list[Resolution]:
        """What people resolved since then, oldest first; an incident counts once, by the newest that is known of it."""
        found = sorted([*self._by_hand(since), *self._approved(since)], key=lambda one: one.at)
        said = self._true_categories(since)
        named = {one.incident_id: replace(one, category=said.get(one.incident_id, one.category)) for one in found}
        return sorted(named.values(), key=lambda one: one.at)

    def _by_hand(self, since: datetime) -> list[Resolution]:
        query = (
            select(*_OF_INCIDENT, labels.c.given_at.label("at"))
            .join(incidents, incidents.c.id == labels.c.incident_id)
            .where(labels.c.given_at > since, labels.c.name == "outcome_without_us", labels.c.value == SUCCESS)
        )
        return [_resolution(row, None, "a person") for row in rows(self._engine, query)]

    def _approved(self, since: datetime) -> list[Resolution]:
        """Actions that somebody approved, or called right afterwards, and that were seen to help."""
        praised = select(labels.c.incident_id).where(labels.c.name == "feedback", labels.c.detail["action_correct"].as_boolean())
        query = (
            select(*_OF_INCIDENT, actions.c.kind, actions.c.approved_by, outcomes.c.seen_at.label("at"))
            .join(actions, actions.c.incident_id == incidents.c.id)
            .join(outcomes, outcomes.c.action_id == actions.c.id)
            .where(outcomes.c.seen_at > since, outcomes.c.kind == SUCCESS, actions.c.state == str(ActionState.DONE))
            .where(actions.c.approved_by.is_not(None) | incidents.c.id.in_(praised))
        )
        return [_resolution(row, row["kind"], row["approved_by"] or "feedback") for row in rows(self._engine, query)]

    def _true_categories(self, since: datetime) -> dict[int, str]:
        said = (labels.c.name == "feedback", labels.c.value != "", labels.c.given_at > since)
        query = select(labels.c.incident_id, labels.c.value).where(*said).order_by(labels.c.given_at)
        return {row["incident_id"]: row["value"] for row in rows(self._engine, query)}

    def _kept(self, *where: Any) -> list[Kept]:
        query = select(knowledge).where(knowledge.c.deleted_at.is_(None), *where).order_by(knowledge.c.name)
        names = ("name", "entry", "is_proposed", "version", "made_at", "updated_at")
        return [Kept(**{name: row[name] for name in names}) for row in rows(self._engine, query)]

    def _write(self, connection: Connection, drafts: Sequence[Draft], change: Mapping[str, Any]) -> None:
        query = select(knowledge.c.name, knowledge.c.version, knowledge.c.fingerprint, knowledge.c.deleted_at)
        known = {row.name: row for row in connection.execute(query.where(knowledge.c.name.in_([draft.name for draft in drafts])))}
        new = [_row(draft, known.get(draft.name), change["at"]) for draft in drafts]
        statement = upsert(self._engine, knowledge)
        fresh = {name: statement.excluded[name] for name in new[0] if name not in ("name", "made_at")}
        connection.execute(statement.on_conflict_do_update(index_elements=["name"], set_=fresh), new)
        kept = ("name", "version", "is_proposed")
        contents = [None if draft.entry is None else dict(draft.entry) for draft in drafts]
        written = [{**{name: row[name] for name in kept}, **change, "entry": entry} for row, entry in zip(new, contents, strict=True)]
        connection.execute(insert(knowledge_history), written)
        note(connection, change["actor"], f"knowledge {change['what']}", {"entries": {row["name"]: row["version"] for row in new}})


_OF_INCIDENT = tuple(incidents.c[name] for name in ("id", "fingerprint", "category", "opened_at"))
_TALLIES: Select[Any] = (
    select(
        incidents.c.fingerprint, actions.c.kind, func.count().filter(outcomes.c.kind == SUCCESS).label("helped"), func.count().label("n")
    )
    .join(actions, actions.c.incident_id == incidents.c.id)
    .join(outcomes, outcomes.c.action_id == actions.c.id)
    .where(actions.c.state == str(ActionState.DONE), outcomes.c.kind.in_(ENDED))
    .group_by(incidents.c.fingerprint, actions.c.kind)
)


def _row(draft: Draft, known: Any | None, at: datetime) -> dict[str, Any]:
    version = known.version if known is not None else 0
    there = version if known is not None and known.deleted_at is None else 0
    if draft.version is not None and draft.version != there:
        raise EntryChanged(
            f"knowledge {draft.name!r} is at version {there} by now, not {draft.version}; read it again and repeat the change"
        )
    entry = draft.entry or {"fingerprint": known.fingerprint if known is not None else ""}
    return {
        "name": draft.name,
        "entry": dict(entry),
        "fingerprint": entry.get("fingerprint", ""),
        "pattern": entry.get("pattern", ""),
        "category": entry.get("category", ""),
        "is_proposed": draft.is_proposed,
        "version": version + 1,
        "made_at": at,
        "updated_at": at,
        "deleted_at": None if draft.entry is not None else at,
    }


def one_by_one(connection: Connection) -> None:
    """Have entries changed by nobody else until the transaction ends."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:number)"), {"number": _LOCK})


def _resolution(row: Any, action: str | None, by: str) -> Resolution:
    return Resolution(row["id"], row["fingerprint"], row["category"] or "", action, by, row["opened_at"], row["at"])


def _chunks(items: Sequence[Item]) -> Iterator[Sequence[Item]]:
    for start in range(0, len(items), AT_ONCE):
        yield items[start : start + AT_ONCE]
