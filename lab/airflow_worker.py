"""One warm Airflow of the lab's own: reads a request a line on stdin, runs the DAG as scheduler, supervisor and triggerer would,
and answers with the task logs. Started by :mod:`lab.engines.airflow` with an ``AIRFLOW_HOME`` that is thrown away.

Nothing is simulated that writes a log: the tasks run in processes forked by Airflow's supervisor, against Airflow's execution API.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

HOME = Path(os.environ["AIRFLOW_HOME"])
DAGS = HOME / "dags"
SECONDS = 20
"""A run that has not ended by then is taken as it stands."""
_BUNDLE = "dags-folder"
_WARM = (
    "airflow.providers.common.sql.operators.sql",
    "airflow.providers.smtp.operators.smtp",
    "airflow.providers.standard.operators.python",
    "airflow.providers.standard.sensors.external_task",
    "airflow.sdk.execution_time.task_runner",
    "airflow.sdk.io",
)
"""What most scenarios import: forked processes have it already."""


def main() -> None:
    """See the module."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(os.open(HOME / "console.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND), 1)
    from airflow import __version__
    from airflow.utils.db import initdb

    for name in _WARM:
        import_module(name)
    initdb()
    print(json.dumps({"version": __version__}), file=answers, flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        with _environment(request["env"]):
            print(json.dumps(run(request)), file=answers, flush=True)


@contextmanager
def _environment(given: dict[str, str]) -> Iterator[None]:
    before = dict(os.environ)
    os.environ.update(given)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def run(request: dict[str, Any]) -> list[dict[str, str]]:
    """The logs of one request: of the import where that fails, else of every task try that ran."""
    path = DAGS / request["file"]
    for old in DAGS.glob("*"):
        old.unlink() if old.is_file() else None
    path.write_text(request["dag"], encoding="utf-8")
    bag = _parse(path)
    if bag.import_errors:
        return [{"view": "import error", "text": text} for text in bag.import_errors.values()]
    dag = next(iter(bag.dags.values()))
    try:
        stored, dag_run = _start(bag, dag, request["conf"])
    except Exception as error:  # noqa: BLE001 - a run that cannot be made is what some scenarios are about
        import traceback

        return [{"view": "trigger", "text": "".join(traceback.format_exception(error))}]
    if request["later"]:
        path.write_text(request["later"], encoding="utf-8")
    return list(_drive(stored, dag, dag_run))


def _parse(path: Path) -> Any:
    from airflow.dag_processing.dagbag import BundleDagBag

    return BundleDagBag(dag_folder=str(path), bundle_path=DAGS, bundle_name=_BUNDLE)


def _start(bag: Any, dag: Any, conf: dict[str, Any]) -> Any:
    from airflow.dag_processing.bundles.manager import DagBundlesManager
    from airflow.dag_processing.dagbag import sync_bag_to_db
    from airflow.models.dagrun import DagRun
    from airflow.sdk import timezone
    from airflow.serialization.serialized_objects import DagSerialization
    from airflow.utils.session import create_session
    from airflow.utils.state import DagRunState
    from airflow.utils.types import DagRunTriggeredByType, DagRunType

    with create_session() as session:
        manager: Any = DagBundlesManager
        manager().sync_bundles_to_db(session=session)
    sync_bag_to_db(bag, _BUNDLE, None)
    stored = DagSerialization.deserialize_dag(DagSerialization.serialize_dag(dag))
    now = timezone.utcnow()
    run_id = DagRun.generate_run_id(run_type=DagRunType.MANUAL, logical_date=now, run_after=now)
    with create_session() as session:
        return stored, stored.create_dagrun(
            run_id=run_id, logical_date=now, data_interval=(now, now), run_after=now, conf=conf, run_type=DagRunType.MANUAL,
            triggered_by=DagRunTriggeredByType.TEST, state=DagRunState.RUNNING, start_date=now, session=session,
        )  # fmt: skip


def _drive(stored: Any, dag: Any, dag_run: Any) -> Iterator[dict[str, str]]:
    from airflow.models.dagrun import DagRun
    from airflow.utils.session import create_session
    from airflow.utils.state import DagRunState

    deadline = time.monotonic() + SECONDS
    done: dict[str, dict[str, str]] = {}
    while time.monotonic() < deadline:
        with create_session() as session:
            current = session.get_one(DagRun, dag_run.id)
            current.dag = stored
            ready, _ = current.update_state(session=session)
            state = current.state
            every = current.get_task_instances(session=session)
            ids = [(ti.id, ti.state) for ti in (*ready, *(ti for ti in every if ti.state == "scheduled"))]
            waiting = [ti.id for ti in every if ti.state == "deferred"]
        if state != DagRunState.RUNNING:
            break
        for key, before in ids:
            log = _supervise(dag, key, before)
            done[log["log"]] = log
        for key in waiting:
            _trigger(key)
        if not ids and not waiting:
            time.sleep(0.2)
    yield from done.values()


def _supervise(dag: Any, key: Any, before: Any) -> dict[str, str]:
    """One try in a process of its own; the log file is the whole try's, also after a deferral."""
    from airflow.executors.workloads import BundleInfo, ExecuteTask
    from airflow.models.taskinstance import TaskInstance
    from airflow.sdk.execution_time.supervisor import InProcessTestSupervisor, supervise_task
    from airflow.utils.session import create_session
    from sqlalchemy import select

    with create_session() as session:
        ti = session.scalars(select(TaskInstance).where(TaskInstance.id == key)).one()
        if before != "up_for_reschedule" and ti.next_method is None:
            ti.try_number += 1
        ti.state = "queued"
        session.flush()
        workload = ExecuteTask.make(ti, dag_rel_path=Path(dag.relative_fileloc), bundle_info=BundleInfo(name=_BUNDLE))
        names = {"dag_id": ti.dag_id, "task_id": ti.task_id, "run_id": ti.run_id, "operator": ti.operator or ""}
    ours: Any = InProcessTestSupervisor
    handed: Any = workload.ti
    supervise_task(
        ti=handed, bundle_info=workload.bundle_info, dag_rel_path=workload.dag_rel_path, token="", log_path=workload.log_path,
        client=ours._api_client(dag),
    )  # fmt: skip
    with create_session() as session:
        state = str(session.scalars(select(TaskInstance.state).where(TaskInstance.id == key)).one_or_none())
    text = (HOME / "logs" / str(workload.log_path)).read_text(encoding="utf-8")
    return {**names, "view": "task log", "log": str(workload.log_path), "state": state, "text": text}


def _trigger(key: Any) -> None:
    """Run the trigger of a deferred task until it fires, raises, or the scheduler times it out."""
    from airflow.jobs.scheduler_job_runner import SchedulerJobRunner
    from airflow.models.taskinstance import TaskInstance
    from airflow.models.trigger import Trigger
    from airflow.sdk import timezone
    from airflow.sdk._shared.module_loading import import_string
    from airflow.utils.session import create_session

    with create_session() as session:
        ti = session.get_one(TaskInstance, key)
        row = session.get_one(Trigger, ti.trigger_id)
        number, trigger, until = row.id, import_string(row.classpath)(**row.kwargs), ti.trigger_timeout
    seconds = (until - timezone.utcnow()).total_seconds() + 0.1 if until else SECONDS
    try:
        event = asyncio.run(asyncio.wait_for(_first(trigger), max(seconds, 0.1)))
    except asyncio.TimeoutError:
        with create_session() as session:
            scheduler: Any = SimpleNamespace(log=SimpleNamespace(info=print))
            SchedulerJobRunner.check_trigger_timeouts(scheduler, session=session)
    except Exception as error:  # noqa: BLE001 - the triggerer, too, hands on whatever a trigger raises
        Trigger.submit_failure(number, error)
    else:
        Trigger.submit_event(number, event)


async def _first(trigger: Any) -> Any:
    async for event in trigger.run():
        return event
    raise RuntimeError("trigger ended without an event")


if __name__ == "__main__":
    main()
