"""What people know, at work in triage: recognised, shown with the question, weighed in the decision, proposed."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import update
from tests.knowledge.people import People
from tests.knowledge.people import entry as known
from tests.learn.past import Past
from tests.tick.scene import NETWORK, ORDERS, SHARDS, Scene

from airflow_oncall.incident import OutcomeKind, State, TaskRef
from airflow_oncall.knowledge.base import KnowledgeBase
from airflow_oncall.knowledge.book import Book
from airflow_oncall.store.tables import actions
from airflow_oncall.triage.models import Recommendation, Remedy
from airflow_oncall.upkeep import look_after_knowledge

FAILURE = "ConnectionError: vendor gateway hung up"


@pytest.fixture(autouse=True)
def own_indexes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Indexes lie in a folder of the test's own."""
    monkeypatch.setenv("AIRFLOW__ONCALL__MODELS_PATH", str(tmp_path))


@pytest.fixture
def gateway(scene: Scene) -> Scene:
    """The vendor's gateway hung up, which the brain takes for trouble of the network."""
    fail(scene, ORDERS)
    return scene


def fail(scene: Scene, ref: TaskRef) -> None:
    """A task instance fails, and its log says why."""
    scene.airflow.fail(ref)
    scene.airflow.logs[ref, 1] = [f"{FAILURE}\n".encode()]


def test_what_people_know_goes_before_what_the_brain_thinks(gateway: Scene) -> None:
    Book(gateway.store, "ada").add(known(category="rate_limit", pattern="gateway hung up", actions=["clear_task"], confidence=0.9))
    gateway.tick()
    diagnosis = gateway.store.reading.diagnosis(gateway.incident.id)
    assert diagnosis is not None
    assert (diagnosis.category, diagnosis.decided_by) == ("rate_limit", "knowledge")


def test_a_proposal_changes_nothing(gateway: Scene) -> None:
    Book(gateway.store, "upkeep").propose([known(category="code_error", pattern="gateway hung up", actions=["escalate"])])
    gateway.tick()
    diagnosis = gateway.store.reading.diagnosis(gateway.incident.id)
    assert diagnosis is not None
    assert diagnosis.category == NETWORK.category


def test_what_is_alike_is_in_the_question_and_nothing_of_it_is_markdown(gateway: Scene) -> None:
    notes = "see [here](https://evil.example) <script> | `x`"
    Book(gateway.store, "ada").add(
        known("vendor-gateway", category=NETWORK.category, pattern="hung up", actions=["clear_task"], notes=notes)
    )
    gateway.mode = "ask"
    gateway.tick()
    assert gateway.state == State.ASKED
    ((_, asked),) = [(key, run) for key, run in gateway.airflow.runs.items() if key[0] == "oncall_approval"]
    body = str(asked.conf["body"])
    assert "Similar:\n\n- Known as vendor-gateway (its pattern fits)" in body
    assert "\\[here\\]" in body
    assert "\\<script\\> \\| \\`x\\`" in body


def test_what_is_alike_moves_the_decision(gateway: Scene) -> None:
    gateway.tick()
    doubt = known("vendor-gateway", category="rate_limit", example=FAILURE, actions=["clear_task"], confidence=0.1)
    Book(gateway.store, "ada").add(doubt)
    fail(gateway, SHARDS[0])
    gateway.tick()
    newer, older = (gateway.store.reading.decision(one.id) for one in gateway.store.reading.incidents())
    assert older is not None
    assert newer is not None
    assert older.basis["probability"]["alike"] is None
    alike = newer.basis["probability"]["alike"]
    assert (alike["successes"], alike["failures"]) == (0.2, 1.8)
    assert newer.probability < older.probability
    assert any(reason.startswith("Alike: Known as vendor-gateway (100% alike)") for reason in newer.reasons)


def test_outcomes_of_what_is_alike_are_not_counted_again_for_the_task(scene: Scene) -> None:
    past = Past(scene.store)
    past.repaired(past.failed("gateway-elsewhere", FAILURE, NETWORK), OutcomeKind.FAILED_SAME)
    with scene.store.engine.begin() as connection:
        connection.execute(update(actions).values(dag_id=ORDERS.dag_id, task_id=ORDERS.task_id))
    KnowledgeBase(scene.store).catch_up()
    fail(scene, ORDERS)
    scene.brain.ranks = [Recommendation(Remedy("clear_task"), 0.8)]
    scene.tick()
    decision = scene.store.reading.decision(scene.store.reading.incidents(limit=1)[0].id)
    assert decision is not None
    alike, outcomes = (decision.basis["probability"][name] for name in ("alike", "outcomes"))
    assert (alike["successes"], outcomes) == (0, None)
    assert alike["failures"] > 0.5
    assert any(f"clear_task {decision.basis['probability']['after']:.0%}" in reason for reason in decision.reasons)


def test_an_hour_of_upkeep_proposes_what_people_resolved(scene: Scene) -> None:
    people = People(scene.store)
    for _ in range(3):
        people.repaired_by_hand(people.saw("0a1b"))
        people.a_day_passes()
    look_after_knowledge(scene.store)
    assert [one.name for one in scene.store.knowledge.all(is_proposed=True)] == ["missing-data-0a1b"]
