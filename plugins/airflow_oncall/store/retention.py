"""Forgetting what is older than the policy keeps it, a batch a transaction, so that nobody waits long for a lock."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Delete, Engine, delete, select

from airflow_oncall.store.engine import transaction
from airflow_oncall.store.tables import incidents, log_events

BATCH = 1_000
MOST_BATCHES = 50
"""In one call; the next one goes on."""


class Forgotten(NamedTuple):
    """How much is gone."""

    incidents: int
    log_events: int


def forget(engine: Engine, closed_before: datetime | None, logged_before: datetime | None) -> Forgotten:
    """Delete incidents that closed before a time, with all that belongs to them, and log events of closed ones noticed before another.

    ``None`` keeps them. What is still open is never deleted, however old.
    """
    closed = _forget_incidents(engine, closed_before) if closed_before else 0
    return Forgotten(closed, _forget_events(engine, logged_before) if logged_before else 0)


def _forget_incidents(engine: Engine, before: datetime) -> int:
    # By the time of opening, too: that one has an index.
    old = select(incidents.c.id).where(incidents.c.opened_at < before, incidents.c.closed_at < before).limit(BATCH)
    return _in_batches(engine, delete(incidents).where(incidents.c.id.in_(old)))


def _forget_events(engine: Engine, before: datetime) -> int:
    closed = select(incidents.c.id).where(incidents.c.closed_at.is_not(None))
    old = select(log_events.c.id).where(log_events.c.seen_at < before, log_events.c.incident_id.in_(closed)).limit(BATCH)
    return _in_batches(engine, delete(log_events).where(log_events.c.id.in_(old)))


def _in_batches(engine: Engine, statement: Delete) -> int:
    gone = 0
    for _ in range(MOST_BATCHES):
        with transaction(engine) as connection:
            count = connection.execute(statement).rowcount
        gone += count
        if count < BATCH:
            break
    return gone
