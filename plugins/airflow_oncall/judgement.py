"""Understand an incident and decide about it: where the pure stages meet the store, Airflow and the operator's files."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cached_property
from typing import NamedTuple

from airflow_oncall import conf
from airflow_oncall.act import verify
from airflow_oncall.act.decide import Situation, decide, effective_of, holding, is_held, otherwise
from airflow_oncall.act.guards import AGAIN_SECONDS, Hold, limits_in_force
from airflow_oncall.act.policy import Policy
from airflow_oncall.act.policy_file import read_policy
from airflow_oncall.brain import Brain, load_brain
from airflow_oncall.capture.redact import redact
from airflow_oncall.errors import AirflowApiError
from airflow_oncall.facts import PEACE_SECONDS, Facts
from airflow_oncall.incident import (
    NO_INCIDENT,
    UNKNOWN,
    ActionKind,
    Decision,
    Diagnosis,
    Incident,
    Kind,
    LogEvent,
    Occurrence,
    State,
    Verdict,
)
from airflow_oncall.rest import AirflowApi
from airflow_oncall.situations import Situations
from airflow_oncall.store.limits import BudgetUsedUp, Limit
from airflow_oncall.store.sql import Store

__all__ = ["LOG_CHARACTERS", "Judged", "Judgement", "explained", "read_policy"]

log = logging.getLogger(__name__)

LOG_CHARACTERS = 20_000
ENGINE_EVENTS = 5
"""Log events of an incident that are read, the newest."""
CARRIERS = frozenset(
    {"database_connectivity", "network_connectivity", "network_timeout", "infrastructure_failure", "workflow_timeout", UNKNOWN}
)
"""What a client sees when an engine goes wrong: there, the engine's own word on the cause counts more."""
SURE = 0.8
TURNS = 3
"""How often a decision is made anew because other triage runs used up what a budget left."""
_STATE_AFTER = {
    Verdict.AUTO: State.ACTING,
    Verdict.WAIT: State.WAITING,
    Verdict.ASK: State.ASKED,
    Verdict.ESCALATE: State.ACTING,
    Verdict.OBSERVE: State.OBSERVED,
}


class Judged(NamedTuple):
    """A decision and where it takes the incident."""

    decision: Decision
    state: State
    due_in: float
    attempts: int
    limits: tuple[Limit, ...] = ()
    """What the action must fit into when it is planned."""
    hold: Hold | None = None
    """What has it wait as soon as nobody has to be asked any more."""


Agreement = Callable[[Judged], Judged | None]
"""What has the last word about a decision before it is stored; ``None`` where it is not to be stored at all."""


