"""One triage tick: sweep, then take every due incident as far as it can go, until nothing is due soon.

    watching -> open -> diagnosed -> asked | acting | waiting | escalated | observed -> verifying -> resolved
                 ^                                                                          │
                 └──────────────────────────── failed again ────────────────────────────────┘

Every step ends in one transaction of the ledger and can be repeated after a crash. A step that loses its claim, or
Airflow for a moment, leaves its incident to a later look. A step that breaks on one incident fails the tick's task,
visibly; that incident stays claimed until its lease ends, so the next tick gets the others done.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from airflow_oncall import logbook
from airflow_oncall.act import approval, verify
from airflow_oncall.act.escalate import escalate, tell
from airflow_oncall.act.execute import execute, reopen_if_closed
from airflow_oncall.capture.spool import replay
from airflow_oncall.capture.sweep import sweep, sweep_requested
from airflow_oncall.errors import AirflowApiError
from airflow_oncall.incident import ActionKind, ActionState, Incident, Kind, State
from airflow_oncall.judgement import Judgement
from airflow_oncall.rest import AirflowApi, open_api
from airflow_oncall.store import open_store
from airflow_oncall.store.ledger import LostClaim
from airflow_oncall.store.records import now
from airflow_oncall.store.sql import Store
from airflow_oncall.upkeep import look_after_models

log = logging.getLogger(__name__)

LEASE = timedelta(seconds=90)
BATCH = 20
AIRFLOW_BUSY_SECONDS = 30.0
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
    result = Tick(store, api, Judgement(store)).run(seconds, linger)
    look_after_models(store, api)
    return result


class Tick:
    """The steps, one method a state."""

    def __init__(self, store: Store, api: AirflowApi, judgement: Judgement) -> None:
        self.store, self.api, self.judgement = store, api, judgement
        self._steps: dict[State, Callable[[Incident], Incident]] = {
            State.WATCHING: self.watching,
            State.OPEN: self.open,
            State.DIAGNOSED: self.diagnosed,
            State.WAITING: self.acting,
            State.ACTING: self.acting,
            State.ASKED: self.asked,
            State.VERIFYING: self.verifying,
            State.ESCALATED: self.following,
            State.OBSERVED: self.following,
        }

    def run(self, seconds: float, linger: float) -> TickResult:
        """Sweep once, then work until nothing is due within ``linger`` or ``seconds`` are over."""
        until = time.monotonic() + seconds
        noticed, unswept = self._sweep()
        steps = 0
        while True:
            noticed += sweep_requested(self.store, self.api)
            steps += self.work()
            pause = self._pause(linger)
            if pause is None or time.monotonic() + pause > until:
                break
            time.sleep(pause)
        if unswept:
            raise unswept
        return TickResult(noticed, steps)

    def _sweep(self) -> tuple[int, AirflowApiError | None]:
        """A sweep that is refused (a missing role, say) fails the tick at its end: what is known is worked on all the same."""
        try:
            return sweep(self.store, self.api), None
        except AirflowApiError as error:
            if error.transient:
                raise
            log.error("the sweep is incomplete: %s", error)
            return 0, error

    def work(self) -> int:
        """Take every due incident as far as it can go now; the number of steps."""
        steps = 0
        while batch := self.store.queue.claim_due(BATCH, LEASE):
            waiting = [incident.id for incident in batch]
            try:
                for incident in batch:
                    waiting.remove(incident.id)
                    renewed = self.store.queue.claim(incident.id, LEASE)  # the ones before it may have used the lease up
                    steps += self.advance(renewed) if renewed else 0
            finally:
                for incident_id in waiting:
                    self.store.queue.release(incident_id)
        return steps

    def advance(self, incident: Incident) -> int:
        """Step until the incident is closed or due later; then give the claim back."""
        steps = 0
        try:
            while incident.is_open and incident.due_at and incident.due_at <= now():
                incident = self._steps[incident.state](incident)
                steps += 1
        except LostClaim as lost:
            log.info("%s", lost)
        except AirflowApiError as error:
            log.warning("incident %s (%s) waits: %s", incident.id, incident.ref, error)
            self._later(incident)
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
        if standing.state in ENDED:
            return self._close(incident, f"it is {standing.state}")
        if standing.state == "failed":
            return self._diagnose(incident)
        if standing.state == "success" or standing.state == "up_for_retry" or standing.try_number > incident.try_number:
            return self.store.ledger.move(incident, State.WATCHING, due_in=0, detail=f"it is {standing.state}", what="watching")
        # Capture speaks inside the failing process; Airflow writes `failed` only when that process has ended.
        return self.store.ledger.move(incident, State.OPEN, due_in=min(0.5 * 2 ** min(incident.looks, 10), 60))

    def diagnosed(self, incident: Incident) -> Incident:
        """Decide, and plan the action in the same transaction."""
        decision, state, due_in, attempts = self.judgement.decide(self.api, incident)
        return self.store.ledger.decided(incident, decision, state, due_in, attempts)

    def acting(self, incident: Incident) -> Incident:
        """Do what was planned, or find out that it was done."""
        action = self.store.ledger.open_action(incident.id)
        if action is None:
            return self.store.ledger.move(incident, State.VERIFYING, due_in=0, detail="nothing left to do", what="verifying")
        if action.kind == ActionKind.ESCALATE:
            return escalate(self.store, self.api, incident, action)
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
        return verify.verify(self.store, incident, standing, last)

    def following(self, incident: Incident) -> Incident:
        """A person has it, or shadow mode does nothing."""
        if incident.kind is Kind.LOG:
            return tell(self.store, self.api, incident) if self._is_untold(incident) else logbook.quiet(self.store, incident)
        if incident.kind is Kind.DAG_IMPORT:
            return self.store.ledger.move(incident, incident.state, due_in=900)  # the sweep sees when it is gone
        standing = verify.look(self.api, incident)
        decision = self.store.reading.decision(incident.id)
        newer = verify.newer_failure(self.store, incident, standing)
        if newer:
            incident = self._again(incident)
        if standing.state == "failed" and decision and incident.try_number > decision.answers_try:
            return self.store.ledger.move(incident, State.OPEN, due_in=0, detail="failed again", what="opened")
        if standing.state not in ENDED | {"success"} and self._is_untold(incident):
            return tell(self.store, self.api, incident)
        return verify.follow(self.store, incident, standing)

    # helpers

    def _diagnose(self, incident: Incident) -> Incident:
        return self.store.ledger.diagnosed(incident, self.judgement.diagnose(self.api, incident))

    def _close(self, incident: Incident, detail: str) -> Incident:
        return self.store.ledger.move(incident, State.CLOSED, due_in=None, detail=detail, what="closed")

    def _again(self, incident: Incident) -> Incident:
        fresh = self.store.queue.claim(incident.id, LEASE)
        if fresh is None:
            raise LostClaim(f"incident {incident.id} was claimed by another worker")
        return fresh

    def _is_untold(self, incident: Incident) -> bool:
        """Whether it became a person's without anybody having been told."""
        if incident.state is not State.ESCALATED or incident.looks:
            return False
        actions = self.store.reading.actions(incident.id)
        return not actions or actions[-1].kind != ActionKind.ESCALATE

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
