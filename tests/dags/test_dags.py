"""The DAG files: what Airflow reads from them, what reading them costs, and one triage run by Airflow itself."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from airflow.dag_processing.dagbag import DagBag
from tests.act.notify.mailbox import Mailbox, mailbox, subject_of
from tests.examples import include_few
from tests.packaging.installation import ROOT, Installation
from tests.simulated_airflow import SimulatedAirflow

from airflow_oncall.incident import OWN_DAG_IDS, TaskRef

__all__ = ["mailbox"]

FILES = sorted((ROOT / "dags").glob("*.py"))
HEAVY = ("sqlalchemy", "alembic", "sklearn", "numpy", "pandas", "joblib", "airflow_client", "fastapi")
PARSE = """
import json, os, runpy, sys

# What Airflow itself loads for such files comes first: airflow.sdk gives its names lazily.
import airflow.triggers.base, airflow.providers.standard.operators.hitl
from airflow.sdk import DAG, Asset, AssetOrTimeSchedule, AssetWatcher, CronTriggerTimetable, task
from airflow.configuration import conf

conf.get("core", "dags_folder")
Asset("any", uri="oncall://any")  # loads what every installed provider knows of assets
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
run = DagBag(DAGS, bundle_name="dags-folder").dags[DAG].test()
ended = {one.task_id: {"state": str(one.state), "result": one.xcom_pull(task_ids=one.task_id)} for one in run.get_task_instances()}
print()
print(json.dumps({"run": str(run.state), **ended}))
"""


@pytest.fixture(scope="module")
def bag() -> DagBag:
    """The DAGs as the DAG processor reads them."""
    return DagBag(str(ROOT / "dags"), bundle_path=ROOT / "dags", bundle_name="oncall")


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
    assert set(bag.dags) == {"oncall_triage", "oncall_approval", "oncall_poll", "oncall_train"}
    assert set(bag.dags) <= OWN_DAG_IDS, "its own DAGs would become incidents"


@pytest.mark.parametrize("dag_id", ["oncall_triage", "oncall_approval", "oncall_poll", "oncall_train"])
def test_a_fresh_install_works_without_a_click(bag: DagBag, dag_id: str) -> None:
    dag = bag.dags[dag_id]
    assert dag.is_paused_upon_creation is False
    assert dag.catchup is False
    assert dag.tags == {"oncall"}
    assert dag.description
    assert dag.doc_md


def test_where_slots_are_few_what_has_failed_comes_before_polls_and_trainings(bag: DagBag) -> None:
    weights = {dag_id: max((task.priority_weight for task in dag.tasks), default=0) for dag_id, dag in bag.dags.items()}
    assert weights.pop("oncall_triage") > max(weights.values())


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


def test_training_is_weekly_and_one_at_a_time(bag: DagBag) -> None:
    train = bag.dags["oncall_train"]
    schedule: Any = train.timetable
    assert schedule.expression == "0 3 * * 0"
    assert train.max_active_runs == 1
    assert all(task.retries == 1 and task.execution_timeout for task in train.tasks)


def test_training_goes_from_labels_to_a_champion_without_a_click(bag: DagBag) -> None:
    train: Any = bag.dags["oncall_train"]
    order = [task.task_id for task in train.topological_sort() if task.task_id != "weekly_report"]
    assert order == ["collect", "validate", "train", "evaluate", "gate", "promote", "report"]
    assert train.get_task("report").is_teardown, "it runs whatever happened, and hides nothing"
    assert train.get_task("gate").downstream_task_ids == {"promote"}
    assert not train.get_task("weekly_report").get_direct_relative_ids(upstream=True), "a report is sent whatever comes of the training"


def test_a_promotion_can_wait_for_a_person(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__ONCALL__TRAIN_APPROVAL", "True")
    train = DagBag(str(ROOT / "dags" / "oncall_train.py"), bundle_path=ROOT / "dags", bundle_name="oncall").dags["oncall_train"]
    question: Any = train.get_task("approve")
    assert question.upstream_task_ids == {"gate"}
    assert question.downstream_task_ids == {"promote"}
    assert (question.defaults, question.response_timeout) == (["Reject"], timedelta(seconds=43200)), "nobody answers: the champion stays"
    assert question.execution_timeout is None, "a person may take longer than a task may run"


def test_reading_the_files_touches_nothing_and_loads_nothing_heavy(somewhere: Installation) -> None:
    arguments = ["-c", PARSE, *map(str, FILES)]
    read = somewhere.run(*arguments, PYTHONPATH=str(ROOT / "plugins"), PYTHONDONTWRITEBYTECODE="1")
    assert read.returncode == 0, read.stderr
    seen = json.loads(read.stdout.strip().splitlines()[-1])
    assert seen["touched"] == []
    assert not set(seen["loaded"]) & set(HEAVY)
    assert "airflow_oncall" in seen["loaded"]


@pytest.mark.slow
def test_a_triage_run_asks_about_a_task_that_failed(somewhere: Installation, airflow: SimulatedAirflow, tmp_path: Path) -> None:
    host, port = airflow.url.removeprefix("http://").split(":")
    connection = {"conn_type": "http", "host": host, "port": int(port), "login": "oncall", "password": "secret"}
    include = str(include_few(tmp_path / "own"))  # it trains its first models from this
    settings = {"AIRFLOW_CONN_ONCALL_AIRFLOW": json.dumps(connection), "AIRFLOW__ONCALL__INCLUDE_PATH": include}
    ended = run_dag("oncall_triage", somewhere, **settings, no_proxy="127.0.0.1")
    assert ended["tick"]["state"] == "success"
    assert ended["tick"]["result"]["noticed"] == 1
    (question,) = airflow.mutations
    assert question.what == "trigger"
    assert question.path.startswith("oncall_approval/oncall-1-1-")
    assert "nightly_orders.load" in question.body["conf"]["subject"]
    assert "database_connectivity" in question.body["conf"]["subject"]


@pytest.mark.slow
def test_a_training_run_makes_the_first_champion(somewhere: Installation, tmp_path: Path) -> None:
    models = tmp_path / "models"
    settings = {"INCLUDE_PATH": include_few(tmp_path / "own"), "MODELS_PATH": models, "TRAIN_MIN_ROWS": 50}
    ended = run_dag("oncall_train", somewhere, **{f"AIRFLOW__ONCALL__{name}": str(value) for name, value in settings.items()})
    assert {name: one["state"] for name, one in ended.items() if name != "run"} == dict.fromkeys(ended.keys() - {"run"}, "success")
    assert ended["promote"]["result"] == "0.1.0"
    assert ended["report"]["result"]["promoted"] is True
    assert (models / "triage" / "latest").read_text() == "0.1.0\n"
    assert max(len(json.dumps(one)) for one in ended.values()) < 5000, "XComs stay small"


@pytest.mark.slow
def test_a_training_run_sends_the_weekly_report_by_mail(somewhere: Installation, mailbox: Mailbox, tmp_path: Path) -> None:
    shipped = (ROOT / "include" / "oncall" / "policy.yaml").read_text(encoding="utf-8")
    (tmp_path / "policy.yaml").write_text(f"{shipped}\nroutes: {{report: [{{email: ada@example.com}}]}}\n", encoding="utf-8")
    connection = {"AIRFLOW_CONN_SMTP_DEFAULT": os.environ["AIRFLOW_CONN_SMTP_DEFAULT"]}
    settings = {"AIRFLOW__ONCALL__INCLUDE_PATH": str(tmp_path), "AIRFLOW__ONCALL__TRAIN_MIN_ROWS": "1000000"}
    ended = run_dag("oncall_train", somewhere, **connection, **settings)
    assert ended["weekly_report"]["result"] == ["routes.report.0"]
    ((to, mail),) = mailbox.mails
    assert (to, subject_of(mail)) == (["ada@example.com"], "Airflow on-call: 0 incidents in a week")
    assert [part.get_content_disposition() for part in mail.walk()] == [None, None, "attachment"]


@pytest.mark.slow
def test_a_training_run_without_enough_rows_is_skipped_and_says_why(somewhere: Installation) -> None:
    ended = run_dag("oncall_train", somewhere, AIRFLOW__ONCALL__TRAIN_MIN_ROWS="1000000")
    assert ended["run"] == "success"
    assert {ended[name]["state"] for name in ("collect", "train", "gate", "promote")} == {"skipped"}
    assert ended["report"]["state"] == "success"
    assert "fewer than [oncall] train_min_rows = 1000000" in ended["report"]["result"]["reasons"][0]


def run_dag(dag_id: str, somewhere: Installation, **environment: str) -> dict[str, Any]:
    """One run by Airflow itself: how it and its tasks ended, and what they returned."""
    done = somewhere.run(
        "-c",
        f"DAGS, DAG = {str(ROOT / 'dags')!r}, {dag_id!r}\n{RUN}",
        AIRFLOW__CORE__DAGS_FOLDER=str(ROOT / "dags"),
        AIRFLOW__CORE__PLUGINS_FOLDER=str(ROOT / "plugins"),
        **environment,
    )
    assert done.returncode == 0, done.stderr
    ended: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return ended
