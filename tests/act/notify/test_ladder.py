"""Nobody answered, so the next one hears of it; until somebody does, at day and not at night."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from tests.act.notify.stage import notice_for, pass_time, phone, policy_with
from tests.clocks import MovedClock
from tests.tick.scene import ORDERS, Scene

from airflow_oncall.act.approval import answer
from airflow_oncall.act.notify.delivery import deliver
from airflow_oncall.act.policy import Policy
from airflow_oncall.incident import State

Heard = list[tuple[str, dict[str, Any]]]
LADDER = (phone("ann"), phone("ann", after="10m"), phone("bob", after="15m"), phone("boss", after="1h"))
NIGHT = {"start": "22:00", "end": "06:00", "timezone": "Europe/Berlin"}


def owners(heard: Heard) -> list[str]:
    return [owner for owner, _ in heard]


@pytest.fixture
def unanswered(bug: Scene) -> Scene:
    """Ann was told, and has not answered."""
    bug.policy = policy_with(*LADDER)
    bug.tick()
    return bug


def test_each_step_comes_when_it_is_its_turn_and_says_how_long_nobody_answered(unanswered: Scene, heard: Heard, clock: MovedClock) -> None:
    assert owners(heard) == ["ann"]
    pass_time(unanswered, clock, 9)
    assert owners(heard) == ["ann"]
    pass_time(unanswered, clock, 2)
    pass_time(unanswered, clock, 5)
    pass_time(unanswered, clock, 50)
    pass_time(unanswered, clock, 500)
    assert owners(heard) == ["ann", "ann", "bob", "boss"]
    assert {oncall["key"] for _, oncall in heard} == {"oncall-1"}
    assert heard[2][1]["subject"].startswith("No answer for 15 min: nightly/")


def feedback(scene: Scene) -> None:
    scene.store.labels.give_feedback(1, "ann", category="code_error", comment="I am on it")


def cleared(scene: Scene) -> None:
    scene.airflow.mark(ORDERS, "running")


def mended(scene: Scene) -> None:
    scene.airflow.mark(ORDERS, "success")


def closed(scene: Scene) -> None:
    scene.store.ledger.closed_by_hand(scene.claimed(), "ann", "known")


@pytest.mark.parametrize("what_ann_did", [feedback, cleared, mended, closed])
def test_it_ends_as_soon_as_somebody_did_something_about_it(
    unanswered: Scene, heard: Heard, clock: MovedClock, what_ann_did: Callable[[Scene], None]
) -> None:
    what_ann_did(unanswered)
    pass_time(unanswered, clock, 20)
    pass_time(unanswered, clock, 60)
    assert [owner for owner, oncall in heard if oncall["status"] == "escalated"] == ["ann"]


def test_an_answer_to_a_question_ends_it(question: Scene, heard: Heard, clock: MovedClock) -> None:
    question.policy = policy_with(*LADDER)
    pass_time(question, clock, 2)
    pass_time(question, clock, 11)
    assert owners(heard) == ["ann", "ann"]
    answer(question.another_worker("approval"), question.api, 1, 1, {"chosen_options": ["Approve"]})
    pass_time(question, clock, 20)
    pass_time(question, clock, 60)
    assert owners(heard) == ["ann", "ann"]


def test_an_end_is_told_at_once_and_only_to_those_who_were_told(unanswered: Scene, heard: Heard, clock: MovedClock) -> None:
    pass_time(unanswered, clock, 16)
    unanswered.airflow.mark(ORDERS, "success")
    unanswered.ticks(2)
    assert sorted(owner for owner, oncall in heard if oncall["status"] == "resolved") == ["ann", "ann", "bob"]


def test_two_workers_take_one_step(unanswered: Scene, heard: Heard, clock: MovedClock) -> None:
    clock.forward(minutes=11)
    unanswered.tick()
    unanswered.tick(unanswered.another_worker())
    assert owners(heard) == ["ann", "ann"]


def at_night() -> Policy:
    return policy_with(phone("ann"), phone("bob", after="15m"), quiet_hours=[NIGHT])


@pytest.mark.parametrize(
    ("evening", "morning"),
    [
        (datetime(2027, 7, 1, 20, 30, tzinfo=timezone.utc), datetime(2027, 7, 2, 4, 0, tzinfo=timezone.utc)),
        (datetime(2027, 10, 30, 20, 30, tzinfo=timezone.utc), datetime(2027, 10, 31, 5, 0, tzinfo=timezone.utc)),
        (datetime(2027, 3, 27, 21, 30, tzinfo=timezone.utc), datetime(2027, 3, 28, 4, 0, tzinfo=timezone.utc)),
    ],
    ids=["an ordinary night", "the night with an hour more", "the night with an hour less"],
)
def test_what_is_left_of_a_ladder_at_night_begins_anew_in_the_morning(
    bug: Scene, heard: Heard, clock: MovedClock, evening: datetime, morning: datetime
) -> None:
    clock.put_to(evening - timedelta(hours=3))
    bug.policy = policy_with(phone("carl", tell_of=["resolved"]))
    bug.tick()
    assert bug.state == State.ESCALATED
    bug.policy = at_night()
    bug.store.notices.add([notice_for(bug), notice_for(bug, "routes.default.1", after=15)])
    for hour in range(10):
        clock.put_to(evening + timedelta(hours=hour))
        if evening + timedelta(hours=hour) < morning:
            deliver(bug.store, bug.api, bug.policy)
    assert heard == []
    clock.put_to(morning + timedelta(seconds=10))
    deliver(bug.store, bug.api, bug.policy)
    assert owners(heard) == ["ann"]
    clock.put_to(morning + timedelta(minutes=14))
    deliver(bug.store, bug.api, bug.policy)
    assert owners(heard) == ["ann"]
    clock.put_to(morning + timedelta(minutes=16))
    deliver(bug.store, bug.api, bug.policy)
    assert owners(heard) == ["ann", "bob"]


def test_critical_dags_are_told_of_at_night_with_every_step(bug: Scene, heard: Heard, clock: MovedClock) -> None:
    clock.put_to(datetime(2027, 7, 1, 21, 0, tzinfo=timezone.utc))
    bug.airflow.dags["nightly"].tags = ("oncall:critical",)
    bug.policy = at_night()
    bug.tick()
    pass_time(bug, clock, 16)
    assert owners(heard) == ["ann", "bob"]


def test_what_ended_at_night_is_told_in_the_morning(bug: Scene, heard: Heard, clock: MovedClock) -> None:
    clock.put_to(datetime(2027, 7, 1, 19, 0, tzinfo=timezone.utc))
    bug.policy = at_night()
    bug.tick()
    clock.put_to(datetime(2027, 7, 1, 20, 30, tzinfo=timezone.utc))
    bug.airflow.mark(ORDERS, "success")
    bug.ticks(2)
    assert (bug.state, owners(heard)) == (State.RESOLVED, ["ann"])
    clock.put_to(datetime(2027, 7, 2, 4, 1, tzinfo=timezone.utc))
    bug.tick()
    assert [oncall["status"] for _, oncall in heard] == ["escalated", "resolved"]
