"""The shipped runbooks: each is a DAG that ``run_runbook`` takes, and does what it says. No SSH server runs where the tests do."""

from __future__ import annotations

import importlib.util
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx
import psycopg
import pytest
from airflow.sdk import DAG, BaseOperator
from airflow.sdk.exceptions import ParamValidationError
from tests.simulated_airflow import SimulatedAirflow

from airflow_oncall.act.actions.run_runbook import TAG

FOLDER = Path(__file__).parents[2] / "examples" / "runbooks"
RUNBOOKS = sorted(path.stem for path in FOLDER.glob("*.py"))


class SSHOperator(BaseOperator):
    """Stands for the provider's operator, which takes the same."""

    template_fields = ("command", "environment", "remote_host")

    def __init__(self, *, ssh_conn_id: str, remote_host: str, command: str, cmd_timeout: int, **more: Any) -> None:
        super().__init__(**more)
        self.ssh_conn_id, self.remote_host, self.command, self.cmd_timeout = ssh_conn_id, remote_host, command, cmd_timeout


@pytest.fixture
def runbook(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], DAG]:
    """Loads one as Airflow does."""
    provider = ModuleType("airflow.providers.ssh.operators.ssh")
    provider.SSHOperator = SSHOperator  # type: ignore[attr-defined]
    for name in ("airflow.providers.ssh", "airflow.providers.ssh.operators"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    monkeypatch.setitem(sys.modules, provider.__name__, provider)

    def load(name: str) -> DAG:
        spec = importlib.util.spec_from_file_location(f"runbook_{name}", FOLDER / f"{name}.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        found = module.dag
        assert isinstance(found, DAG)
        return found

    return load


def call(dag: DAG, task_id: str, **params: Any) -> Any:
    """Run a task's own code with these params."""
    return dag.get_task(task_id).python_callable(params=params)  # type: ignore[union-attr]


@pytest.mark.parametrize("name", RUNBOOKS)
def test_each_is_a_runbook_that_only_triage_starts(runbook: Callable[[str], DAG], name: str) -> None:
    dag = runbook(name)
    assert dag.dag_id == name
    assert TAG in dag.tags
    assert not dag.schedule
    assert dag.doc_md


def test_there_are_those_that_the_documents_name() -> None:
    assert RUNBOOKS == ["cleanup_logs", "health_check", "restart_connection_pool", "restart_service"]


def test_a_service_is_restarted_and_then_looked_at(runbook: Callable[[str], DAG]) -> None:
    dag = runbook("restart_service")
    assert dag.get_task("restart").downstream_task_ids == {"check"}
    assert dag.get_task("restart").command == "sudo systemctl restart {{ params.service }}"  # type: ignore[union-attr]


@pytest.mark.parametrize("service", ["broker; rm -rf /", "$(id)", "-broker", "", "a b", "a\nb", "broker\n"])
def test_a_service_with_a_name_that_is_none_reaches_no_shell(runbook: Callable[[str], DAG], service: str) -> None:
    params = runbook("restart_service").params
    with pytest.raises(ParamValidationError):
        params["service"] = service


def old(path: Path, days: int) -> Path:
    """A log file that was written so long ago."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("x" * 1000)
    os.utime(path, (time.time() - days * 86_400,) * 2)
    return path


def test_only_old_log_files_are_deleted(runbook: Callable[[str], DAG], tmp_path: Path) -> None:
    kept = [old(tmp_path / "new.log", 1), old(tmp_path / "a" / "data.csv", 90), old(tmp_path.with_name(f"{tmp_path.name}-outside.log"), 90)]
    (tmp_path / "link.log").symlink_to(kept[2])
    gone = [old(tmp_path / "a" / "task.log", 90), old(tmp_path / "task.log.1", 90)]
    assert call(runbook("cleanup_logs"), "delete_old_logs", folder=str(tmp_path), days=14) == 2000
    assert all(path.exists() for path in kept)
    assert not any(path.exists() for path in gone)


def test_a_clean_up_that_frees_nothing_fails(runbook: Callable[[str], DAG], tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no log file below"):
        call(runbook("cleanup_logs"), "delete_old_logs", folder=str(tmp_path), days=14)


def test_a_service_is_healthy_when_it_answers(
    runbook: Callable[[str], DAG], airflow: SimulatedAirflow, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_ONCALL_HEALTH", f"http://127.0.0.1:{airflow.url.rpartition(':')[2]}")
    assert call(runbook("health_check"), "answers", path="/api/v2/monitor/health") == 200
    with pytest.raises(httpx.HTTPStatusError):
        call(runbook("health_check"), "answers", path="/api/v2/plugins")  # it wants a login


def test_a_pool_is_told_to_reconnect_one_database(runbook: Callable[[str], DAG], monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []

    class Console:
        def __init__(self, **where: Any) -> None:
            said.append(f"{where['user']}@{where['host']}:{where['port']}/{where['dbname']}")

        def __enter__(self) -> Console:
            return self

        def __exit__(self, *error: object) -> None:
            said.append("closed")

        def execute(self, statement: psycopg.sql.Composed) -> None:
            said.append(statement.as_string(None))

    monkeypatch.setattr(psycopg, "connect", Console)
    monkeypatch.setenv("AIRFLOW_CONN_ONCALL_PGBOUNCER", "postgres://admin:secret@pool/pgbouncer")
    call(runbook("restart_connection_pool"), "reconnect", database='sh"op')
    assert said == ["admin@pool:6432/pgbouncer", 'RECONNECT "sh""op"', "closed"]
