"""People who resolve incidents, written into a store."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import count

from sqlalchemy import select, update
from tests.cast import vendor_was_down

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
from airflow_oncall.knowledge.entry import Entry, read_entry
from airflow_oncall.store.records import now
from airflow_oncall.store.sql import Store
from airflow_oncall.store.tables import incidents, labels, outcomes

FROZEN = "LedgerFrozenError: ledger of company 4711 is frozen until the books are closed"
MISSING = Diagnosis("missing_data", 0.8, True, 0.6, decided_by="rules")
_numbers = count(1)


def entry(name: str = "ledger-frozen", **fields: object) -> Entry:
    """What somebody knows about a frozen ledger."""
    known_by = {} if {"pattern", "fingerprint", "example"} & set(fields) else {"pattern": "ledger .* is frozen"}
    return read_entry({"name": name, "category": "missing_data", **known_by, **fields})


@dataclass
class People:
    """Ada approves what is proposed, or repairs it with her own hands."""

    store: Store

    def saw(self, fingerprint: str = "frozen", said: str = FROZEN) -> Incident:
        """A task failed and was diagnosed."""
        ref = TaskRef("books", f"run-{next(_numbers)}", "close")
        seen = replace(vendor_was_down, ref=ref, fingerprint=fingerprint, evidence=Evidence(traceback=said))
        incident_id = self.store.intake.record(seen)
        assert incident_id is not None
        claimed = self.store.queue.claim(incident_id, timedelta(minutes=5))
        assert claimed is not None
        return self.store.ledger.diagnosed(claimed, MISSING)

    def approved(self, incident: Incident, end: OutcomeKind = OutcomeKind.SUCCESS, by: str | None = "ada") -> Incident:
        """She approved a clear (without her, triage did it by itself), and its end was seen."""
        verdict, state = (Verdict.ASK, State.ASKED) if by else (Verdict.AUTO, State.ACTING)
        decision = Decision(incident.id, 1, verdict, ActionKind.CLEAR_TASK, incident.try_number, 0.5, ("asked",))
        planned = self.store.ledger.decided(incident, decision, state, 0, 1)
        action = self.store.ledger.open_action(incident.id)
        assert action is not None
        if by:
            label = Label(incident.id, "approval", "clear_task", by, now())
            planned = self.store.ledger.answered(planned, action, label, State.ACTING, 0)
        done = self.store.ledger.acted(planned, action, ActionState.DONE, "cleared", State.VERIFYING, 0)
        return self._ended(done, end, action.id, "outcome")

    def a_day_passes(self) -> None:
        """What they did lies a day further back."""
        with self.store.engine.begin() as connection:
            for table, column in ((incidents, "opened_at"), (labels, "given_at"), (outcomes, "seen_at")):
                for row in connection.execute(select(table.c.id, table.c[column].label("at"))).all():
                    connection.execute(update(table).where(table.c.id == row.id).values({column: row.at - timedelta(days=1)}))

    def repaired_by_hand(self, incident: Incident) -> Incident:
        """She repaired it without us."""
        escalated = self.store.ledger.move(incident, State.ESCALATED, due_in=0, detail="a person's")
        return self._ended(escalated, OutcomeKind.SUCCESS, None, "outcome_without_us")

    def _ended(self, incident: Incident, end: OutcomeKind, action_id: int | None, name: str) -> Incident:
        outcome = Outcome(incident.id, end, now(), incident.try_number + 1, action_id)
        return self.store.ledger.ended(
            incident, outcome, [Label(incident.id, name, str(end), "airflow", now())], State.RESOLVED, None, "seen"
        )
