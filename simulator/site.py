"""A site of DAGs over some days, drawn from a seed: which task instances fail, why, and how long everything takes.

Only runs in trouble are drawn one by one; the others are counted.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from airflow_oncall.incident import TaskRef
from simulator.causes import OUTAGE, Trouble, draw, processes
from simulator.clock import START

HOURLY, DAILY = 12, 60
"""DAGs of each kind."""
DAG_IDS = tuple(f"etl_{number:03d}" for number in range(HOURLY + DAILY))
STEPS = ("step_0", "step_1", "step_2", "step_3")
"""Tasks of each DAG, one after another."""
IN_TROUBLE = 0.04
"""Share of runs in which a task fails, outages apart."""
OUTAGES_A_WEEK = 2.0
ON_THE_DATABASE = 0.4
"""Share of runs that an outage of the database hits while it lasts."""
RETRIES = ((0, 0.5), (1, 0.3), (2, 0.2))
"""What authors wrote, with shares."""
RETRY_DELAY = timedelta(minutes=5)
"""Airflow's default."""
MEDIAN_MINUTES, SPREAD = 8.0, 1.0
"""Of a task's duration."""
VOICELESS = 0.05
"""Share of task instances whose process vanishes: only a sweep finds them."""
BY_HAND = 0.01
"""Share of final failures that a person at once marks as meant: nothing is to be repaired."""
TRIES = 12
"""Tries whose durations are drawn; later ones take as long as the last."""


@dataclass(frozen=True)
class Plan:
    """One task instance that will fail, with all that is drawn about it."""

    ref: TaskRef
    starts_at: datetime
    retries: int
    downstream: tuple[str, ...]
    trouble: Trouble
    minutes: tuple[float, ...]
    """Of its tries, were they to succeed."""
    fails_after: float
    """Share of its time after which a failing try fails."""
    voiceless: bool
    by_hand: bool
    reaction_minutes: float
    """Working time until a person who was told has mended it."""

    def lasts(self, nth: int, fails: bool) -> timedelta:
        """How long the nth try takes."""
        return timedelta(minutes=self.minutes[min(nth, TRIES) - 1] * (self.fails_after if fails else 1))


@dataclass(frozen=True)
class AuthoredTask:
    """A task as its author wrote it, and as long as it takes."""

    retries: int
    minutes: float


@dataclass(frozen=True)
class Site:
    """All that is drawn."""

    runs: int
    """Of all DAGs, most of them without trouble."""
    plans: tuple[Plan, ...]
    """In order of their start."""
    tasks: Mapping[tuple[str, str], AuthoredTask]
    ends_at: datetime


def draw_site(days: float, seed: int, passing: float = 1.0, in_trouble: float = IN_TROUBLE, by_hand: float = BY_HAND) -> Site:
    """The site of this seed; ``passing``: weight of troubles that pass by themselves against the table's."""
    dice = random.Random(seed)
    ends_at = START + timedelta(days=days)
    weighed = processes(passing)
    outages = list(_outages(days, dice))
    tasks = {(dag_id, step): _task(dice) for dag_id in DAG_IDS for step in STEPS}
    plans, runs = [], 0
    for dag_id, starts_at in _starts(days, dice):
        runs += 1
        trouble = _outage_trouble(starts_at, outages, dice)
        if trouble is None and dice.random() < in_trouble:
            (process,) = dice.choices([one for one, _ in weighed], [weight for _, weight in weighed])
            trouble = draw(process, starts_at, dice)
        if trouble:
            plans.append(_plan(dag_id, starts_at, trouble, tasks, by_hand, dice))
    return Site(runs, tuple(sorted(plans, key=lambda plan: plan.starts_at)), tasks, ends_at)


def _starts(days: float, dice: random.Random) -> Iterator[tuple[str, datetime]]:
    for number, dag_id in enumerate(DAG_IDS):
        every = timedelta(hours=1) if number < HOURLY else timedelta(days=1)
        # Nightly loads begin in the small hours, as they do.
        first = timedelta(minutes=dice.uniform(0, 60) if number < HOURLY else dice.gauss(180, 90) % 1440)
        at = START + first
        while at < START + timedelta(days=days):
            yield dag_id, at
            at += every


def _outages(days: float, dice: random.Random) -> Iterator[tuple[datetime, datetime, str]]:
    at = START + timedelta(days=dice.expovariate(OUTAGES_A_WEEK / 7))
    while at < START + timedelta(days=days):
        trouble = draw(OUTAGE, at, dice)
        assert trouble.until is not None
        yield at, trouble.until, trouble.text
        at = trouble.until + timedelta(days=dice.expovariate(OUTAGES_A_WEEK / 7))


def _outage_trouble(at: datetime, outages: list[tuple[datetime, datetime, str]], dice: random.Random) -> Trouble | None:
    for begins, ends, text in outages:
        if begins <= at < ends and dice.random() < ON_THE_DATABASE:
            return Trouble(OUTAGE, text, until=ends)
    return None


def _task(dice: random.Random) -> AuthoredTask:
    (retries,) = dice.choices([count for count, _ in RETRIES], [share for _, share in RETRIES])
    return AuthoredTask(retries, MEDIAN_MINUTES * dice.lognormvariate(0, SPREAD))


def _plan(
    dag_id: str, starts_at: datetime, trouble: Trouble, tasks: Mapping[tuple[str, str], AuthoredTask], by_hand: float, dice: random.Random
) -> Plan:
    number = dice.randrange(len(STEPS))
    task = tasks[dag_id, STEPS[number]]
    return Plan(
        ref=TaskRef(dag_id, f"scheduled__{starts_at.isoformat()}", STEPS[number]),
        starts_at=starts_at,
        retries=task.retries,
        downstream=STEPS[number + 1 :],
        trouble=trouble,
        minutes=tuple(task.minutes * dice.uniform(0.8, 1.2) for _ in range(TRIES)),
        fails_after=dice.uniform(0.05, 1),
        voiceless=dice.random() < VOICELESS,
        by_hand=dice.random() < by_hand,
        reaction_minutes=60 * dice.lognormvariate(0, 0.7),
    )
