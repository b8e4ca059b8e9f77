"""The doors through which Airflow calls in: callback, notifier, listener, cluster policy; and what they cost to import."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pluggy
import pytest
from airflow.sdk import DAG, BaseOperator, task
from tests.capture.border import MemoryIntake, dag_processor_ti, raised, worker_ti

import airflow_oncall
from airflow_oncall.capture import record
from airflow_oncall.capture.callbacks import on_failure
from airflow_oncall.capture.cluster_policy import task_policy
from airflow_oncall.capture.listener import OnCallListener
from airflow_oncall.capture.notifier import OnCallNotifier
from airflow_oncall.incident import TaskRef

_PLUGINS = Path(__file__).parents[2] / "plugins"


def _worker_context() -> dict[str, Any]:
    ti = worker_ti()
    return {"ti": ti, "task_instance": ti, "task": ti.task, "run_id": ti.run_id, "exception": raised(KeyError("customer"))}


def _dag_processor_context() -> dict[str, Any]:
    ti = dag_processor_ti()
    return {"ti": ti, "task_instance": ti, "task": SimpleNamespace(operator_name="BashOperator"), "run_id": ti.run_id}


def test_the_callback_takes_the_context_of_a_worker(intake: MemoryIntake) -> None:
    on_failure(_worker_context())

    [stored] = intake.occurrences
    assert (stored.seen_by, stored.will_retry, stored.evidence.exception_chain) == ("callback", False, ("KeyError",))


def test_the_callback_takes_the_context_of_the_dag_processor(intake: MemoryIntake) -> None:
    on_failure(_dag_processor_context())

    [stored] = intake.occurrences
    assert stored.ref == TaskRef("nightly", "scheduled__2026-11-21", "load_orders")
    assert (stored.try_number, stored.will_retry, stored.evidence.operator) == (1, False, "BashOperator")


@pytest.mark.parametrize("extra", [{}, {"ti": worker_ti(), "task_instance": worker_ti()}], ids=["bare", "with the last task instance"])
def test_the_callback_of_a_run_asks_for_a_sweep_and_blames_no_task(extra: dict[str, Any], intake: MemoryIntake) -> None:
    on_failure({"dag": SimpleNamespace(dag_id="nightly"), "run_id": "manual__1", "reason": "timed_out", **extra})

    assert (intake.occurrences, intake.sweeps) == ([], [("nightly", "manual__1")])


@pytest.mark.parametrize("context", [{}, {"ti": None}, {"reason": "task_failure"}])
def test_a_context_without_a_task_instance_raises_nothing(context: dict[str, Any], intake: MemoryIntake) -> None:
    on_failure(context)

    assert intake.occurrences == []


def test_the_notifier_forwards_to_the_callback(intake: MemoryIntake) -> None:
    notifier = OnCallNotifier()
    notifier(_worker_context())
    asyncio.run(notifier.async_notify(_worker_context()))  # type: ignore[arg-type]

    assert len(intake.occurrences) == 2
    assert len(intake.keys) == 1


@pytest.fixture
def airflow_hooks() -> Any:
    """Airflow's hook specifications with our listener registered."""
    from airflow._shared.listeners.spec import taskinstance
    from airflow.listeners.spec import dagrun, importerrors

    manager = pluggy.PluginManager("airflow")
    for specs in (taskinstance, dagrun, importerrors):
        manager.add_hookspecs(specs)
    manager.register(OnCallListener())
    manager.check_pending()
    return manager.hook


def test_the_listener_hears_of_tries_runs_and_import_errors(airflow_hooks: Any, intake: MemoryIntake) -> None:
    airflow_hooks.on_task_instance_failed(previous_state="running", task_instance=worker_ti(), error=raised(KeyError("x")))
    airflow_hooks.on_dag_run_failed(dag_run=SimpleNamespace(dag_id="nightly", run_id="manual__1"), msg="task_failure")
    airflow_hooks.on_new_dag_import_error(filename="orders.py", stacktrace="SyntaxError: invalid syntax")
    airflow_hooks.on_existing_dag_import_error(filename="orders.py", stacktrace="SyntaxError: invalid syntax")

    assert [str(stored.kind) for stored in intake.occurrences] == ["task", "dag_import"]
    assert intake.sweeps == [("nightly", "manual__1")]


