"""Killed right before or right after anything that it changes, every kind of action changes it once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import psycopg
import pytest
from sqlalchemy import make_url
from tests.act.actions.bench import decided
from tests.act.actions.plant import Plant
from tests.act.actions.test_terminate_blocker import as_connection
from tests.databases import Databases, fresh_store
from tests.simulated_airflow import SimulatedAirflow
from tests.simulated_world import Dag, Pool
from tests.tick.scene import ORDERS, Scene
from tests.tick.test_crash import Worker, worker_process

from airflow_oncall.incident import ActionKind, ActionState

pytestmark = pytest.mark.postgres
MOST = 12
"""More boundaries than any action has."""
APPS = {"standalone": "app-20261121020000-0007", "yarn": "application_1795225000000_0042"}


@dataclass
class Surroundings:
    """What stands around the scene."""

    scene: Scene
    plant: Plant
    database: str
    sessions: list[psycopg.Connection] = field(default_factory=list)


def nothing(around: Surroundings) -> None:
    """Nothing is needed."""


def declares_memory(around: Surroundings) -> None:
    around.scene.airflow.dags[ORDERS.dag_id].tasks[ORDERS.task_id].params = {"oncall_memory": "4g"}


def has_runbook(around: Surroundings) -> None:
    around.scene.airflow.dags["restart_broker"] = Dag(tags=("oncall-runbook",))


def runbook_ends(around: Surroundings) -> None:
    for (dag_id, run_id), run in list(around.scene.airflow.runs.items()):
        if dag_id == "restart_broker" and run.state != "success":
            around.scene.airflow.end_run(dag_id, run_id, "success")


def runs_spark(around: Surroundings) -> None:
    for app_id in APPS.values():
        around.plant.application(app_id, began=around.scene.airflow.now())


def runs_pod(around: Surroundings) -> None:
    around.plant.pod("broker-0", "uid-1")


def replaces_pod(around: Surroundings) -> None:
    if "uid-1" not in around.plant.pods:
        around.plant.pod("broker-0", "uid-2")


def holds_lock(around: Surroundings) -> None:
    session = psycopg.connect(around.database, application_name="forgotten")
    session.execute("UPDATE stock SET id = id")
    around.sessions.append(session)
    bystander = psycopg.connect(around.database, application_name="bystander")
    bystander.execute("SELECT * FROM stock")
    around.sessions.append(bystander)


@dataclass(frozen=True)
class Case:
    """One kind of action, what it needs, what happens around it meanwhile, and what it must have changed, once each."""

    kind: ActionKind
    changes: tuple[str, ...]
    """Kinds of mutations of Airflow, in order."""
    before: Callable[[Surroundings], None] = nothing
    meanwhile: Callable[[Surroundings], None] = nothing
    parameters: Mapping[str, Any] = field(default_factory=dict)
    identifiers: Mapping[str, str] = field(default_factory=dict)
    outside: tuple[str, ...] = ()


CASES = (
    Case(ActionKind.CLEAR_TASK, ("clear",)),
    Case(ActionKind.CLEAR_WITH_DELAY, ("clear",)),
    Case(ActionKind.CLEAR_DOWNSTREAM, ("clear",)),
    Case(ActionKind.RETRY_WITH_MORE_MEMORY, ("task_state", "clear"), declares_memory, parameters={"cap": "16g"}),
    Case(ActionKind.RESIZE_POOL, ("pool", "clear"), parameters={"cap": 200}),
    Case(ActionKind.PAUSE_DAG, ("pause",)),
    Case(ActionKind.MARK_SUCCESS, ("state",)),
    Case(ActionKind.SKIP, ("state",)),
    Case(ActionKind.RUN_RUNBOOK, ("trigger", "clear"), has_runbook, runbook_ends, {"runbook": "restart_broker"}),
    Case(ActionKind.TERMINATE_BLOCKER, ("clear",), holds_lock, parameters={"conn_id": "shop"}),
    *(
        Case(
            ActionKind.KILL_SPARK_APPLICATION,
            ("clear",),
            runs_spark,
            parameters={"conn_id": "spark"},
            identifiers={"application_id": app_id},
            outside=(f"kill {app_id}",),
        )
        for app_id in APPS.values()
    ),
    Case(
        ActionKind.RESTART_POD,
        ("clear",),
        runs_pod,
        replaces_pod,
        {"conn_id": "cluster", "namespace": "shop", "selector": "app=broker"},
        outside=("delete uid-1",),
    ),
)


@pytest.fixture(scope="module")
def outside() -> Iterator[Plant]:
    """A Spark master, YARN and Kubernetes for the whole file: the worker's connections are those of its start."""
    with Plant() as plant:
        yield plant


