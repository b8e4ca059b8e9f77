"""One triage tick: sweep, then take every due incident as far as it can go, until nothing is due soon.

    watching -> open -> diagnosed -> asked | acting | waiting | escalated | observed -> verifying -> resolved
                 ^          ^ v                                                             │
                 │         held (member of a storm, see ``storms``)                         │
                 └──────────────────────────── failed again ────────────────────────────────┘

Every step ends in one transaction of the ledger and can be repeated after a crash. A step that loses its claim, or
Airflow for a moment, leaves its incident to a later look. A step that breaks on one incident fails the tick's task,
visibly; that incident stays claimed until its lease ends, so the next tick gets the others done.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import timedelta
from functools import partial

from airflow_oncall import logbook, telemetry
from airflow_oncall.act import approval, verify
from airflow_oncall.act.assignment import LEFT_OUT
from airflow_oncall.act.decide import HOLDOUT
from airflow_oncall.act.escalate import escalate, tell, tell_of_question
from airflow_oncall.act.execute import execute, reopen_if_closed
from airflow_oncall.act.notify.delivery import deliver
from airflow_oncall.capture.spool import replay
from airflow_oncall.capture.sweep import sweep, sweep_requested
from airflow_oncall.errors import AirflowApiError
from airflow_oncall.incident import ActionKind, ActionState, Incident, Kind, State
from airflow_oncall.judgement import Judgement
from airflow_oncall.measures import after_tick
from airflow_oncall.rest import AirflowApi, open_api
from airflow_oncall.store import open_store
from airflow_oncall.store.ledger import LostClaim
from airflow_oncall.store.records import now
from airflow_oncall.store.sql import Store
from airflow_oncall.storms import StormWatch
from airflow_oncall.suggesting import suggest_at_the_end
from airflow_oncall.upkeep import look_after_models

log = logging.getLogger(__name__)

LEASE = timedelta(seconds=90)
MOST_SECONDS = 240.0
"""However slow Airflow is, a tick begins nothing more after this; what is still due is the next tick's."""
SWEEP_SECONDS = 40.0
"""A sweep ends after this, or twice this where it sees nothing new; the next tick goes on. So there is always time for triage."""
BATCH = 20
AIRFLOW_BUSY_SECONDS = 30.0
HELD_SECONDS = 3600.0
PUT_BACK_SECONDS = 300.0
ENDED = frozenset({"skipped", "removed", "upstream_failed", "gone"})


@dataclass(frozen=True)
class TickResult:
    """What one tick did."""

    noticed: int
    steps: int


def run_tick(seconds: float = 45, linger: float = 12) -> TickResult:
    """Run one tick on this deployment's store and Airflow.

    It stays for at most about ``seconds`` while hot work is due within ``linger`` seconds: a repair that takes a few
    seconds is then verified at once, not a minute later.
    """
    store = open_store()
    replay(store.intake)
    api = open_api()
    started = time.monotonic()
    with telemetry.span("tick") as span:
        result = Tick(store, api, Judgement(store)).run(seconds, linger)
        telemetry.describe(span, **asdict(result))
    store.rollups.catch_up()
    after_tick(store, time.monotonic() - started)
    look_after_models(store, api)
    suggest_at_the_end(store)
    return result


