"""Questions to people: asked in Airflow's own UI, one run of ``oncall_approval`` a question, answered at most once.

The run's id is that of the action that is asked about, so asking twice is one run. Airflow's HITL endpoints do the
rest: who may answer, who answered, the audit. A question that nobody answers does nothing and is escalated.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Any
from urllib.parse import quote

from airflow_oncall import conf
from airflow_oncall.act.actions.registry import describe
from airflow_oncall.act.effective import Subject, effective, subject_of
from airflow_oncall.act.execute import execute
from airflow_oncall.act.policy import Names
from airflow_oncall.act.policy_file import read_policy
from airflow_oncall.act.storm_text import facts as storm_facts
from airflow_oncall.errors import AirflowApiError, NotFound, StoreUnavailable
from airflow_oncall.incident import Action, ActionKind, Decision, Diagnosis, Incident, Label, Occurrence, State, Storm
from airflow_oncall.rest import AirflowApi
from airflow_oncall.store.records import now
from airflow_oncall.store.sql import Store
from airflow_oncall.store.suggestions import Suggested

APPROVAL_DAG = "oncall_approval"
QUESTION_TASK = "question"
APPROVE, REJECT = "Approve", "Reject"
LEASE = timedelta(minutes=2)
SLACK = timedelta(hours=1)
"""A question that waits so much longer than people have time to answer waits for a scheduler, and perhaps for ever."""
_MARKDOWN = frozenset("\\`*[]<>|")


def ask(store: Store, api: AirflowApi, incident: Incident) -> Incident:
    """Start the question's run (once, however often this is called) and look again in a minute."""
    decision, diagnosis = store.reading.decision(incident.id), store.reading.diagnosis(incident.id)
    action = store.ledger.open_action(incident.id, incident.decisions)
    if decision is None or diagnosis is None or action is None:
        raise AssertionError(f"incident {incident.id} is asked about without a decision")
    seen = store.reading.occurrences(incident.id)[-1]
    storm = store.storms.of(incident)
    question = {
        "incident_id": incident.id,
        "number": decision.number,
        "subject": subject(incident, diagnosis, storm, str(decision.action)),
        "approvers": list(decision.basis.get("approvers", ())),
        "body": body(incident, diagnosis, decision, seen, api.base_url, storm_facts(store, storm, incident) if storm else ())
        + _suggestion(store.suggestions.get(incident.fingerprint)),
    }
    try:
        api.trigger(APPROVAL_DAG, action.own_run_id, question)
    except AirflowApiError as error:
        if error.transient:
            raise
        return _reject(store, incident, "no answer", "airflow", f"the question could not be asked: {error}")
    return store.ledger.move(incident, State.ASKED, due_in=60)


def response_in(api: AirflowApi, run_id: str) -> dict[str, Any] | None:
    """What a person answered in the run of a question, from Airflow's own record; ``None`` where nobody did.

    The record is asked rather than the question's XCom, because Airflow can fail the question's task instance although
    it was answered: when the answer comes in the moment in which it begins to wait.
    """
    return api.human_answer(APPROVAL_DAG, run_id, QUESTION_TASK)


def still_asked(store: Store, api: AirflowApi, incident: Incident) -> Incident:
    """``asked``: when a question's run ended without telling us, its answer is read here, so that no incident waits for ever."""
    action = store.ledger.open_action(incident.id, incident.decisions)
    if action is None:
        raise AssertionError(f"incident {incident.id} is asked about without an action")
    try:
        run = api.run(APPROVAL_DAG, action.own_run_id)
    except NotFound:
        return _reject(store, incident, "no answer", "airflow", "nobody answered: the question's run is gone")
    waits = run.state in ("queued", "running")
    overdue = now() - (run.started_at or action.planned_at) > timedelta(seconds=conf.approval_timeout()) + SLACK
    if waits and not overdue:
        return store.ledger.move(incident, State.ASKED, due_in=60)
    response = response_in(api, action.own_run_id)
    if response is None:
        advice = f"; is {APPROVAL_DAG} paused? Unpause it" if waits else ""
        return _reject(store, incident, "no answer", "airflow", f"nobody answered: the question's run is {run.state}{advice}")
    return _carry_out(store, api, incident, action, response)


def conclude(store: Store, api: AirflowApi, run_id: str, question: Mapping[str, Any]) -> str:
    """What the run of a question does at its end: carry out what a person answered in it, or that nobody did.

    ``question``: what it was started with. A run that another store started, one that was replaced or set back since, changes nothing.
    """
    incident_id, number = int(question["incident_id"]), int(question["number"])
    if run_id not in (one.own_run_id for one in store.reading.actions(incident_id)):
        return f"{run_id} asks no question of this store; nothing is done."
    return answer(store, api, incident_id, number, response_in(api, run_id))


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
    allowed = _approvers_now(store, api, incident) if response else ()
    if response and not may_answer(known_as(response), allowed):
        user = _user(response)
        detail = f"{user} answered, but only {', '.join(allowed)} may; nothing is done"
        return _reject(store, incident, "no answer", user, detail)
    if not response:
        return _reject(store, incident, "no answer", "airflow", "nobody answered in time")
    if APPROVE not in response.get("chosen_options", ()):
        _answer_for_storm(store, incident, False, response)
        return _reject(store, incident, "rejection", _user(response), "")
    decision = store.reading.decision(incident.id)
    label = Label(incident.id, "approval", str(action.kind), _user(response), now(), {"decision": action.decision_number})
    _answer_for_storm(store, incident, True, response)
    acting = store.ledger.answered(incident, action, label, State.ACTING, 0)
    reason = f"Approved by {label.given_by}. " + (" ".join(decision.reasons) if decision else "")
    return execute(store, api, acting, action, reason)


