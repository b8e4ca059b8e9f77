"""The DAG files: what Airflow reads from them, what reading them costs, and one triage run by Airflow itself."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from airflow.dag_processing.dagbag import DagBag
from tests.packaging.installation import ROOT, Installation
from tests.simulated_airflow import SimulatedAirflow

from airflow_oncall.incident import OWN_DAG_IDS, TaskRef

FILES = sorted((ROOT / "dags").glob("*.py"))
HEAVY = ("sqlalchemy", "alembic", "sklearn", "numpy", "pandas", "joblib", "airflow_client", "fastapi")
PARSE = """
import json, os, runpy, sys

# What Airflow itself loads for such files comes first: airflow.sdk gives its names lazily.
import airflow.triggers.base, airflow.providers.standard.operators.hitl
from airflow.sdk import DAG, Asset, AssetOrTimeSchedule, AssetWatcher, CronTriggerTimetable, task
from airflow.configuration import conf

conf.get("core", "dags_folder")
before, touched, watching = set(sys.modules), [], [True]

def watch(event, args):
    if not watching:
        return
    writes = event == "open" and isinstance(args[2], int) and args[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
    elsewhere = event in ("socket.connect", "socket.getaddrinfo", "sqlite3.connect", "subprocess.Popen", "os.mkdir", "os.rename")
    if writes or elsewhere:
        touched.append([event, str(args)[:200]])

sys.addaudithook(watch)
for path in sys.argv[1:]:
    runpy.run_path(path)
watching.clear()
print(json.dumps({"touched": touched, "loaded": sorted({name.split(".")[0] for name in set(sys.modules) - before})}))
"""
RUN = """
import json
from airflow.dag_processing.dagbag import DagBag
from airflow.utils.db import initdb

initdb()
run = DagBag(DAGS, bundle_name="dags-folder").dags["oncall_triage"].test()
(tick,) = run.get_task_instances()
print()
print(json.dumps({"state": str(tick.state), "result": tick.xcom_pull(task_ids="tick")}))
"""


@pytest.fixture(scope="module")
def bag() -> DagBag:
    """The DAGs as the DAG processor reads them."""
    return DagBag(str(ROOT / "dags"), bundle_path=ROOT / "dags", bundle_name="oncall")


@pytest.fixture
def somewhere(tmp_path: Path) -> Installation:
    """An empty AIRFLOW_HOME; the package comes from the checkout."""
    return Installation(Path(sys.executable), tmp_path / "home")


@pytest.fixture
def airflow() -> Iterator[SimulatedAirflow]:
    """An Airflow behind HTTP in which one task instance failed."""
    with SimulatedAirflow() as simulated:
        simulated.add(TaskRef("oncall_approval", "none", "question"))
        orders = TaskRef("nightly_orders", "sunday", "load")
        simulated.logs[orders, 1] = [b'{"event": "psycopg.OperationalError: connection to server failed: Connection refused"}\n']
        simulated.fail(orders)
        yield simulated


def test_every_file_is_imported_and_holds_our_dags_only(bag: DagBag) -> None:
    assert bag.import_errors == {}
    assert set(bag.dags) == {"oncall_triage", "oncall_approval"}
    assert set(bag.dags) <= OWN_DAG_IDS, "its own DAGs would become incidents"


@pytest.mark.parametrize("dag_id", ["oncall_triage", "oncall_approval"])
def test_a_fresh_install_works_without_a_click(bag: DagBag, dag_id: str) -> None:
    dag = bag.dags[dag_id]
    assert dag.is_paused_upon_creation is False
    assert dag.catchup is False
    assert dag.tags == {"oncall"}
    assert dag.description
    assert dag.doc_md


def test_triage_runs_one_at_a_time_on_news_and_every_minute(bag: DagBag) -> None:
    triage = bag.dags["oncall_triage"]
    assert triage.max_active_runs == 1
    schedule: Any = triage.timetable
    assert [asset.name for asset in schedule.asset_condition.objects] == ["oncall_incidents"]
    assert schedule.timetable.expression == "* * * * *"
    (tick,) = triage.tasks
    assert tick.retries == 0, "the next minute is the retry"
    assert tick.execution_timeout is not None


def test_an_unanswered_question_still_reaches_the_task_that_carries_out_answers(bag: DagBag) -> None:
    approval: Any = bag.dags["oncall_approval"]
    assert approval.schedule is None
    question, act = approval.get_task("question"), approval.get_task("act")
    assert question.downstream_task_ids == {"act"}
    assert act.trigger_rule == "all_done"
    assert act.retries > 0
    assert question.response_timeout == timedelta(seconds=43200)


def test_reading_the_files_touches_nothing_and_loads_nothing_heavy(somewhere: Installation) -> None:
    arguments = ["-c", PARSE, *map(str, FILES)]
    read = somewhere.run(*arguments, PYTHONPATH=str(ROOT / "plugins"), PYTHONDONTWRITEBYTECODE="1")
    assert read.returncode == 0, read.stderr
    seen = json.loads(read.stdout.strip().splitlines()[-1])
    assert seen["touched"] == []
    assert not set(seen["loaded"]) & set(HEAVY)
    assert "airflow_oncall" in seen["loaded"]


@pytest.mark.slow
def test_a_triage_run_asks_about_a_task_that_failed(somewhere: Installation, airflow: SimulatedAirflow) -> None:
    host, port = airflow.url.removeprefix("http://").split(":")
    connection = {"conn_type": "http", "host": host, "port": int(port), "login": "oncall", "password": "secret"}
    done = somewhere.run(
        "-c",
        f"DAGS = {str(ROOT / 'dags')!r}\n{RUN}",
        AIRFLOW_CONN_ONCALL_AIRFLOW=json.dumps(connection),
        AIRFLOW__CORE__DAGS_FOLDER=str(ROOT / "dags"),
        AIRFLOW__CORE__PLUGINS_FOLDER=str(ROOT / "plugins"),
        no_proxy="127.0.0.1",
    )
    assert done.returncode == 0, done.stderr
    ended = json.loads(done.stdout.strip().splitlines()[-1])
    assert ended["state"] == "success"
    assert ended["result"]["noticed"] == 1
    (question,) = airflow.mutations
    assert (question.what, question.path) == ("trigger", "oncall_approval/oncall-1-1")
    assert "nightly_orders.load" in question.body["conf"]["subject"]
    assert "database_connectivity" in question.body["conf"]["subject"]
