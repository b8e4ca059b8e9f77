"""What log sources told: exactly once, because a batch's events and its cursor are one transaction.

The cursor is compared before it is set: of two pollers of one source, the slower one writes nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ARRAY, Connection, Engine, String, and_, any_, bindparam, delete, insert, or_, select, update
from sqlalchemy.exc import DBAPIError

from airflow_oncall.errors import StoreError
from airflow_oncall.incident import SEVERITIES, Correlation, Incident, Kind, LogEvent, State, TaskRef
from airflow_oncall.store.audit import note
from airflow_oncall.store.engine import transaction
from airflow_oncall.store.intake import DUE_AT_ONCE, upsert
from airflow_oncall.store.records import digest, incident_of, log_event_of, log_event_values, now
from airflow_oncall.store.tables import cursors, incidents, log_events, open_only, task_keys

KEPT_KEYS = timedelta(days=14)
"""How long the key of a task instance's try resolves; engines log about it while it runs, or soon after."""


AT_ONCE = 1_000


class CursorMoved(StoreError):
    """Another poller read this source meanwhile; what was read here is stored already, or will be read again."""


class SqlLogs:
    """Log events, their incidents, and the short keys that stand for task instances in other systems."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def cursor(self, source: str) -> dict[str, Any]:
        """How far a source was read; empty at first."""
        with transaction(self._engine, reading=True) as connection:
            return dict(connection.execute(select(cursors.c.value).where(cursors.c.name == _name(source))).scalar() or {})

    def commit(self, source: str, before: Mapping[str, Any], after: Mapping[str, Any], events: Sequence[LogEvent]) -> int:
        """Store the events of one batch and move the cursor from ``before`` to ``after``; the number of incidents opened.

        An event whose key is stored already is left out. Raises :class:`CursorMoved`, and then nothing is stored.
        """
        with transaction(self._engine) as connection:
            self._move_cursor(connection, source, dict(before), dict(after))
            return self._store(connection, events)

    def stored(self, source: str, positions: Sequence[str]) -> set[str]:
        """Those of the positions at which an event is stored already."""
        keys = {digest(f"{source}/{position}"): position for position in positions}
        with transaction(self._engine, reading=True) as connection:
            return {keys[key] for key in _stored(connection, list(keys))}

    def events(self, incident_id: int, newest: int = 100, *, of_try: int = 0, behind: datetime | None = None) -> list[LogEvent]:
        """The newest events of an incident, at most so many, oldest first.

        ``of_try``: only those of this try, and of the ones whose try is not known those that happened ``behind`` the try before.
        """
        latest = (log_events.c.happened_at.desc(), log_events.c.id.desc())
        query = select(log_events).where(log_events.c.incident_id == incident_id).order_by(*latest).limit(newest)
        if of_try:
            unknown = log_events.c.try_number == 0
            query = query.where(
                or_(log_events.c.try_number == of_try, and_(unknown, log_events.c.happened_at > behind) if behind else unknown)
            )
        with transaction(self._engine, reading=True) as connection:
            rows = connection.execute(query).mappings().all()
        return [log_event_of(row) for row in reversed(rows)]

    def event(self, source: str, position: str) -> tuple[int, LogEvent] | None:
        """The event at this place of a source, with the incident that it is evidence of now."""
        query = select(log_events).where(log_events.c.key == digest(f"{source}/{position}"))
        with transaction(self._engine, reading=True) as connection:
            row = connection.execute(query).mappings().first()
        return (row["incident_id"], log_event_of(row)) if row else None

    def task_incident(self, ref: TaskRef) -> Incident | None:
        """The open incident of this task instance, else its newest one."""
        mine = incidents.c.key == digest(f"{Kind.TASK}:{ref.key}")
        query = select(incidents).where(mine).order_by(incidents.c.closed_at.is_not(None), incidents.c.id.desc()).limit(1)
        with transaction(self._engine, reading=True) as connection:
            row = connection.execute(query).mappings().first()
        return incident_of(row) if row else None

    def hand_over(self, events_of: Incident, to: Incident) -> None:
        """Make the events of a log incident evidence of a task instance's incident."""
        with transaction(self._engine) as connection:
            mine = log_events.c.incident_id == events_of.id
            moved = connection.execute(update(log_events).where(mine).values(incident_id=to.id)).rowcount
            if moved:
                note(connection, "triage", "log evidence", {"from": events_of.id, "events": moved}, incident_id=to.id)

    def remember_key(self, key: str, ref: TaskRef, try_number: int) -> None:
        """Let a short key stand for one try of a task instance; old ones are forgotten."""
        row = {"key": key, "dag_id": ref.dag_id, "run_id": ref.run_id, "task_id": ref.task_id, "map_index": ref.map_index}
        statement = upsert(self._engine, task_keys).values(row | {"try_number": try_number, "made_at": now()})
        with transaction(self._engine) as connection:
            connection.execute(statement.on_conflict_do_nothing(index_elements=["key"]))
            connection.execute(delete(task_keys).where(task_keys.c.made_at < now() - KEPT_KEYS))

    def resolve_keys(self, keys: Sequence[str]) -> dict[str, tuple[TaskRef, int]]:
        """Task instance and try of every key that is known."""
        if not keys:
            return {}
        with transaction(self._engine, reading=True) as connection:
            rows = connection.execute(select(task_keys).where(task_keys.c.key.in_(set(keys)))).mappings().all()
        return {row["key"]: (TaskRef(row["dag_id"], row["run_id"], row["task_id"], row["map_index"]), row["try_number"]) for row in rows}

    def _move_cursor(self, connection: Connection, source: str, before: dict[str, Any], after: dict[str, Any]) -> None:
        name = _name(source)
        first = upsert(self._engine, cursors).values(name=name, value={}, updated_at=now()).on_conflict_do_nothing(index_elements=["name"])
        connection.execute(first)
        found = connection.execute(select(cursors.c.value).where(cursors.c.name == name).with_for_update()).scalar_one()
        if dict(found) != before:
            raise CursorMoved(f"source {source!r} was read by another poller: its cursor is {found!r:.200}, not {before!r:.200}")
        connection.execute(update(cursors).where(cursors.c.name == name).values(value=after, updated_at=now()))

    def _store(self, connection: Connection, events: Sequence[LogEvent]) -> int:
        new = _unknown(connection, events)
        if not new:
            return 0
        ids, opened = self._incidents(connection, new)
        rows = [log_event_values(event) | {"incident_id": ids[event.incident_key]} for event in new]
        if connection.dialect.driver == "psycopg":
            _copy(connection, rows)
        else:
            connection.execute(insert(log_events), rows)
        return opened

    def _incidents(self, connection: Connection, events: Sequence[LogEvent]) -> tuple[dict[str, int], int]:
        """Incident of every event's key: open ones are renewed, the others opened, in one statement each."""
        first = {event.incident_key: event for event in sorted(events, key=lambda event: event.happened_at, reverse=True)}
        by_digest = {digest(key): key for key in sorted(first)}
        here = incidents.c.key.in_(by_digest)
        known = connection.execute(
            update(incidents).where(open_only, here).values(updated_at=now()).returning(incidents.c.id, incidents.c.key)
        ).all()
        missing = sorted(set(by_digest) - {row.key for row in known})
        if missing:
            rows = [_incident_row(key, first[by_digest[key]]) for key in missing]
            # Another source's poller cannot open the same: the source is part of the key, and its cursor is locked.
            connection.execute(insert(incidents), rows)
            opened = connection.execute(select(incidents.c.id, incidents.c.key).where(open_only, incidents.c.key.in_(missing))).all()
            known = [*known, *opened]
            for row in opened:
                _note(connection, row.id, first[by_digest[row.key]])
        return {by_digest[row.key]: row.id for row in known}, len(missing)


