"""Triage that dies at the worst moment: its clear was sent, and nobody has written down what came of it."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import select, text

from airflow_oncall.incident import ActionState
from airflow_oncall.store.tables import actions, incidents
from tests.e2e.world import World


def kill_triage_while_it_clears(world: World) -> str:
    """Let ``r_crash`` fail, and kill triage when its repair is on its way; the run. The repair arrives after the death."""
    with no_clear_ends(world):
        run_id = world.airflow.trigger("r_crash")
        holder = world.until(lambda: holder_of_planned_repair(world), bool, "no repair of r_crash is planned")
        world.until(lambda: clears_that_wait(world), bool, "no clear of r_crash is on its way")
        world.mend("r_crash")
        os.kill(int(holder.split(":")[1]), signal.SIGKILL)
    return run_id


@contextmanager
def no_clear_ends(world: World) -> Iterator[None]:
    """A clear carries a note, and until the end of this block none can be written."""
    with world.airflows.begin() as connection:
        connection.execute(text("LOCK TABLE task_instance_note IN EXCLUSIVE MODE"))
        yield


def holder_of_planned_repair(world: World) -> str:
    """Worker that claims the incident, once its repair is planned; nothing before."""
    query = (
        select(incidents.c.claimed_by)
        .join(actions, actions.c.incident_id == incidents.c.id)
        .where(incidents.c.dag_id == "r_crash", actions.c.state == str(ActionState.PLANNED), incidents.c.claimed_by.is_not(None))
    )
    with world.store.engine.connect() as connection:
        return connection.execute(query).scalar() or ""


def clears_that_wait(world: World) -> int:
    """Transactions of Airflow that wait for the table of notes."""
    query = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'task_instance_note'::regclass"
    return int(world.in_airflows_database(query))
