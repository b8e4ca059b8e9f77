"""Writing failures down: exactly one occurrence a failed try, exactly one open incident a task instance.

The invariant rests on two unique indexes, not on who comes first: ``occurrences.key`` and ``incidents.key`` among the
open ones. Capture, sweep and replay may report the same try at the same time from several processes.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta, timezone
from typing import Any

from sqlalchemy import Connection, Engine, RowMapping, case, func, select, update
from sqlalchemy.dialects import postgresql, sqlite

from airflow_oncall.incident import CLOSING, Kind, Occurrence, State, TaskRef
from airflow_oncall.store.audit import note
from airflow_oncall.store.engine import transaction
from airflow_oncall.store.records import digest, now, occurrence_values
from airflow_oncall.store.tables import incidents, occurrences, open_only, sweep_requests

DUE_AT_ONCE = datetime(2000, 1, 1, tzinfo=timezone.utc)
"""Past by every clock: the reporting worker's may be ahead of triage's, by which "due" is measured."""

SKEW = timedelta(minutes=2)
"""More than the clocks of Airflow's parts should differ."""


class _AlreadyStored(Exception):
    """Another process stored the occurrence in the meantime: roll back the incident that was opened for it."""


def upsert(engine: Engine, table: Any) -> Any:
    """``INSERT`` of the store's own dialect, the kind that knows ``ON CONFLICT``."""
    return (postgresql.insert if engine.dialect.name == "postgresql" else sqlite.insert)(table)