def test_a_listener_that_fails_is_logged_and_raises_nothing(
    airflow_hooks: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.delattr(record, "report")

    airflow_hooks.on_task_instance_failed(previous_state="running", task_instance=worker_ti(), error=None)

    assert "could not be captured (report, AttributeError)" in caplog.text


@pytest.fixture
def policy_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """[oncall] policy_hook = True."""
    monkeypatch.setenv("AIRFLOW__ONCALL__POLICY_HOOK", "True")


def _own(context: Any) -> None:
    """A callback of the DAG author."""


@task
def _work(number: int) -> int:
    return number


def _plain() -> Any:
    return BaseOperator(task_id="plain")


def _mapped() -> Any:
    mapped: Any = _work.expand(number=[1, 2])
    return mapped.operator


@pytest.mark.parametrize("make", [_plain, _mapped])
@pytest.mark.parametrize("present", [None, _own, [_own]])
def test_the_policy_adds_the_callback_once_and_keeps_others(make: Callable[[], Any], present: Any, policy_on: None) -> None:
    with DAG("nightly", schedule=None):
        operator = make()
    operator.on_failure_callback = present

    task_policy(operator)
    task_policy(operator)

    assert list(operator.on_failure_callback) == [*([_own] if present else []), on_failure]


def test_the_policy_does_nothing_unless_it_is_switched_on() -> None:
    with DAG("nightly", schedule=None):
        operator = _plain()

    task_policy(operator)

    assert not operator.on_failure_callback


def test_the_policy_leaves_our_own_dags_alone(policy_on: None) -> None:
    with DAG("oncall_triage", schedule=None):
        operator = _plain()

    task_policy(operator)

    assert not operator.on_failure_callback


def test_a_task_that_takes_no_callback_breaks_no_dag(policy_on: None, caplog: pytest.LogCaptureFixture) -> None:
    task_policy(object())

    assert "takes no failure callback" in caplog.text


def test_the_provider_info_is_what_airflow_expects() -> None:
    import airflow

    from airflow_oncall.provider_info import get_provider_info

    schema = json.loads((Path(airflow.__file__).parent / "provider_info.schema.json").read_text())
    info = get_provider_info()

    jsonschema.validate(info, schema)
    assert info["config"]["oncall"]["options"]["mode"]["default"] == "ask"
    assert "plugins" not in info


def test_the_plugin_registers_one_listener() -> None:
    from airflow_oncall.show.plugin import OnCallPlugin

    assert OnCallPlugin.name == "oncall"
    assert [type(listener) for listener in OnCallPlugin.listeners] == [OnCallListener]


def test_the_bundle_serves_the_dags_of_the_wheel_or_of_the_repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from airflow_oncall import bundle

    assert bundle.OnCallDagBundle(name="oncall").path == _PLUGINS.parent / "dags"
    (tmp_path / "dags").mkdir()
    monkeypatch.setattr(bundle, "_PACKAGE", tmp_path)
    assert bundle.OnCallDagBundle(name="oncall").path == tmp_path / "dags"


def test_the_package_offers_callback_notifier_and_bundle_by_name() -> None:
    assert airflow_oncall.on_failure is on_failure
    assert airflow_oncall.OnCallNotifier is OnCallNotifier


@pytest.mark.parametrize("module", ["capture.callbacks", "capture.listener", "capture.record", "capture.cluster_policy", "show.plugin"])
def test_the_capture_path_loads_nothing_heavy(module: str) -> None:
    code = f"""
import sys, airflow.sdk
from airflow.sdk import DAG, task
before = set(sys.modules)
import airflow_oncall.{module}
heavy = {{"sklearn", "pandas", "numpy", "fastapi", "sqlalchemy", "alembic", "joblib", "airflow_client", "scipy"}}
print(sorted(heavy & {{name.partition(".")[0] for name in set(sys.modules) - before}}))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=_PLUGINS)

    assert done.stdout.splitlines()[-1] == "[]"
