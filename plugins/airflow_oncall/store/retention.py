"""Forgetting what is no longer needed, a batch a transaction, so that nobody waits long for a lock and a killed run is gone on with.

What nobody has decided about yet, and what an action is being done about, is never forgotten, however old.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, Engine, Select, Table, and_, delete, exists, func, or_, select, union

from airflow_oncall.incident import ActionState, Kind, State
from airflow_oncall.store.audit import name_dag, note
from airflow_oncall.store.engine import transaction
from airflow_oncall.store.intake import upsert
from airflow_oncall.store.records import now
from airflow_oncall.store.rollups import Rollups
from airflow_oncall.store.suggestions import AGAIN
from airflow_oncall.store.tables import (
    PREFIX,
    actions,
    dag_fingerprints,
    incidents,
    log_events,
    metadata,
    occurrences,
    open_only,
    storms,
    suggestions,
)

BATCH = 1_000
MOST_BATCHES = 50
"""In one call; the next one goes on."""
KEPT_EVENTS = 100
"""Newest log events that an open incident keeps however old they are: as many as people are shown."""
AT_REST = (str(State.ESCALATED), str(State.OBSERVED))
"""States of open incidents that wait for nothing of ours."""


class Forgotten(NamedTuple):
    """How much is gone."""

    incidents: int
    log_events: int


def forget(
    engine: Engine,
    closed_before: datetime | None,
    logged_before: datetime | None,
    *,
    dag_id: str | None = None,
    also_open: bool = False,
    actor: str = "retention",
) -> Forgotten:
    """Delete incidents that closed before a time, with all that belongs to them, and log events noticed before another.

    Of an open incident log events stay; of one that a log opened, the newest at least. ``None`` keeps what it is about. ``also_open``:
    incidents that a person has, or that shadow mode only looks at, go, too. Suggestions go that no incident has the fingerprint of any
    more, but for those of the last day, whose questions count. The audit log tells who did it.
    """
    chosen = select(incidents.c.id).where(old(closed_before, dag_id, also_open)) if closed_before else None
    gone = Forgotten(
        0 if chosen is None else in_batches(engine, incidents, chosen, actor, dag_id=dag_id),
        in_batches(engine, log_events, _logged(logged_before, dag_id), actor, dag_id=dag_id) if logged_before else 0,
    )
    if closed_before and dag_id is None:
        left = exists().where(incidents.c.storm_id == storms.c.id)
        in_batches(engine, storms, select(storms.c.id).where(storms.c.closed_at < closed_before, ~left), actor)
    has = exists().where(incidents.c.fingerprint == suggestions.c.fingerprint)
    in_batches(engine, suggestions, select(suggestions.c.id).where(suggestions.c.asked_at <= now() - AGAIN, ~has), actor)
    return gone


def would_forget(engine: Engine, before: datetime, dag_id: str | None, also_open: bool) -> dict[str, int]:
    """How many rows of each table :func:`forget` would delete."""
    chosen = select(incidents.c.id).where(old(before, dag_id, also_open))
    with transaction(engine, reading=True) as connection:
        counts = {"incidents": connection.execute(select(func.count()).select_from(chosen.subquery())).scalar_one()}
        for table in belonging():
            query = select(func.count()).select_from(table).where(table.c.incident_id.in_(chosen))
            counts[short(table)] = connection.execute(query).scalar_one()
    return counts


def old(before: datetime, dag_id: str | None, also_open: bool) -> ColumnElement[bool]:
    """Incidents from before this time that may be deleted."""
    # By the time of opening, too: that one has an index.
    ended = [incidents.c.closed_at < before, at_rest()] if also_open else [incidents.c.closed_at < before]
    of_dag = [] if dag_id is None else [incidents.c.dag_id == dag_id]
    return and_(incidents.c.opened_at < before, or_(*ended), *of_dag)


def at_rest() -> ColumnElement[bool]:
    """Open incidents about which nothing of ours goes on."""
    planned = exists().where(actions.c.incident_id == incidents.c.id, actions.c.state == str(ActionState.PLANNED))
    unclaimed = or_(incidents.c.claimed_until.is_(None), incidents.c.claimed_until < now())
    return and_(incidents.c.closed_at.is_(None), incidents.c.state.in_(AT_REST), unclaimed, ~planned)


def belonging() -> list[Table]:
    """Tables whose rows go with their incident."""
    return [table for table in metadata.sorted_tables if any(key.column.table is incidents for key in table.foreign_keys)]


def in_batches(engine: Engine, table: Table, which: Select[Any], actor: str = "", **about: Any) -> int:
    """Delete the rows of a table whose ids are selected, some at a time; how many. The audit log tells of each batch that has an actor."""
    gone = 0
    for _ in range(MOST_BATCHES):
        with transaction(engine) as connection:
            # What another worker claims or moves at this moment is left to the next call.
            chosen = which.limit(BATCH).with_for_update(skip_locked=True, of=table)
            ids = connection.execute(chosen).scalars().all()
            if table is incidents:
                Rollups(engine).take_out(connection, ids)
                _remember(connection, incidents.c.id.in_(ids))
                name_dag(connection, ids)
            elif table is log_events:
                _remember(connection, incidents.c.id.in_(select(log_events.c.incident_id).where(log_events.c.id.in_(ids))))
            count = connection.execute(delete(table).where(table.c.id.in_(ids))).rowcount
            if actor and count:
                note(connection, actor, "forgotten", {"table": short(table), "rows": count, **about})
        gone += count
        if len(ids) < BATCH:
            break
    return gone


def fingerprints(*columns: ColumnElement[Any], of: ColumnElement[bool]) -> Select[Any]:
    """Fingerprints of every failed try of these incidents and of what logs told about them, each with these columns of its incident."""
    own = select(*columns, incidents.c.fingerprint).where(of)
    seen = [
        select(*columns, table.c.fingerprint).select_from(table).join(incidents, incidents.c.id == table.c.incident_id).where(of)
        for table in (occurrences, log_events)
    ]
    found = union(own, *seen).subquery()
    return select(found).where(found.c.fingerprint != "").order_by(*found.c)  # two that keep them at once do not wait for each other


def _remember(connection: Connection, of: ColumnElement[bool]) -> None:
    """Keep the fingerprints, by which a deletion of the DAG's data finds what was taken over from these incidents."""
    found = fingerprints(incidents.c.dag_id, of=of)
    statement = upsert(connection.engine, dag_fingerprints).from_select(["dag_id", "fingerprint"], found)
    connection.execute(statement.on_conflict_do_nothing())


def _logged(before: datetime, dag_id: str | None) -> Select[Any]:
    closed = select(incidents.c.id).where(incidents.c.closed_at.is_not(None))
    open_logs = select(incidents.c.id).where(open_only, incidents.c.kind == str(Kind.LOG))
    newest_first = (log_events.c.happened_at.desc(), log_events.c.id.desc())
    place = func.row_number().over(partition_by=log_events.c.incident_id, order_by=newest_first).label("place")
    ranked = select(log_events.c.id, place).where(log_events.c.incident_id.in_(open_logs)).subquery()
    outdated = log_events.c.id.in_(select(ranked.c.id).where(ranked.c.place > KEPT_EVENTS))
    of_dag = [] if dag_id is None else [log_events.c.dag_id == dag_id]
    return select(log_events.c.id).where(log_events.c.seen_at < before, or_(log_events.c.incident_id.in_(closed), outdated), *of_dag)


def short(table: Table) -> str:
    """The table's name without our prefix."""
    return table.name.removeprefix(PREFIX)
