"""One real Airflow for the whole session: scheduler, api-server, dag-processor, triggerer, LocalExecutor."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from demo.deployment import ROOT, Deployment
from lab.engines.postgres_server import Cluster

from airflow_oncall.store.schema import upgrade
from tests.e2e.world import World
from tests.logs.postgres_world import server
from tests.logs.spark_world import java

HERE = Path(__file__).parent

SETTINGS = {
    "AIRFLOW__ONCALL__MODE": "auto",
    "AIRFLOW__CORE__EXECUTOR": "e2e_executor.RevokingLocalExecutor",
    "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "5",
    # Airflow's own patience, shortened so that a test can await it.
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "40",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "5",
    "AIRFLOW__SCHEDULER__TASK_QUEUED_TIMEOUT": "45",
    "AIRFLOW__SCHEDULER__TASK_QUEUED_TIMEOUT_CHECK_INTERVAL": "5",
    "AIRFLOW__SCHEDULER__NUM_STUCK_IN_QUEUED_RETRIES": "0",
    "AIRFLOW__WORKERS__MISSING_DAG_RETRIES": "1",
    "AIRFLOW__WORKERS__MISSING_DAG_RETRY_DELAY": "1",
    "AIRFLOW__WORKERS__EXECUTION_API_TIMEOUT": "15",
    "AIRFLOW__WORKERS__EXECUTION_API_RETRIES": "1",
}


SOURCES = """
sources:
  - {{name: warehouse, kind: postgres_files, path: {logs}, start: start}}
  - {{name: spark, kind: spark_events, path: {events}, start: start}}
"""


@pytest.fixture(scope="session")
def warehouse() -> Iterator[Cluster]:
    """A database that tasks work on."""
    with server({}) as running:
        yield running


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory, warehouse: Cluster) -> Iterator[World]:
    """Airflow, up and healthy, with our DAGs, those of the tests, and the store it uses; the engines' logs are polled."""
    home = tmp_path_factory.mktemp("e2e")
    include, events = home / "include" / "oncall", home / "spark-events"
    include.mkdir(parents=True)
    events.mkdir()
    (include / "sources.yaml").write_text(SOURCES.format(logs=warehouse.logs, events=events))
    dags = home / "bundle"
    shutil.copytree(HERE / "dags", dags)
    (home / "mended").mkdir()
    database = {"host": str(warehouse.folder), "port": warehouse.port, "login": "etl", "schema": "postgres", "conn_type": "postgres"}
    env = SETTINGS | {
        **java(),
        "AIRFLOW_CONN_WAREHOUSE": json.dumps(database),
        "E2E_SPARK_EVENTS": events.as_uri(),
        "E2E_WAREHOUSE": f"host={warehouse.folder} port={warehouse.port} user=etl dbname=postgres",
        "E2E_MENDED": str(home / "mended"),
        "PYTHONPATH": os.pathsep.join([str(HERE / "lib"), str(ROOT / "plugins")]),
    }
    with Deployment(home, bundles={"oncall": ROOT / "dags", "tests": dags}, env=env) as airflow:
        airflow.wait_ready(
            [
                "oncall_triage",
                "oncall_approval",
                "oncall_poll",
                "l_spark_and_sql",
                "m_exception",
                "m_worker_only_import_error",
                "r_mapped",
                "r_crash",
            ]
        )
        world = World(airflow, home, dags)
        upgrade(world.store.engine)
        world.begun |= {dag_id: airflow.trigger(dag_id) for dag_id in ("l_spark_and_sql", "l_nothing_written_down")}
        yield world
