"""What happens at a site: runs begin, tries end, Airflow retries, people come to work. Triage is told as capture tells it."""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import cache
from itertools import count, product
from typing import Any

from airflow_oncall.capture.fingerprint import fingerprint
from airflow_oncall.incident import Evidence, Occurrence, TaskRef
from airflow_oncall.macros import KEY, mebibytes
from airflow_oncall.store.sql import Store
from airflow_oncall.triage.features import read_features
from simulator.clock import SimulatedClock
from simulator.rest import RestWorld
from simulator.site import RETRY_DELAY, STEPS, Plan, Site
from simulator.world import Dag, Task, TaskInstance

SCHEDULER = timedelta(seconds=15)
"""From a clear to the start of the next try."""
KEPT = timedelta(days=1)
"""How long Airflow keeps what succeeded; older runs would only make its answers longer."""
FORMER_RUNS = 3
"""Successful runs of each task before the first trouble, from which its typical duration is known."""
OPERATOR = "PythonOperator"
MEMORY = "4g"
"""What authors declare, so that triage may raise it."""
VANISHING = frozenset({"infrastructure_failure", "memory_exhaustion"})
"""Where a text without an exception means that the process was killed."""
AIRFLOW, AUTO, APPROVED, PERSON = "airflow", "auto", "approved", "person"


@dataclass(frozen=True)
class Clear:
    """A try that was cleared, and by whom."""

    ref: TaskRef
    try_number: int
    attempts: int
    failed_at: datetime
    at: datetime
    by: str
    note: str = ""


@dataclass
class Story:
    """How one task instance fared."""

    plan: Plan
    by: str = AIRFLOW
    """Who had the present try made."""
    failed_at: datetime | None = None
    """When Airflow's own retries were used up."""
    succeeded: bool = False
    rerun_minutes: float = 0.0
    """Of tries that Airflow or triage had made, the first apart."""
    wasted_minutes: float = 0.0
    """Of those among them that failed again."""
    clears: list[Clear] = field(default_factory=list)
    failed_clears: int = 0
    """Automatic clears after which it failed again."""
    person_helped: bool = False
    mended: bool = False
    starting: bool = False


class SimulatedSite(RestWorld):
    """The site's Airflow, which goes by the simulated clock and notes who cleared what."""

    def __init__(self, clock: SimulatedClock) -> None:
        super().__init__()
        self.clock = clock
        self.cleared: list[Clear] = []
        self.dags["oncall_approval"] = Dag()
        self._runs: dict[tuple[str, str], list[TaskInstance]] = defaultdict(list)

    def now(self) -> datetime:
        return self.clock.read()

    def hold(self, one: TaskInstance) -> None:
        """One more task instance."""
        self.instances[one.ref] = one
        self._runs[one.ref.dag_id, one.ref.run_id].append(one)

    def of_run(self, dag_id: str, run_id: str) -> list[TaskInstance]:
        return self._runs.get((dag_id, run_id), [])

    def forget_run(self, dag_id: str, run_id: str) -> None:
        super().forget_run(dag_id, run_id)
        self._runs.pop((dag_id, run_id), None)

    def clear(self, dag_id: str, body: dict[str, Any]) -> list[TaskInstance]:
        """As Airflow does; what is asked for by name counts, what waited for it comes with it."""
        found = super().clear(dag_id, body)
        if not body.get("dry_run", True):
            self.cleared += (self._cleared(one, body.get("note") or "") for one in found if one.try_number)
        return found

    def memory_of(self, ref: TaskRef) -> float:
        """What ``retry_with_more_memory`` raised it to, against what its author declared."""
        return mebibytes(self.instances[ref].state_store.get(KEY, MEMORY)) / mebibytes(MEMORY)

    def _cleared(self, one: TaskInstance, note: str) -> Clear:
        by = APPROVED if "Approved by" in note else AUTO
        attempts = self.dags[one.ref.dag_id].tasks[one.ref.task_id].retries + 1
        return Clear(one.ref, one.try_number, attempts, one.ended_at or self.now(), self.now(), by, note)


