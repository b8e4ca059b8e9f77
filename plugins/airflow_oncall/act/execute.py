"""Do a planned action at most once, to exactly the try it answers.

    planned ── note carries our mark ──────────────> done (a crash came after the clear, before this was written)
       │─── not failed at that try any more ───────> superseded (somebody else moved it)
       │─── no answer, 5xx ────────────────────────> stays planned; the next look starts here again
       │─── 401, 403 ──────────────────────────────> refused, escalated
       └─── failed at that try ── clear with mark ─> done

A clear that timed out may have happened: it is never sent again before the note was read.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from airflow_oncall import conf
from airflow_oncall.errors import AirflowApiError, NotFound
from airflow_oncall.incident import Action, ActionKind, ActionState, Incident, State
from airflow_oncall.rest import NOTE_LIMIT, TIMEOUT, AirflowApi, TaskInstanceView
from airflow_oncall.store.ledger import LostClaim
from airflow_oncall.store.sql import Store

SAFE_LEASE = timedelta(seconds=3 * TIMEOUT)
"""A clear is only sent while the claim lasts this much longer, so that no other worker can send the same."""
RETRY_SECONDS = 15.0
CUT_OFF_WITHIN = timedelta(seconds=5)
REOPENED = "run reopened"


def execute(store: Store, api: AirflowApi, incident: Incident, action: Action, reason: str) -> Incident:
    """Carry out a planned clear and record how it ended; the incident is then ``verifying``, or stays due."""
    try:
        ended, detail = _act(store, api, action, reason)
    except NotFound as error:
        ended, detail = ActionState.SUPERSEDED, str(error)
    except AirflowApiError as error:
        if error.transient:
            return store.ledger.move(incident, incident.state, due_in=RETRY_SECONDS, detail=str(error), what="action delayed")
        if error.status != 409:
            return store.ledger.acted(incident, action, ActionState.REFUSED, str(error), State.ESCALATED, 0)
        ended, detail = ActionState.SUPERSEDED, str(error)
    if ended is ActionState.REFUSED:
        return store.ledger.acted(incident, action, ended, detail, State.ESCALATED, 0)
    return store.ledger.acted(incident, action, ended, detail, State.VERIFYING, due_in=2)


def _act(store: Store, api: AirflowApi, action: Action, reason: str) -> tuple[ActionState, str]:
    return (_clear_run if action.kind == ActionKind.CLEAR_RUN else _clear_task)(store, api, action, reason)


def _clear_task(store: Store, api: AirflowApi, action: Action, reason: str) -> tuple[ActionState, str]:
    found = api.task_instance(action.ref)
    if action.mark in found.note:
        return ActionState.DONE, "cleared (seen in Airflow after a restart)"
    if found.state != "failed" or found.try_number != action.answers_try:
        return ActionState.SUPERSEDED, f"not cleared: it is {found.state} at try {found.try_number}, not failed at {action.answers_try}"
    if stop := _stopped(api, action):
        return ActionState.REFUSED, stop
    _still_ours(store, action)
    cleared = api.clear(action.ref, compose_note(action, reason, found.note))
    if action.ref not in cleared:
        return ActionState.SUPERSEDED, "not cleared: Airflow found it no longer failed"
    others = len(cleared) - 1
    return ActionState.DONE, f"cleared try {action.answers_try}" + (f" and {others} task instance(s) that waited for it" if others else "")


def _clear_run(store: Store, api: AirflowApi, action: Action, reason: str) -> tuple[ActionState, str]:
    run = api.run(action.ref.dag_id, action.ref.run_id)
    instances = list(api.task_instances(run.dag_id, run.run_id))
    if any(action.mark in one.note for one in instances):
        return ActionState.DONE, "run cleared (seen in Airflow after a restart)"
    unfinished = [one.ref for one in instances if _was_cut_off(one, run.ended_at)]
    if run.state != "failed" or not unfinished:
        return ActionState.SUPERSEDED, f"not cleared: the run is {run.state}, {len(unfinished)} of its task instances were cut off"
    if stop := _stopped(api, action):
        return ActionState.REFUSED, stop
    _still_ours(store, action)
    cleared = api.clear_all(unfinished, compose_note(action, reason, ""))
    return ActionState.DONE, f"cleared {len(cleared)} task instance(s) that the end of the run cut off"


def _was_cut_off(one: TaskInstanceView, run_ended_at: datetime | None) -> bool:
    """Whether a run's end stopped it: it failed, or was skipped at that moment while it ran or waited.

    A branch that was not taken is skipped, too, but on no host and with a start; a task that skips itself, earlier.
    """
    if one.state in ("failed", "upstream_failed"):
        return True
    at_the_end = one.ended_at is None or run_ended_at is None or abs(run_ended_at - one.ended_at) < CUT_OFF_WITHIN
    return one.state == "skipped" and at_the_end and bool(one.hostname or not one.started_at)


def _stopped(api: AirflowApi, action: Action) -> str:
    """Why nothing may be done any more, though it was decided: people can stop the system until the last moment."""
    if conf.mode() == "shadow":
        return "not cleared: the mode is shadow by now"
    if api.is_paused(action.ref.dag_id):
        return "not cleared: the DAG is paused by now; a person stopped it"
    return ""


def _still_ours(store: Store, action: Action) -> None:
    if not store.ledger.holds(action.incident_id, SAFE_LEASE):
        raise LostClaim(f"incident {action.incident_id}: the claim ends too soon to act safely; the next tick goes on")


def reopen_if_closed(store: Store, api: AirflowApi, incident: Incident, action: Action) -> Incident | None:
    """A task instance that we cleared, whose run has ended, would never run; open the run again, once an action.

    It happens when the clear comes while the scheduler, with an older view, is about to end the run: seen on Airflow 3.3.2
    when a task instance is cleared within a second of its failure, and it was the last one of its run.
    """
    if action.state is not ActionState.DONE or action.done_at is None:
        return None
    if any(row["what"] == REOPENED and row["at"] > action.done_at for row in store.reading.history(incident.id)):
        return None
    run = api.run(incident.ref.dag_id, incident.ref.run_id)
    if run.state not in ("failed", "success"):
        return None
    _still_ours(store, action)
    api.reopen_run(run.dag_id, run.run_id)
    detail = f"the scheduler had ended the run ({run.state}) while it was cleared; the run is open again"
    return store.ledger.move(incident, incident.state, due_in=2, detail=detail, what=REOPENED)


def compose_note(action: Action, reason: str, old: str) -> str:
    """The mark and why in one paragraph (they must survive Airflow's limit), then what people wrote there before."""
    kept = old.partition("\n\n")[2] if old.startswith("[oncall #") else old
    ours = f"{action.mark} {' '.join(reason.split())}"[: max(NOTE_LIMIT // 2, NOTE_LIMIT - len(kept) - 2)]
    return "\n\n".join(filter(None, (ours, kept)))[:NOTE_LIMIT]
