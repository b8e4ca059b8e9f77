"""The stage for triage: a real store, a simulated Airflow behind HTTP, a brain that says what the test wants."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta

import pytest
from sqlalchemy import text
from tests.simulated_airflow import SimulatedAirflow
from tests.simulated_world import Dag

from airflow_oncall.act.policy import Policy
from airflow_oncall.incident import Diagnosis, Incident, Kind, LogEvent, Occurrence, State, TaskRef
from airflow_oncall.judgement import Judgement
from airflow_oncall.rest import AirflowApi, _login
from airflow_oncall.store.sql import Store
from airflow_oncall.tick import Tick, TickResult
from airflow_oncall.triage.models import Circumstances, Recommendation

ORDERS = TaskRef("nightly", "scheduled__2026-11-21", "load_orders")
SHARDS = [TaskRef("shards", "manual__1", "work", index) for index in range(3)]

NETWORK = Diagnosis("network_connectivity", 0.9, True, 0.9, evidence=("Connection reset by peer",))
RATE_LIMIT = Diagnosis("rate_limit", 0.9, True, 0.9)
BUG = Diagnosis("code_error", 0.95, False, 0.02)
MEMORY = Diagnosis("memory_exhaustion", 0.9, False, 0.1)

POLICY = Policy.model_validate(
    {
        "version": 1,
        "thresholds": {"auto": 0.6, "ask": 0.25},
        "budgets": {"attempts_per_task_instance": 4, "attempts_per_hour": 20},
        "after_failure": {"probability_factor": 0.9, "wait_factor": 2},
        "categories": {
            "network_connectivity": {"action": "clear_task"},
            "rate_limit": {"action": "clear_task", "wait_seconds": 30},
            "workflow_timeout": {"action": "clear_task"},
            "code_error": {"action": "escalate"},
        },
    }
)


@dataclass
class Oracle:
    """A brain whose answer the test chooses; ``breaks`` stands for a bug of ours."""

    says: Diagnosis = NETWORK
    breaks: list[str] = field(default_factory=list)
    engines: dict[str, Diagnosis] = field(default_factory=dict)
    """What it says of a text that an engine logged; else the same as of everything."""
    texts: list[str] = field(default_factory=list)
    ranks: list[Recommendation] = field(default_factory=list)
    circumstances: list[Circumstances] = field(default_factory=list)

    def recommend(self, diagnosis: Diagnosis, around: Circumstances) -> list[Recommendation]:
        self.circumstances.append(around)
        return self.ranks

    def diagnose(self, text: str, exception_chain: Sequence[str], operator: str | None, killed: bool) -> Diagnosis:
        self.texts.append(text)
        if any(word in text for word in self.breaks):
            raise ZeroDivisionError("a bug in the brain")
        return self.says

    def read(self, text: str) -> Diagnosis:
        return self.engines.get(text, self.says)


def sign_in(url: str) -> AirflowApi:
    """The API as the user of the connection."""
    return AirflowApi(url, lambda: _login(url, "oncall", "secret"))


def judgement_of(store: Store, brain: Oracle, mode: str, policy: Policy = POLICY) -> Judgement:
    """A judgement with a brain and a policy of the test's choice."""
    judgement = Judgement(store, mode)
    judgement.__dict__.update(brain=brain, policy=policy)
    return judgement


@dataclass
class Scene:
    """Store, Airflow and brain, and the ticks that run on them."""

    store: Store
    airflow: SimulatedAirflow
    brain: Oracle = field(default_factory=Oracle)
    mode: str = "auto"
    policy: Policy = POLICY

    def __post_init__(self) -> None:
        self.api = sign_in(self.airflow.url)

    def log(self, *events: LogEvent) -> None:
        """A poller finds these."""
        cursor = self.store.logs.cursor("warehouse")
        self.store.logs.commit("warehouse", cursor, {"line": cursor.get("line", 0) + 1}, events)

    def incident_of(self, kind: Kind) -> Incident:
        """The only incident of this kind."""
        (only,) = [one for one in self.store.reading.incidents() if one.kind is kind]
        return only

    def another_worker(self, name: str = "triage-2") -> Store:
        """The same store as another process sees it."""
        return Store.over(self.store.engine, name)

    def tick(self, store: Store | None = None, seconds: float = 0) -> TickResult:
        """One tick."""
        store = store or self.store
        return Tick(store, self.api, judgement_of(store, self.brain, self.mode, self.policy)).run(seconds, linger=seconds)

    def later(self) -> None:
        """So much time passes that all open incidents are due and all leases are over."""
        with self.store.engine.begin() as connection:
            connection.execute(text("UPDATE oncall_incidents SET due_at = opened_at, claimed_until = opened_at WHERE closed_at IS NULL"))

    def ticks(self, count: int = 3) -> None:
        """Some ticks with time between them."""
        for _ in range(count):
            self.later()
            self.tick()

    def notice(self, occurrence: Occurrence) -> Incident:
        """Capture reports a failure."""
        self.store.intake.record(occurrence)
        return self.incident

    @property
    def incident(self) -> Incident:
        """The only incident there is."""
        (only,) = self.store.reading.incidents()
        return only

    @property
    def state(self) -> str:
        """Where the only incident stands: a :class:`State`, which is a string."""
        return self.incident.state

    def outcomes(self) -> list[str]:
        """Of the only incident."""
        return [str(outcome.kind) for outcome in self.store.reading.outcomes(self.incident.id)]

    def labels(self) -> list[tuple[str, str, str]]:
        """Name, value and giver of what is known of the only incident."""
        return [(row["name"], row["value"], row["given_by"]) for row in self.store.reading.labels(self.incident.id)]

    def claimed(self, lease: timedelta = timedelta(minutes=3)) -> Incident:
        """The only incident, claimed."""
        claimed = self.store.queue.claim(self.incident.id, lease)
        assert claimed is not None
        return claimed


@pytest.fixture
def airflow() -> Iterator[SimulatedAirflow]:
    """A simulated Airflow that answers, with the DAG of questions."""
    with SimulatedAirflow() as airflow:
        airflow.dags["oncall_approval"] = Dag()
        yield airflow


@pytest.fixture
def scene(sqlite_store: Store, airflow: SimulatedAirflow) -> Scene:
    """An empty stage in mode auto."""
    return Scene(sqlite_store, airflow)


@pytest.fixture
def failed(scene: Scene) -> Scene:
    """The nightly orders have failed for good, and nobody has noticed yet."""
    scene.airflow.fail(ORDERS)
    return scene


def proven(scene: Scene, ref: TaskRef = ORDERS) -> Scene:
    """The same, and the task, else that of the orders, succeeded the day before."""
    yesterday = replace(ref, run_id="scheduled__yesterday")
    one = scene.airflow.add(yesterday)
    scene.airflow.mark(yesterday, "success")
    one.started_at, one.ended_at = scene.airflow.now() - timedelta(days=1), scene.airflow.now() - timedelta(hours=23)
    return scene


@pytest.fixture
def asked(failed: Scene) -> Scene:
    """A person was asked whether to clear the nightly orders."""
    failed.mode = "ask"
    failed.tick()
    assert failed.state == State.ASKED
    return failed
