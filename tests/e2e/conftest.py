"""One real Airflow for the whole session: scheduler, api-server, dag-processor, triggerer, LocalExecutor, on PostgreSQL."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from demo.deployment import ROOT, Deployment
from lab.engines.postgres_server import SUPERUSER, Cluster
from sqlalchemy import make_url

from airflow_oncall.store.engine import engine_for
from airflow_oncall.store.sql import Store
from tests.e2e.crash import kill_triage_while_it_clears
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
def metadata() -> Iterator[Cluster]:
    """The server of Airflow's own database and of the incident store."""
    with server({"max_connections": "200", "shared_buffers": "128MB", "synchronous_commit": "off"}) as running:
        running.admin.execute("CREATE DATABASE airflow")
        running.admin.execute("CREATE DATABASE oncall")
        yield running


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory, warehouse: Cluster, metadata: Cluster) -> Iterator[World]:
    """Airflow, up and healthy, with our DAGs, those of the tests, and the store it uses; the engines' logs are polled."""
    home = tmp_path_factory.mktemp("e2e")
    include, events = home / "include" / "oncall", home / "spark-events"
    include.mkdir(parents=True)
    events.mkdir()
    (include / "sources.yaml").write_text(SOURCES.format(logs=warehouse.logs, events=events))
    dags = home / "bundle"
    shutil.copytree(HERE / "dags", dags)
    (home / "mended").mkdir()
    env = SETTINGS | {
        **java(),
        "AIRFLOW_CONN_WAREHOUSE": connection_to(warehouse, "postgres", "etl"),
        "AIRFLOW_CONN_ONCALL_DB": connection_to(metadata, "oncall", SUPERUSER),
        "E2E_SPARK_EVENTS": events.as_uri(),
        "E2E_WAREHOUSE": f"host={warehouse.folder} port={warehouse.port} user=etl dbname=postgres",
        "E2E_MENDED": str(home / "mended"),
        "PYTHONPATH": os.pathsep.join([str(HERE / "lib"), str(ROOT / "plugins")]),
    }
    own = f"postgresql+psycopg://{SUPERUSER}@127.0.0.1:{metadata.port}"
    with Deployment(home, bundles={"oncall": ROOT / "dags", "tests": dags}, database=f"{own}/airflow", env=env) as airflow:
        airflow.adopt(warehouse.pid)
        airflow.adopt(metadata.pid)
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
        engines = [engine_for(make_url(f"{own}/{database}"), 30.0) for database in ("airflow", "oncall")]
        world = World(airflow, home, dags, engines[0], Store.over(engines[1], "tests"))
        world.begun["r_crash"] = kill_triage_while_it_clears(world)
        world.begun |= {dag_id: airflow.trigger(dag_id) for dag_id in ("l_spark_and_sql", "l_nothing_written_down")}
        yield world
        for engine in engines:
            engine.dispose()
        for cluster in (warehouse, metadata):
            cluster.admin.close()  # PostgreSQL shuts down once nobody is connected


def connection_to(cluster: Cluster, database: str, user: str) -> str:
    """An Airflow connection, as its environment variable has it."""
    where = {"host": "127.0.0.1", "port": cluster.port, "schema": database}
    return json.dumps({"conn_type": "postgres", "login": user, **where})
