"""Every change triage makes to an incident, each one transaction with its audit row.

A crash between two of them leaves a state from which the next tick goes on: an action is ``planned`` before it is
done, a diagnosis without a decision is decided again, a decision is never numbered twice (unique index).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import timedelta
from typing import Any

from sqlalchemy import Connection, Engine, insert, select, update

from airflow_oncall import telemetry
from airflow_oncall.errors import StoreError
from airflow_oncall.incident import (
    CLOSING,
    Action,
    ActionKind,
    ActionState,
    Decision,
    Diagnosis,
    Incident,
    Label,
    Outcome,
    State,
)
from airflow_oncall.store.audit import note
from airflow_oncall.store.engine import transaction
from airflow_oncall.store.guards import enforce
from airflow_oncall.store.intake import upsert
from airflow_oncall.store.limits import Limit
from airflow_oncall.store.outcomes import becomes_evidence
from airflow_oncall.store.records import action_of, decision_values, diagnosis_values, incident_of, now
from airflow_oncall.store.tables import (
    actions,
    decisions,
    diagnoses,
    incidents,
    labels,
    log_events,
    occurrences,
    open_only,
    outcomes,
)


class LostClaim(StoreError):
    """Somebody else holds the incident now (our lease ran out); whatever was about to be written is not."""


class Ledger:
    """Writes of one triage worker; each needs the worker's claim on the incident."""

    def __init__(self, engine: Engine, worker: str) -> None:
        self._engine = engine
        self._worker = worker

    def move(self, incident: Incident, state: State, *, due_in: float | None, detail: str = "", what: str = "") -> Incident:
        """Set the state and when to look next (seconds; ``None`` with a closing state). The same state counts a look."""
        with transaction(self._engine) as connection:
            return self._move(connection, incident, state, due_in, detail, what)

    def postpone(self, incident: Incident, due_in: float, detail: str = "", what: str = "") -> Incident:
        """Look again later: what was to be done at this look could not be done, so it does not count as one."""
        with transaction(self._engine) as connection:
            return self._move(connection, incident, incident.state, due_in, detail, what, looks=incident.looks)

    def held(self, incident: Incident, due_in: float, reason: str) -> Incident:
        """Look again later, for a reason that people see; it is written once, however often it holds."""
        news = "" if incident.detail == reason else reason
        with transaction(self._engine) as connection:
            return self._move(connection, incident, incident.state, due_in, news, "held" if news else "")

    def diagnosed(self, incident: Incident, diagnosis: Diagnosis, cause: str = "") -> Incident:
        """Store what is wrong; the incident is ``diagnosed``, due at once, and a member of no storm.

        ``cause``: what others may have in common with it, by which storms are told (:mod:`airflow_oncall.storms`).
        """
        with transaction(self._engine) as connection:
            row = diagnosis_values(diagnosis) | {"incident_id": incident.id, "try_number": incident.try_number, "made_at": now()}
            connection.execute(insert(diagnoses).values(row))
            detail = f"{diagnosis.category} ({diagnosis.probability:.0%}, by {diagnosis.decided_by})"
            also = {"category": diagnosis.category, "cause": cause, "storm_id": None}
            moved = self._move(connection, incident, State.DIAGNOSED, 0, detail, "diagnosed", **also)
        if incident.category is None:  # a later try is no other incident
            telemetry.count("incidents", source=incident.source, category=diagnosis.category)
        return moved

    def decided(
        self, incident: Incident, decision: Decision, state: State, due_in: float, attempts: int = 0, limits: Sequence[Limit] = ()
    ) -> Incident:
        """Store the decision and, when it names an action, that action as ``planned`` for the exact try it answers.

        Raises ``BudgetUsedUp``, and stores nothing, when the action is to be done without asking and does not fit into
        ``limits``, which are counted again here, where nobody else can plan one.
        """
        row = decision_values(decision) | {"made_at": now()}
        with transaction(self._engine) as connection:
            # The move comes first: a lost claim is told as such, not as a decision with a number that is taken.
            what = f"decided {decision.verdict}"
            also: dict[str, Any] = {"decisions": decision.number, "severity": decision.basis.get("severity") or incident.severity}
            moved = self._move(connection, incident, state, due_in, decision.reasons[0], what, **also)
            if decision.action and decision.action != ActionKind.ESCALATE and state in (State.WAITING, State.ACTING):
                enforce(connection, limits, attempts)
            connection.execute(insert(decisions).values(row))
            if decision.action and state in _ACTING:
                in_wave = any(limit.where.get("in_wave") for limit in limits)
                connection.execute(insert(actions).values(_planned(incident, decision, attempts) | {"in_wave": in_wave}))
        telemetry.count("decisions", verdict=str(decision.verdict))
        return moved

    def answered(self, incident: Incident, action: Action, label: Label, state: State, due_in: float) -> Incident:
        """Store a person's answer to a question: approved actions stay planned, rejected ones are dropped."""
        values = {"approved_by": label.given_by} if state is State.ACTING else {"state": str(ActionState.DROPPED), "done_at": now()}
        with transaction(self._engine) as connection:
            connection.execute(insert(labels).values(_label_row(label)))
            connection.execute(update(actions).where(actions.c.id == action.id).values(values))
            detail = str(label.detail.get("detail") or f"{label.name} by {label.given_by}")
            moved = self._move(connection, incident, state, due_in, detail, "")
            _audit(connection, incident, label.given_by, label.name, dict(label.detail))
            return moved

    def acted(self, incident: Incident, action: Action, ended: ActionState, detail: str, state: State, due_in: float) -> Incident:
        """Store how an action ended."""
        with transaction(self._engine) as connection:
            values = {"state": str(ended), "done_at": now(), "detail": detail}
            connection.execute(update(actions).where(actions.c.id == action.id).values(values))
            moved = self._move(connection, incident, state, due_in, detail, f"action {ended}")
        telemetry.count("actions", kind=str(action.kind), state=str(ended))
        return moved

    def ended(
        self, incident: Incident, outcome: Outcome | None, given: list[Label], state: State, due_in: float | None, detail: str
    ) -> Incident:
        """Store how the task instance was seen to end, with the labels that follow from it."""
        with transaction(self._engine) as connection:
            if outcome:
                row = asdict(outcome) | {"kind": str(outcome.kind)}
                connection.execute(upsert(self._engine, outcomes).values(row).on_conflict_do_nothing(index_elements=["action_id"]))
            if outcome and outcome.action_id:
                connection.execute(becomes_evidence(outcome.action_id))
            if given:
                connection.execute(insert(labels), [_label_row(label) for label in given])
            moved = self._move(connection, incident, state, due_in, detail, str(outcome.kind) if outcome else str(state))
        if outcome:
            telemetry.count("outcomes", kind=str(outcome.kind))
        return moved

    def closed_by_hand(self, incident: Incident, user: str, reason: str) -> Incident:
        """Close it at a person's word; what was planned about it is dropped."""
        detail = f"closed by {user}: {reason}"
        with transaction(self._engine) as connection:
            moved = self._move(connection, incident, State.CLOSED, None, detail, "")
            planned = (actions.c.incident_id == incident.id, actions.c.state == str(ActionState.PLANNED))
            dropped = {"state": str(ActionState.DROPPED), "done_at": now(), "detail": detail}
            connection.execute(update(actions).where(*planned).values(dropped))
            _audit(connection, incident, user, "closed by hand", {"state": str(State.CLOSED), "detail": detail})
            return moved

    def merged(self, incident: Incident, into: Incident, detail: str) -> Incident:
        """Close a log incident and hand the rest of its events over, in one step: what is logged meanwhile opens another."""
        with transaction(self._engine) as connection:
            moved = self._move(connection, incident, State.CLOSED, None, detail, "closed")
            mine = log_events.c.incident_id == incident.id
            connection.execute(update(log_events).where(mine).values(incident_id=into.id))
            return moved

    def add_log(self, incident_id: int, try_number: int, log_tail: str) -> None:
        """Attach a try's log tail, fetched after the fact."""
        which = (occurrences.c.incident_id == incident_id, occurrences.c.try_number == try_number)
        with transaction(self._engine) as connection:
            connection.execute(update(occurrences).where(*which).values(log_tail=log_tail))

    def open_action(self, incident_id: int, number: int | None = None) -> Action | None:
        """The planned action of this incident (of one decision, when numbered)."""
        query = select(actions).where(actions.c.incident_id == incident_id, actions.c.state == str(ActionState.PLANNED))
        if number is not None:
            query = query.where(actions.c.decision_number == number)
        with transaction(self._engine, reading=True) as connection:
            row = connection.execute(query.order_by(actions.c.id.desc())).mappings().first()
        return action_of(row) if row else None

    def holds(self, incident_id: int, at_least: timedelta) -> bool:
        """Whether our claim lasts at least this long: checked right before something is done to Airflow."""
        query = select(incidents.c.id).where(
            incidents.c.id == incident_id, incidents.c.claimed_by == self._worker, incidents.c.claimed_until >= now() + at_least
        )
        with transaction(self._engine, reading=True) as connection:
            return connection.execute(query).first() is not None

    def _move(
        self, connection: Connection, incident: Incident, state: State, due_in: float | None, detail: str, what: str, **also: Any
    ) -> Incident:
        at = now()
        values: dict[str, Any] = {
            "state": str(state),
            "looks": incident.looks + 1 if state == incident.state else 0,
            "due_at": None if due_in is None else at + timedelta(seconds=due_in),
            "closed_at": at if state in CLOSING else None,
        }
        values |= also
        if detail:
            values |= {"detail": detail, "updated_at": at}
        mine = (incidents.c.id == incident.id, incidents.c.claimed_by == self._worker, incidents.c.claimed_until > at, open_only)
        # A try that failed while we worked made the incident due: such news is never overwritten by what we knew before.
        current = incidents.c.try_number == incident.try_number
        moved = connection.execute(update(incidents).where(*mine, current).values(values).returning(incidents)).mappings().first()
        if moved is None:
            raise LostClaim(f"incident {incident.id} is no longer ours to move to {state}: it was claimed by another or a newer try failed")
        if what:
            _audit(connection, incident, "triage", what, {"state": str(state), "detail": detail})
        return incident_of(moved)


_ACTING = (State.ASKED, State.WAITING, State.ACTING)


def _audit(connection: Connection, incident: Incident, actor: str, what: str, detail: dict[str, Any]) -> None:
    note(connection, actor, what, detail, incident_id=incident.id)


def _planned(incident: Incident, decision: Decision, attempts: int) -> dict[str, Any]:
    return asdict(incident.ref) | {
        "incident_id": incident.id,
        "decision_number": decision.number,
        "kind": str(decision.action),
        "answers_try": decision.answers_try,
        "attempts": attempts,
        "state": str(ActionState.PLANNED),
        "planned_at": now(),
        "category": incident.category or "",
        "parameters": dict(decision.parameters),
    }


def _label_row(label: Label) -> dict[str, Any]:
    return asdict(label) | {"detail": dict(label.detail)}
