"""What people see of a storm and do about it: one question, one message, their words, their nights."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from tests.tick.scene import BUG, judgement_of
from tests.tick.storm_scene import STORMY, StormScene, member

from airflow_oncall.act.policy import Maintenance, Window
from airflow_oncall.incident import ActionKind, Decision, State, StormState, Verdict
from airflow_oncall.judgement import Judged
from airflow_oncall.store.records import now
from airflow_oncall.storms import StormWatch

# people


def test_people_are_asked_once_and_told_how_many_of_what_and_what_follows(storm: StormScene) -> None:
    storm.mode = "ask"
    storm.strike(12)
    storm.ticks(3)
    (question,) = storm.questions
    assert question["subject"] == "Storm of 12: clear nightly.load? network_connectivity at try 1"
    for part in (
        "12 task instances failed with one cause, network_connectivity fingerprint connection-reset; of nightly",
        "This one is the probe: of 12 members it is repaired first",
        "When it is seen to succeed, the other members follow in growing waves without another question",
    ):
        assert part in question["body"]
    assert storm.cleared == []
    storm.approve()
    storm.ticks(1)
    assert len(storm.cleared) == 1
    storm.weather()
    assert storm.states == {"resolved": 12}
    assert len(storm.questions) == 1
    followers = [storm.store.reading.decision(one.id) for one in storm.store.reading.incidents() if one.id != storm.storm.probe_id]
    assert {decision.reasons[0] for decision in followers if decision} == {"Approved with its storm by ann."}


def test_an_approved_storm_probes_again_without_another_question(storm: StormScene) -> None:
    storm.mode = "ask"
    storm.strike(6)
    storm.tick()
    storm.approve()
    storm.run_what_waits(fails="connection reset")
    storm.ticks(2)
    assert (len(storm.cleared), len(storm.questions)) == (2, 1)


def test_a_storm_whose_question_is_rejected_does_nothing_and_tells_once(storm: StormScene, told: list[dict[str, Any]]) -> None:
    storm.mode = "ask"
    storm.strike(6)
    storm.tick()
    storm.reject()
    storm.ticks(3)
    assert (storm.cleared, storm.storm.state, storm.storm.answered_by) == ([], StormState.ESCALATED, "ann")
    assert storm.states == {"escalated": 1, "held": 5}
    (message,) = told
    assert (message["key"], message["subject"]) == (
        "oncall-storm-1",
        "A storm of 6 failed task instances needs you: network_connectivity",
    )
    assert "rejection by ann" in message["body"]


def test_when_all_probes_failed_people_are_told_once_and_asked_once_and_may_go_on(
    told: list[dict[str, Any]], handed_over: StormScene
) -> None:
    storm = handed_over
    assert (storm.storm.state, len(storm.cleared)) == (StormState.ESCALATED, 2)
    storm.ticks(2)
    (message,) = told
    assert "2 probes were not enough" in message["body"]
    (question,) = storm.questions
    assert "2 probes failed" in question["body"]
    storm.approve()
    storm.ticks(1)
    assert len(storm.cleared) == 3
    storm.weather()
    assert storm.states == {"resolved": 8}
    assert (len(told), len(storm.questions)) == (1, 1)


def test_a_bug_that_thousands_share_is_told_of_once(storm: StormScene, told: list[dict[str, Any]]) -> None:
    storm.brain.says = BUG
    storm.strike(12)
    storm.ticks(3)
    assert (storm.cleared, storm.states) == ([], {"held": 11, "escalated": 1})
    assert [message["key"] for message in told] == ["oncall-storm-1"]
    assert "12 task instances failed with one cause" in told[0]["body"]


def test_members_that_want_a_person_s_word_are_asked_about_together(storm: StormScene) -> None:
    storm.strike(4, "nightly")
    storm.strike(5, "payroll", tags=("oncall:ask",))
    storm.tick()
    for _ in range(6):
        storm.run_what_waits()
    assert storm.states == {"resolved": 4, "asked": 1, "held": 4}
    (question,) = storm.questions
    assert "your answer holds for all of those" in question["body"]
    storm.approve(storm.store.reading.incidents([State.ASKED])[0].id)
    storm.weather()
    assert (storm.states, len(storm.questions)) == ({"resolved": 9}, 1)


def test_members_that_nobody_has_to_be_asked_about_follow_while_a_question_is_open(storm: StormScene) -> None:
    storm.strike(2, "nightly")
    storm.strike(3, "payroll", tags=("oncall:ask",))
    storm.strike(4, "hourly")
    storm.tick()
    storm.ticks(2)
    for _ in range(6):
        storm.run_what_waits()
    assert storm.states == {"resolved": 6, "asked": 1, "held": 2}


def test_members_whose_question_was_rejected_are_left_and_the_storm_is_over(storm: StormScene, told: list[dict[str, Any]]) -> None:
    storm.strike(4, "nightly")
    storm.strike(5, "payroll", tags=("oncall:ask",))
    storm.tick()
    for _ in range(4):
        storm.run_what_waits()
    storm.reject(storm.store.reading.incidents([State.ASKED])[0].id)
    storm.weather()
    assert storm.states == {"resolved": 4, "escalated": 5}
    assert (storm.storm.state, len(storm.questions), len(told)) == (StormState.CLOSED, 1, 1)


@pytest.mark.parametrize(("allowed", "verdict"), [(["bob"], Verdict.ASK), (["ann", "bob"], Verdict.AUTO), ([], Verdict.AUTO)])
def test_an_approval_holds_for_members_that_its_giver_may_decide_about(struck: StormScene, allowed: list[str], verdict: Verdict) -> None:
    watch = StormWatch(struck.store, struck.api, judgement_of(struck.store, struck.brain, "ask", STORMY))
    (one, *_) = struck.store.reading.incidents([State.HELD])
    asks = Decision(one.id, 2, Verdict.ASK, ActionKind.CLEAR_TASK, 1, 0.9, ("Mode ask",), basis={"approvers": allowed})
    approved = replace(struck.storm, answer="approved", answered_by="ann")
    agreed = watch.agreed(approved, one, Judged(asks, State.ASKED, 0, 1))
    assert agreed
    assert agreed.decision.verdict is verdict


# people deal with it


def test_a_rejected_storm_that_is_released_asks_about_its_next_probe(storm: StormScene) -> None:
    storm.mode = "ask"
    storm.strike(6)
    storm.tick()
    storm.reject()
    storm.ticks(1)
    storm.store.storms.probe_again(storm.storm, "ann", "the database is up")
    storm.ticks(1)
    assert (storm.storm.state, storm.storm.answer, len(storm.questions)) == (StormState.PROBING, "", 2)
    storm.approve()
    storm.weather()
    assert storm.states == {"escalated": 1, "resolved": 5}


def test_a_storm_that_was_given_up_and_is_released_has_all_its_probes_again(storm: StormScene, told: list[dict[str, Any]]) -> None:
    storm.strike(8)
    storm.tick()
    given_up(storm)
    storm.reject()
    storm.ticks(1)
    storm.store.storms.probe_again(storm.storm, "ann", "")
    storm.ticks(1)
    assert (storm.storm.state, storm.storm.probes, len(storm.cleared)) == (StormState.PROBING, 1, 3)
    storm.weather()
    assert storm.states == {"escalated": 1, "resolved": 7}
    assert len(storm.questions) == 1


def test_a_storm_that_waits_goes_on_at_once_when_it_is_released(struck: StormScene) -> None:
    struck.run_what_waits(fails="connection reset")
    struck.tick()
    assert struck.storm.state == StormState.WAITING
    struck.store.storms.probe_again(struck.storm, "ann", "")
    struck.tick()
    assert (struck.storm.state, len(struck.cleared)) == (StormState.PROBING, 2)


def test_members_of_a_disbanded_storm_are_decided_about_by_themselves(storm: StormScene) -> None:
    storm.mode = "ask"
    storm.strike(6)
    storm.tick()
    storm.reject()
    storm.tick()
    moved = member(storm)
    storm.airflow.mark(moved, "success")
    assert storm.store.storms.disband(storm.storm, "ann", "each is another thing") == 5
    storm.ticks(2)
    assert (storm.storm.state, len(storm.questions)) == (StormState.CLOSED, 1 + 4)
    assert storm.states == {"escalated": 1, "asked": 4, "resolved": 1}
    assert len(storm.store.storms.newest(5)) == 1, "they make no new storm"


# quiet hours


def quiet(scene: StormScene, **also: Any) -> None:
    """From an hour ago to two hours ahead nobody is to be disturbed."""
    at = now()
    window = Window(start=f"{at - timedelta(hours=1):%H:%M}", end=f"{at + timedelta(hours=2):%H:%M}")  # type: ignore[arg-type]
    scene.policy = STORMY.model_copy(update={"quiet_hours": (window,), **also})


def given_up(scene: StormScene) -> StormScene:
    """Every probe failed."""
    for _ in range(2):
        scene.run_what_waits(fails="connection reset")
        scene.ticks(2)
    return scene


def test_a_storm_that_is_given_up_at_night_is_told_of_and_asked_about_when_the_night_is_over(
    struck: StormScene, told: list[dict[str, Any]]
) -> None:
    quiet(struck)
    given_up(struck)
    assert (told, struck.questions, len(struck.cleared)) == ([], [], 2)
    assert "2 probes were not enough" in struck.storm.detail
    assert "people are told when it is" in struck.storm.detail
    struck.policy = STORMY
    struck.ticks(2)
    assert (struck.storm.state, len(told), len(struck.questions)) == (StormState.ESCALATED, 1, 1)


def test_a_storm_with_a_member_of_a_critical_dag_is_told_of_at_night(storm: StormScene, told: list[dict[str, Any]]) -> None:
    quiet(storm)
    storm.strike(6, "nightly")
    storm.strike(2, "payroll", tags=("oncall:critical",))
    storm.tick()
    given_up(storm)
    assert len(told) == 1


def test_a_storm_that_was_rejected_late_is_told_of_when_the_night_is_over(storm: StormScene, told: list[dict[str, Any]]) -> None:
    storm.mode = "ask"
    storm.strike(6)
    storm.tick()
    quiet(storm)
    storm.reject()
    storm.ticks(2)
    assert (storm.storm.state, told) == (StormState.ESCALATED, [])
    storm.policy = STORMY
    storm.ticks(2)
    assert len(told) == 1


def test_what_a_storm_leaves_to_people_at_night_is_told_when_the_night_is_over(storm: StormScene, told: list[dict[str, Any]]) -> None:
    quiet(storm)
    storm.strike(3, "asleep", is_paused=True)
    storm.strike(3, "nightly")
    storm.tick()
    storm.weather(6)
    assert (len(storm.cleared), told, len(storm.store.storms.open())) == (3, [], 1)
    storm.policy = STORMY
    storm.weather(3)
    assert (storm.storm.state, len(told)) == (StormState.CLOSED, 1)


def test_an_approved_storm_goes_on_at_night(storm: StormScene) -> None:
    storm.mode = "ask"
    storm.strike(6)
    storm.tick()
    storm.approve()
    quiet(storm)
    storm.weather()
    assert (storm.states, len(storm.questions)) == ({"resolved": 6}, 1)


def test_members_that_want_a_person_s_word_at_night_are_asked_about_in_the_morning(storm: StormScene) -> None:
    quiet(storm)
    storm.strike(5, "nightly")
    storm.strike(3, "payroll", tags=("oncall:ask",))
    storm.tick()
    for _ in range(5):
        storm.run_what_waits()
    assert (storm.states, storm.questions) == ({"resolved": 5, "held": 3}, [])
    storm.policy = STORMY
    storm.ticks(3)
    assert (storm.states, len(storm.questions)) == ({"resolved": 5, "asked": 1, "held": 2}, 1)


@pytest.mark.parametrize(("dags", "messages"), [(["*"], 0), (["nightly"], 1)])
def test_a_storm_is_told_of_as_soon_as_one_of_its_dags_is_not_under_maintenance(
    storm: StormScene, told: list[dict[str, Any]], dags: list[str], messages: int
) -> None:
    storm.strike(6, "nightly")
    storm.strike(2, "hourly")
    storm.tick()
    given_up_once = {"storms": STORMY.storms.model_copy(update={"most_probes": 1})}
    maintenance = Maintenance(start=now(), end=now() + timedelta(hours=1), dags=tuple(dags))
    storm.policy = STORMY.model_copy(update={"maintenance": (maintenance,), **given_up_once})
    storm.run_what_waits(fails="connection reset")
    storm.ticks(2)
    assert len(told) == messages


def test_what_a_storm_left_to_people_is_told_also_when_its_last_members_are_closed_by_hand(
    storm: StormScene, told: list[dict[str, Any]]
) -> None:
    storm.strike(1, "payroll", tags=("oncall:never",))
    storm.strike(6, "nightly")
    storm.tick()
    storm.run_what_waits()
    storm.ticks(2)
    storm.run_what_waits(fails="connection reset")
    assert (storm.storm.state, storm.states["escalated"]) == (StormState.WAITING, 1)
    for one in storm.store.reading.incidents([State.HELD]):
        claimed = storm.store.queue.claim(one.id, timedelta(seconds=30))
        assert claimed
        storm.store.ledger.closed_by_hand(claimed, "ann", "mended")
    storm.ticks(3)
    assert storm.store.storms.open() == []
    assert [one["reasons"][1] for one in told] == ["over: 6 of 7 members have ended, 1 are left to people"]
