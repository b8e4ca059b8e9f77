"""Follow a task instance (or run) to its real end. Success is never assumed, it is seen in Airflow.

One look gives a :class:`Standing`; each state of an incident reads it in its own way (``watch``, ``verify``, ``follow``).
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import timedelta

from airflow_oncall import conf
from airflow_oncall.act.actions.base import ActContext, Verified
from airflow_oncall.act.actions.registry import UnknownAction, action_type
from airflow_oncall.errors import NotFound
from airflow_oncall.incident import (
    Action,
    ActionState,
    Incident,
    Kind,
    Label,
    Outcome,
    OutcomeKind,
    State,
)
from airflow_oncall.rest import AirflowApi, TaskInstanceView
from airflow_oncall.store.records import now
from airflow_oncall.store.sql import Store

log = logging.getLogger(__name__)

KEEP_FOLLOWING = timedelta(days=7)
"""An escalated or observed incident that nobody touched for this long is closed."""
_ENDED_OTHERWISE = frozenset({"skipped", "removed", "upstream_failed"})


@dataclass(frozen=True)
class Standing:
    """Where a task instance or run stands in Airflow. ``state`` is ``gone`` when it was deleted."""

    state: str
    try_number: int
    view: TaskInstanceView | None = None


def look(api: AirflowApi, incident: Incident) -> Standing:
    """One look at Airflow."""
    try:
        if incident.kind is Kind.DAG_RUN:
            return Standing(api.run(incident.ref.dag_id, incident.ref.run_id).state, incident.try_number)
        found = api.task_instance(incident.ref)
    except NotFound:
        return Standing("gone", incident.try_number)
    return Standing(found.state or "cleared", found.try_number, found)


def newer_failure(store: Store, incident: Incident, standing: Standing) -> bool:
    """Whether a try failed that the incident does not know yet; it is then stored, and the incident must be read again."""
    view = standing.view
    if view is None or standing.state != "failed" or view.try_number <= incident.try_number:
        return False
    store.intake.record(view.failed_try("sweep"))
    fresh = store.reading.incident(incident.id)
    return fresh is not None and fresh.try_number > incident.try_number


def why_over(incident: Incident, standing: Standing) -> str:
    """Why nothing is left to do, or nothing: what failed last belongs to an incident that was closed. See :func:`newer_failure` first."""
    if standing.state != "failed" or standing.try_number <= incident.try_number:
        return ""
    return f"it failed again at try {standing.try_number}, whose incident is closed already"


def watch(store: Store, incident: Incident, standing: Standing) -> Incident:
    """``watching``: Airflow retries by itself."""
    if standing.state == "success" and not store.reading.occurrences(incident.id)[-1].will_retry:
        return follow(store, incident, standing)  # it had failed for good, so it was a person who ran it again
    if standing.state == "success":
        label = _label(incident, "self_healed", "true")
        return store.ledger.ended(
            incident, None, [label], State.SELF_HEALED, None, f"Airflow's own retry succeeded (try {standing.try_number})"
        )
    if standing.state == "failed":
        return store.ledger.move(incident, State.OPEN, due_in=0, detail="Airflow retries no more", what="opened")
    if standing.state == "gone" or standing.state in _ENDED_OTHERWISE:
        return store.ledger.move(incident, State.CLOSED, due_in=None, detail=f"it is {standing.state}", what="closed")
    return store.ledger.move(incident, State.WATCHING, due_in=_pace(incident, 10, 300))


def verify(store: Store, api: AirflowApi, incident: Incident, standing: Standing, action: Action | None) -> Incident:
    """``verifying``: an action was done (or overtaken); what became of the task instance?"""
    ours = action is not None and action.state is ActionState.DONE
    known = _known_to_action(store, api, incident, standing, action) if action and ours else None
    if known:
        return _end(store, incident, action, known.outcome, standing, known.state, known.detail)
    if standing.state == "success":
        if ours and not _a_later_try(incident, standing, action):
            detail = f"it was marked success at try {standing.try_number}, which failed: nothing ran"
            return _end(store, incident, action, OutcomeKind.SUPERSEDED, standing, State.RESOLVED, detail)
        kind = OutcomeKind.SUCCESS if ours else OutcomeKind.SUPERSEDED
        return _end(store, incident, action, kind, standing, State.RESOLVED, f"succeeded at try {standing.try_number}")
    if standing.state == "failed" and action is not None and _a_later_failure(store, incident, action):
        kind = _failed_again(store, incident, action) if ours else OutcomeKind.SUPERSEDED
        return _end(store, incident, action, kind, standing, State.OPEN, f"failed again at try {standing.try_number} ({kind})")
    over = why_over(incident, standing)
    if over:
        return _end(store, incident, action, OutcomeKind.SUPERSEDED, standing, State.CLOSED, over)
    if standing.state == "failed":
        return _end(store, incident, action, OutcomeKind.SUPERSEDED, standing, State.ESCALATED, "it stands failed, nothing was re-run")
    if standing.state == "gone" or standing.state in _ENDED_OTHERWISE:
        return _end(store, incident, action, OutcomeKind.SUPERSEDED, standing, State.CLOSED, f"it is {standing.state}")
    if action and now() - (action.done_at or action.planned_at) > timedelta(seconds=conf.verify_timeout()):
        return _end(
            store, incident, action, OutcomeKind.EXPIRED, standing, State.ESCALATED, f"still {standing.state} after the verify timeout"
        )
    return store.ledger.move(incident, State.VERIFYING, due_in=_pace(incident, 1, 60))


def _known_to_action(store: Store, api: AirflowApi, incident: Incident, standing: Standing, action: Action) -> Verified | None:
    try:
        kind = action_type(action.kind)
    except UnknownAction as error:  # its package was removed; the task instance still tells how it ended
        log.warning("incident %s: %s", incident.id, error)
        return None
    return kind.verify(ActContext(store, api, incident, action), standing.state)


def follow(store: Store, incident: Incident, standing: Standing) -> Incident:
    """``escalated`` or ``observed``: it is a person's; how did it end without us?"""
    if standing.state == "success":
        detail = f"succeeded at try {standing.try_number} without us"
        return _end(store, incident, None, OutcomeKind.SUCCESS, standing, State.RESOLVED, detail)
    if standing.state == "gone" or standing.state in _ENDED_OTHERWISE:
        return _end(store, incident, None, OutcomeKind.SUPERSEDED, standing, State.CLOSED, f"it is {standing.state}")
    over = why_over(incident, standing)
    if over:
        return _end(store, incident, None, OutcomeKind.SUPERSEDED, standing, State.CLOSED, over)
    if now() - incident.updated_at > KEEP_FOLLOWING:
        return _end(store, incident, None, OutcomeKind.EXPIRED, standing, State.CLOSED, f"nobody touched it for {KEEP_FOLLOWING.days} days")
    return store.ledger.move(incident, incident.state, due_in=_pace(incident, 30, 900))