class SqlIntake:
    """``Intake`` over SQL."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def record(self, occurrence: Occurrence) -> int | None:
        """See :meth:`airflow_oncall.store.base.Intake.record`."""
        values = occurrence_values(occurrence)
        try:
            with transaction(self._engine) as connection:
                # A DAG file may break again in the same way after it was mended, and a run be made again under its name, with tries
                # that count from 1: there, an occurrence is one of its incident.
                stored = None if occurrence.kind is Kind.DAG_IMPORT else _stored(connection, occurrence)
                if stored is not None and not _was_made_again(stored, occurrence):
                    self._fill_gaps(connection, stored["id"], stored["incident_id"], values)
                    return None
                incident_id = int(connection.execute(self._open_or_extend(occurrence)).scalar_one())
                if stored is not None or occurrence.kind is Kind.DAG_IMPORT:
                    values["key"] = digest(f"{occurrence.key}@{incident_id}")
                self._insert_once(connection, values | {"incident_id": incident_id})
                self._note(connection, incident_id, occurrence)
                return incident_id
        except _AlreadyStored:
            return None

    def known(self, ref: TaskRef) -> set[int]:
        """Numbers of the failed tries already stored for this task instance."""
        return set(self.known_tries([ref])[ref])

    def known_tries(self, refs: Sequence[TaskRef]) -> dict[TaskRef, dict[int, datetime | None]]:
        """As :meth:`known`, for some hundred task instances at once.

        With each number the time after which what starts is another try of that number, of a run that was made again; ``None`` while
        its incident is open.
        """
        by_key = {digest(f"{Kind.TASK}:{ref.key}"): ref for ref in refs}
        columns = (incidents.c.key, incidents.c.closed_at, occurrences.c.try_number, occurrences.c.happened_at)
        query = select(*columns).join(occurrences, occurrences.c.incident_id == incidents.c.id).order_by(occurrences.c.id)
        found: dict[TaskRef, dict[int, datetime | None]] = {ref: {} for ref in refs}
        with transaction(self._engine, reading=True) as connection:
            for row in connection.execute(query.where(incidents.c.key.in_(by_key))).mappings():
                found[by_key[row["key"]]][row["try_number"]] = _over_at(row)
        return found

    def request_sweep(self, dag_id: str, run_id: str) -> None:
        """See :meth:`airflow_oncall.store.base.Intake.request_sweep`."""
        row = {"dag_id": dag_id, "run_id": run_id, "asked_at": now()}
        statement = upsert(self._engine, sweep_requests).values(row)
        # Asked again it comes after the others: one that cannot be answered must not hold them up.
        again = {"asked_at": statement.excluded.asked_at}
        with transaction(self._engine) as connection:
            connection.execute(statement.on_conflict_do_update(index_elements=["dag_id", "run_id"], set_=again))

    @staticmethod
    def _fill_gaps(connection: Connection, occurrence_id: int, incident_id: int, values: dict[str, Any]) -> None:
        """Of what is stored already, only what was unknown is filled in."""
        # Everybody locks the incident first and its occurrence second: in two orders, two reporters could wait for each other.
        connection.execute(select(incidents.c.id).where(incidents.c.id == incident_id).with_for_update(key_share=True))
        row = connection.execute(select(occurrences).where(occurrences.c.id == occurrence_id)).mappings().one()
        better = {name: values[name] for name in _MAY_COME_LATER if values[name] and not row[name]}
        if better:
            connection.execute(update(occurrences).where(occurrences.c.id == row["id"]).values(better))
            if "exception_chain" in better:
                _take_fingerprint(connection, row["id"], row["incident_id"], values["fingerprint"])

    def _open_or_extend(self, occurrence: Occurrence) -> Any:
        state = State.WATCHING if occurrence.will_retry else State.OPEN
        statement = upsert(self._engine, incidents).values(
            key=digest(occurrence.incident_key),
            kind=str(occurrence.kind),
            dag_id=occurrence.ref.dag_id,
            run_id=occurrence.ref.run_id,
            task_id=occurrence.ref.task_id,
            map_index=occurrence.ref.map_index,
            state=str(state),
            fingerprint=occurrence.fingerprint,
            try_number=occurrence.try_number,
            opened_at=now(),
            updated_at=now(),
            due_at=DUE_AT_ONCE,
        )
        new, old = statement.excluded, incidents.c
        newest = new.try_number >= old.try_number
        final = newest & (old.state == str(State.WATCHING)) & (new.state == str(State.OPEN))
        return statement.on_conflict_do_update(
            index_elements=["key"],
            index_where=open_only,
            set_={
                # All other changes of state are triage's, which holds a claim; this one only ends the waiting.
                "state": case((final, new.state), else_=old.state),
                "fingerprint": case((newest, new.fingerprint), else_=old.fingerprint),
                "try_number": case((newest, new.try_number), else_=old.try_number),
                "updated_at": new.updated_at,
                # An older try that is reported late is history: what waits goes on waiting.
                "due_at": case((newest, new.due_at), else_=old.due_at),
                "looks": case((newest, 0), else_=old.looks),
            },
        ).returning(incidents.c.id)

    def _insert_once(self, connection: Connection, values: dict[str, Any]) -> None:
        statement = upsert(self._engine, occurrences).values(values).on_conflict_do_nothing(index_elements=["key"])
        if not connection.execute(statement.returning(occurrences.c.id)).first():
            raise _AlreadyStored

    @staticmethod
    def _note(connection: Connection, incident_id: int, occurrence: Occurrence) -> None:
        detail = {"try_number": occurrence.try_number, "will_retry": occurrence.will_retry}
        note(connection, occurrence.seen_by, "noticed", detail, incident_id=incident_id)


_MAY_COME_LATER = ("by_hand", "exception_chain", "message", "traceback", "operator", "hostname", "duration", "max_tries", "log_tail")


def _stored(connection: Connection, occurrence: Occurrence) -> RowMapping | None:
    """The newest that is stored of this try, run or version."""
    columns = (occurrences.c.id, occurrences.c.incident_id, occurrences.c.happened_at, incidents.c.closed_at)
    query = select(*columns).join(incidents, incidents.c.id == occurrences.c.incident_id)
    if occurrence.kind is Kind.TASK:
        mine = (incidents.c.key == digest(occurrence.incident_key), occurrences.c.try_number == occurrence.try_number)
        query = query.where(*mine).order_by(occurrences.c.id.desc()).limit(1)
    else:
        query = query.where(occurrences.c.key == digest(occurrence.key))
    return connection.execute(query).mappings().first()


def _was_made_again(stored: RowMapping, occurrence: Occurrence) -> bool:
    """Whether the reported try began when the stored one of its number was over. Who tells no duration, tells of the stored one."""
    over_at, duration = _over_at(stored), occurrence.evidence.duration
    return over_at is not None and duration is not None and occurrence.happened_at - timedelta(seconds=duration) > over_at


def _over_at(stored: RowMapping) -> datetime | None:
    # The end of the stored try is of the clock that the reported start is of; when the incident was closed is of another.
    return max(stored["closed_at"], stored["happened_at"]) + SKEW if stored["closed_at"] else None


def _take_fingerprint(connection: Connection, occurrence_id: int, incident_id: int, fingerprint: str) -> None:
    connection.execute(update(occurrences).where(occurrences.c.id == occurrence_id).values(fingerprint=fingerprint))
    newest = select(func.max(occurrences.c.id)).where(occurrences.c.incident_id == incident_id).scalar_subquery()
    mine = update(incidents).where(incidents.c.id == incident_id, newest == occurrence_id)
    still_open = incidents.c.state.not_in([str(state) for state in CLOSING])
    connection.execute(mine.where(still_open).values(fingerprint=fingerprint))
