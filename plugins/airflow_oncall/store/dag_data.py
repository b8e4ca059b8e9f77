"""All that the store holds about one DAG: to hand it out, and to delete it.

What belongs to an incident is found by it; texts that were taken over elsewhere (knowledge, suggestions) by its fingerprint, and
in knowledge without one by what it quotes. Of incidents that were purged, fingerprints were kept, and audit rows name the DAG.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Engine, Table, delete, exists, func, or_, select

from airflow_oncall.store.audit import note
from airflow_oncall.store.audit_log import erase, rows_about, rows_about_storms
from airflow_oncall.store.engine import transaction
from airflow_oncall.store.forgotten_words import NOTHING, Lines, Looked, forget_words, look, names_about
from airflow_oncall.store.records import now
from airflow_oncall.store.retention import at_rest, belonging, fingerprints, in_batches, short
from airflow_oncall.store.rollups import Rollups
from airflow_oncall.store.schema import HEAD
from airflow_oncall.store.tables import (
    audit,
    dag_fingerprints,
    incidents,
    knowledge,
    knowledge_history,
    log_events,
    metadata,
    occurrences,
    storms,
    suggestions,
)

FORMAT, VERSION = "airflow-oncall-dag-data", 1
AT_ONCE = 200
"""Rows that are handed out, and incidents that are deleted, together."""


@dataclass
class Deleted:
    """What is gone; a run that was killed counts what it had not come to."""

    incidents: int = 0
    rows: int = 0
    """Of other tables."""
    knowledge: int = 0
    """Entries that lost their example, or notes that quote evidence."""
    audit: int = 0
    """Rows of the audit log that lost their detail."""
    left: int = 0
    """Incidents that stay because something is being done about them."""


class DagData:
    """What is stored about a DAG; log incidents that belong to no DAG have the name of their source."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def export(self, dag_id: str, actor: str) -> Iterator[dict[str, Any]]:
        """A header, every row with the name of its table, and a last line that counts them. The audit log tells who asked."""
        with transaction(self._engine) as connection:
            note(connection, actor, "data exported", {"dag_id": dag_id})
        yield {"format": FORMAT, "version": VERSION, "dag_id": dag_id, "exported_at": now().isoformat(), "schema": HEAD}
        count = 0
        for table, row in self._rows(dag_id):
            count += 1
            yield {"table": short(table), "row": {name: _plain(value) for name, value in row.items()}}
        yield {"rows": count}

    def delete(self, dag_id: str, actor: str) -> Deleted:
        """Delete all of it but what an action is being done about. Killed midway, the next call does the rest."""
        gone = Deleted()
        with transaction(self._engine) as connection:
            note(connection, actor, "data deletion begun", {"dag_id": dag_id})
        while self._some(dag_id, actor, gone):
            pass
        self._purged(dag_id, actor, gone)
        for table in _tables_of_dags():
            if table is audit:
                continue
            query = select(table.c.id).where(table.c.dag_id == dag_id, *_not_of(table, dag_id))
            while count := in_batches(self._engine, table, query, actor, dag_id=dag_id):
                gone.rows += count
        with transaction(self._engine) as connection:
            gone.left = connection.execute(select(func.count()).select_from(incidents).where(incidents.c.dag_id == dag_id)).scalar_one()
            told = {"incidents": gone.incidents, "rows": gone.rows, "knowledge": gone.knowledge, "audit": gone.audit, "left": gone.left}
            note(connection, actor, "data deleted", {"dag_id": dag_id, **told})
        return gone

    def count(self, dag_id: str) -> dict[str, int]:
        """Number of rows by table, as an export would have them."""
        found: dict[str, int] = {}
        for table, _ in self._rows(dag_id):
            found[short(table)] = found.get(short(table), 0) + 1
        return found

    def _some(self, dag_id: str, actor: str, gone: Deleted) -> int:
        """Delete some incidents with all that would not be found without them, in one transaction."""
        may_go = or_(incidents.c.closed_at.is_not(None), at_rest())
        query = select(incidents.c.id, incidents.c.storm_id).where(incidents.c.dag_id == dag_id, may_go)
        query = query.order_by(incidents.c.id).limit(AT_ONCE)
        with transaction(self._engine, reading=True) as connection:  # what takes long, while others may write
            looked = look(connection, _lines(connection, connection.execute(query).scalars().all()))
        with transaction(self._engine) as connection:
            chosen = connection.execute(query.with_for_update(skip_locked=True)).all()
            if not chosen:
                return 0
            ids = [row.id for row in chosen]
            self._forget_words(connection, sorted(_fingerprints(connection, ids)), actor, gone, _lines(connection, ids), looked)
            gone.audit += erase(connection, rows_about(ids), actor)
            Rollups(self._engine).take_out(connection, ids)
            for table in belonging():
                gone.rows += connection.execute(delete(table).where(table.c.incident_id.in_(ids))).rowcount
            connection.execute(delete(incidents).where(incidents.c.id.in_(ids)))
            note(connection, actor, "forgotten", {"table": "incidents", "rows": len(ids), "dag_id": dag_id})
            self._storms_left_by(connection, {row.storm_id for row in chosen if row.storm_id}, actor, gone)
        gone.incidents += len(ids)
        return len(ids)

    def _purged(self, dag_id: str, actor: str, gone: Deleted) -> None:
        """Take out what is left of incidents that were purged, ending with what it is found by."""
        named = select(audit.c.id).where(audit.c.dag_id == dag_id, audit.c.salt != "").order_by(audit.c.id).limit(AT_ONCE)
        while True:
            with transaction(self._engine) as connection:
                erased = erase(connection, audit.c.id.in_(connection.execute(named).scalars().all()), actor)
            if not erased:
                break
            gone.audit += erased
        query = select(dag_fingerprints).where(dag_fingerprints.c.dag_id == dag_id).order_by(dag_fingerprints.c.id).limit(AT_ONCE)
        while True:
            with transaction(self._engine) as connection:
                some = connection.execute(query).all()
                self._forget_words(connection, [row.fingerprint for row in some], actor, gone)
                connection.execute(delete(dag_fingerprints).where(dag_fingerprints.c.id.in_([row.id for row in some])))
            if not some:
                break

    @staticmethod
    def _storms_left_by(connection: Connection, storm_ids: Collection[int], actor: str, gone: Deleted) -> None:
        """Delete those of these storms that are over and have no member any more, with what the audit log tells of them."""
        over = select(storms.c.id).where(storms.c.id.in_(storm_ids), storms.c.closed_at.is_not(None)).order_by(storms.c.id)
        # Whoever deletes the other members at this moment is waited for here, so that one of both sees that none is left.
        locked = connection.execute(over.with_for_update()).scalars().all()
        empty = select(storms.c.id, storms.c.opened_at).where(storms.c.id.in_(locked), ~exists().where(incidents.c.storm_id == storms.c.id))
        opened = {row.id: row.opened_at for row in connection.execute(empty)}
        if opened:
            gone.audit += erase(connection, rows_about_storms(opened), actor)
            gone.rows += connection.execute(delete(storms).where(storms.c.id.in_(opened))).rowcount
            note(connection, actor, "forgotten", {"table": "storms", "rows": len(opened)})

    @staticmethod
    def _forget_words(
        connection: Connection, about: Sequence[str], actor: str, gone: Deleted, lines: Lines = NOTHING, looked: Looked | None = None
    ) -> None:
        gone.knowledge += forget_words(connection, about, lines, actor, looked)
        gone.rows += connection.execute(delete(suggestions).where(suggestions.c.fingerprint.in_(about))).rowcount

    def _rows(self, dag_id: str) -> Iterator[tuple[Table, Mapping[str, Any]]]:
        last, seen, named, in_storms = 0, set[str](), set[str](), set[int]()
        while page := self._page(incidents, incidents.c.dag_id == dag_id, incidents.c.id > last):
            last = page[-1]["id"]
            yield from ((incidents, row) for row in page)
            ids = [row["id"] for row in page]
            gathered = {row["storm_id"] for row in page if row["storm_id"]} - in_storms
            in_storms |= gathered
            for table, which in (*_belonging_to(ids), (storms, storms.c.id.in_(gathered))):
                yield from ((table, row) for row in self._all(table, which))
            with transaction(self._engine, reading=True) as connection:
                alike, lines = _fingerprints(connection, ids) - seen, _lines(connection, ids)
            seen |= alike
            yield from self._alike(alike, lines, named)
        with transaction(self._engine, reading=True) as connection:
            of_purged = select(dag_fingerprints.c.fingerprint).where(dag_fingerprints.c.dag_id == dag_id)
            kept = sorted(set(connection.execute(of_purged).scalars()) - seen)
        for start in range(0, len(kept), AT_ONCE):
            yield from self._alike(kept[start : start + AT_ONCE], NOTHING, named)
        for table in _tables_of_dags():
            yield from ((table, row) for row in self._all(table, table.c.dag_id == dag_id, *_not_of(table, dag_id)))

    def _alike(self, found: Collection[str], lines: Lines, named: set[str]) -> Iterator[tuple[Table, Mapping[str, Any]]]:
        """What was taken over from failures with these fingerprints and lines; ``named``: entries that were handed out, which grows."""
        with transaction(self._engine, reading=True) as connection:
            fresh = names_about(connection, found, lines) - named
        named |= fresh
        yield from ((suggestions, row) for row in self._all(suggestions, suggestions.c.fingerprint.in_(found)))
        for table in (knowledge, knowledge_history):
            yield from ((table, row) for row in self._all(table, table.c.name.in_(fresh)))

    def _all(self, table: Table, *which: ColumnElement[bool]) -> Iterator[Mapping[str, Any]]:
        last = 0
        while page := self._page(table, *which, table.c.id > last):
            last = page[-1]["id"]
            yield from page

    def _page(self, table: Table, *which: ColumnElement[bool]) -> Sequence[Mapping[str, Any]]:
        with transaction(self._engine, reading=True) as connection:
            return connection.execute(select(table).where(*which).order_by(table.c.id).limit(AT_ONCE)).mappings().all()  # type: ignore[return-value]


