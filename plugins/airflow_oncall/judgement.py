"""Understand an incident and decide about it: where the pure stages meet the store, Airflow and the operator's files."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from functools import cached_property
from itertools import islice
from typing import NamedTuple

from airflow_oncall import conf
from airflow_oncall.act.decide import Situation, decide, declaration
from airflow_oncall.act.policy import Policy
from airflow_oncall.brain import Brain, load_brain
from airflow_oncall.capture.redact import redact
from airflow_oncall.datafile import parse
from airflow_oncall.errors import AirflowApiError, NotFound
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
    OutcomeKind,
    State,
    Verdict,
)
from airflow_oncall.rest import AirflowApi
from airflow_oncall.store.operator_files import OperatorFiles
from airflow_oncall.store.records import now
from airflow_oncall.store.sql import Store
from airflow_oncall.triage.models import Circumstances, Remedy
from airflow_oncall.triage.severity import severity

log = logging.getLogger(__name__)

LOG_CHARACTERS = 20_000
ENGINE_EVENTS = 5
"""Log events of an incident that are read, the newest."""
CARRIERS = frozenset(
    {"database_connectivity", "network_connectivity", "network_timeout", "infrastructure_failure", "workflow_timeout", UNKNOWN}
)
"""What a client sees when an engine goes wrong: there, the engine's own word on the cause counts more."""
SURE = 0.8
CRITICAL = "oncall:critical"
"""Tag of a DAG of which much depends; like every other word behind ``oncall:``, it also means that a person is asked."""
MOST_COUNTED = 100
"""Task instances that cannot run are counted up to here."""
SHOWN = 3
"""Remedies named in a decision's reasons."""
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


class Judgement:
    """Loads rules, model and policy once, when first needed, and applies them."""

    def __init__(self, store: Store, mode: str | None = None) -> None:
        self._store = store
        self._mode = mode or conf.mode()

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
        seen = self._store.reading.occurrences(incident.id)[-1]
        if incident.kind is Kind.DAG_RUN:
            return _RUN_WITHOUT_FAILURE
        evidence = seen.evidence
        log_tail = evidence.log_tail or self._fetch_log(api, incident, seen)
        text = "\n".join(filter(None, (log_tail, evidence.traceback or evidence.message)))
        # Only where there is something to read: a log that cannot be had is no sign of a process that vanished.
        killed = incident.kind is Kind.TASK and not evidence.exception_chain and bool(text)
        own = self.brain.diagnose(text, evidence.exception_chain, evidence.operator, killed)
        engines = self._store.logs.events(incident.id, newest=ENGINE_EVENTS)
        return explained(own, [(event, self.brain.read(event.text)) for event in engines])

    def diagnose_log(self, incident: Incident) -> Diagnosis:
        """What is wrong, from log events that belong to no task instance: the most certain word on any of them."""
        events = self._store.logs.events(incident.id, newest=ENGINE_EVENTS)
        found = [self.brain.read(event.text) for event in events] or [self.brain.read("")]
        return max(found, key=lambda one: (one.category != NO_INCIDENT, one.probability))

    def decide(self, api: AirflowApi, incident: Incident) -> Judged:
        """What shall be done, from the newest diagnosis, the policy, the author's word and what was tried before."""
        diagnosis = self._store.reading.diagnosis(incident.id)
        if diagnosis is None:
            raise AssertionError(f"incident {incident.id} is decided before it is diagnosed")
        situation = self._situation(api, incident, diagnosis)
        decision = decide(situation, self.policy)
        state = _STATE_AFTER[decision.verdict]
        wait = decision.wait_seconds if decision.verdict is Verdict.WAIT else 0
        return Judged(decision, state, wait, 0 if decision.action == ActionKind.ESCALATE else situation.attempts)

    def _situation(self, api: AirflowApi, incident: Incident, diagnosis: Diagnosis) -> Situation:
        read = self._store.reading
        if incident.kind in (Kind.DAG_IMPORT, Kind.LOG):
            return Situation(incident, diagnosis, self._mode)
        try:
            task = api.task(incident.ref.dag_id, incident.ref.task_id)
        except NotFound:
            return Situation(incident, diagnosis, self._mode, is_removed=True)
        ranking = self.brain.recommend(diagnosis, self._circumstances(incident))
        return Situation(
            incident=incident,
            diagnosis=diagnosis,
            mode=self._mode,
            declared=declaration(task.tags, task.params),
            retries=task.retries,
            is_paused=task.is_paused,
            used_here=read.attempts(incident.ref),
            used_this_hour=read.attempts(since=now() - timedelta(hours=1)),
            failed_repairs=sum(outcome.kind is OutcomeKind.FAILED_SAME for outcome in read.outcomes(incident.id)),
            chance=next((one.probability for one in ranking if one.remedy == self._remedy(incident, diagnosis)), None),
            advice=", ".join(f"{one.remedy} {one.probability:.0%}" for one in ranking[:SHOWN]),
            severity=self._severity(api, incident, diagnosis, CRITICAL in task.tags),
        )

    @staticmethod
    def _severity(api: AirflowApi, incident: Incident, diagnosis: Diagnosis, critical: bool) -> str:
        waiting = api.task_instances(incident.ref.dag_id, incident.ref.run_id, state=["upstream_failed"])
        found = severity(diagnosis.category, critical=critical, downstream=sum(1 for _ in islice(waiting, MOST_COUNTED)))
        return f"{found.level} ({'; '.join(found.reasons) or 'nothing else depends on it'})"

    def _remedy(self, incident: Incident, diagnosis: Diagnosis) -> Remedy:
        """What the policy would do."""
        if incident.kind is Kind.DAG_RUN:
            return Remedy(ActionKind.CLEAR_RUN)
        rule = self.policy.categories.get(diagnosis.category)
        return Remedy(ActionKind.CLEAR_TASK, waits=bool(rule and rule.wait_seconds))

    def _circumstances(self, incident: Incident) -> Circumstances:
        """What is known beside the text: the try, how repairs of this task and of its like ended, the time of day (UTC)."""
        resolved, failed = self._store.labels.earlier_repairs(incident.ref.dag_id, incident.ref.task_id, incident.fingerprint)
        at = now()
        return Circumstances(incident.try_number, resolved, failed, at.hour, at.weekday())

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


def read_policy(store: Store) -> Policy:
    """``policy.yaml``, or its last good version."""
    files = OperatorFiles(conf.include_paths(), store.good_files)
    return files.read("policy.yaml", lambda name, text: parse(Policy, name, text))


_RUN_WITHOUT_FAILURE = Diagnosis(
    category="workflow_timeout",
    probability=0.7,
    transient=None,
    transient_probability=0.4,
    evidence=("The run failed though none of its task instances did: a dagrun_timeout, or a person.",),
    decided_by="run state",
)
