"""Task instances to be repaired: each fails for a real reason until the file named after it says that the reason is gone.

A test writes that file; what a task did is seen in Airflow's own try history.
"""

from __future__ import annotations

import os
import socket
import time
from datetime import timedelta
from pathlib import Path

from airflow.sdk import DAG, task

MENDED = Path(os.environ["E2E_MENDED"])


def connect_unless_mended(name: str) -> None:
    """Connect to a port that nobody listens on, until the reason is gone."""
    if not (MENDED / name).exists():
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            socket.create_connection(probe.getsockname(), timeout=5)


with DAG("r_mapped", schedule=None, tags=["oncall:auto"]):

    @task
    def shard(number: int) -> int:
        if number == 3:
            connect_unless_mended("r_mapped")
        return number

    @task
    def total(numbers: list[int]) -> int:
        return sum(numbers)

    total(shard.expand(number=[0, 1, 2, 3, 4]))  # type: ignore[arg-type]

for name in ("r_approved", "r_rejected", "r_moved_by_hand"):
    with DAG(name, schedule=None, tags=["oncall:ask"]):

        @task
        def asked(name: str) -> None:
            connect_unless_mended(name)

        asked(name)

with DAG("r_crash", schedule=None, tags=["oncall:auto"]):

    @task
    def cleared_once() -> None:
        connect_unless_mended("r_crash")

    cleared_once()


with DAG("r_timed_out", schedule=None, tags=["oncall:ask"], dagrun_timeout=timedelta(seconds=30)):

    @task
    def before() -> None:
        """Succeeds, and is not to run again."""

    @task
    def outlast() -> None:
        if not (MENDED / "r_timed_out").exists():
            time.sleep(120)

    @task
    def after() -> None:
        """Never started before the run timed out."""

    before() >> outlast() >> after()