class Judgement:
    """Loads rules, model and policy once, when first needed, and applies them."""

    def __init__(self, store: Store, mode: str | None = None) -> None:
        self._store = store
        self._mode = mode or conf.mode()
        self._facts = Facts()
        self._situations = Situations(store, self._facts, self._mode)

    @property
    def mode(self) -> str:
        """The mode of the settings; the policy may say otherwise for some DAGs."""
        return self._mode

    @cached_property
    def policy(self) -> Policy:
        """The policy in force."""
        return read_policy(self._store)

    @cached_property
    def brain(self) -> Brain:
        """The rules and the model in force."""
        return load_brain(self._store)

    def diagnose(self, api: AirflowApi, incident: Incident) -> Diagnosis:
        """What is wrong, from the newest failed try and its log."""
        *earlier, seen = self._store.reading.occurrences(incident.id)
        if incident.kind is Kind.DAG_RUN:
            return _RUN_WITHOUT_FAILURE
        evidence = seen.evidence
        log_tail = evidence.log_tail or self._fetch_log(api, incident, seen)
        text = "\n".join(filter(None, (log_tail, evidence.traceback or evidence.message)))
        # Only where there is something to read: a log that cannot be had is no sign of a process that vanished.
        killed = incident.kind is Kind.TASK and not evidence.exception_chain and bool(text)
        own = self.brain.diagnose(text, evidence.exception_chain, evidence.operator, killed)
        behind = earlier[-1].happened_at if earlier else None
        engines = self._store.logs.events(incident.id, newest=ENGINE_EVENTS, of_try=seen.try_number, behind=behind)
        found = explained(own, [(event, self.brain.read(event.text)) for event in engines])
        return self._situations.knowledge.recognise(found, incident.fingerprint, text)

    def diagnose_log(self, incident: Incident) -> Diagnosis:
        """What is wrong, from log events that belong to no task instance: the most certain word on any of them."""
        events = self._store.logs.events(incident.id, newest=ENGINE_EVENTS)
        found = [self.brain.read(event.text) for event in events] or [self.brain.read("")]
        return max(found, key=lambda one: (one.category != NO_INCIDENT, one.probability))

    def decide(self, api: AirflowApi, incident: Incident) -> Judged:
        """What shall be done, from the newest diagnosis, the policy, the author's word, the guards and what was tried before."""
        diagnosis = self._store.reading.diagnosis(incident.id)
        if diagnosis is None:
            raise AssertionError(f"incident {incident.id} is decided before it is diagnosed")
        situation, decision = self._decided(api, incident, diagnosis, draws=True)
        if situation.action and not _would_act(decision):  # an arm that cannot be done gives way to the rule's action
            situation, decision = self._decided(api, incident, diagnosis, draws=False)
        return self._judged(situation, decision)

    def _decided(
        self, api: AirflowApi, incident: Incident, diagnosis: Diagnosis, *, draws: bool, action: str | None = None
    ) -> tuple[Situation, Decision]:
        situation = self._situations.first(api, self.policy, self.brain, incident, diagnosis, draws=draws, action=action)
        decision = decide(situation, self.policy)
        if _would_act(decision):
            situation = self._situations.risks(api, situation, str(decision.action))
            decision = decide(situation, self.policy)
        instead = otherwise(situation, self.policy)
        return self._decided(api, incident, diagnosis, draws=draws, action=instead) if instead else (situation, decision)

    def has_backfill(self, api: AirflowApi, dag_id: str) -> bool:
        """Whether a backfill of the DAG has its repairs wait."""
        return self.policy.risk.backfill == "wait" and self._facts.has_backfill(api, dag_id)

    def settle(self, api: AirflowApi, incident: Incident, agreed: Agreement = lambda judged: judged) -> Incident | None:
        """Decide and store it, with the action it plans, in one transaction; or have the incident wait for what holds it.

        ``agreed`` has the last word before it is stored; where it gives ``None``, so does this, and nothing is stored.
        """
        if self._facts.is_slow and incident.kind in (Kind.TASK, Kind.DAG_RUN):
            return self._store.ledger.held(incident, PEACE_SECONDS, "Airflow answers slowly; nothing is decided before it is better")
        if incident.looks and (moved := self._moved_on(api, incident)):
            return moved
        for _ in range(TURNS):
            judged = agreed(self.decide(api, incident))
            if judged is None:
                return None
            try:
                return self._write(incident, judged)
            except BudgetUsedUp as used_up:
                log.info("incident %s is decided anew: %s", incident.id, used_up)
        return self._store.ledger.held(incident, AGAIN_SECONDS, "Other triage runs use up what budgets leave")

    def _write(self, incident: Incident, judged: Judged) -> Incident:
        decision = judged.decision
        if is_held(decision):
            return self._store.ledger.held(incident, judged.due_in, decision.reasons[0])
        return self._store.ledger.decided(incident, decision, judged.state, judged.due_in, judged.attempts, judged.limits)

    def _moved_on(self, api: AirflowApi, incident: Incident) -> Incident | None:
        """An incident that was held is opened anew when its task instance does not stand failed any more."""
        if incident.kind not in (Kind.TASK, Kind.DAG_RUN):
            return None
        standing = verify.look(api, incident)
        if standing.state == "failed" and standing.try_number <= incident.try_number:
            return None
        detail = f"it is {standing.state} at try {standing.try_number} by now"
        return self._store.ledger.move(incident, State.OPEN, due_in=0, detail=detail, what="opened")

    def _judged(self, situation: Situation, decision: Decision) -> Judged:
        if is_held(decision):
            return Judged(decision, situation.incident.state, decision.wait_seconds, 0)
        wait = decision.wait_seconds if decision.verdict is Verdict.WAIT else 0
        attempts = 0 if decision.action == ActionKind.ESCALATE else situation.attempts
        policy = effective_of(situation, self.policy)
        kind, acts = str(decision.action), _would_act(decision)
        limits = limits_in_force(situation, policy, kind) if acts else ()
        hold = holding(situation, self.policy, kind, Verdict.AUTO) if acts else None
        return Judged(decision, _STATE_AFTER[decision.verdict], wait, attempts, limits, hold)

    def _fetch_log(self, api: AirflowApi, incident: Incident, seen: Occurrence) -> str:
        """The try's log tail, stored with its occurrence; a log that cannot be had is no reason to stop."""
        if incident.kind is not Kind.TASK or not seen.try_number:
            return ""
        try:
            tail = redact(api.log_tail(incident.ref, seen.try_number, LOG_CHARACTERS), LOG_CHARACTERS)
        except AirflowApiError as error:
            log.warning("incident %s: no log of try %s: %s", incident.id, seen.try_number, error)
            return ""
        self._store.ledger.add_log(incident.id, seen.try_number, tail)
        return tail


def explained(own: Diagnosis, engines: Sequence[tuple[LogEvent, Diagnosis]]) -> Diagnosis:
    """A task instance's diagnosis in the light of what engines logged about it.

    "Connection closed" is all that a client can say when its backend was killed for want of memory; the server knows better.
    """
    seen = [(event, theirs) for event, theirs in engines if theirs.category not in (NO_INCIDENT, UNKNOWN)]
    said = [
        f"{event.source} logged ({theirs.category}, {theirs.probability:.0%}): {event.text.splitlines()[0][:200]}" for event, theirs in seen
    ]
    best = max((theirs for _, theirs in seen), key=lambda one: one.probability, default=None)
    if best is None:
        return own
    if own.category not in CARRIERS or best.category == own.category or best.probability < SURE:
        return replace(own, evidence=(*own.evidence, *said))
    by = f"{best.decided_by} on an engine's log"
    return replace(best, identifiers={**best.identifiers, **own.identifiers}, evidence=(*said, *own.evidence), decided_by=by)


def _would_act(decision: Decision) -> bool:
    return decision.action is not None and decision.action != ActionKind.ESCALATE


_RUN_WITHOUT_FAILURE = Diagnosis(
    category="workflow_timeout",
    probability=0.7,
    transient=None,
    transient_probability=0.4,
    evidence=("The run failed though none of its task instances did: a dagrun_timeout, or a person.",),
    decided_by="run state",
)
