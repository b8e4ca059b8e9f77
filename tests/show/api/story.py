"""Incidents of several DAGs, each in the state that a test of the API wants."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from tests.cast import broken_dag_file, vendor_was_down

from airflow_oncall.incident import (
    ActionState,
    Decision,
    Diagnosis,
    Evidence,
    Incident,
    Label,
    LogEvent,
    Occurrence,
    Outcome,
    OutcomeKind,
    State,
    TaskRef,
    Verdict,
)
from airflow_oncall.store.records import now
from airflow_oncall.store.sql import Store

LEASE = timedelta(minutes=5)
TIMED_OUT = Diagnosis(
    "network_timeout",
    0.91,
    True,
    0.8,
    evidence=("rule http_5xx (0.91): httpx.HTTPStatusError: Server error '503 Service Unavailable'",),
    alternatives={"network_timeout": 0.6, "rate_limit": 0.3},
)
SHARD = TaskRef("shards", "manual__1", "work", 3)
DATABASE_LOG = LogEvent("orders_db", "file:1", vendor_was_down.happened_at, "FATAL: out of memory", "pg-oom", severity="FATAL")


@dataclass
class Story:
    """What happened before somebody opened the page."""

    store: Store

    def failed(self, ref: TaskRef = vendor_was_down.ref, **changes: object) -> Incident:
        """A task instance failed for good."""
        occurrence = replace(vendor_was_down, ref=ref, **changes)  # type: ignore[arg-type]
        return self.noticed(occurrence)

    def noticed(self, occurrence: Occurrence) -> Incident:
        """Something was noticed."""
        incident_id = self.store.intake.record(occurrence)
        assert incident_id is not None
        return self.now(incident_id)

    def said(self, text: str, ref: TaskRef = vendor_was_down.ref) -> Incident:
        """A task instance failed with this text."""
        return self.failed(ref, evidence=Evidence(message=text[:1000], traceback=text))

    def file_broke(self) -> Incident:
        """A DAG file cannot be imported."""
        return self.noticed(broken_dag_file)

    def engine_logged(self, event: LogEvent = DATABASE_LOG) -> Incident:
        """A log source told of trouble."""
        self.store.logs.commit(event.source, {}, {"read": 1}, [event])
        found = self.store.logs.event(event.source, event.position)
        assert found is not None
        return self.now(found[0])

    def diagnosed(self, incident: Incident, diagnosis: Diagnosis = TIMED_OUT, cause: str = "") -> Incident:
        """Triage found out what is wrong."""
        return self.store.ledger.diagnosed(self._claimed(incident), diagnosis, cause)

    def decided(self, incident: Incident, verdict: Verdict, state: State, severity: str = "high") -> Incident:
        """Triage decided."""
        decision = Decision(
            incident.id,
            incident.decisions + 1,
            verdict,
            "clear_task",
            incident.try_number,
            0.7,
            ("0.70 is below the bar of 0.85", "Evidence: 503"),
            mode="ask",
            basis={"bar": 0.85, "severity": severity},
        )
        return self.store.ledger.decided(self._claimed(incident), decision, state, 60, 1)

    def asked(self, ref: TaskRef = vendor_was_down.ref) -> Incident:
        """A person is asked whether the task instance may be cleared."""
        return self.decided(self.diagnosed(self.failed(ref)), Verdict.ASK, State.ASKED)

    def storm(self, refs: Sequence[TaskRef], cause: str = "database_connectivity at db1") -> int:
        """Task instances failed with one cause; the number of their storm."""
        members = [self.diagnosed(self.failed(ref), cause=cause) for ref in refs]
        for member in members:
            self.released(member)
        self.store.storms.gather_cause(cause, TIMED_OUT, "ask")
        storm_id = self.now(members[0].id).storm_id
        assert storm_id is not None
        return storm_id

    def ended(self, incident: Incident, end: OutcomeKind, minutes: int = 0) -> None:
        """What was decided about it was done, or it was left alone, and so many minutes later it was seen to end so."""
        ledger, claimed, action = self.store.ledger, self._claimed(incident), self.store.ledger.open_action(incident.id)
        if action is not None:
            claimed = ledger.acted(claimed, action, ActionState.DONE, "cleared, one attempt granted", State.VERIFYING, 0)
        seen_at = now() + timedelta(minutes=minutes)
        outcome = Outcome(incident.id, end, seen_at, incident.try_number + 1, action.id if action else None, "seen in Airflow")
        helped = end is OutcomeKind.SUCCESS
        state, detail = (State.RESOLVED, "the task instance succeeded") if helped else (State.ESCALATED, "it failed again")
        label = Label(incident.id, "outcome" if action else "outcome_without_us", str(end), "airflow", now())
        ledger.ended(claimed, outcome, [label], state, None, detail)

    def released(self, incident: Incident) -> Incident:
        """Triage has let go of it."""
        self.store.queue.release(incident.id)
        return self.now(incident.id)

    def now(self, incident_id: int) -> Incident:
        """The incident as it is."""
        incident = self.store.reading.incident(incident_id)
        assert incident is not None
        return incident

    def _claimed(self, incident: Incident) -> Incident:
        claimed = self.store.queue.claim(incident.id, LEASE)
        assert claimed is not None
        return claimed
