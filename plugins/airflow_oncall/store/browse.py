"""What pages read: filtered, newest first, a page at a time, and never a row that its reader may not see.

Who sees what is Airflow's business; here a :class:`Sight` carries it into the SQL, so that pages and counts leave the rest out.
A page begins behind the id that the page before it ended with, so paging costs the same at the thousandth page as at the first,
and what is opened meanwhile moves nothing.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import (
    ColumnElement,
    Engine,
    String,
    Text,
    and_,
    cast,
    collate,
    exists,
    func,
    literal,
    or_,
    select,
)

from airflow_oncall.incident import CLOSING, Action, Decision, Incident, Kind, State, Storm
from airflow_oncall.store.engine import rows
from airflow_oncall.store.knowledge import Kept
from airflow_oncall.store.lists import listed
from airflow_oncall.store.records import action_of, decision_of, incident_of, storm_of
from airflow_oncall.store.tables import actions, dag_fingerprints, decisions, diagnoses, incidents, knowledge, storms

COUNTED = 10_000
"""Rows that are counted at most; a page that says "more than that" needs no more."""
SEARCHED = 10_000
"""Incidents that one page looks through for a text; the next page looks through those behind them."""
_CHOICES = ("state", "category", "severity", "source", "kind", "dag_id")
_NAMES = ("run_id", "task_id", "map_index", "storm_id", "fingerprint")


@dataclass(frozen=True)
class Sight:
    """What one user may see."""

    dag_ids: frozenset[str]
    import_errors: bool = False
    """Of DAG files that cannot be imported."""
    logs: bool = False
    """What log sources and outside sources told that belongs to no task."""


@dataclass(frozen=True)
class Wanted:
    """Which incidents a page shows; what is empty or ``None`` chooses nothing."""

    state: Sequence[str] = ()
    category: Sequence[str] = ()
    severity: Sequence[str] = ()
    source: Sequence[str] = ()
    kind: Sequence[str] = ()
    dag_id: Sequence[str] = ()
    run_id: str | None = None
    task_id: str | None = None
    map_index: int | None = None
    storm_id: int | None = None
    fingerprint: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    is_open: bool | None = None
    text: str = ""
    """Part of the names or of the newest reason, upper and lower case of a to z alike. Looked for a stretch at a time, see
    :meth:`Browse.stretch`.
    """


class Line(NamedTuple):
    """An incident with what was last thought and decided about it."""

    incident: Incident
    probability: float | None
    verdict: str | None
    action: str | None


class Browse:
    """Pages of one store."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def stretch(self, sight: Sight, wanted: Wanted, before: int | None = None) -> int | None:
        """The id at which a page for a text stops to look; ``None``: it looks through all there are, or for no text.

        To find a rare word in a hundred thousand incidents would take longer than anybody waits for a page.
        """
        if not wanted.text:
            return None
        where = (*_behind(incidents.c.id, before), *_chosen(self._engine, replace(wanted, text="")), visible(self._engine, sight))
        query = select(incidents.c.id).where(*where).order_by(incidents.c.id.desc()).offset(SEARCHED - 1).limit(1)
        return next((row["id"] for row in rows(self._engine, query)), None)

    def incidents(self, sight: Sight, wanted: Wanted, limit: int, before: int | None = None, down_to: int | None = None) -> list[Line]:
        """At most ``limit`` incidents, newest first; those with a smaller id than ``before``, and none smaller than ``down_to``."""
        where = (*_behind(incidents.c.id, before), *_chosen(self._engine, wanted), visible(self._engine, sight))
        if down_to is not None:
            where = (incidents.c.id >= down_to, *where)
        query = select(incidents).where(*where)
        found = rows(self._engine, query.order_by(incidents.c.id.desc()).limit(limit))
        ids = [row["id"] for row in found]
        thought = self._newest(diagnoses, ids, diagnoses.c.probability)
        decided = self._newest(decisions, ids, decisions.c.verdict, decisions.c.action)
        return [_line(incident_of(row), thought.get(row["id"]), decided.get(row["id"])) for row in found]

    def count(self, sight: Sight, wanted: Wanted) -> int | None:
        """How many there are; ``None``: more than :data:`COUNTED`."""
        where = (*_chosen(self._engine, wanted), visible(self._engine, sight))
        some = select(literal(1)).select_from(incidents).where(*where).limit(COUNTED + 1).subquery()
        number = int(rows(self._engine, select(func.count().label("n")).select_from(some))[0]["n"])
        return number if number <= COUNTED else None

    def sees_all_of(self, sight: Sight, fingerprint: str) -> bool:
        """Whether every incident with this fingerprint may be seen, so that what was taken from any of them may be, too.

        Of purged incidents only the DAG is known, so it must be one that may be seen, also where it named a file or a log source.
        """
        hidden = exists().where(incidents.c.fingerprint == fingerprint, ~visible(self._engine, sight))
        seen = listed(self._engine, sight.dag_ids, String())
        purged = exists().where(dag_fingerprints.c.fingerprint == fingerprint, dag_fingerprints.c.dag_id.not_in(seen))
        return not rows(self._engine, select(or_(hidden, purged).label("hidden")))[0]["hidden"]

    def storms(self, sight: Sight, limit: int, before: int | None = None, is_open: bool | None = None) -> list[Storm]:
        """Storms with a member that may be seen, newest first; only such members are counted, or named as the probe."""
        on_or_over = {None: [], True: [storms.c.closed_at.is_(None)], False: [storms.c.closed_at.is_not(None)]}
        return self._storms(sight, [*_behind(storms.c.id, before), *on_or_over[is_open]], limit)

    def storm(self, sight: Sight, storm_id: int) -> Storm | None:
        """One storm, as far as it may be seen."""
        return next(iter(self._storms(sight, [storms.c.id == storm_id], 1)), None)

    def _storms(self, sight: Sight, where: list[ColumnElement[bool]], limit: int) -> list[Storm]:
        theirs = and_(incidents.c.storm_id == storms.c.id, visible(self._engine, sight))
        seen = select(incidents.c.id).where(theirs).correlate(storms).exists()
        members = select(func.count()).select_from(incidents).where(theirs).correlate(storms)
        held = members.where(incidents.c.state == str(State.HELD)).scalar_subquery().label("held")
        probe = select(incidents.c.id).where(incidents.c.id == storms.c.probe_id, visible(self._engine, sight)).correlate(storms)
        own = [column for column in storms.c if column is not storms.c.probe_id]
        counted = (members.scalar_subquery().label("members"), held, probe.scalar_subquery().label("probe_id"))
        query = select(*own, *counted).where(*where, seen)
        return [storm_of(row) for row in rows(self._engine, query.order_by(storms.c.id.desc()).limit(limit))]

    def members(self, sight: Sight, storm_id: int) -> tuple[dict[str, int], list[str]]:
        """Members of a storm that may be seen: how many are in which state, and their DAGs."""
        query = select(incidents.c.state, incidents.c.dag_id, func.count().label("n")).where(
            incidents.c.storm_id == storm_id, visible(self._engine, sight)
        )
        states: dict[str, int] = {}
        dag_ids = set()
        for row in rows(self._engine, query.group_by(incidents.c.state, incidents.c.dag_id)):
            states[row["state"]] = states.get(row["state"], 0) + row["n"]
            dag_ids.add(row["dag_id"])
        return states, sorted(dag_ids)

    def decisions(self, sight: Sight, limit: int, before: int | None = None, incident_id: int | None = None) -> list[tuple[Decision, Any]]:
        """Decisions and when each was made, newest first."""
        found = self._of_incidents(decisions, sight, limit, before, incident_id)
        return [(decision_of(row), row["made_at"]) for row in found]

    def actions(self, sight: Sight, limit: int, before: int | None = None, incident_id: int | None = None) -> list[Action]:
        """Actions, newest first."""
        return [action_of(row) for row in self._of_incidents(actions, sight, limit, before, incident_id)]

    def knowledge(
        self, limit: int, after: str = "", text: str = "", category: str | None = None, is_proposed: bool | None = None
    ) -> list[Kept]:
        """Entries by name, those behind ``after``."""
        query = select(knowledge).where(knowledge.c.deleted_at.is_(None), knowledge.c.name > after)
        if text:
            query = query.where(cast(knowledge.c.entry, Text).icontains(text, autoescape=True))
        if category is not None:
            query = query.where(knowledge.c.category == category)
        if is_proposed is not None:
            query = query.where(knowledge.c.is_proposed == is_proposed)
        found = rows(self._engine, query.order_by(knowledge.c.name).limit(limit))
        return [Kept(**{name: row[name] for name in ("name", "entry", "is_proposed", "version", "made_at", "updated_at")}) for row in found]

    def _of_incidents(self, table: Any, sight: Sight, limit: int, before: int | None, incident_id: int | None) -> Sequence[Any]:
        query = select(table).join(incidents, incidents.c.id == table.c.incident_id)
        query = query.where(visible(self._engine, sight), *_behind(table.c.id, before))
        if incident_id is not None:
            query = query.where(table.c.incident_id == incident_id)
        return rows(self._engine, query.order_by(table.c.id.desc()).limit(limit))

    def _newest(self, table: Any, ids: Sequence[int], *columns: Any) -> dict[int, Any]:
        """The newest row of each of some incidents."""
        newest = select(func.max(table.c.id)).where(table.c.incident_id.in_(ids)).group_by(table.c.incident_id)
        return {row["incident_id"]: row for row in rows(self._engine, select(table.c.incident_id, *columns).where(table.c.id.in_(newest)))}


