"""``kill_spark_application`` on a real standalone master: the application that a failed try left behind ends."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from json import JSONDecodeError
from pathlib import Path
from typing import IO

import httpx
import pytest
from demo.deployment import free_port
from tests.act.actions.bench import decided, step
from tests.logs.spark_world import SPARK, java
from tests.tick.scene import ORDERS, Scene
from tests.waiting import until

from airflow_oncall.act.actions.kill_spark_application import manager
from airflow_oncall.incident import ActionState

pytestmark = pytest.mark.slow
LEFT_BEHIND = """
import time
from pyspark.sql import SparkSession
SparkSession.builder.master("{master}").appName("orders").config("spark.ui.enabled", "false").getOrCreate()
time.sleep(600)
"""


@contextmanager
def running(command: list[str], output: IO[bytes]) -> Iterator[None]:
    """A process of Spark, which ends with the block."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("SPARK_", "PYSPARK_", "AIRFLOW"))}
    environment = kept | java() | {"SPARK_LOCAL_IP": "127.0.0.1", "SPARK_DAEMON_MEMORY": "300m"}
    process = subprocess.Popen(command, env=environment, stdout=output, stderr=subprocess.STDOUT, start_new_session=True)
    try:
        yield
    finally:
        os.killpg(process.pid, 9)
        process.wait()


@pytest.fixture
def application(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failed: Scene) -> Iterator[str]:
    """Id of an application that waits for workers at a master of connection ``spark``; the orders failed before it began."""
    port, page = free_port(), free_port()
    where = ["--host", "127.0.0.1", "--port", str(port), "--webui-port", str(page)]
    monkeypatch.setenv("AIRFLOW_CONN_SPARK", f"http://127.0.0.1:{page}")
    script = tmp_path / "left_behind.py"
    script.write_text(LEFT_BEHIND.format(master=f"spark://127.0.0.1:{port}"))

    def active() -> list[str]:
        try:
            return [one["id"] for one in httpx.get(f"http://127.0.0.1:{page}/json/").json()["activeapps"]]
        except (httpx.HTTPError, JSONDecodeError):  # a master that is starting answers with nothing
            return []

    master = [str(SPARK / "bin" / "spark-class"), "org.apache.spark.deploy.master.Master", *where]
    with (tmp_path / "spark.out").open("wb") as output, running(master, output), running([sys.executable, str(script)], output):
        until(lambda: bool(active()), 240)
        yield active()[0]


def test_what_a_failed_try_left_behind_ends_and_the_task_runs_again(failed: Scene, application: str) -> None:
    decided(failed, "kill_spark_application", {"application_id": application}, conn_id="spark")
    assert step(failed).state is ActionState.PLANNED
    until(lambda: manager("spark", application).running(application) is None, 60)
    assert step(failed).state is ActionState.DONE
    assert failed.airflow.clears == [(ORDERS,)]
