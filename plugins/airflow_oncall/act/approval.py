"""Questions to people: asked in Airflow's own UI, one run of ``oncall_approval`` a question, answered at most once.

The run's id is made from incident and decision number, so asking twice is one run. Airflow's HITL endpoints do the
rest: who may answer, who answered, the audit. A question that nobody answers does nothing and is escalated.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from urllib.parse import quote

from airflow_oncall.act.execute import execute
from airflow_oncall.errors import AirflowApiError, NotFound, StoreUnavailable
from airflow_oncall.incident import Action, Decision, Diagnosis, Incident, Label, Occurrence, State
from airflow_oncall.rest import AirflowApi
from airflow_oncall.store.records import now
from airflow_oncall.store.sql import Store

APPROVAL_DAG = "oncall_approval"
QUESTION_TASK = "question"
APPROVE, REJECT = "Approve", "Reject"
LEASE = timedelta(minutes=2)


def run_id(incident_id: int, number: int) -> str:
    """Run of the question that decision ``number`` of an incident asks."""
    return f"oncall-{incident_id}-{number}"


def ask(store: Store, api: AirflowApi, incident: Incident) -> Incident:
    """Start the question's run (once, however often this is called) and look again in a minute."""
    decision, diagnosis = store.reading.decision(incident.id), store.reading.diagnosis(incident.id)
    if decision is None or diagnosis is None:
        raise AssertionError(f"incident {incident.id} is asked about without a decision")
    seen = store.reading.occurrences(incident.id)[-1]
    question = {
        "incident_id": incident.id,
        "number": decision.number,
        "subject": subject(incident, diagnosis),
        "body": body(incident, diagnosis, decision, seen, api.base_url),
    }
    try:
        api.trigger(APPROVAL_DAG, run_id(incident.id, decision.number), question)
    except AirflowApiError as error:
        if error.transient:
            raise
        return _reject(store, incident, "no answer", "airflow", f"the question could not be asked: {error}")
    return store.ledger.move(incident, State.ASKED, due_in=60)


def response_to(api: AirflowApi, incident_id: int, number: int) -> dict[str, Any] | None:
    """What a person answered, from Airflow's own record; ``None`` where nobody did.

    The record is asked rather than the question's XCom, because Airflow can fail the question's task instance although
    it was answered: when the answer comes in the moment in which it begins to wait.
    """
    return api.human_answer(APPROVAL_DAG, run_id(incident_id, number), QUESTION_TASK)


def still_asked(store: Store, api: AirflowApi, incident: Incident) -> Incident:
    """``asked``: when a question's run ended without telling us, its answer is read here, so that no incident waits for ever."""
    try:
        state = api.run(APPROVAL_DAG, run_id(incident.id, incident.decisions)).state
    except NotFound:
        state = "gone"
    if state in ("queued", "running"):
        return store.ledger.move(incident, State.ASKED, due_in=60)
    response = response_to(api, incident.id, incident.decisions) if state != "gone" else None
    action = store.ledger.open_action(incident.id, incident.decisions)
    if response is None or action is None:
        return _reject(store, incident, "no answer", "airflow", f"the question's run is {state} and left no answer")
    return _carry_out(store, api, incident, action, response)


def answer(store: Store, api: AirflowApi, incident_id: int, number: int, response: Mapping[str, Any] | None) -> str:
    """Carry out what a person answered (``None``: nobody did in time) and say what was done.

    Only the newest question of an incident that is still asked counts; an old answer changes nothing. Raises
    ``StoreUnavailable`` while a triage worker holds the incident: trying again in a moment helps.
    """
    incident = store.queue.claim(incident_id, LEASE)
    if incident is None:
        known = store.reading.incident(incident_id)
        if known is None or not known.is_open:
            return f"Incident {incident_id} is {known.state if known else 'deleted'}; nothing is left to do."
        raise StoreUnavailable(f"incident {incident_id} is being worked on; trying again in a moment helps")
    try:
        action = store.ledger.open_action(incident.id, number)
        if incident.state is not State.ASKED or incident.decisions != number or action is None:
            return f"Incident {incident.id} is {incident.state}; question {number} is no longer asked, so nothing is done."
        return _carry_out(store, api, incident, action, response).detail
    finally:
        store.queue.release(incident_id)