@pytest.fixture(scope="module")
def shop(databases: Databases) -> str:
    """A database with a table ``stock``."""
    url = databases.create("postgresql").set(drivername="postgresql")
    dsn = url.render_as_string(hide_password=False)
    with psycopg.connect(dsn) as connection:
        connection.execute("CREATE TABLE stock (id int); INSERT INTO stock VALUES (1)")
    return dsn


@pytest.fixture(scope="module")
def connections(outside: Plant, shop: str) -> dict[str, str]:
    """Environment variables of the Airflow connections."""
    return {**outside.connections, "AIRFLOW_CONN_SHOP": as_connection(make_url(shop))}


@pytest.fixture(scope="module")
def worker(databases: Databases, connections: dict[str, str]) -> Iterator[Worker]:
    """Carries out ticks in a process of its own, which dies where it is told."""
    with worker_process(databases, **connections) as worker:
        yield worker


def beginnings(databases: Databases, plant: Plant, shop: str) -> Iterator[Surroundings]:
    """Over and over: the orders failed, and nothing was done."""
    while True:
        for store in fresh_store(databases, "sqlite", "the-survivor"):
            with SimulatedAirflow() as airflow:
                plant.applications.clear()
                plant.pods.clear()
                plant.changes.clear()
                airflow.add(ORDERS)
                airflow.pools["default_pool"] = Pool(slots=8)
                around = Surroundings(Scene(store, airflow), plant, shop)
                try:
                    yield around
                finally:
                    for session in around.sessions:
                        session.close()


def carry_on(around: Surroundings, case: Case) -> None:
    """Leases end and ticks go on, until the action has ended."""
    for _ in range(8):
        case.meanwhile(around)
        around.scene.ticks(1)
        if around.scene.store.reading.actions(1)[-1].state is not ActionState.PLANNED:
            return


@pytest.mark.parametrize("case", CASES, ids=lambda case: "-".join([str(case.kind), *case.identifiers.values()]))
def test_killed_at_any_effect_it_has_it_once(
    case: Case,
    databases: Databases,
    worker: Worker,
    outside: Plant,
    shop: str,
    connections: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in connections.items():
        monkeypatch.setenv(name, value)
    for die_at, around in enumerate(beginnings(databases, outside, shop), 1):
        case.before(around)
        around.scene.airflow.fail(ORDERS)
        decided(around.scene, case.kind, case.identifiers, **case.parameters)
        deaths = 0
        for _ in range(3):  # of a repair in several ticks, whichever holds the boundary
            around.scene.later()
            end = worker(around.scene, "tick", die_at, effects_only=True)
            deaths += end["killed"]
            if end["killed"]:
                break
            case.meanwhile(around)
        carry_on(around, case)
        assert tuple(one.what for one in around.scene.airflow.mutations if one.what != "note") == case.changes
        assert tuple(outside.changes) == case.outside
        assert [action.state for action in around.scene.store.reading.actions(1)] == [ActionState.DONE]
        for bystander in around.sessions[1:]:
            bystander.execute("SELECT 1")
        if not deaths:
            assert die_at > 2
            return
        assert die_at < MOST
