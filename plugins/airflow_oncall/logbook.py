"""What becomes of an incident that a log opened: evidence of a task instance's incident, or an incident of its own.

belongs to a task instance ─┬─ whose incident is open ──────> its evidence; that incident is looked at again
                            ├─ that still runs ─────────────> looked at until it ended
                            ├─ that succeeded all the same ─> closed
                            └─ that failed, unnoticed ──────> swept, then its evidence
belongs to none ────────────> diagnosed; people are told where the policy says so; closed when it is quiet again
"""

from __future__ import annotations

import logging
from datetime import timedelta

from airflow_oncall.act.verify import look
from airflow_oncall.brain import unexplained
from airflow_oncall.incident import NO_INCIDENT, REPORTED, UNKNOWN, ActionKind, Diagnosis, Incident, State
from airflow_oncall.judgement import Judgement
from airflow_oncall.rest import AirflowApi
from airflow_oncall.store.records import now
from airflow_oncall.store.sql import Store

log = logging.getLogger(__name__)

QUIET = timedelta(hours=24)
"""A log incident of nobody's closes after this time without another record."""
UNNOTICED_LOOKS = 6
"""Looks at a failed task instance without an incident, after which its incident must have been closed already."""
RUNNING_SECONDS = 30
LEASE = timedelta(seconds=90)
_ENDED = frozenset({"failed", "success", "skipped", "removed", "upstream_failed", "gone"})
_RECONSIDERED = frozenset({State.ESCALATED, State.OBSERVED})


def opened(store: Store, api: AirflowApi, judgement: Judgement, incident: Incident) -> Incident:
    """``open``: find out whose it is."""
    if not incident.ref.task_id:
        return _alone(store, judgement, incident)
    owner = store.logs.task_incident(incident.ref)
    if owner and owner.is_open:
        return _hand_over(store, api, judgement, incident, owner)
    standing = look(api, incident)
    if standing.state not in _ENDED:
        return store.ledger.postpone(incident, RUNNING_SECONDS)  # no look that counts: it may run for days
    if standing.state == "failed" and incident.looks < UNNOTICED_LOOKS:
        store.intake.request_sweep(incident.ref.dag_id, incident.ref.run_id)
        return store.ledger.move(incident, State.OPEN, due_in=2)
    detail = f"{incident.ref} is {standing.state} all the same"
    return store.ledger.merged(incident, owner, detail) if owner else _closed(store, incident, detail)


def quiet(store: Store, incident: Incident) -> Incident:
    """``escalated`` or ``observed``: over when nothing of the kind was logged for :data:`QUIET`."""
    if now() - incident.updated_at > QUIET:
        return _closed(store, incident, f"not logged again for {QUIET.total_seconds() / 3600:.0f} h")
    return store.ledger.move(incident, incident.state, due_in=900)


def _alone(store: Store, judgement: Judgement, incident: Incident) -> Incident:
    diagnosis = judgement.diagnose_log(incident)
    if diagnosis.category == NO_INCIDENT and incident.source.startswith(REPORTED):
        diagnosis = unexplained(diagnosis, "Somebody reported it")
    if diagnosis.category == NO_INCIDENT:
        return _closed(store, incident, "what was logged shows no failure")
    return store.ledger.diagnosed(incident, diagnosis)


def _hand_over(store: Store, api: AirflowApi, judgement: Judgement, incident: Incident, owner: Incident) -> Incident:
    """Repeatable after a crash: events that were handed over are not there any more, and closing comes last."""
    claimed = store.queue.claim(owner.id, LEASE)
    if claimed is None:  # another worker is at it; its decision must not be made under way
        return store.ledger.move(incident, State.OPEN, due_in=2)
    try:
        store.logs.hand_over(incident, claimed)
        _reconsider(store, api, judgement, claimed)
    finally:
        store.queue.release(claimed.id)
    return store.ledger.merged(incident, owner, f"evidence of incident {owner.id} ({owner.ref})")


def _reconsider(store: Store, api: AirflowApi, judgement: Judgement, owner: Incident) -> None:
    """Decide again where the engine's view changes the diagnosis, nothing was done yet, and no person has spoken."""
    before = store.reading.diagnosis(owner.id)
    acted = any(action.kind != ActionKind.ESCALATE for action in store.reading.actions(owner.id))
    if owner.state not in _RECONSIDERED or before is None or acted:
        return
    after = judgement.diagnose(api, owner)
    if _says_more(before, after):
        log.info("incident %s: %s by what %s logged, not %s", owner.id, after.category, owner.ref, before.category)
        store.ledger.diagnosed(owner, after)


def _says_more(before: Diagnosis, after: Diagnosis) -> bool:
    return after.category not in (before.category, UNKNOWN, NO_INCIDENT)


def _closed(store: Store, incident: Incident, detail: str) -> Incident:
    return store.ledger.move(incident, State.CLOSED, due_in=None, detail=detail, what="closed")
