"""Triage killed by SIGKILL over and over, at random points; whether anything was lost or done twice is read from Airflow alone.

Each tick is a fork of this process, or two at once. It speaks to the simulated Airflow, which lives on here, over a pipe, and
dies before or after a transaction that writes or a request that changes something.
"""

from __future__ import annotations

import gc
import os
import random
import re
import signal
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from multiprocessing.connection import Connection as Channel
from typing import Any

from sqlalchemy import Connection, Engine, event, select

from airflow_oncall.act.policy import Policy
from airflow_oncall.brain import Brain
from airflow_oncall.incident import TaskRef
from airflow_oncall.store.engine import transaction
from airflow_oncall.store.records import action_of
from airflow_oncall.store.sql import Store
from airflow_oncall.store.tables import actions
from airflow_oncall.triage.similar import SimilarTexts
from simulator.causes import OUTAGE, Process, Trouble
from simulator.clock import START, SimulatedClock, running_on
from simulator.course import AUTO, Clear, Course, SimulatedSite, Story
from simulator.site import DAG_IDS, STEPS, TRIES, Plan, Site, draw_site
from simulator.texts import held_out
from simulator.triage import Triage, new_store, next_tick, shipped_policy, simulated_brain
from simulator.wire import Answer, Wire, api_over, into
from simulator.workers import over, run_at_once

IN_TROUBLE = 1.0
"""Every run is in trouble, so that a tick has always something to do."""
BUDGETS: dict[str, int | None] = {"attempts_per_task_instance": 5, "attempts_per_hour": 8, "storm_attempts_per_hour": None}
"""So tight that they are used up all the time; members of storms have none of their own at first."""
WAVES: dict[str, int | None] = {"storm_attempts_per_hour": 4}
"""Added when half of the kills are done: members of storms that are released have a budget of their own from then on."""
STORMS: dict[str, int] = {"members": 5, "first_wave": 2}
"""So small that :data:`STRUCK` runs make one."""
STRUCK = 8
"""Runs that an outage hits at once, beside the troubles of each by itself: of these, most are repaired in waves."""
REFUSED = "requests.exceptions.ConnectionError: HTTPSConnectionPool(host='orders', port=443): [Errno 111] Connection refused"
EXPIRED = "requests.exceptions.SSLError: HTTPSConnectionPool(host='orders', port=443): certificate verify failed: certificate has expired"
LASTS_FOR = 5
"""Runs of every other outage whose text says, of the same place, what no re-run mends: enough to make a storm by themselves, which then
has to look for a probe with another text."""
OUTAGES = timedelta(hours=2)
"""Between two of them."""
OUTAGE_LASTS = timedelta(minutes=5)
LATEST_BOUNDARY = 300
"""Deaths are drawn evenly over the logarithm: as many among the first 17 boundaries as among all that follow, so that work goes on."""
REQUEST = 5
"""A request that changes something counts as so many transactions: there are fewer of them, and they are what matters."""
AT_ONCE = 0.3
"""Share of ticks at which two workers run."""
EVERY = timedelta(minutes=3)
"""Between ticks: longer than a dead worker's lease."""
AFTERWARDS = timedelta(days=7)
"""What was going on when the last worker was killed may come to its end, which takes days where budgets are tight; if it needs so long."""
MENDED_AFTER = timedelta(hours=1)
"""From a failure to a person who mends it, if triage has told."""
HOUR = timedelta(hours=1)
MARK = re.compile(r"\[oncall #[^\]]+\]")
"""Names the decision in the note that a clear writes."""


def play(kills: int = 1000, seed: int = 1, database: str | None = None, say: Callable[[str], None] = lambda text: None) -> dict[str, Any]:
    """Kill triage so many times, let it finish, and give what Airflow has seen."""
    clock = SimulatedClock()
    site, brain = with_outages(draw_site(30, seed, in_trouble=IN_TROUBLE, by_hand=0)), simulated_brain(rules_only=True)
    with new_store(database) as store, running_on(clock):
        course = Course(site, clock, store)
        policy = shipped_policy()
        policy = budgeted(policy.model_copy(update={"storms": policy.storms.model_copy(update=STORMS)}), BUDGETS)
        killer = Killer(store.engine, course.airflow, brain, policy, random.Random(seed))
        course.on_final_failure = partial(_expect_a_person, course)
        _warm(course, store, brain, policy)
        rounds = 0
        while killer.killed < kills and clock.at < site.ends_at:
            if killer.killed >= kills / 2:
                killer.policy = budgeted(policy, WAVES)
            _round(course, killer, store, deadly=True)
            rounds += 1
            if rounds % 100 == 0:
                say(f"{killer.killed} of {kills} kills, {len(course.stories)} task instances in trouble")
        course.stop()
        say("the rest may come to its end")
        ends_at = clock.at + AFTERWARDS
        while clock.at < ends_at and _left(course):
            _round(course, killer, store, deadly=False)
        deaths = {"n": killer.killed, "short_of": kills - killer.killed, "ticks": killer.ticks, "boundaries": dict(killer.died_at)}
        return deaths | check(course, killer.policy, waves_of(store))