class Course:
    """The events of a site in their order. ``store``: where capture writes failures down."""

    def __init__(self, site: Site, clock: SimulatedClock, store: Store) -> None:
        self.site, self.clock, self.store = site, clock, store
        self.airflow = SimulatedSite(clock)
        self.stories: dict[TaskRef, Story] = {}
        self.news = False
        """Something failed: whoever advances time decides when triage hears of it, and takes this back."""
        self.on_final_failure: Callable[[Story], None] = lambda story: None
        self._events: list[tuple[datetime, int, Callable[[], None]]] = []
        self._numbers = count()
        self._seen_clears = 0
        self._stopped = False
        for plan in site.plans:
            self.at(plan.starts_at, lambda plan=plan: self._begin(plan))  # type: ignore[misc]

    def at(self, when: datetime, event: Callable[[], None]) -> None:
        """Something will happen."""
        heapq.heappush(self._events, (when, next(self._numbers), event))

    def after(self, delay: timedelta, event: Callable[[], None]) -> None:
        """Something will happen this long from now."""
        self.at(self.clock.at + delay, event)

    @property
    def next_at(self) -> datetime | None:
        """When the next event is."""
        return self._events[0][0] if self._events else None

    def advance_to(self, when: datetime) -> None:
        """Let everything happen until then, but stop at the first failure, of which triage hears at once."""
        while self._events and self._events[0][0] <= when and not self.news:
            at, _, event = heapq.heappop(self._events)
            self.clock.at = max(self.clock.at, at)
            event()
        if not self.news:
            self.clock.at = max(self.clock.at, when)

    def stop(self) -> None:
        """Nothing new begins; what has begun goes on."""
        self._stopped = True

    def notice_clears(self) -> None:
        """The scheduler sees what triage or a person cleared."""
        fresh, self._seen_clears = self.airflow.cleared[self._seen_clears :], len(self.airflow.cleared)
        for clear in fresh:
            if clear.ref in self.stories:
                story = self.stories[clear.ref]
                story.clears.append(clear)
                story.by = clear.by
                story.person_helped |= clear.by == APPROVED
                self._start_soon(story)

    def mend_and_clear(self, story: Story) -> None:
        """A person does away with the cause and clears in Airflow's UI."""
        story.mended = story.person_helped = True
        story.by = PERSON
        self.airflow.clear_by_hand(story.plan.ref)
        self._start_soon(story)

    def state_of(self, story: Story) -> str | None:
        """As Airflow shows it."""
        one = self.airflow.instances.get(story.plan.ref)
        return one.state if one else "success"

    def _begin(self, plan: Plan) -> None:
        dag_id = plan.ref.dag_id
        if self._stopped:
            return
        if dag_id not in self.airflow.dags:
            self._parse(dag_id)
        self.airflow.hold(self.airflow.add(plan.ref, retries=plan.retries))
        self.airflow.runs[dag_id, plan.ref.run_id].started_at = self.clock.at
        for task_id in plan.downstream:
            self.airflow.hold(TaskInstance(TaskRef(dag_id, plan.ref.run_id, task_id), 0))
        story = self.stories[plan.ref] = Story(plan)
        self._run_try(story)

    def _parse(self, dag_id: str) -> None:
        following = {step: STEPS[number + 1 : number + 2] for number, step in enumerate(STEPS)}
        tasks = {step: Task(self.site.tasks[dag_id, step].retries, {KEY: MEMORY}, following[step]) for step in STEPS}
        self.airflow.dags[dag_id] = Dag(tasks)
        for number, step in product(range(1, FORMER_RUNS + 1), STEPS):
            ended_at = self.clock.at - timedelta(days=number)
            took = timedelta(minutes=self.site.tasks[dag_id, step].minutes)
            ref = TaskRef(dag_id, f"former__{number}", step)
            self.airflow.hold(TaskInstance(ref, 0, "success", 1, ended_at, ended_at - took, ended_at))

    def _start_soon(self, story: Story, delay: timedelta = SCHEDULER) -> None:
        if not story.starting:
            story.starting = True
            self.after(delay, lambda: self._start(story))

    def _start(self, story: Story) -> None:
        story.starting = False
        if self.airflow.instances[story.plan.ref].state in (None, "up_for_retry"):
            self.airflow.start(story.plan.ref)
            self._run_try(story)

    def _run_try(self, story: Story) -> None:
        plan, nth = story.plan, self.airflow.instances[story.plan.ref].try_number
        memory = self.airflow.memory_of(plan.ref)
        fails = not story.mended and plan.trouble.fails(nth, self.clock.at, memory)
        lasts = plan.lasts(nth, fails)
        if nth > 1 and story.by != PERSON:
            story.rerun_minutes += lasts.total_seconds() / 60
            story.wasted_minutes += lasts.total_seconds() / 60 * fails
        self.after(lasts, lambda: self._fail(story) if fails else self._succeed(story))

    def _succeed(self, story: Story) -> None:
        ref = story.plan.ref
        story.succeeded = True
        for task_id in story.plan.downstream:
            self.airflow.mark(TaskRef(ref.dag_id, ref.run_id, task_id), "success")
        self.airflow.succeed(ref)
        self.after(KEPT, lambda: self.airflow.forget_run(ref.dag_id, ref.run_id))

    def _fail(self, story: Story) -> None:
        plan = story.plan
        one = self.airflow.fail(plan.ref)
        self.airflow.logs[plan.ref, one.try_number] = [plan.trouble.text.encode()]
        final = one.state == "failed"
        evidence = _evidence(plan.trouble.text, plan.trouble.process.kind[0])
        by_hand = final and plan.by_hand
        if by_hand or (evidence and not plan.voiceless):  # a person's mark is told by the API server
            self._tell(one, evidence or Evidence(), by_hand)
        if not final:
            self._start_soon(story, RETRY_DELAY)
            return
        story.failed_clears += story.by == AUTO
        if story.failed_at is None:
            story.failed_at = self.clock.at
            self.on_final_failure(story)

    def _tell(self, one: TaskInstance, evidence: Evidence, by_hand: bool) -> None:
        took = (one.ended_at - one.started_at).total_seconds() if one.ended_at and one.started_at else None
        self.store.intake.record(_occurrence(one, replace(evidence, duration=took), by_hand))
        self.news = True


def _occurrence(one: TaskInstance, evidence: Evidence, by_hand: bool) -> Occurrence:
    assert one.ended_at is not None
    return Occurrence(
        ref=one.ref,
        seen_by="listener",
        happened_at=one.ended_at,
        try_number=one.try_number,
        will_retry=one.state == "up_for_retry",
        by_hand=by_hand,
        fingerprint=fingerprint(evidence.exception_chain, evidence.message, evidence.operator),
        evidence=evidence,
    )


@cache
def _evidence(text: str, category: str) -> Evidence | None:
    """What a task's process would say of a failure with this log; ``None`` where it is killed before it can."""
    features = read_features(text)
    if features.chain:
        return Evidence(features.chain, features.outermost or features.innermost, operator=OPERATOR)
    if category in VANISHING:
        return None
    last = next(line for line in reversed(text.splitlines()) if line.strip())
    return Evidence(("airflow.sdk.exceptions.AirflowException",), f"AirflowException: {last[:500]}", operator=OPERATOR)
