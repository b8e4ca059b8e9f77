"""A past to learn from: incidents that were diagnosed, repaired, approved and commented on, at times of the test's choice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import count

from sqlalchemy import insert, text, update
from tests.cast import next_try, vendor_was_down

from airflow_oncall.incident import (
    ActionKind,
    ActionState,
    Decision,
    Diagnosis,
    Evidence,
    Incident,
    Label,
    Outcome,
    OutcomeKind,
    State,
    TaskRef,
    Verdict,
)
from airflow_oncall.store.records import now
from airflow_oncall.store.sql import Store
from airflow_oncall.store.tables import incidents, storms

RESET = Diagnosis("network_connectivity", 0.9, True, 0.8, decided_by="rules")
_numbers = count(1)


@dataclass
class Past:
    """What happened, written into a store."""

    store: Store

    def failed(
        self, fingerprint: str = "vendor-reset", said: str = "", diagnosis: Diagnosis = RESET, at: datetime | None = None
    ) -> Incident:
        """A task instance failed and was diagnosed."""
        number = next(_numbers)
        evidence = Evidence(traceback=said or f"ConnectionResetError: [Errno 104] Connection reset by peer {fingerprint}")
        ref = TaskRef("nightly", f"run-{number}", "load")
        incident_id = self.store.intake.record(replace(vendor_was_down, ref=ref, fingerprint=fingerprint, evidence=evidence))
        assert incident_id is not None
        diagnosed = self.store.ledger.diagnosed(self._claimed(incident_id), diagnosis)
        if at:
            self._backdate("incidents", "id", incident_id, opened_at=at)
            self._backdate("diagnoses", "incident_id", incident_id, made_at=at)
        return diagnosed

    def repaired(
        self, incident: Incident, end: OutcomeKind = OutcomeKind.SUCCESS, at: datetime | None = None, fails_with: str | None = None
    ) -> None:
        """It was cleared, and the end of that was seen; ``fails_with``: the fingerprint of its next try."""
        planned = self._planned(incident)
        action = self.store.ledger.open_action(incident.id)
        assert action is not None
        done = self.store.ledger.acted(planned, action, ActionState.DONE, "cleared", State.VERIFYING, 0)
        if fails_with:
            self.store.intake.record(next_try(vendor_was_down, ref=incident.ref, fingerprint=fails_with))
            done = self.store.reading.incident(incident.id) or done
        label = Label(incident.id, "outcome", str(end), "airflow", now())
        outcome = Outcome(incident.id, end, now(), incident.try_number, action.id)
        self.store.ledger.ended(done, outcome, [label], State.RESOLVED, None, "seen")
        if at:
            self._backdate("actions", "incident_id", incident.id, planned_at=at)
            self._backdate("labels", "incident_id", incident.id, given_at=at)

    def were_a_storm(self, members: Sequence[Incident], probe: Incident) -> None:
        """They had one cause, and one of them was repaired before the others."""
        row = {"cause": f"network {probe.id}", "state": "closed", "opened_at": now(), "closed_at": now(), "probe_id": probe.id}
        with self.store.engine.begin() as connection:
            storm_id = connection.execute(insert(storms).values(row).returning(storms.c.id)).scalar()
            connection.execute(update(incidents).where(incidents.c.id.in_([one.id for one in members])).values(storm_id=storm_id))

    def many(self, count: int, resolved: int, at: datetime) -> None:
        """``count`` repairs at about one time, of which so many helped."""
        for number in range(count):
            moment = at + timedelta(milliseconds=number)
            end = OutcomeKind.SUCCESS if number < resolved else OutcomeKind.FAILED_SAME
            self.repaired(self.failed(at=moment), end, moment)

    def answered(self, incident: Incident, name: str) -> None:
        """A person approved or rejected the repair; it was not carried out."""
        planned = self._planned(incident)
        action = self.store.ledger.open_action(incident.id)
        assert action is not None
        self.store.ledger.answered(planned, action, Label(incident.id, name, "clear_task", "ada", now()), State.ESCALATED, 0)

    def _planned(self, incident: Incident) -> Incident:
        decision = Decision(incident.id, 1, Verdict.AUTO, ActionKind.CLEAR_TASK, incident.try_number, 0.8, ("it helps",))
        return self.store.ledger.decided(incident, decision, State.ACTING, 0, 1)

    def _claimed(self, incident_id: int) -> Incident:
        claimed = self.store.queue.claim(incident_id, timedelta(minutes=5))
        assert claimed is not None
        return claimed

    def _backdate(self, table: str, key: str, incident_id: int, **at: datetime) -> None:
        ((column, moment),) = at.items()
        statement = text(f"UPDATE oncall_{table} SET {column} = :at WHERE {key} = :id")
        value = moment.strftime("%Y-%m-%d %H:%M:%S.%f") if self.store.engine.dialect.name == "sqlite" else moment
        with self.store.engine.begin() as connection:
            connection.execute(statement, {"at": value, "id": incident_id})
