"""Hand an incident to people: the reason on the task instance's note, and a message through the configured notifiers.

A notifier is told at least once: a crash between telling and recording it tells again, with the same key.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, TimeoutError
from datetime import datetime, timedelta
from typing import Any

from airflow_oncall.act.actions.base import compose_note
from airflow_oncall.act.approval import link
from airflow_oncall.act.guards import LONGEST_SECONDS
from airflow_oncall.act.hours import quiet_until, silent_until
from airflow_oncall.act.policy import Policy
from airflow_oncall.act.routes import notifiers_of
from airflow_oncall.act.situation import CRITICAL
from airflow_oncall.act.storm_text import told as told_as_storm
from airflow_oncall.errors import AirflowApiError, BadSetting
from airflow_oncall.incident import Action, ActionState, Decision, Diagnosis, Incident, Kind, State, Storm
from airflow_oncall.rest import AirflowApi
from airflow_oncall.store.ledger import LostClaim
from airflow_oncall.store.records import now
from airflow_oncall.store.sql import Store

log = logging.getLogger(__name__)

NOTIFIER_SECONDS = 30


def escalate(store: Store, api: AirflowApi, policy: Policy, incident: Incident, action: Action) -> Incident:
    """Tell people, then record that they were told; the incident is ``escalated`` and still followed."""
    decision, diagnosis = store.reading.decision(incident.id), store.reading.diagnosis(incident.id)
    reason = " ".join(decision.reasons) if decision else incident.detail
    noted = _note(api, incident, action, reason)
    told = _tell_all(store, api, policy, incident, _about(store, incident, message(incident, diagnosis, decision, api.base_url)))
    detail = decision.reasons[0] if decision else reason
    problems = "; ".join(filter(None, [noted, *told]))
    return store.ledger.acted(incident, action, ActionState.DONE, f"{detail} {problems}".strip(), State.ESCALATED, 30)


def tell(store: Store, api: AirflowApi, policy: Policy, incident: Incident) -> Incident:
    """Tell people of an incident that became theirs without a decision to escalate: rejected, not answered, refused, expired."""
    storm = store.storms.probed_by(incident)
    until = silence(policy, api, store.storms.dags(storm) if storm else [incident.ref.dag_id])
    if until:
        return store.ledger.postpone(incident, seconds_until(until))
    decision, diagnosis = store.reading.decision(incident.id), store.reading.diagnosis(incident.id)
    problems = _tell_all(store, api, policy, incident, _about(store, incident, message(incident, diagnosis, decision, api.base_url)))
    detail = "; ".join(filter(None, (incident.detail, *problems)))
    return store.ledger.move(incident, State.ESCALATED, due_in=30, detail=detail, what="told")


def silence(policy: Policy, api: AirflowApi, dag_ids: Sequence[str]) -> datetime | None:
    """Until when people are not told of these DAGs, for quiet hours or maintenance; ``None``: they are told at once."""
    at = now()
    critical = api.dag_ids(CRITICAL) if quiet_until(policy.quiet_hours, at) else ()
    return silent_until(policy, dag_ids, critical, at)


def seconds_until(moment: datetime) -> float:
    """Until then, but not so long that nobody looks whether the policy, or the task instance, is another by now."""
    return min(max((moment - now()).total_seconds(), 1), LONGEST_SECONDS)


def tell_of_storm(store: Store, api: AirflowApi, policy: Policy, storm: Storm, detail: str) -> None:
    """Tell people of a storm as a whole. The caller sees to it that one worker does, and records it."""
    probe = store.reading.incident(storm.probe_id) if storm.probe_id else None
    if probe is None:
        raise AssertionError(f"storm {storm.id} is told of before it had a probe")
    oncall = message(probe, store.reading.diagnosis(probe.id), None, api.base_url)
    try:
        specs = notifiers_of(policy, api, probe.ref)
    except BadSetting as error:
        log.error("%s", error)
        return
    for spec in specs:
        notify(spec, told_as_storm(store, storm, oncall, detail))


def _about(store: Store, incident: Incident, oncall: dict[str, Any]) -> dict[str, Any]:
    """Of the probe of a storm people are told as of the whole storm."""
    storm = store.storms.probed_by(incident)
    return told_as_storm(store, storm, oncall) if storm else oncall


def _tell_all(store: Store, api: AirflowApi, policy: Policy, incident: Incident, oncall: dict[str, Any]) -> list[str]:
    """Send through every notifier, under a claim that outlasts them all: who lost it must not tell people again."""
    try:
        specs = notifiers_of(policy, api, incident.ref)
    except BadSetting as error:
        log.error("%s", error)
        return [str(error)]
    if store.queue.claim(incident.id, timedelta(seconds=60 + NOTIFIER_SECONDS * len(specs))) is None:
        raise LostClaim(f"incident {incident.id} was claimed by another worker")
    return [notify(spec, oncall) for spec in specs]


def message(incident: Incident, diagnosis: Diagnosis | None, decision: Decision | None, base_url: str) -> dict[str, Any]:
    """What notifiers' templates see as ``oncall``: subject, body, key (the same for repeats), link, category, reasons."""
    category = diagnosis.category if diagnosis else "unknown"
    reasons = list(dict.fromkeys(filter(None, (incident.detail, *(decision.reasons if decision else ())))))
    return {
        "subject": f"{incident.ref} needs you: {category}",
        "body": "\n".join([*reasons, link(incident, base_url)]),
        "key": f"oncall-{incident.id}",
        "link": link(incident, base_url),
        "category": category,
        "reasons": reasons,
        "dag_id": incident.ref.dag_id,
        "run_id": incident.ref.run_id,
        "task_id": incident.ref.task_id,
        "map_index": incident.ref.map_index,
    }