def visible(engine: Engine, sight: Sight) -> ColumnElement[bool]:
    """That a row of ``incidents`` may be seen. Stands last in a condition: the other parts cost less and leave fewer rows."""
    logged = incidents.c.kind == str(Kind.LOG)
    of_a_dag = and_(
        or_(incidents.c.kind.in_([str(Kind.TASK), str(Kind.DAG_RUN)]), and_(logged, incidents.c.run_id != "")),
        incidents.c.dag_id.in_(listed(engine, sight.dag_ids, String())),
    )
    of_a_file, of_no_task = incidents.c.kind == str(Kind.DAG_IMPORT), and_(logged, incidents.c.run_id == "")
    return or_(of_a_dag, *([of_a_file] if sight.import_errors else []), *([of_no_task] if sight.logs else []))


def _chosen(engine: Engine, wanted: Wanted) -> list[ColumnElement[bool]]:
    where: list[ColumnElement[bool]] = [incidents.c[name].in_(chosen) for name in _CHOICES if (chosen := getattr(wanted, name))]
    where += [incidents.c[name] == value for name in _NAMES if (value := getattr(wanted, name)) is not None]
    if wanted.since:
        where.append(incidents.c.opened_at >= wanted.since)
    if wanted.until:
        where.append(incidents.c.opened_at < wanted.until)
    if wanted.is_open is False:
        where.append(incidents.c.closed_at.is_not(None))
    elif wanted.is_open or (wanted.state and not set(wanted.state) & _CLOSED):
        where.append(incidents.c.closed_at.is_(None))  # for the indexes of open incidents, which are few
    if wanted.text:
        where.append(_contains(engine, wanted.text))
    return where


_CLOSED = {str(state) for state in CLOSING}


def _contains(engine: Engine, text: str) -> ColumnElement[bool]:
    """That a name or the newest reason holds this text; upper and lower case of a to z alike, which is what SQLite's LIKE can."""
    columns = (incidents.c.dag_id, incidents.c.task_id, incidents.c.run_id, incidents.c.detail)
    pattern = "%" + re.sub("([%_!])", r"!\1", text) + "%"
    if engine.dialect.name == "postgresql":  # by its own collation it would take three times as long
        wanted = func.lower(collate(literal(pattern), "C"))
        return or_(*(func.lower(collate(column, "C")).like(wanted, escape="!") for column in columns))
    return or_(*(column.like(pattern, escape="!") for column in columns))


def _behind(column: Any, before: int | None) -> list[ColumnElement[bool]]:
    return [] if before is None else [column < before]


def _line(incident: Incident, thought: Any | None, decided: Any | None) -> Line:
    probability = thought["probability"] if thought is not None else None
    verdict, action = (decided["verdict"], decided["action"]) if decided is not None else (None, None)
    return Line(incident, probability, verdict, action)