def with_outages(site: Site) -> Site:
    """The site with runs of several DAGs that fail at once and of one cause, again and again."""
    count = (site.ends_at - START) // OUTAGES
    plans = (_struck(number, run) for number in range(count) for run in range(STRUCK))
    return replace(site, plans=tuple(sorted((*site.plans, *plans), key=lambda plan: plan.starts_at)))


def _struck(outage: int, run: int) -> Plan:
    at, dag_id = START + OUTAGES * (0.5 + outage), DAG_IDS[run]
    trouble = _of_a_service(at, run) if outage % 2 else Trouble(OUTAGE, held_out()[OUTAGE.kind][0], until=at + OUTAGE_LASTS)
    return Plan(TaskRef(dag_id, f"struck__{at.isoformat()}", STEPS[-1]), at, 0, (), trouble, (5.0,) * TRIES, 0.1, False, False, 60.0)


def _of_a_service(at: datetime, run: int) -> Trouble:
    if run < LASTS_FOR:
        return Trouble(Process("certificate", ("network_connectivity", False), 0.0), EXPIRED, lasting=True)
    return Trouble(Process("service", ("network_connectivity", True), 0.0), REFUSED, until=at + OUTAGE_LASTS)


def budgeted(policy: Policy, budgets: Mapping[str, int | None]) -> Policy:
    """The policy with other budgets."""
    return policy.model_copy(update={"budgets": policy.budgets.model_copy(update=dict(budgets))})


def waves_of(store: Store) -> frozenset[str]:
    """Marks of the actions that were parts of waves: the one thing that Airflow cannot know."""
    with transaction(store.engine, reading=True) as connection:
        rows = connection.execute(select(actions).where(actions.c.in_wave)).mappings().all()
    return frozenset(one.mark for one in map(action_of, rows))


def _round(course: Course, killer: Killer, store: Store, *, deadly: bool) -> None:
    """Time passes until there is something to do; a tick tries it."""
    last, due = course.clock.at, next_tick(store, course.clock.at, EVERY)
    while course.clock.at < due:
        course.advance_to(due)
        if course.news:
            course.news, due = False, min(due, max(course.clock.at, last + EVERY))
    killer.tick(deadly=deadly)
    course.notice_clears()


def _expect_a_person(course: Course, story: Story) -> None:
    """Somebody reads what triage wrote to the task instance and mends it; what it never told of stays failed."""

    def mend() -> None:
        one = course.airflow.instances.get(story.plan.ref)
        if one is None or story.succeeded:
            return
        if one.state == "failed" and story.plan.ref in _told(course):
            course.mend_and_clear(story)
        else:
            course.after(MENDED_AFTER, mend)

    course.after(MENDED_AFTER, mend)


def _told(course: Course) -> set[TaskRef]:
    """Task instances to which triage wrote why it does nothing; a clear's own note is none of these."""
    return {ref for note in course.airflow.did("note") for ref in note.touched}


def _left(course: Course) -> list[Story]:
    """What is in trouble without having come to its end: it neither succeeded, nor were people told or asked."""
    asked = " ".join(str(one.body) for one in course.airflow.did("trigger"))
    told = _told(course)
    waiting = (story for story in course.stories.values() if not story.succeeded)
    return [story for story in waiting if story.plan.ref not in told and str(story.plan.ref) not in asked]


def check(course: Course, policy: Policy, waves: Collection[str] = ()) -> dict[str, Any]:
    """Read from the simulated Airflow: its task instances, and every clear it was asked for.

    ``waves``: marks of the clears that were parts of one.
    """
    clears = course.airflow.cleared
    failed = [story for story in course.stories.values() if story.failed_at]
    return {
        "failed": len(failed),
        "clears": len(clears),
        "repaired": sum(story.succeeded and story.by == AUTO for story in failed),
        "lost": sum(story.failed_at is not None for story in _left(course)),
        "double": _double(course),
        "in_waves": sum(_mark(one.note) in waves for one in clears),
        "over_budget": _over_budget(clears, policy, waves),
    }


