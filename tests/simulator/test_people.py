"""People of the simulation: they answer at work, mend what is theirs, and come too late for what happens on a weekend."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest
from simulator.causes import Process, Trouble
from simulator.clock import START, SimulatedClock, running_on
from simulator.course import APPROVED, AUTO, PERSON, Course, Story
from simulator.month import drive
from simulator.people import People
from simulator.site import STEPS, AuthoredTask, Plan, Site
from simulator.triage import Triage, new_store
from simulator.wire import api_over, into

from airflow_oncall.incident import TaskRef
from airflow_oncall.store.sql import Store

RESET = "requests.exceptions.ConnectionError: ('Connection aborted.', ConnectionResetError(104, 'Connection reset by peer'))"
BUG = """Traceback (most recent call last):
  File "/dags/etl.py", line 3, in load
    rows[0].amount
AttributeError: 'Row' object has no attribute 'amount'"""
SATURDAY = START + timedelta(days=5, hours=1)
PASSING = Trouble(Process("a glitch", ("network_connectivity", True), 1.0), RESET, bad_tries=1)
LASTING = Trouble(Process("a bug", ("code_error", False), 1.0), BUG, lasting=True)


class Play:
    """One task instance in trouble, from its start until everybody has done what they would."""

    def __init__(self, store: Store, clock: SimulatedClock, mode: str, trouble: Trouble, at: datetime) -> None:
        plan = Plan(TaskRef("etl_000", "scheduled__1", STEPS[0]), at, 0, STEPS[1:], trouble, (10.0,) * 12, 0.5, False, False, 60.0)
        site = Site(1, (plan,), {("etl_000", step): AuthoredTask(0, 10.0) for step in STEPS}, at)
        clock.at = at
        self.course = Course(site, clock, store)
        api = api_over(into(self.course.airflow))
        self.people = People(self.course, store, api, seed=1)
        drive(self.course, self.people, Triage(store, api, mode=mode), at + timedelta(days=3))

    @property
    def story(self) -> Story:
        (story,) = self.course.stories.values()
        return story


@pytest.fixture
def clock() -> Iterator[SimulatedClock]:
    """The store goes by it."""
    clock = SimulatedClock()
    with running_on(clock):
        yield clock


@pytest.fixture
def store() -> Iterator[Store]:
    """An empty one."""
    with new_store() as store:
        yield store


@pytest.fixture(params=["ask"])
def mode(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Of the settings."""
    monkeypatch.setenv("AIRFLOW__ONCALL__MODE", request.param)
    return str(request.param)


@pytest.mark.parametrize("mode", ["auto"], indirect=True)
def test_what_triage_repairs_needs_nobody(store: Store, clock: SimulatedClock, mode: str) -> None:
    play = Play(store, clock, mode, PASSING, START + timedelta(hours=9))
    assert (play.story.succeeded, play.story.by, play.people.answered) == (True, AUTO, 0)


def test_a_question_is_answered_at_work_and_the_repair_counts_as_a_persons(store: Store, clock: SimulatedClock, mode: str) -> None:
    play = Play(store, clock, mode, PASSING, START + timedelta(hours=6))
    (clear,) = play.story.clears
    assert (play.story.succeeded, play.story.by, play.people.answered) == (True, APPROVED, 1)
    assert clear.at >= START + timedelta(hours=8, minutes=20)
    assert play.story.person_helped


def test_a_question_of_a_saturday_is_answered_by_nobody_and_mended_on_monday(store: Store, clock: SimulatedClock, mode: str) -> None:
    play = Play(store, clock, mode, PASSING, SATURDAY)
    (incident,) = store.reading.incidents()
    assert play.people.answered == 0
    assert "no_answer" in {label["name"] for label in store.reading.labels(incident.id)}
    assert (play.story.succeeded, play.story.by) == (True, PERSON)


@pytest.mark.parametrize("mode", ["auto"], indirect=True)
def test_what_a_repair_costs_is_known_from_former_runs_of_the_task(store: Store, clock: SimulatedClock, mode: str) -> None:
    Play(store, clock, mode, PASSING, START + timedelta(hours=9))
    (incident,) = store.reading.incidents()
    decision = store.reading.decision(incident.id)
    assert decision is not None
    assert decision.basis["minutes"] == 10


@pytest.mark.parametrize("mode", ["auto"], indirect=True)
def test_what_only_a_person_can_mend_is_mended_by_one(store: Store, clock: SimulatedClock, mode: str) -> None:
    play = Play(store, clock, mode, LASTING, START + timedelta(hours=9))
    assert (play.story.succeeded, play.story.by, play.story.clears) == (True, PERSON, [])
    assert play.story.wasted_minutes == 0
