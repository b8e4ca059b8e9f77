"""Repairs on a real Airflow: exactly the failed task instance, asked where declared, followed to the end, once also after a crash."""

from __future__ import annotations

import pytest

from airflow_oncall.incident import ActionState, OutcomeKind, State
from tests.e2e.world import World

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def runs(world: World) -> dict[str, str]:
    """All have begun, so that nobody waits for each by itself."""
    started = {"r_timed_out": world.airflow.trigger("r_timed_out")}
    world.until(lambda: world.tries("r_timed_out", started["r_timed_out"], "before"), ["success"].__eq__, "the first task does not end")
    return started | {dag_id: world.airflow.trigger(dag_id) for dag_id in ("r_mapped", "r_approved", "r_rejected", "r_moved_by_hand")}


def test_only_the_failed_mapped_task_instance_is_cleared_and_what_waited_for_it(world: World, runs: dict[str, str]) -> None:
    run_id = runs["r_mapped"]
    world.incident_in("r_mapped", State.VERIFYING, State.OPEN, State.DIAGNOSED, State.WAITING, State.ACTING)
    world.mend("r_mapped")
    incident = world.incident_in("r_mapped", State.RESOLVED)
    assert (incident.ref.task_id, incident.ref.map_index) == ("shard", 3)
    assert world.ended("r_mapped", run_id) == "success"
    tries = [world.tries("r_mapped", run_id, "shard", index) for index in range(5)]
    assert [states for index, states in enumerate(tries) if index != 3] == [["success"]] * 4
    assert tries[3][0] == "failed"
    assert tries[3][-1] == "success"
    assert world.tries("r_mapped", run_id, "total")[-1] == "success"


def test_an_approved_question_clears_and_the_users_name_is_stored(world: World, runs: dict[str, str]) -> None:
    run_id = runs["r_approved"]
    incident = world.incident_in("r_approved", State.ASKED)
    world.mend("r_approved")
    world.answer(world.question(incident), "Approve")
    world.incident_in("r_approved", State.RESOLVED)
    assert world.tries("r_approved", run_id, "asked") == ["failed", "success"]
    (action,) = world.store.reading.actions(incident.id)
    assert (action.state, action.approved_by) == (ActionState.DONE, "bob")
    assert [label["name"] for label in world.store.reading.labels(incident.id)] == ["approval", "outcome"]


def test_a_rejected_question_does_nothing_and_escalates(world: World, runs: dict[str, str]) -> None:
    run_id = runs["r_rejected"]
    incident = world.incident_in("r_rejected", State.ASKED)
    world.answer(world.question(incident), "Reject")
    world.incident_in("r_rejected", State.ESCALATED)
    assert world.tries("r_rejected", run_id, "asked") == ["failed"]
    assert world.clears("r_rejected") == []
    (label,) = world.store.reading.labels(incident.id)
    assert (label["name"], label["given_by"]) == ("rejection", "bob")


def test_a_person_who_clears_it_first_makes_the_question_void(world: World, runs: dict[str, str]) -> None:
    run_id = runs["r_moved_by_hand"]
    incident = world.incident_in("r_moved_by_hand", State.ASKED)
    question = world.question(incident)
    world.mend("r_moved_by_hand")
    by_hand = {"dry_run": False, "dag_run_id": run_id, "task_ids": ["asked"], "only_failed": True}
    world.airflow.post("/dags/r_moved_by_hand/clearTaskInstances", by_hand, user="bob")
    world.ended("r_moved_by_hand", run_id)
    world.answer(question, "Approve")
    world.incident_in("r_moved_by_hand", State.RESOLVED)
    world.ended("oncall_approval", question)
    assert world.tries("r_moved_by_hand", run_id, "asked") == ["failed", "success"]
    assert len(world.clears("r_moved_by_hand")) == 1
    assert [one.kind for one in world.store.reading.outcomes(incident.id)] == [OutcomeKind.SUPERSEDED]


def test_a_run_that_timed_out_goes_on_where_it_was_cut_off(world: World, runs: dict[str, str]) -> None:
    run_id = runs["r_timed_out"]
    incident = world.incident_in("r_timed_out", State.ASKED)
    world.mend("r_timed_out")
    world.answer(world.question(incident), "Approve")
    world.incident_in("r_timed_out", State.RESOLVED)
    assert world.run_state("r_timed_out", run_id) == "success"
    assert world.tries("r_timed_out", run_id, "before") == ["success"]
    assert world.tries("r_timed_out", run_id, "outlast")[-1] == "success"
    assert world.tries("r_timed_out", run_id, "after")[-1] == "success"


def test_triage_killed_between_planned_and_done_clears_exactly_once(world: World) -> None:
    """Triage died while its clear was on its way, and the clear happened after its death."""
    incident = world.incident_in("r_crash", State.RESOLVED)
    assert world.tries("r_crash", world.begun["r_crash"], "cleared_once") == ["failed", "success"]
    assert len(world.clears("r_crash")) == 1
    assert [action.state for action in world.store.reading.actions(incident.id)] == [ActionState.DONE]
