"""Hand an incident to people: the reason on the task instance's note, and a notice in the outbox for whoever is to be told.

What is told when, and through whom: :mod:`airflow_oncall.act.notify.delivery`.
"""

from __future__ import annotations

import logging

from airflow_oncall.act.actions.base import compose_note
from airflow_oncall.act.notify.outbox import put
from airflow_oncall.act.notify.quiet import seconds_until, silence
from airflow_oncall.act.policy import Policy
from airflow_oncall.errors import AirflowApiError
from airflow_oncall.incident import Action, ActionState, Incident, Kind, State, Storm, StormState
from airflow_oncall.rest import AirflowApi
from airflow_oncall.store.notices import Occasion
from airflow_oncall.store.sql import Store

log = logging.getLogger(__name__)

SOON, LATER = 30.0, 300.0
"""Seconds until it is looked at again; a storm may leave thousands to people at once."""


def escalate(store: Store, api: AirflowApi, policy: Policy, incident: Incident, action: Action) -> Incident:
    """Have people told, then record it; the incident is ``escalated`` and still followed. Of a storm only the probe is told of."""
    decision = store.reading.decision(incident.id)
    reason = " ".join(decision.reasons) if decision else incident.detail
    noted = _note(api, incident, action, reason)
    storm = store.storms.of(incident)
    is_told_of = storm is None or storm.probe_id == incident.id
    wrong = put(store, api, policy, incident, Occasion.ESCALATED, incident.detail, storm) if is_told_of else ""
    detail = " ".join(filter(None, (decision.reasons[0] if decision else reason, noted, wrong)))
    return store.ledger.acted(incident, action, ActionState.DONE, detail, State.ESCALATED, SOON if is_told_of else LATER)


def tell(store: Store, api: AirflowApi, policy: Policy, incident: Incident) -> Incident:
    """Have people told of an incident that became theirs without a decision to escalate: rejected, not answered, refused, expired."""
    storm = store.storms.probed_by(incident)
    until = silence(policy, api, store.storms.dags(storm) if storm else [incident.ref.dag_id])
    if until:
        return store.ledger.postpone(incident, seconds_until(until))
    wrong = put(store, api, policy, incident, Occasion.ESCALATED, incident.detail, storm)
    detail = "; ".join(filter(None, (incident.detail, wrong)))
    return store.ledger.move(incident, State.ESCALATED, due_in=30, detail=detail)


def tell_of_question(store: Store, api: AirflowApi, policy: Policy, incident: Incident) -> None:
    """Have people told that a question waits, of a storm once; asked twice, it is one notice."""
    storm = store.storms.of(incident)
    if storm and storm.state is StormState.ESCALATED:  # its last question comes with what people are told of the storm
        return
    put(store, api, policy, incident, Occasion.ASKED, incident.detail, storm)


def tell_of_storm(store: Store, api: AirflowApi, policy: Policy, storm: Storm, occasion: Occasion, detail: str) -> None:
    """Have people told of a storm as a whole."""
    probe = store.reading.incident(storm.probe_id) if storm.probe_id else None
    subject = probe or store.storms.first_member(storm)  # data about the probe may have been deleted
    if subject is None:
        log.warning("storm %s has no members any more, so nobody is told: %s", storm.id, detail)
        return
    put(store, api, policy, subject, occasion, detail, storm)


def _note(api: AirflowApi, incident: Incident, action: Action, reason: str) -> str:
    if incident.kind is not Kind.TASK:
        return ""
    try:
        found = api.task_instance(incident.ref)
        if action.mark not in found.note:
            api.set_note(incident.ref, compose_note(action, reason, found.note))
    except AirflowApiError as error:
        log.warning("incident %s: the note was not written: %s", incident.id, error)
        return f"(note not written: {error})"
    return ""