def _carry_out(store: Store, api: AirflowApi, incident: Incident, action: Action, response: Mapping[str, Any] | None) -> Incident:
    if not response or APPROVE not in response.get("chosen_options", ()):
        name, user = ("rejection", _user(response)) if response else ("no answer", "airflow")
        return _reject(store, incident, name, user, "")
    decision = store.reading.decision(incident.id)
    label = Label(incident.id, "approval", str(action.kind), _user(response), now(), {"decision": action.decision_number})
    acting = store.ledger.answered(incident, action, label, State.ACTING, 0)
    reason = f"Approved by {label.given_by}. " + (" ".join(decision.reasons) if decision else "")
    return execute(store, api, acting, action, reason)


def _reject(store: Store, incident: Incident, name: str, user: str, detail: str) -> Incident:
    action = store.ledger.open_action(incident.id)
    label = Label(incident.id, name.replace(" ", "_"), "clear", user, now(), {"decision": incident.decisions, "detail": detail})
    if action is None:
        return store.ledger.move(incident, State.ESCALATED, due_in=0, detail=detail or f"{name} by {user}", what=name)
    return store.ledger.answered(incident, action, label, State.ESCALATED, 0)


def _user(response: Mapping[str, Any]) -> str:
    user = response.get("responded_by_user") or {}
    return str(user.get("name") or user.get("id") or "unknown") if isinstance(user, Mapping) else str(user)


def subject(incident: Incident, diagnosis: Diagnosis) -> str:
    """One line: what failed, of what."""
    return (
        f"Clear {incident.ref.dag_id}.{incident.ref.task_id or 'run'}{_index(incident)}? {diagnosis.category} at try {incident.try_number}"
    )


def body(incident: Incident, diagnosis: Diagnosis, decision: Decision, seen: Occurrence, base_url: str) -> str:
    """Markdown: what failed, why, what is proposed, how likely it helps, and where to look."""
    facts = [
        ("Task instance", f"`{incident.ref}`, try {incident.try_number}"),
        ("Cause", f"{diagnosis.category} ({diagnosis.probability:.0%})"),
        ("Proposal", f"{str(decision.action).replace('_', ' ')}: it runs again, with its full retries"),
        ("Probability that it helps", f"{decision.probability:.0%}"),
        ("Why you are asked", decision.reasons[0]),
    ]
    table = "\n".join(["| | |", "|---|---|", *(f"| {name} | {_cell(value)} |" for name, value in facts)])
    decisive = "\n".join(diagnosis.evidence[:3]) or seen.evidence.message[:500] or "(no text)"
    fenced = decisive.replace("```", "'''")
    where = f"[Open the task instance]({link(incident, base_url)})"
    return f"{table}\n\n```\n{fenced}\n```\n\n{where}\n\nReject: nothing is done and it is escalated."


def link(incident: Incident, base_url: str) -> str:
    """Address of the task instance in Airflow's UI; of Airflow itself where there is none."""
    ref = incident.ref
    if not ref.run_id:  # a DAG file or a log source
        return base_url
    task = f"/tasks/{quote(ref.task_id, safe='')}" if ref.task_id else ""
    mapped = f"/mapped/{ref.map_index}" if ref.map_index >= 0 else ""
    return f"{base_url}/dags/{quote(ref.dag_id, safe='')}/runs/{quote(ref.run_id, safe='')}{task}{mapped}"


def _index(incident: Incident) -> str:
    return f"[{incident.ref.map_index}]" if incident.ref.map_index >= 0 else ""


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