def _belonging_to(ids: Sequence[int]) -> Iterator[tuple[Table, ColumnElement[bool]]]:
    """Where else there is something about these incidents."""
    yield from ((table, table.c.incident_id.in_(ids)) for table in belonging())
    yield audit, rows_about(ids)


def _tables_of_dags() -> list[Table]:
    """Tables other than that of incidents with a column for a DAG."""
    return [table for table in metadata.sorted_tables if "dag_id" in table.c and table is not incidents]


def _not_of(table: Table, dag_id: str) -> list[ColumnElement[bool]]:
    """Not what belongs to an incident of this DAG, which is dealt with already."""
    if "incident_id" not in table.c:
        return []
    return [table.c.incident_id.not_in(select(incidents.c.id).where(incidents.c.dag_id == dag_id))]


def _fingerprints(connection: Connection, ids: Sequence[int]) -> set[str]:
    return set(connection.execute(fingerprints(of=incidents.c.id.in_(ids))).scalars())


def _lines(connection: Connection, ids: Sequence[int]) -> Lines:
    """What knowledge may quote of the evidence."""
    of_tries = select(occurrences.c.message, occurrences.c.traceback, occurrences.c.log_tail).where(occurrences.c.incident_id.in_(ids))
    of_logs = select(log_events.c.text).where(log_events.c.incident_id.in_(ids))
    queries = (query.execution_options(yield_per=AT_ONCE) for query in (of_tries, of_logs))
    return Lines.of(text for query in queries for row in connection.execute(query) for text in row)


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else value