def _copy(connection: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert rows of ``log_events`` by COPY, in the connection's transaction. None of them is there: their source's cursor is locked."""
    import psycopg

    names = list(rows[0])
    statement = f"COPY {log_events.name} ({', '.join(names)}) FROM STDIN"
    try:
        with connection.connection.cursor() as cursor, cursor.copy(statement) as copy:  # type: ignore[attr-defined]
            for row in rows:
                copy.write_row([json.dumps(value) if isinstance(value, dict) else value for value in row.values()])
    except psycopg.Error as error:  # past SQLAlchemy, which would have wrapped it
        raise DBAPIError.instance(statement, None, error, psycopg.Error) from error


def _unknown(connection: Connection, events: Sequence[LogEvent]) -> list[LogEvent]:
    """Events that are not stored, each once."""
    by_key = {digest(event.key): event for event in events}
    for key in _stored(connection, list(by_key)):
        del by_key[key]
    return list(by_key.values())


def _stored(connection: Connection, keys: Sequence[str]) -> Iterator[str]:
    """Those of the keys that are stored; SQLite takes only so many parameters at once."""
    if connection.dialect.name == "postgresql":
        given = bindparam("given", list(keys), ARRAY(String))
        yield from connection.execute(select(log_events.c.key).where(log_events.c.key == any_(given))).scalars()
        return
    for start in range(0, len(keys), AT_ONCE):
        some = keys[start : start + AT_ONCE]
        yield from connection.execute(select(log_events.c.key).where(log_events.c.key.in_(some))).scalars().all()


def _incident_row(key: str, event: LogEvent) -> dict[str, Any]:
    ref = event.ref or TaskRef(event.source)  # as a DAG file that cannot be imported stands for itself
    return {
        "key": key,
        "kind": str(Kind.LOG),
        "dag_id": ref.dag_id,
        "run_id": ref.run_id,
        "task_id": ref.task_id,
        "map_index": ref.map_index,
        "state": str(State.OPEN),
        "fingerprint": event.fingerprint,
        "try_number": event.try_number,
        "opened_at": now(),
        "updated_at": now(),
        "due_at": DUE_AT_ONCE,
        "source": event.source,
        "severity": event.severity if event.severity in SEVERITIES else "",
    }


def _note(connection: Connection, incident_id: int, event: LogEvent) -> None:
    detail = {"source": event.source, "signature": event.signature, "correlation": str(event.correlation or Correlation.NONE)}
    note(connection, event.source, "noticed", detail, incident_id=incident_id)


def _name(source: str) -> str:
    return f"source:{source}"
