"""Work to do: which incidents are due, and who may touch them.

A claim is a lease: it keeps other triage workers away until it ends, and a dead worker's claim returns by itself.
Every change of an incident's state checks that its claim still holds (``ledger``).
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import BindParameter, ColumnElement, Engine, Integer, and_, bindparam, delete, func, or_, select, true, update
from sqlalchemy.sql.dml import ReturningUpdate

from airflow_oncall.incident import Incident, State
from airflow_oncall.store.engine import transaction
from airflow_oncall.store.records import incident_of, now
from airflow_oncall.store.tables import incidents, leases, notices, notifiers, open_only, storms, sweep_requests, waiting_notices

HOT = (State.OPEN, State.DIAGNOSED, State.WAITING, State.ACTING, State.VERIFYING)
"""States in which somebody's waiting costs time: they wake triage up, the others wait for its next minute."""


LONGEST_WAIT = timedelta(hours=25)
"""No wait and no lease lasts longer than a day: what ends later was written by a clock that was wrong."""
LONGEST_NOTICE = timedelta(days=30)
"""A step of a route waits for two weeks at most, from the end of quiet hours or a maintenance; of a longer one it is asked anew."""


class Queue:
    """Claims on due incidents, in batches. ``worker`` names the holder, e.g. host and process."""

    def __init__(self, engine: Engine, worker: str) -> None:
        self._engine = engine
        self.worker = worker

    def claim_due(self, limit: int, lease: timedelta) -> list[Incident]:
        """Claim up to ``limit`` due incidents: freshly reported ones first, then the longest due."""
        return self._claim(_DUE, lease, {"limit": limit})

    def claim(self, incident_id: int, lease: timedelta) -> Incident | None:
        """Claim one incident, due or not; ``None`` when it is closed or somebody else holds it."""
        mine = self._claim(_ONE, lease, {"one": incident_id})
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

    def bring_back(self) -> None:
        """Make due and free what waits longer than anything may: else, after a clock that was ahead, nobody would look for years."""
        late = [(ends, and_(where, ends > now() + longest)) for ends, where, longest in _ENDS]
        with transaction(self._engine, reading=True) as connection:
            found = [(ends, which) for ends, which in late if connection.execute(select(ends).where(which).limit(1)).first()]
        if found:
            with transaction(self._engine) as connection:
                for ends, which in found:
                    connection.execute(update(ends.table).where(which).values({ends.name: now()}))

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

    def _claim(self, statement: ReturningUpdate[Any], lease: timedelta, values: dict[str, int]) -> list[Incident]:
        at = now()
        with transaction(self._engine) as connection:
            rows = connection.execute(statement, {"at": at, "until": at + lease, "worker": self.worker, **values}).mappings().all()
        return sorted(map(incident_of, rows), key=lambda incident: (incident.due_at or incident.opened_at, incident.id))

    def _free(self) -> ColumnElement[bool]:
        return free(self.worker)


def free(worker: str) -> ColumnElement[bool]:
    """That this worker may claim an incident: nobody else's claim on it holds."""
    return or_(incidents.c.claimed_until.is_(None), incidents.c.claimed_until < now(), incidents.c.claimed_by == worker)


def _claiming(which: ColumnElement[bool]) -> ReturningUpdate[Any]:
    return update(incidents).where(which).values(claimed_by=_WORKER, claimed_until=bindparam("until")).returning(incidents)


_ENDS = (
    (incidents.c.due_at, open_only, LONGEST_WAIT),
    (incidents.c.claimed_until, open_only, LONGEST_WAIT),
    (storms.c.due_at, open_only, LONGEST_WAIT),
    (leases.c.held_until, true(), LONGEST_WAIT),
    (notifiers.c.rests_until, true(), LONGEST_WAIT),
    (notices.c.due_at, waiting_notices, LONGEST_NOTICE),
)
_WORKER: BindParameter[str] = bindparam("worker", type_=incidents.c.claimed_by.type)
_AT: BindParameter[datetime] = bindparam("at", type_=incidents.c.due_at.type)
_FREE = or_(incidents.c.claimed_until.is_(None), incidents.c.claimed_until < _AT, incidents.c.claimed_by == _WORKER)
_LONGEST_DUE = (
    select(incidents.c.id)
    .where(open_only, incidents.c.due_at <= _AT, _FREE)
    .order_by(incidents.c.due_at, incidents.c.id)
    .limit(bindparam("limit", type_=Integer))
    .with_for_update(skip_locked=True)
    .cte("due")
    .prefix_with("MATERIALIZED", dialect="postgresql")
)
# Made once: to make them takes longer than to read an answer, and every worker claims all the time.
_DUE = _claiming(incidents.c.id.in_(select(_LONGEST_DUE.c.id)))
_ONE = _claiming(and_(incidents.c.id == bindparam("one"), open_only, _FREE))
