"""Every way a task instance can fail in Airflow 3.3, each really happening. All are declared ``oncall:never``: only watched."""

from __future__ import annotations

import os
import signal
import sys
import time
from datetime import timedelta
from typing import Any

from airflow.providers.standard.operators.hitl import HITLOperator
from airflow.providers.standard.sensors.python import PythonSensor
from airflow.providers.standard.triggers.temporal import TimeDeltaTrigger
from airflow.sdk import DAG, BaseOperator, task
from airflow.sdk.exceptions import AirflowFailException
from e2e_triggers import BrokenTrigger


def dag(name: str, **options: Any) -> DAG:
    return DAG(f"m_{name}", schedule=None, tags=["oncall:never"], **options)


with dag("exception"):

    @task
    def fail() -> None:
        int("twelve")

    fail()

with dag("fail_exception"):

    @task(retries=2, retry_delay=timedelta(seconds=1))
    def give_up() -> None:
        raise AirflowFailException("no retry can help")

    give_up()

with dag("sensor_timeout"):
    PythonSensor(task_id="wait", python_callable=lambda: False, poke_interval=1, timeout=2)

with dag("memory_error"):

    @task
    def allocate() -> None:
        bytearray(1 << 60)

    allocate()

with dag("sys_exit"):

    @task
    def leave() -> None:
        sys.exit(3)

    leave()

with dag("retries_used_up"):

    @task(retries=1, retry_delay=timedelta(seconds=1))
    def fail_twice() -> None:
        open("/no/such/file").close()

    fail_twice()

with dag("self_healed"):

    @task(retries=1, retry_delay=timedelta(seconds=1))
    def fail_once(**context: Any) -> None:
        if context["ti"].try_number == 1:
            dict[str, str]()["missing"]

    fail_once()

with dag("execution_timeout"):

    @task(execution_timeout=timedelta(seconds=2))
    def dawdle() -> None:
        time.sleep(60)

    dawdle()


class Defer(BaseOperator):
    """Hands over to a trigger."""

    def __init__(self, *, trigger: Any, timeout: timedelta | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.trigger, self.timeout = trigger, timeout

    def execute(self, context: Any) -> None:
        self.defer(trigger=self.trigger, method_name="resume", timeout=self.timeout)

    def resume(self, context: Any, event: Any = None) -> None:
        """Never reached."""


with dag("trigger_raises"):
    Defer(task_id="defer", trigger=BrokenTrigger())

with dag("trigger_timeout"):
    Defer(task_id="defer", trigger=TimeDeltaTrigger(timedelta(hours=1)), timeout=timedelta(seconds=2))

with dag("question_unanswered"):
    HITLOperator(task_id="ask", subject="Anybody?", options=["Yes"], response_timeout=timedelta(seconds=2))

with dag("killed"):

    @task
    def die() -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    die()

with dag("killed_with_retries"):

    @task(retries=1, retry_delay=timedelta(seconds=1))
    def die_twice() -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    die_twice()

with dag("exit_one"):

    @task
    def exit_one() -> None:
        os._exit(1)

    exit_one()

with dag("exit_zero"):

    @task
    def exit_zero() -> None:
        os._exit(0)

    exit_zero()

with dag("supervisor_killed"):

    @task
    def lose_supervisor() -> None:
        os.kill(os.getppid(), signal.SIGKILL)
        os._exit(0)

    lose_supervisor()

with dag("marked_failed"):

    @task
    def run_on() -> None:
        time.sleep(120)

    run_on()

with dag("run_marked_failed"):

    @task
    def run_on_too() -> None:
        time.sleep(120)

    run_on_too()

with dag("dagrun_timeout", dagrun_timeout=timedelta(seconds=4)):

    @task
    def outlast() -> None:
        time.sleep(120)

    outlast()

with dag("upstream_failed"):

    @task
    def first() -> None:
        [].pop()

    @task
    def second() -> None:
        """Waits for the first."""

    first() >> second()

with dag("sigterm"):

    @task
    def terminate() -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(5)

    terminate()