def _end(
    store: Store, incident: Incident, action: Action | None, kind: OutcomeKind | None, standing: Standing, state: State, detail: str
) -> Incident:
    ended_at = standing.view.ended_at if standing.view and standing.state == "success" else None
    ours = action.id if action else None
    outcome = Outcome(incident.id, kind, now(), standing.try_number, ours, detail, ended_at) if kind else None
    known = kind in (OutcomeKind.SUCCESS, OutcomeKind.FAILED_SAME, OutcomeKind.FAILED_OTHER)
    labels = [_label(incident, "outcome" if action else "outcome_without_us", str(kind))] if known else []
    closing = state in (State.RESOLVED, State.CLOSED)
    return store.ledger.ended(incident, outcome, labels, state, None if closing else 0, detail)


def _a_later_failure(store: Store, incident: Incident, action: Action) -> bool:
    """Whether what failed is not what the action answered; runs have no tries, so there the times tell."""
    if incident.kind is not Kind.DAG_RUN:
        return incident.try_number > action.answers_try
    return action.done_at is not None and store.reading.occurrences(incident.id)[-1].happened_at > action.done_at


def _a_later_try(incident: Incident, standing: Standing, action: Action | None) -> bool:
    """Whether what succeeded is a try after the one that the action answered; runs have no tries."""
    return incident.kind is Kind.DAG_RUN or action is None or standing.try_number > action.answers_try


def _failed_again(store: Store, incident: Incident, action: Action) -> OutcomeKind:
    seen = store.reading.occurrences(incident.id)
    if seen[-1].by_hand:
        return OutcomeKind.SUPERSEDED
    same = any(one.try_number == action.answers_try and one.fingerprint == seen[-1].fingerprint for one in seen)
    return OutcomeKind.FAILED_SAME if same else OutcomeKind.FAILED_OTHER


def _label(incident: Incident, name: str, value: str) -> Label:
    return Label(incident.id, name, value, "airflow", now(), {"try_number": incident.try_number})


def _pace(incident: Incident, first: float, slowest: float) -> float:
    """Seconds to the next look: doubling, so that long tasks cost few calls."""
    return float(min(first * 2 ** min(incident.looks, 12), slowest))