def _approvers_now(store: Store, api: AirflowApi, incident: Incident) -> Names:
    """Who may answer by the policy of this moment, which somebody may have left since the question was asked; empty: anybody."""
    policy, ref = read_policy(store), incident.ref
    named = Subject(ref.dag_id, ref.task_id)
    if any(override.approvers is not None for override in policy.overrides):
        with suppress(NotFound):  # of a task that is gone, only the names are known
            named = subject_of(ref, api.task(ref.dag_id, ref.task_id))
    return effective(policy, named, mode="").approvers


def known_as(response: Mapping[str, Any]) -> set[str]:
    """Name and id of whoever answered."""
    user = response.get("responded_by_user") or {}
    known = {user.get("id"), user.get("name")} if isinstance(user, Mapping) else {user}
    return {str(one) for one in known if one is not None}


def may_answer(known: Collection[str], allowed: Collection[str]) -> bool:
    """Whether a policy that names these approvers, by name or id, takes the word of whoever is known as this."""
    return not allowed or not set(known).isdisjoint(allowed)


def _reject(store: Store, incident: Incident, name: str, user: str, detail: str) -> Incident:
    action = store.ledger.open_action(incident.id)
    kind = str(action.kind) if action else ""
    label = Label(incident.id, name.replace(" ", "_"), kind, user, now(), {"decision": incident.decisions, "detail": detail})
    if action is None:
        return store.ledger.move(incident, State.ESCALATED, due_in=0, detail=detail or f"{name} by {user}", what=name)
    return store.ledger.answered(incident, action, label, State.ESCALATED, 0)


def _answer_for_storm(store: Store, incident: Incident, approved: bool, response: Mapping[str, Any]) -> None:
    """Before the answer itself is recorded, so that a crash between the two repeats both. That nobody answered is no answer."""
    storm = store.storms.of(incident)
    if storm:
        store.storms.answered(storm, approved, _user(response), known_as(response))


def _user(response: Mapping[str, Any]) -> str:
    user = response.get("responded_by_user") or {}
    return str(user.get("name") or user.get("id") or "unknown") if isinstance(user, Mapping) else str(user)


def subject(incident: Incident, diagnosis: Diagnosis, storm: Storm | None = None, action: str = ActionKind.CLEAR_TASK) -> str:
    """One line: what is proposed for what, and why."""
    verb = "clear" if action in (ActionKind.CLEAR_TASK, ActionKind.CLEAR_RUN) else f"{_words(action)} for"
    of = f"Storm of {storm.members}: {verb}" if storm else verb.capitalize()
    what = f"{incident.ref.dag_id}.{incident.ref.task_id or 'run'}{_index(incident)}"
    return f"{of} {what}? {diagnosis.category} at try {incident.try_number}"


def _words(action: str | None) -> str:
    return str(action).replace("_", " ")


def body(
    incident: Incident, diagnosis: Diagnosis, decision: Decision, seen: Occurrence, base_url: str, storm: Sequence[tuple[str, str]] = ()
) -> str:
    """Markdown: what failed, why, what is proposed, how likely it helps, and where to look; ``storm``: rows about the storm."""
    facts = [
        *storm,
        ("Task instance", f"`{incident.ref}`, try {incident.try_number}"),
        ("Cause", f"{diagnosis.category} ({diagnosis.probability:.0%})"),
        ("Proposal", f"{_words(decision.action)}: {describe(str(decision.action), decision.parameters)}"),
        ("Probability that it helps", f"{decision.probability:.0%}"),
        ("Why you are asked", decision.reasons[0]),
    ]
    table = "\n".join(["| | |", "|---|---|", *(f"| {name} | {_cell(value)} |" for name, value in facts)])
    decisive = "\n".join(diagnosis.evidence[:3]) or seen.evidence.message[:500] or "(no text)"
    fenced = decisive.replace("```", "'''")
    where = f"[Open the task instance]({link(incident, base_url)})"
    similar = _similar(decision)
    return f"{table}\n\n```\n{fenced}\n```\n\n{similar}{where}\n\nReject: nothing is done and it is escalated."


def _similar(decision: Decision) -> str:
    """What is known of its like, in which nothing is Markdown: the words are those of people and of other incidents."""
    lines = [_no_markdown(str(line)) for line in decision.basis.get("alike", ())]
    return "".join(["Similar:\n\n", *(f"- {line}\n" for line in lines), "\n"]) if lines else ""


def _suggestion(suggested: Suggested | None) -> str:
    """What a language model said of such failures, marked as such."""
    if suggested is None:
        return ""
    lines = [f"{suggested.category}: {suggested.explanation}", *suggested.steps]
    told = "\n".join(f"- {_no_markdown(' '.join(line.split()))}" for line in lines)
    return f"\n\nA language model suggests, which nobody has checked and nothing acts on:\n\n{told}"


def _no_markdown(text: str) -> str:
    return "".join(f"\\{one}" if one in _MARKDOWN else one for one in text)


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
