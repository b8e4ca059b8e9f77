"""A question is asked once, answered once, and an answer that comes too late changes nothing."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from tests.tick.scene import NETWORK, ORDERS, SHARDS, Scene

from airflow_oncall.act.approval import answer, body, link
from airflow_oncall.errors import StoreUnavailable
from airflow_oncall.incident import ActionState, State, TaskRef
from airflow_oncall.store import records
from airflow_oncall.store.records import now

ANN = {"id": "1", "name": "ann"}


def reply(scene: Scene, option: str | None, number: int = 1, user: Any = ANN) -> str:
    """The answer of ``ann``, or of nobody."""
    response = {"chosen_options": [option], "params_input": {}, "responded_by_user": user} if option else None
    return answer(scene.another_worker("approval"), scene.api, scene.incident.id, number, response)


def question_run(scene: Scene) -> str:
    """The run of the first question about the only incident."""
    return scene.store.reading.actions(scene.incident.id)[0].own_run_id


def action_state(scene: Scene) -> ActionState:
    return scene.store.reading.actions(scene.incident.id)[0].state


def test_a_question_tells_what_failed_why_and_what_is_proposed(asked: Scene) -> None:
    run = asked.airflow.runs["oncall_approval", question_run(asked)]
    assert run.conf["subject"] == "Clear nightly.load_orders? network_connectivity at try 1"
    for part in (
        "nightly/scheduled__2026-11-21/load_orders",
        "network_connectivity (90%)",
        "clear task",
        "90%",
        "Connection reset by peer",
    ):
        assert part in run.conf["body"]
    assert f"({asked.airflow.url}/dags/nightly/runs/scheduled__2026-11-21/tasks/load_orders)" in run.conf["body"]


def test_a_question_is_one_run_however_often_it_is_asked(asked: Scene) -> None:
    asked.ticks(3)
    assert len(asked.airflow.did("trigger")) == 1
    assert asked.state == State.ASKED


def test_a_question_whose_run_started_though_no_answer_came_is_one_run(failed: Scene) -> None:
    failed.mode = "ask"
    failed.airflow.drop_after("/oncall_approval/dagRuns")
    failed.tick()
    failed.ticks(2)
    assert (len(failed.airflow.did("trigger")), failed.state) == (1, State.ASKED)


def test_a_question_that_airflow_could_not_take_is_asked_later(failed: Scene) -> None:
    failed.mode = "ask"
    failed.airflow.answer_with(503, on="/oncall_approval/dagRuns")
    failed.tick()
    failed.ticks(2)
    assert (len(failed.airflow.did("trigger")), failed.state) == (1, State.ASKED)


@pytest.mark.parametrize("status", [403, 404])
def test_a_question_that_cannot_be_asked_is_escalated(failed: Scene, status: int) -> None:
    failed.mode = "ask"
    failed.airflow.answer_with(status, on="/oncall_approval/dagRuns")
    failed.tick()
    assert failed.state == State.ESCALATED
    assert f"could not be asked: trigger_dag_run oncall_approval: HTTP {status}" in failed.incident.detail


def test_an_approval_clears_and_is_kept_with_the_persons_name(asked: Scene) -> None:
    assert reply(asked, "Approve") == "cleared try 1"
    assert asked.airflow.clears == [(ORDERS,)]
    assert asked.labels() == [("approval", "clear_task", "ann")]
    assert asked.store.reading.actions(asked.incident.id)[0].approved_by == "ann"
    assert asked.airflow.instances[ORDERS].note == f"{asked.store.reading.actions(1)[0].mark} Approved by ann. " + " ".join(
        asked.store.reading.decisions(asked.incident.id)[0].reasons
    )


def test_an_approved_clear_is_followed_to_its_end(asked: Scene) -> None:
    reply(asked, "Approve")
    asked.airflow.schedule()
    asked.airflow.succeed(ORDERS)
    asked.ticks(1)
    assert (asked.state, asked.outcomes()) == (State.RESOLVED, ["success"])


def test_a_rejection_does_nothing_and_escalates(asked: Scene) -> None:
    reply(asked, "Reject")
    asked.ticks(1)
    assert (asked.state, asked.airflow.clears, action_state(asked)) == (State.ESCALATED, [], ActionState.DROPPED)
    assert asked.labels() == [("rejection", "clear_task", "ann")]


def test_no_answer_in_time_does_nothing_and_escalates(asked: Scene) -> None:
    reply(asked, None)
    assert (asked.state, asked.airflow.clears, action_state(asked)) == (State.ESCALATED, [], ActionState.DROPPED)
    assert asked.labels() == [("no_answer", "clear_task", "airflow")]


def test_an_approval_given_twice_clears_once(asked: Scene) -> None:
    reply(asked, "Approve")
    asked.airflow.schedule()
    asked.airflow.fail(ORDERS)
    assert "nothing is done" in reply(asked, "Approve")
    assert asked.airflow.clears == [(ORDERS,)]


def test_an_approval_after_a_person_cleared_it_by_hand_does_nothing(asked: Scene) -> None:
    asked.airflow.clear_by_hand(ORDERS)
    assert "not done" in reply(asked, "Approve")
    assert (asked.airflow.clears, action_state(asked)) == ([], ActionState.SUPERSEDED)


def test_a_question_is_void_when_a_person_was_faster(asked: Scene) -> None:
    asked.airflow.clear_by_hand(ORDERS)
    asked.airflow.schedule()
    asked.ticks(1)
    assert (asked.state, action_state(asked)) == (State.VERIFYING, ActionState.SUPERSEDED)
    asked.airflow.succeed(ORDERS)
    asked.ticks(1)
    assert (asked.state, asked.airflow.clears) == (State.RESOLVED, [])


def test_an_answer_to_an_older_question_changes_nothing(asked: Scene) -> None:
    asked.airflow.clear_by_hand(ORDERS)
    asked.airflow.schedule()
    asked.airflow.fail(ORDERS)
    asked.ticks(3)
    assert asked.incident.decisions == 2
    assert "question 1 is no longer asked" in reply(asked, "Approve", number=1)
    assert (asked.state, asked.airflow.clears) == (State.ASKED, [])
    reply(asked, "Approve", number=2)
    assert asked.airflow.clears == [(ORDERS,)]


def test_an_answer_waits_for_a_triage_that_works_on_the_incident(asked: Scene) -> None:
    asked.later()
    asked.claimed()
    with pytest.raises(StoreUnavailable, match="being worked on"):
        reply(asked, "Approve")
    asked.store.queue.release(asked.incident.id)
    reply(asked, "Approve")
    assert asked.airflow.clears == [(ORDERS,)]


@pytest.mark.parametrize("end", ["success", "failed"])
def test_a_question_whose_run_ended_without_telling_us_is_escalated(asked: Scene, end: str) -> None:
    asked.airflow.end_run("oncall_approval", question_run(asked), end)
    asked.ticks(1)
    assert (asked.state, asked.airflow.clears) == (State.ESCALATED, [])
    assert f"nobody answered: the question's run is {end}" in asked.incident.detail


def hours_pass(scene: Scene, monkeypatch: pytest.MonkeyPatch, hours: float) -> None:
    at = now() + timedelta(hours=hours)
    monkeypatch.setattr(records.clock, "read", lambda: at)
    scene.ticks(1)


@pytest.mark.parametrize("state", ["queued", "running"])
def test_a_question_that_never_gets_as_far_as_to_be_asked_is_a_persons_in_the_end(
    asked: Scene, monkeypatch: pytest.MonkeyPatch, state: str
) -> None:
    asked.airflow.runs["oncall_approval", question_run(asked)].state = state
    hours_pass(asked, monkeypatch, 12)
    assert asked.state == State.ASKED
    hours_pass(asked, monkeypatch, 2)
    assert (asked.state, asked.airflow.clears, action_state(asked)) == (State.ESCALATED, [], ActionState.DROPPED)
    assert f"run is {state}; is oncall_approval paused? Unpause it" in asked.incident.detail


def test_a_question_that_began_late_has_all_its_time(asked: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    run = asked.airflow.runs["oncall_approval", question_run(asked)]
    run.state, run.started_at = "running", now() + timedelta(hours=10)
    hours_pass(asked, monkeypatch, 20)
    assert asked.state == State.ASKED


def test_an_answer_that_waits_for_a_scheduler_is_carried_out_all_the_same(asked: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    question = ("oncall_approval", question_run(asked))
    asked.airflow.runs[question].state = "running"
    asked.airflow.answers[question] = ("Approve", "ann")
    hours_pass(asked, monkeypatch, 14)
    assert asked.airflow.clears == [(ORDERS,)]


@pytest.mark.parametrize(("option", "clears"), [("Approve", [(ORDERS,)]), ("Reject", [])])
def test_an_answer_that_its_run_could_not_tell_us_is_read_and_carried_out(asked: Scene, option: str, clears: list[Any]) -> None:
    question = ("oncall_approval", question_run(asked))
    asked.airflow.answers[question] = (option, "ann")
    asked.airflow.end_run(*question, "failed")
    asked.ticks(1)
    assert asked.airflow.clears == clears
    assert asked.labels()[0][2] == "ann"


def test_an_answer_to_a_closed_incident_does_nothing(asked: Scene) -> None:
    asked.airflow.delete_dag("nightly")
    asked.ticks(2)
    assert asked.state == State.CLOSED
    assert "nothing is left to do" in reply(asked, "Approve")


def test_a_question_whose_run_was_deleted_is_escalated(asked: Scene) -> None:
    del asked.airflow.runs["oncall_approval", question_run(asked)]
    asked.ticks(1)
    assert (asked.state, len(asked.airflow.did("trigger"))) == (State.ESCALATED, 1)


@pytest.mark.parametrize(("user", "name"), [(ANN, "ann"), ({"id": "7", "name": None}, "7"), (None, "unknown"), ("bob", "bob")])
def test_whoever_answered_is_named(asked: Scene, user: Any, name: str) -> None:
    reply(asked, "Approve", user=user)
    assert asked.labels()[0][2] == name


def test_a_link_leads_to_the_map_index(asked: Scene) -> None:
    incident = replace(asked.incident, ref=replace(SHARDS[1], run_id="a b/c+d"))
    assert link(incident, "http://airflow") == "http://airflow/dags/shards/runs/a%20b%2Fc%2Bd/tasks/work/mapped/1"
    run = replace(incident, ref=TaskRef("shards", "r"))
    assert link(run, "http://airflow") == "http://airflow/dags/shards/runs/r"


def test_text_of_a_failure_cannot_break_out_of_its_frame(asked: Scene) -> None:
    decision, seen = asked.store.reading.decision(asked.incident.id), asked.store.reading.occurrences(asked.incident.id)[0]
    assert decision is not None
    evil = replace(NETWORK, evidence=("```\n[click](http://evil)\n```",), category="a | b")
    text = body(asked.incident, evil, decision, seen, "http://airflow")
    assert text.count("```") == 2
    assert "a \\| b" in text