def _double(course: Course) -> int:
    """Clears of a try that was cleared before, and requests for a decision that was carried out before, whatever they still found."""
    tries = Counter((clear.ref, clear.try_number) for clear in course.airflow.cleared)
    decisions = Counter(mark for one in course.airflow.did("clear") if (mark := _mark(str(one.body.get("note")))))
    return sum(count - 1 for count in (*tries.values(), *decisions.values()))


def _mark(note: str) -> str:
    found = MARK.match(note)
    return found[0] if found else ""


def _over_budget(clears: list[Clear], policy: Policy, waves: Collection[str]) -> int:
    """Clears beyond what a task instance may have ever, or what all may have in the hour up to each of them.

    That hour is exact: an action counts from when it is planned until an hour after it is done, and its clear lies between.
    """
    budgets = policy.budgets
    most = {True: budgets.storm_attempts_per_hour, False: budgets.attempts_per_hour}
    here: Counter[TaskRef] = Counter()
    over = 0
    for clear in clears:
        here[clear.ref] += clear.attempts
        in_wave = _mark(clear.note) in waves
        alike = (one for one in clears if (_mark(one.note) in waves) == in_wave)
        used = sum(one.attempts for one in alike if clear.at - HOUR < one.at <= clear.at)
        over += here[clear.ref] > budgets.attempts_per_task_instance or used > (most[in_wave] or 0)
    return over


@dataclass
class Killer:
    """Runs ticks in processes of their own and kills them."""

    engine: Engine
    airflow: SimulatedSite
    brain: Brain
    policy: Policy
    dice: random.Random
    killed: int = 0
    ticks: int = 0
    died_at: Counter[str] = field(default_factory=Counter)
    """Kinds of boundary at which workers died."""

    def tick(self, *, deadly: bool) -> None:
        """One tick, or two at once."""
        count = 2 if self.dice.random() < AT_ONCE else 1
        deaths = [int(LATEST_BOUNDARY ** self.dice.random()) if deadly else 0 for _ in range(count)]
        ends = run_at_once(self.airflow, [partial(self._work, die_at) for die_at in deaths], self._hear)
        self.ticks += count
        self.killed += sum(end.killed for end in ends)

    def _hear(self, said: str) -> None:
        self.died_at[said] += 1

    def _work(self, die_at: int, channel: Channel) -> None:
        boundaries = Boundaries(die_at, channel)
        inherited = self.engine.pool  # kept, because to close its connections is the other process's
        self.engine.dispose(close=False)
        boundaries.watch(self.engine)
        store = Store.over(self.engine, f"worker-{os.getpid()}")
        triage = Triage(store, api_over(boundaries.around(over(channel))), self.brain, self.policy)
        triage.tick()
        triage.look_after_models()
        del inherited


@dataclass
class Boundaries:
    """Counts down to the death of this process; 0 is never."""

    left: int
    channel: Channel

    def cross(self, what: str, weight: int = 1) -> None:
        """One more; perhaps the last."""
        if self.left <= 0:
            return
        self.left -= weight
        if self.left <= 0:
            self.channel.send(what)
            os.kill(os.getpid(), signal.SIGKILL)

    def watch(self, engine: Engine) -> None:
        """Boundaries around transactions; reading leaves nothing behind that could be half done."""

        def crosses(what: str) -> Callable[[Connection], None]:
            return lambda connection: None if connection.get_execution_options().get("oncall_reading") else self.cross(what)

        event.listen(engine, "begin", crosses("begin"))
        event.listen(engine, "commit", crosses("commit"))

    def around(self, wire: Wire) -> Wire:
        """Boundaries around requests that change something."""

        def send(method: str, target: str, body: Any, token: str) -> Answer:
            changes = method != "GET" and not target.startswith("/auth") and not (isinstance(body, dict) and body.get("dry_run"))
            if changes:
                self.cross(f"before {method}", REQUEST)
            answer = wire(method, target, body, token)
            if changes:
                self.cross(f"after {method}", REQUEST)
            return answer

        return send


def _warm(course: Course, store: Store, brain: Brain, policy: Policy) -> None:
    """The first incidents in this process: what a tick imports and compiles is there before the first fork."""
    triage = Triage(store, api_over(into(course.airflow)), brain, policy)
    while course.next_at and not course.airflow.cleared:
        course.advance_to(course.next_at)
        course.news = False
        triage.tick()
    triage.look_after_models()
    SimilarTexts.load(SimilarTexts().dump())
    course.notice_clears()
    gc.freeze()
