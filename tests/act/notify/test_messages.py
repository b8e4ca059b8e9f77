"""People hear of each incident and storm once, and how it ended when they heard of it, always under one key."""

from __future__ import annotations

from typing import Any

import pytest
from tests.act.notify.stage import pass_time, phone, policy_with
from tests.clocks import MovedClock
from tests.tick.scene import ORDERS, Scene
from tests.tick.storm_scene import StormScene

from airflow_oncall.act.approval import answer
from airflow_oncall.incident import State, StormState
from airflow_oncall.store.notices import Notices

Heard = list[tuple[str, dict[str, Any]]]


def said(heard: Heard) -> list[tuple[str, str]]:
    """Key and status of each message."""
    return [(oncall["key"], oncall["status"]) for _, oncall in heard]


def test_an_incident_is_told_once_however_often_triage_looks_at_it(bug: Scene, heard: Heard) -> None:
    bug.ticks(4)
    ((owner, oncall),) = heard
    assert (owner, oncall["key"], oncall["status"]) == ("ann", "oncall-1", "escalated")
    assert oncall["text"] == oncall["subject"] == "nightly/scheduled__2026-11-21/load_orders needs you: code_error"
    assert "a re-run does not mend it" in oncall["body"]
    assert bug.store.reading.history(1)[-1]["detail"] == {"detail": "routes.default.0 was told: escalated"}


def test_who_was_told_of_an_incident_is_told_how_it_ended(bug: Scene, heard: Heard) -> None:
    bug.tick()
    bug.airflow.mark(ORDERS, "success")
    bug.ticks(3)
    assert said(heard) == [("oncall-1", "escalated"), ("oncall-1", "resolved")]
    last = heard[-1][1]
    assert (last["action"], last["subject"]) == ("resolve", "nightly/scheduled__2026-11-21/load_orders is resolved: code_error")
    assert "succeeded at try 1 without us" in last["body"]
    assert last["message_id"] != heard[0][1]["message_id"]


def test_nobody_hears_the_end_of_what_nobody_was_told_of(failed: Scene, heard: Heard, clock: MovedClock) -> None:
    failed.policy = policy_with(phone("ann"))
    failed.tick()
    failed.airflow.schedule()
    failed.airflow.succeed(ORDERS)
    failed.ticks(3)
    assert (failed.state, heard) == (State.RESOLVED, [])


def test_an_incident_closed_by_hand_ends_with_the_words_of_who_closed_it(bug: Scene, heard: Heard) -> None:
    bug.tick()
    bug.store.ledger.closed_by_hand(bug.claimed(), "bob", "known, nobody needs it")
    bug.tick()
    assert said(heard) == [("oncall-1", "escalated"), ("oncall-1", "resolved")]
    assert "closed by bob: known, nobody needs it" in heard[-1][1]["body"]


def test_a_question_is_told_when_it_is_a_minute_old_with_the_page_that_takes_the_answer(
    question: Scene, heard: Heard, clock: MovedClock
) -> None:
    assert (question.state, heard) == (State.ASKED, [])
    pass_time(question, clock, 2)
    pass_time(question, clock, 2)
    ((_, oncall),) = heard
    assert oncall["subject"] == "nightly/scheduled__2026-11-21/load_orders waits for your answer: network_connectivity"
    ((_, run_id),) = (one for one in question.airflow.runs if one[0] == "oncall_approval")
    assert oncall["question"].endswith(f"/dags/oncall_approval/runs/{run_id}/tasks/question/required_actions")
    assert oncall["question"] in oncall["body"]


def test_a_question_that_was_answered_at_once_is_told_to_nobody(question: Scene, heard: Heard, clock: MovedClock) -> None:
    answer(question.another_worker("approval"), question.api, 1, 1, {"chosen_options": ["Approve"]})
    pass_time(question, clock, 2)
    assert heard == []


def test_question_rejection_and_end_are_one_thread(question: Scene, heard: Heard, clock: MovedClock) -> None:
    pass_time(question, clock, 2)
    answer(question.another_worker("approval"), question.api, 1, 1, {"chosen_options": ["Reject"]})
    pass_time(question, clock, 2)
    question.airflow.mark(ORDERS, "success")
    pass_time(question, clock, 5)
    assert said(heard) == [("oncall-1", "asked"), ("oncall-1", "escalated"), ("oncall-1", "resolved")]


@pytest.mark.parametrize(("tell_of", "statuses"), [(["resolved"], []), (["escalated"], ["escalated"])])
def test_a_line_of_a_route_says_what_it_is_told_of(bug: Scene, heard: Heard, tell_of: list[str], statuses: list[str]) -> None:
    bug.policy = policy_with(phone("ann", tell_of=tell_of))
    bug.tick()
    bug.airflow.mark(ORDERS, "success")
    bug.ticks(3)
    assert [status for _, status in said(heard)] == statuses


def test_a_storm_of_many_is_one_message_and_one_end(storm: StormScene, heard: Heard) -> None:
    storm.strike(8)
    storm.tick()
    for _ in range(2):
        storm.run_what_waits(fails="connection reset")
        storm.ticks(2)
    assert said(heard) == [("oncall-storm-1", "escalated")]
    assert heard[0][1]["subject"] == "A storm of 8 failed task instances needs you: network_connectivity"
    storm.approve()
    storm.ticks(1)
    storm.weather()
    storm.tick()
    assert (storm.storm.state, storm.states) == (StormState.CLOSED, {"resolved": 8})
    assert said(heard) == [("oncall-storm-1", "escalated"), ("oncall-storm-1", "resolved")]


def test_what_a_storm_leaves_to_people_is_its_last_word(storm: StormScene, heard: Heard) -> None:
    storm.mode = "ask"
    storm.strike(4, "nightly")
    storm.strike(5, "payroll", tags=("oncall:ask",))
    storm.tick()
    storm.ticks(2)
    assert said(heard) == [("oncall-storm-1", "asked")]
    storm.approve()
    storm.airflow.dags["payroll"].is_paused = True
    storm.weather()
    storm.ticks(2)
    assert storm.storm.state is StormState.CLOSED
    assert {key for key, _ in said(heard)} == {"oncall-storm-1"}
    assert len([status for _, status in said(heard) if status in ("escalated", "resolved")]) == 1


def test_forgotten_incidents_take_their_notices_along(bug: Scene, heard: Heard) -> None:
    bug.tick()
    with bug.store.engine.begin() as connection:
        connection.exec_driver_sql("PRAGMA foreign_keys = ON")
        connection.exec_driver_sql("DELETE FROM oncall_incidents")
        left = connection.exec_driver_sql("SELECT count(*) FROM oncall_notices").scalar()
    assert left == 0
    assert isinstance(bug.store.notices, Notices)