class Tick:
    """The steps, one method a state."""

    def __init__(self, store: Store, api: AirflowApi, judgement: Judgement) -> None:
        self.store, self.api, self.judgement = store, api, judgement
        self.storms = StormWatch(store, api, judgement)
        self._ends_at = time.monotonic() + MOST_SECONDS
        self._unswept: AirflowApiError | None = None
        self._steps: dict[State, Callable[[Incident], Incident]] = {
            State.WATCHING: self.watching,
            State.OPEN: self.open,
            State.DIAGNOSED: self.diagnosed,
            State.HELD: self.held,
            State.WAITING: self.acting,
            State.ACTING: self.acting,
            State.ASKED: self.asked,
            State.VERIFYING: self.verifying,
            State.ESCALATED: self.following,
            State.OBSERVED: self.following,
        }

    def run(self, seconds: float, linger: float) -> TickResult:
        """Sweep once, then work until nothing is due within ``linger`` or ``seconds`` are over.

        What was due to be told before is told first, so that no sweep or step that breaks, tick after tick, can hold it up.
        """
        deliver(self.store, self.api, self.judgement.policy)
        until = time.monotonic() + seconds
        self._ends_at = time.monotonic() + MOST_SECONDS
        self.store.queue.bring_back()
        noticed, steps = self._sweep(), 0
        while True:
            noticed += self._noticed(sweep_requested)
            steps += self.work()
            deliver(self.store, self.api, self.judgement.policy)
            pause = self._pause(linger)
            if pause is None or time.monotonic() + pause > until:
                break
            time.sleep(pause)
        if self._unswept:
            raise self._unswept
        return TickResult(noticed, steps)

    def _sweep(self) -> int:
        return self._noticed(sweep)

    def _noticed(self, by: Callable[[Store, AirflowApi, float], int]) -> int:
        """A sweep that is refused (a missing role, a run that Airflow cannot show) fails the tick at its end: triage comes first."""
        try:
            return by(self.store, self.api, SWEEP_SECONDS)
        except AirflowApiError as error:
            log.error("the sweep is incomplete: %s", error)
            self._unswept = self._unswept or error
            return 0

    def work(self) -> int:
        """Take every due incident as far as it can go now; the number of steps."""
        steps = 0
        while not self._is_over() and (batch := self._batch()):
            waiting = [incident.id for incident in batch]
            try:
                if sum(incident.state is State.OPEN for incident in batch) >= self.judgement.policy.storms.members:
                    # Perhaps a storm whose members look different: all are understood before anything is decided about one.
                    steps += self._each([one for one in batch if one.state is State.OPEN], waiting, until=State.DIAGNOSED)
                steps += self._each(batch, waiting)
            finally:
                for incident_id in waiting:
                    self.store.queue.release(incident_id)
        return steps

    def _batch(self) -> list[Incident]:
        self.storms.gather()
        self.storms.look_after()
        return self.store.queue.claim_due(max(BATCH, self.judgement.policy.storms.members), LEASE)

    def _each(self, batch: list[Incident], waiting: list[int], until: State | None = None) -> int:
        """``waiting`` loses the one that is worked on, so that a bug that it brings out keeps it, and it alone, claimed."""
        steps = 0
        for incident in batch:
            if self._is_over():
                break
            waiting.remove(incident.id)
            renewed = self.store.queue.claim(incident.id, LEASE)  # the ones before it may have used the lease up
            steps += self.advance(renewed, until) if renewed else 0
            if until:
                waiting.append(incident.id)
        return steps

    def advance(self, incident: Incident, until: State | None = None) -> int:
        """Step until the incident is closed or due later, and give the claim back; or until it is in a state, and keep it."""
        steps = 0
        try:
            while _is_due(incident) and incident.state is not until and not self._is_over():
                incident = self._steps[incident.state](incident)
                steps += 1
        except LostClaim as lost:
            log.info("%s", lost)
        except AirflowApiError as error:
            log.warning("incident %s (%s) waits: %s", incident.id, incident.ref, error)
            self._later(incident)
        if until is None:
            self.store.queue.release(incident.id)
        return steps

    # one method a state

    def watching(self, incident: Incident) -> Incident:
        """Airflow retries by itself."""
        standing = verify.look(self.api, incident)
        if verify.newer_failure(self.store, incident, standing):
            return self._again(incident)
        return verify.watch(self.store, incident, standing)

    def open(self, incident: Incident) -> Incident:
        """Failed for good, as far as we were told: look whether Airflow says so too, then diagnose."""
        if incident.kind is Kind.LOG:
            return logbook.opened(self.store, self.api, self.judgement, incident)
        seen = self.store.reading.occurrences(incident.id)[-1]
        if seen.by_hand:
            return self._close(incident, "a person marked it failed; that is not undone")
        if incident.kind is Kind.DAG_IMPORT:
            return self._diagnose(incident)
        standing = verify.look(self.api, incident)
        if verify.newer_failure(self.store, incident, standing):
            return self._again(incident)
        over = f"it is {standing.state}" if standing.state in ENDED else verify.why_over(incident, standing)
        if over:
            return self._close(incident, over)
        if standing.state == "failed":
            return self._diagnose(incident)
        if standing.state == "success" or standing.state == "up_for_retry" or standing.try_number > incident.try_number:
            return self.store.ledger.move(incident, State.WATCHING, due_in=0, detail=f"it is {standing.state}", what="watching")
        # Capture speaks inside the failing process; Airflow writes `failed` only when that process has ended.
        return self.store.ledger.move(incident, State.OPEN, due_in=min(0.5 * 2 ** min(incident.looks, 10), 60))

    def diagnosed(self, incident: Incident) -> Incident:
        """Decide, and plan the action in the same transaction."""
        held = self.storms.hold(incident)
        if held:
            return held
        storm = self.store.storms.of(incident)
        moved_on = (self._moved_on(incident) or self.storms.called_off(incident)) if storm else None
        if moved_on:
            return moved_on
        settled = self.judgement.settle(self.api, incident, partial(self.storms.agreed, storm, incident))
        return settled or self.store.storms.put_back(incident, PUT_BACK_SECONDS, "held: it waits for the answer to its storm's question")

    def held(self, incident: Incident) -> Incident:
        """Its storm says when it goes on; a person may have been faster."""
        if self.store.storms.of(incident) is None:
            return self.store.ledger.move(incident, State.OPEN, due_in=0, detail="its storm is over", what="opened")
        return self._moved_on(incident) or self._still_held(incident)

    def acting(self, incident: Incident) -> Incident:
        """Do what was planned, or find out that it was done."""
        action = self.store.ledger.open_action(incident.id)
        if action is None:
            return self.store.ledger.move(incident, State.VERIFYING, due_in=0, detail="nothing left to do", what="verifying")
        if action.kind == ActionKind.ESCALATE:
            return escalate(self.store, self.api, self.judgement.policy, incident, action)
        called_off = self.storms.called_off(incident, action)
        if called_off:
            return called_off
        decision = self.store.reading.decision(incident.id)
        return execute(self.store, self.api, incident, action, " ".join(decision.reasons) if decision else "")

    def asked(self, incident: Incident) -> Incident:
        """A question is open; it is withdrawn when somebody moved the task instance meanwhile."""
        standing = verify.look(self.api, incident)
        if verify.newer_failure(self.store, incident, standing):
            return self._again(incident)
        action = self.store.ledger.open_action(incident.id)
        if action and (standing.state != "failed" or standing.try_number != action.answers_try):
            detail = f"the question is void: it is {standing.state} at try {standing.try_number}"
            return self.store.ledger.acted(incident, action, ActionState.SUPERSEDED, detail, State.VERIFYING, 0)
        if incident.looks == 0:
            return approval.ask(self.store, self.api, incident)
        if incident.looks == 1:  # a minute old, and not answered yet
            tell_of_question(self.store, self.api, self.judgement.policy, incident)
        return approval.still_asked(self.store, self.api, incident)

    def verifying(self, incident: Incident) -> Incident:
        """An action was done or overtaken."""
        standing = verify.look(self.api, incident)
        if verify.newer_failure(self.store, incident, standing):
            return self._again(incident)
        actions = self.store.reading.actions(incident.id)
        last = actions[-1] if actions else None
        if last and standing.state == "cleared" and incident.looks > 0:
            reopened = reopen_if_closed(self.store, self.api, incident, last)
            if reopened:
                return reopened
        return verify.verify(self.store, self.api, incident, standing, last)

    def following(self, incident: Incident) -> Incident:
        """A person has it, or shadow mode does nothing."""
        if incident.kind is Kind.LOG:
            return self._tell(incident) if self._is_untold(incident) else logbook.quiet(self.store, incident)
        if incident.kind is Kind.DAG_IMPORT:
            return self.store.ledger.move(incident, incident.state, due_in=900)  # the sweep sees when it is gone
        standing = verify.look(self.api, incident)
        decision = self.store.reading.decision(incident.id)
        newer = verify.newer_failure(self.store, incident, standing)
        if newer:
            incident = self._again(incident)
        if standing.state == "failed" and decision and incident.try_number > decision.answers_try:
            return self.store.ledger.move(incident, State.OPEN, due_in=0, detail="failed again", what="opened")
        if standing.state == "failed" and decision and decision.arm == HOLDOUT and now() - incident.updated_at >= LEFT_OUT:
            return self.store.ledger.move(incident, State.OPEN, due_in=0, detail="left out for long enough", what="opened")
        if standing.state not in ENDED | {"success"} and self._is_untold(incident):
            return self._tell(incident)
        return verify.follow(self.store, incident, standing)

    # helpers

    def _diagnose(self, incident: Incident) -> Incident:
        diagnosis = self.judgement.diagnose(self.api, incident)
        return self.store.ledger.diagnosed(incident, diagnosis, self.storms.cause(incident, diagnosis))

    def _moved_on(self, incident: Incident) -> Incident | None:
        """A member of a storm that was not left as it failed: somebody runs it, it failed anew, it is gone."""
        standing = verify.look(self.api, incident)
        if verify.newer_failure(self.store, incident, standing):
            incident = self._again(incident)
        over = verify.why_over(incident, standing)
        if over:
            return self._close(incident, over)
        decision = self.store.reading.decision(incident.id)
        if standing.state != "failed":
            return self.store.ledger.move(incident, State.WATCHING, due_in=0, detail=f"it is {standing.state}", what="watching")
        if decision and incident.try_number > decision.answers_try:
            return self.store.ledger.move(incident, State.OPEN, due_in=0, detail="failed again", what="opened")
        return None

    def _tell(self, incident: Incident) -> Incident:
        return tell(self.store, self.api, self.judgement.policy, incident)

    def _close(self, incident: Incident, detail: str) -> Incident:
        return self.store.ledger.move(incident, State.CLOSED, due_in=None, detail=detail, what="closed")

    def _still_held(self, incident: Incident) -> Incident:
        if now() - incident.updated_at > verify.KEEP_FOLLOWING:
            return self._close(incident, f"nobody touched it for {verify.KEEP_FOLLOWING.days} days")
        return self.store.ledger.postpone(incident, HELD_SECONDS)  # looks count how often it waited for an answer

    def _again(self, incident: Incident) -> Incident:
        fresh = self.store.queue.claim(incident.id, LEASE)
        if fresh is None:
            raise LostClaim(f"incident {incident.id} was claimed by another worker")
        return fresh

    def _is_untold(self, incident: Incident) -> bool:
        """Whether it became a person's without anybody having been told; of a storm only the probe is told of."""
        if incident.state is not State.ESCALATED or incident.looks or (incident.storm_id and not self.store.storms.probed_by(incident)):
            return False
        actions = self.store.reading.actions(incident.id)
        return not actions or actions[-1].kind != ActionKind.ESCALATE

    def _is_over(self) -> bool:
        """Whether Airflow answers so slowly that the rest is left to the next tick."""
        return time.monotonic() > self._ends_at

    def _later(self, incident: Incident) -> None:
        try:
            self.store.ledger.postpone(incident, AIRFLOW_BUSY_SECONDS)
        except LostClaim as lost:
            log.info("%s", lost)

    def _pause(self, linger: float) -> float | None:
        """Seconds until hot work is due; ``None`` when that is too far off to stay for."""
        due = self.store.queue.next_due()
        if due is None:
            return None
        pause = max((due - now()).total_seconds(), 0.2)
        return pause if pause <= linger else None


def _is_due(incident: Incident) -> bool:
    return incident.is_open and incident.due_at is not None and incident.due_at <= now()
