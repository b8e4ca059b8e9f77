"""One cause, ten thousand failed task instances: how many are touched before anybody knows that it helps, and how long it takes."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from datetime import timedelta
from multiprocessing.connection import Connection as Channel
from typing import Any

from sqlalchemy import URL, func, select

from airflow_oncall.incident import State, TaskRef
from airflow_oncall.store.engine import transaction
from airflow_oncall.store.sql import Store
from airflow_oncall.store.tables import incidents
from simulator.causes import OUTAGE, Trouble
from simulator.clock import START, SimulatedClock, running_on
from simulator.course import Course
from simulator.site import STEPS, TRIES, AuthoredTask, Plan, Site
from simulator.texts import held_out
from simulator.triage import Triage, new_store, open_engine, simulated_brain
from simulator.wire import api_over
from simulator.workers import over, run_at_once

EVERY = timedelta(minutes=2)
OVER_AFTER = timedelta(minutes=1)
"""The outage: it ends before the first probe, or that would tell nothing of what follows."""
RUNS = 10
"""Of each DAG."""
MINUTES = 5.0
"""A task takes."""
PATIENCE = timedelta(hours=2)
"""Simulated time in which the probe's success has to be followed by a wave."""
UNDECIDED = (State.OPEN, State.DIAGNOSED, State.WATCHING)


def play(size: int = 10_000, database: str | None = None, say: Callable[[str], None] = lambda text: None) -> dict[str, Any]:
    """Let them fail, and triage decide about all of them; then until the first wave."""
    clock = SimulatedClock()
    with new_store(database) as store, running_on(clock):
        course = Course(_site(size), clock, store)
        _let_fail(course)
        say(f"{size} task instances have failed")
        triage = _Worker(store.engine.url, course)
        before = time.monotonic()
        triage.tick()
        while _undecided(store):
            clock.advance(timedelta(seconds=30))
            triage.tick()
        seconds = time.monotonic() - before
        say(f"all are decided about after {seconds:.0f} s")
        probed, followed = _until_the_first_wave(course, triage)
        return {
            "incidents": size,
            "clears_before_probe_verified": probed,
            "clears_after_it": followed,
            "seconds": round(seconds, 1),
            "peak_mb": round(triage.peak_mb),
        }


def _site(size: int) -> Site:
    trouble = Trouble(OUTAGE, held_out()[OUTAGE.kind][0], until=START + OVER_AFTER)
    tasks = {(f"load_{number // RUNS:04d}", step): AuthoredTask(0, MINUTES) for number in range(0, size, RUNS) for step in STEPS}
    refs = (TaskRef(f"load_{number // RUNS:04d}", f"manual__{number % RUNS}", STEPS[-1]) for number in range(size))
    plans = tuple(Plan(ref, START, 0, (), trouble, (MINUTES,) * TRIES, 0.1, False, False, 60.0) for ref in refs)
    return Site(size, plans, tasks, START + PATIENCE)


def _let_fail(course: Course) -> None:
    while course.next_at is not None and course.next_at < START + OVER_AFTER:
        course.advance_to(START + OVER_AFTER)
        course.news = False
    course.advance_to(START + OVER_AFTER)


class _Worker:
    """Triage in a process of its own, so that its memory is its own."""

    def __init__(self, database: URL, course: Course) -> None:
        self._database, self._course = database, course
        self._brain = simulated_brain(rules_only=True)
        self.peak_mb = 0.0
        gc.freeze()

    def tick(self) -> None:
        """One tick."""
        (end,) = run_at_once(self._course.airflow, [self._work])
        self.peak_mb = max(self.peak_mb, end.peak_mb)
        self._course.notice_clears()

    def _work(self, channel: Channel) -> None:
        store = Store.over(open_engine(self._database), "storm-triage")
        Triage(store, api_over(over(channel)), self._brain).tick()


def _undecided(store: Store) -> int:
    waiting = select(func.count()).where(incidents.c.state.in_([str(state) for state in UNDECIDED]))
    with transaction(store.engine, reading=True) as connection:
        return int(connection.execute(waiting).scalar_one())


def _until_the_first_wave(course: Course, triage: _Worker) -> tuple[int, int]:
    """Clears until the first success was there to be seen, and those after it."""
    ends_at = course.clock.at + PATIENCE
    probed = 0
    while course.clock.at < ends_at:
        course.advance_to(course.clock.at + EVERY)
        course.news = False
        if any(story.succeeded for story in course.stories.values()):
            probed = probed or len(course.airflow.cleared)
        triage.tick()
        if probed and len(course.airflow.cleared) > probed:
            break
    return probed, len(course.airflow.cleared) - probed
