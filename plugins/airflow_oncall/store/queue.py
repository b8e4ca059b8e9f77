"""Work to do: which incidents are due, and who may touch them.

A claim is a lease: it keeps other triage workers away until it ends, and a dead worker's claim returns by itself.
Every change of an incident's state checks that its claim still holds (``ledger``).
"""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Engine, and_, delete, func, or_, select, update

from airflow_oncall.incident import Incident, State
from airflow_oncall.store.engine import transaction
from airflow_oncall.store.records import incident_of, now
from airflow_oncall.store.tables import incidents, open_only, sweep_requests

HOT = (State.OPEN, State.DIAGNOSED, State.WAITING, State.ACTING, State.VERIFYING)
"""States in which somebody's waiting costs time: they wake triage up, the others wait for its next minute."""


class Queue:
    """Claims on due incidents, in batches. ``worker`` names the holder, e.g. host and process."""

    def __init__(self, engine: Engine, worker: str) -> None:
        self._engine = engine
        self.worker = worker

    def claim_due(self, limit: int, lease: timedelta) -> list[Incident]:
        """Claim up to ``limit`` due incidents: freshly reported ones first, then the longest due."""
        due = (
            select(incidents.c.id)
            .where(open_only, incidents.c.due_at <= now(), self._free())
            .order_by(incidents.c.due_at, incidents.c.id)
            .limit(limit)
            .with_for_update(skip_locked=True)
            .cte("due")
            .prefix_with("MATERIALIZED", dialect="postgresql")
        )
        return self._claim(incidents.c.id.in_(select(due.c.id)), lease)

    def claim(self, incident_id: int, lease: timedelta) -> Incident | None:
        """Claim one incident, due or not; ``None`` when it is closed or somebody else holds it."""
        mine = self._claim(and_(incidents.c.id == incident_id, open_only, self._free()), lease)
        return mine[0] if mine else None

    def release(self, incident_id: int) -> None:
        """Give a claim back."""
        statement = update(incidents).where(incidents.c.id == incident_id, incidents.c.claimed_by == self.worker)
        with transaction(self._engine) as connection:
            connection.execute(statement.values(claimed_by=None, claimed_until=None))

    def next_due(self) -> datetime | None:
        """When the next hot incident is due; in the past when one is due now and unclaimed."""
        hot = incidents.c.state.in_([str(state) for state in HOT])
        query = select(func.min(incidents.c.due_at)).where(open_only, hot, self._free())
        with transaction(self._engine, reading=True) as connection:
            return connection.execute(query).scalar()

    def is_urgent(self) -> bool:
        """Whether triage should run now rather than at its next minute."""
        with transaction(self._engine, reading=True) as connection:
            if connection.execute(select(sweep_requests.c.id).limit(1)).first():
                return True
        due = self.next_due()
        return due is not None and due <= now()

    def take_sweep_requests(self) -> list[tuple[str, str]]:
        """Runs that asked to be swept. They stay until :meth:`drop_sweep_request`, so that a crash loses none."""
        query = select(sweep_requests.c.dag_id, sweep_requests.c.run_id).order_by(sweep_requests.c.asked_at)
        with transaction(self._engine, reading=True) as connection:
            return [(row.dag_id, row.run_id) for row in connection.execute(query)]

    def drop_sweep_request(self, dag_id: str, run_id: str) -> None:
        """The run was swept."""
        statement = delete(sweep_requests).where(sweep_requests.c.dag_id == dag_id, sweep_requests.c.run_id == run_id)
        with transaction(self._engine) as connection:
            connection.execute(statement)

    def _claim(self, which: ColumnElement[bool], lease: timedelta) -> list[Incident]:
        statement = update(incidents).where(which).values(claimed_by=self.worker, claimed_until=now() + lease).returning(incidents)
        with transaction(self._engine) as connection:
            rows = connection.execute(statement).mappings().all()
        return sorted(map(incident_of, rows), key=lambda incident: (incident.due_at or incident.opened_at, incident.id))

    def _free(self) -> ColumnElement[bool]:
        return or_(incidents.c.claimed_until.is_(None), incidents.c.claimed_until < now(), incidents.c.claimed_by == self.worker)
