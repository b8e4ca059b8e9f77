"""Jobs that compute, and reports with bugs and settings that nobody made.

Names say nothing of what goes wrong, because a traceback shows them.
"""

from __future__ import annotations

import mmap
import os
import resource
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

from airflow.providers.standard.operators.bash import BashOperator
from airflow.providers.standard.sensors.python import PythonSensor
from airflow.sdk import DAG, Connection, Variable, task

SHARED: dict[str, Any] = {"schedule": None, "default_args": {"priority_weight": 0}}
"""Triage goes first where slots are few."""


def folder() -> Path:
    return Path(Variable.get("outside_inbox"))


def allowed(job: str) -> int:
    """Bytes of address space that the site allows a job."""
    return int((folder() / f"{job}.bytes").read_text())


def finished(what: str) -> bool:
    return (folder() / what).exists()


with DAG("f_models", **SHARED):

    @task
    def build_index() -> None:
        soft, hard = resource.getrlimit(resource.RLIMIT_AS)
        resource.setrlimit(resource.RLIMIT_AS, (allowed("index"), hard))
        try:
            bytearray(6 << 30)
        finally:
            resource.setrlimit(resource.RLIMIT_AS, (soft, hard))

    @task
    def build_matrix() -> None:
        program = f"import resource; resource.setrlimit(resource.RLIMIT_AS, ({allowed('matrix')}, -1)); matrix = bytearray(6 << 30)"
        subprocess.run([sys.executable, "-I", "-S", "-c", program], check=True)

    @task
    def build_cube() -> None:
        bytearray(1 << 60)

    @task
    def map_blocks() -> None:
        mmap.mmap(-1, 1 << 46)

    @task
    def render_tiles() -> None:
        with subprocess.Popen(["sleep", "2"]) as renderer:
            (folder() / "render_tiles.pid").write_text(str(renderer.pid))
        if renderer.returncode:
            raise subprocess.CalledProcessError(renderer.returncode, renderer.args)

    @task
    def train_month() -> None:
        (folder() / "train_month.pid").write_text(str(os.getpid()))
        time.sleep(2)

    @task(execution_timeout=timedelta(seconds=3))
    def run_solver() -> None:
        subprocess.run(["sh", "-c", 'until [ -e "$0" ]; do sleep 0.1; done', str(folder() / "licence")], check=True)

    PythonSensor(task_id="wait_for_cube", python_callable=finished, op_args=["cube"], poke_interval=1, timeout=2)
    build_index()
    build_matrix()
    build_cube()
    map_blocks()
    render_tiles()
    train_month()
    run_solver()

with DAG("f_night", dagrun_timeout=timedelta(seconds=20), **SHARED):

    @task
    def close_day() -> None:
        while not finished("day_ended"):
            time.sleep(0.1)

    close_day()

with DAG("f_report", **SHARED):

    @task
    def sum_regions() -> int:
        return sum({"north": 3, "east": 5}[region] for region in ("north", "south"))

    @task
    def label_rows() -> list[str]:
        return ["row " + number for number in range(3)]  # type: ignore[operator]

    @task
    def rank_shops() -> list[str]:
        return ["b", "a"].sort().copy()  # type: ignore[attr-defined, no-any-return]

    @task
    def draw_chart() -> None:
        import a_package_the_worker_lacks  # noqa: F401

    @task
    def apply_formula() -> None:
        eval("price * amont", {"price": 2, "amount": 3})

    @task
    def pick_winner() -> str:
        return ["a", "b"][2]

    @task
    def mail_report() -> str:
        return str(Connection.get("outside_mail").host)

    @task
    def list_readers() -> list[str]:
        return str(Variable.get("outside_readers")).split(",")

    @task
    def read_layout() -> str:
        from configparser import ConfigParser

        layout = ConfigParser()
        layout.read_string("[page]\nsize = A4\n")
        return layout.get("page", "margin")

    BashOperator(task_id="render_mail", bash_command="echo {{ greeting }}")
    BashOperator(task_id="print_report", bash_command="officeprint --tray 2 report.txt")
    sum_regions()
    label_rows()
    rank_shops()
    draw_chart()
    apply_formula()
    pick_winner()
    mail_report()
    list_readers()
    read_layout()
