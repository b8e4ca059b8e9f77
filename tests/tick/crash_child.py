"""A worker that is killed by SIGKILL at the boundary it is told.

A boundary lies before and after every transaction that writes to the store and every change of Airflow. Orders come as JSON lines on
standard input; each is carried out in a fork of this process, which saves the time of importing Airflow each time (its
client imports at first use, so there is a ``rehearsal`` without a fork).
The answer is how many boundaries the fork passed, and whether it was killed.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from typing import Any

from sqlalchemy import Connection, Engine, event, make_url
from tests.tick.scene import Oracle, judgement_of, sign_in

from airflow_oncall.act import approval
from airflow_oncall.act.actions import restart_pod, terminate_blocker
from airflow_oncall.act.actions.kill_spark_application import StandaloneMaster, Yarn
from airflow_oncall.act.policy import Policy
from airflow_oncall.rest import AirflowApi
from airflow_oncall.store.engine import engine_for
from airflow_oncall.store.sql import Store
from airflow_oncall.tick import Tick

MUTATIONS = ("clear", "clear_all", "reopen_run", "set_note", "trigger", "set_state", "set_task_state", "resize_pool", "pause_dag")
OUTSIDE = ((terminate_blocker, "end_session"), (restart_pod, "delete_pod"), (StandaloneMaster, "kill"), (Yarn, "kill"))
"""What actions change beside Airflow."""


class Boundaries:
    """Counts boundaries into a pipe and dies at one of them."""

    def __init__(self, die_at: int, pipe: int) -> None:
        self.left, self.pipe = die_at, pipe

    def cross(self) -> None:
        """One more; perhaps the last."""
        os.write(self.pipe, b".")
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def cross_when_writing(self, connection: Connection) -> None:
        """Reading leaves nothing behind that could be half done."""
        if not connection.get_execution_options().get("oncall_reading"):
            self.cross()

    def around(self, call: Callable[..., Any]) -> Callable[..., Any]:
        """The call with a boundary on both sides."""

        def crossed(*args: Any, **kwargs: Any) -> Any:
            self.cross()
            result = call(*args, **kwargs)
            self.cross()
            return result

        return crossed

    def watch(self, engine: Engine) -> None:
        """Put boundaries around everything that lasts."""
        for name in ("begin", "commit"):
            event.listen(engine, name, self.cross_when_writing)
        self.watch_effects()

    def watch_effects(self) -> None:
        """Put boundaries around what changes Airflow, or anything else, only."""
        for owner, name in (*((AirflowApi, name) for name in MUTATIONS), *OUTSIDE):
            setattr(owner, name, self.around(getattr(owner, name)))


def carry_out(order: dict[str, Any], pipe: int | None = None) -> None:
    """One tick, or one answer of a person, as a worker of its own name."""
    engine = engine_for(make_url(order["database"]), 30.0)
    store, api = Store.over(engine, f"worker-{os.getpid()}-{time.time_ns()}"), sign_in(order["airflow"])
    if pipe is not None:
        boundaries = Boundaries(order["die_at"], pipe)
        boundaries.watch_effects() if order.get("effects_only") else boundaries.watch(engine)
    if order["job"] == "tick":
        policy = Policy.model_validate(order["policy"])
        Tick(store, api, judgement_of(store, Oracle(), order["mode"], policy)).run(0, 0)
    else:
        said = {"chosen_options": ["Approve"], "responded_by_user": {"name": "ann"}}
        approval.answer(store, api, order["incident_id"], order.get("number", 1), said)


def forked(order: dict[str, Any]) -> dict[str, Any]:
    """Carry out an order in a fork and tell how that ended."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        try:
            carry_out(order, writing)
        finally:
            if sys.exc_info()[0]:
                traceback.print_exc()
            os._exit(bool(sys.exc_info()[0]))
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        passed = len(pipe.read())
    status = os.waitpid(child, 0)[1]
    killed = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
    return {"passed": passed, "killed": killed, "failed": not killed and status != 0}


if __name__ == "__main__":
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # Airflow logs to standard output
    for line in sys.stdin:
        order = json.loads(line)
        if order["rehearsal"]:
            carry_out(order)
            end = {"failed": False}
        else:
            end = forked(order)
        answers.write(json.dumps(end) + "\n")
        answers.flush()
