"""What the guards count, by SQL: how much of each limit is used, and how the newest actions ended.

An action counts from the moment it is planned until it is done, and then for the limit's hours from when it was done: a
wait between the two can thus not carry it past a budget. A question counts once it is approved.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, Engine, Executable, and_, case, func, select, text

from airflow_oncall.incident import ActionKind, ActionState, OutcomeKind, State
from airflow_oncall.store.engine import transaction
from airflow_oncall.store.limits import BudgetUsedUp, Ended, Limit, Used
from airflow_oncall.store.records import now
from airflow_oncall.store.tables import actions, incidents, open_only, outcomes

_COUNTED = actions.c.kind != str(ActionKind.ESCALATE)
_DONE = actions.c.state == str(ActionState.DONE)
_RUNS = case((actions.c.attempts < 1, 1), else_=actions.c.attempts)
_FAILED = (str(OutcomeKind.FAILED_SAME), str(OutcomeKind.FAILED_OTHER))
_LOCK = 5_126_917_303_114_021
"""Number of the lock under which actions are planned on PostgreSQL; SQLite has one writer anyway."""


class Guards:
    """Counts for the policy's guards."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def used(self, limits: Sequence[Limit]) -> dict[str, Used]:
        """How much of each limit is used, by its name."""
        with transaction(self._engine, reading=True) as connection:
            return _used(connection, limits)

    def ended(self, breaker: Limit, since: datetime, most: int) -> tuple[Ended, ...]:
        """How the newest actions that this breaker watches ended, the newest first; what was not seen to its end is left out."""
        query = (
            select(outcomes.c.seen_at, outcomes.c.kind)
            .join(actions, actions.c.id == outcomes.c.action_id)
            .where(_DONE, _COUNTED, actions.c.done_at >= since, *_where(breaker))
            .where(outcomes.c.kind.in_([str(OutcomeKind.SUCCESS), *_FAILED]))
            .order_by(outcomes.c.seen_at.desc(), outcomes.c.id.desc())
            .limit(most)
        )
        with transaction(self._engine, reading=True) as connection:
            return tuple(Ended(row.seen_at, row.kind in _FAILED) for row in connection.execute(query))

    def failing_dags(self, since: datetime, least: int) -> list[str]:
        """DAGs of which at least so many actions, done since then, were seen to fail."""
        failed = (_DONE, _COUNTED, actions.c.done_at >= since, outcomes.c.kind.in_(_FAILED))
        query = select(actions.c.dag_id).join(outcomes, outcomes.c.action_id == actions.c.id).where(*failed)
        with transaction(self._engine, reading=True) as connection:
            return list(connection.execute(query.group_by(actions.c.dag_id).having(func.count() >= least)).scalars())


def enforce(connection: Connection, limits: Sequence[Limit], attempts: int) -> None:
    """Count again, alone: raises ``BudgetUsedUp`` when an action that re-arms so many runs does not fit any more.

    To be called in the transaction that plans the action, before its row is written. Whoever else plans one waits until
    this transaction ends, and then counts it.
    """
    if not limits:
        return
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:number)"), {"number": _LOCK})
    used = _used(connection, limits)
    for limit in limits:
        would_be = limit.would_be(used[limit.name].amount, attempts)
        if would_be > limit.most:
            raise BudgetUsedUp(limit, would_be)


def _used(connection: Connection, limits: Sequence[Limit]) -> dict[str, Used]:
    planned = {limit.name: _one(connection, _under_way(limit)) for limit in limits}
    done = {limit.name: _one(connection, _done(limit)) for limit in limits if not limit.in_flight}
    return {limit.name: _sum(limit, planned[limit.name], done.get(limit.name)) for limit in limits}


def _sum(limit: Limit, planned: Any, done: Any | None) -> Used:
    if done is None:
        return Used(int(planned.actions))
    leaves = done.oldest + timedelta(hours=limit.hours) if limit.hours and done.oldest else None
    return Used(int((planned.runs or 0) + (done.runs or 0)), leaves)


def _under_way(limit: Limit) -> Executable:
    """Actions that are still to be done and, for limits of actions in flight, those whose end was not seen."""
    states = (State.WAITING, State.ACTING, State.VERIFYING) if limit.in_flight else (State.WAITING, State.ACTING)
    kept = (ActionState.PLANNED, ActionState.DONE) if limit.in_flight else (ActionState.PLANNED,)
    newest = and_(actions.c.incident_id == incidents.c.id, actions.c.decision_number == incidents.c.decisions)
    counts = (func.count().label("actions"), func.sum(_RUNS).label("runs"))
    return (
        select(*counts)
        .select_from(incidents)
        .join(actions, newest)
        .where(open_only, incidents.c.state.in_([str(state) for state in states]))
        .where(_COUNTED, actions.c.state.in_([str(state) for state in kept]), *_where(limit))
    )


def _done(limit: Limit) -> Executable:
    since = [actions.c.done_at > now() - timedelta(hours=limit.hours)] if limit.hours else []
    counts = (func.sum(_RUNS).label("runs"), func.min(actions.c.done_at).label("oldest"))
    return select(*counts).where(_DONE, _COUNTED, *since, *_where(limit))


def _where(limit: Limit) -> list[ColumnElement[bool]]:
    return [actions.c[column] == value for column, value in limit.where.items()]


def _one(connection: Connection, query: Executable) -> Any:
    return connection.execute(query).one()