def notify(spec: dict[str, Any], oncall: dict[str, Any]) -> str:
    """Send through one notifier; what is wrong with it is given back as text, because an escalation must not fail for it.

    Other people's code may raise anything, or hang: it runs aside, for :data:`NOTIFIER_SECONDS` at most. The text of its
    error may hold what it signs in with: that goes to the log, which Airflow masks, and not into the store.
    """
    try:
        error = error_of(lambda: load(spec)({"oncall": oncall}))
    except TimeoutError:
        return f"notifier {spec['classpath']} gave no answer in {NOTIFIER_SECONDS} s"
    if error is None:
        return ""
    log.warning("notifier %s failed", spec["classpath"], exc_info=error)
    if isinstance(error, BadSetting):
        return str(error)
    return f"notifier {spec['classpath']} failed with {type(error).__name__}, see this task's log"


def error_of(call: Callable[[], object]) -> BaseException | None:
    """What other people's code raises, whatever it is. Raises ``TimeoutError`` after :data:`NOTIFIER_SECONDS`."""
    aside = ThreadPoolExecutor(1, thread_name_prefix="oncall-notifier")
    running = aside.submit(call)
    aside.shutdown(wait=False)
    return running.exception(NOTIFIER_SECONDS)


def load(spec: dict[str, Any]) -> Any:
    """The notifier of one entry of ``[oncall] escalation_notifiers`` or of a route. Raises ``BadSetting`` when it cannot be made."""
    from airflow.sdk import BaseNotifier
    from airflow.sdk.module_loading import import_string  # type: ignore[attr-defined]

    classpath = spec["classpath"]
    try:
        notifier = import_string(classpath)(**spec.get("kwargs", {}))
    except (ImportError, TypeError) as error:
        raise BadSetting(f"[oncall] escalation_notifiers or a route: {classpath!r} cannot be made: {error}") from error
    except ValueError as error:  # without its text, which may hold what the notifier signs in with
        raise BadSetting(f"[oncall] escalation_notifiers or a route: {classpath!r} does not take its kwargs; check their values") from error
    if not isinstance(notifier, BaseNotifier):
        raise BadSetting(f"[oncall] escalation_notifiers or a route: {classpath!r} is no BaseNotifier")
    return notifier


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
