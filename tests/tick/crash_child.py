"""A worker that is killed by SIGKILL at the boundary it is told.

A boundary lies before and after every transaction of the store and every change of Airflow. Orders come as JSON lines on
standard input; each is carried out in a fork of this process, which saves the time of importing Airflow each time.
The answer is how many boundaries the fork passed, and whether it was killed.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable
from typing import Any

from sqlalchemy import Engine, event, make_url
from tests.tick.scene import Oracle, judgement_of, sign_in

from airflow_oncall.act import approval
from airflow_oncall.rest import AirflowApi
from airflow_oncall.store.engine import engine_for
from airflow_oncall.store.sql import Store
from airflow_oncall.tick import Tick

MUTATIONS = ("clear", "clear_run", "set_note", "trigger")


class Boundaries:
    """Counts boundaries into a pipe and dies at one of them."""

    def __init__(self, die_at: int, pipe: int) -> None:
        self.left, self.pipe = die_at, pipe

    def cross(self, *_: object) -> None:
        """One more; perhaps the last."""
        os.write(self.pipe, b".")
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

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
        event.listen(engine, "begin", self.cross)
        event.listen(engine, "commit", self.cross)
        for name in MUTATIONS:
            setattr(AirflowApi, name, self.around(getattr(AirflowApi, name)))


def carry_out(order: dict[str, Any], pipe: int) -> None:
    """One tick, or one answer of a person, as a worker of its own name."""
    engine = engine_for(make_url(order["database"]), 30.0)
    store, api = Store.over(engine, f"worker-{os.getpid()}-{time.time_ns()}"), sign_in(order["airflow"])
    Boundaries(order["die_at"], pipe).watch(engine)
    if order["job"] == "tick":
        Tick(store, api, judgement_of(store, Oracle(), order["mode"])).run(0, 0)
    else:
        approval.answer(store, api, order["incident_id"], 1, {"chosen_options": ["Approve"], "responded_by_user": {"name": "ann"}})


def forked(order: dict[str, Any]) -> dict[str, Any]:
    """Carry out an order in a fork and tell how that ended."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        os.dup2(2, 1)  # only the parent answers
        try:
            carry_out(order, writing)
        finally:
            os._exit(0 if sys.exc_info()[0] is None else 1)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        passed = len(pipe.read())
    status = os.waitpid(child, 0)[1]
    killed = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
    return {"passed": passed, "killed": killed, "failed": not killed and status != 0}


if __name__ == "__main__":
    for line in sys.stdin:
        print(json.dumps(forked(json.loads(line))), flush=True)
