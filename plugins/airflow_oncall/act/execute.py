"""Do a planned action at most once, to exactly what it was planned for.

    planned ── it shows that it was done ──────────> done (a crash came after it was done, before this was written)
       │─── not so any more as it was decided ─────> superseded (somebody else moved it)
       │─── no answer, 5xx ────────────────────────> stays planned; the next look starts here again
       │─── 401, 403, a person stopped it ─────────> refused, escalated
       └─── as it was decided ── execute ──────────> done, or a step of it: stays planned until the next look

What a clear or another write that timed out did is never guessed: it is not sent again before Airflow was read.
"""

from __future__ import annotations

from airflow_oncall.act import killswitch
from airflow_oncall.act.actions.base import ActContext, Result, TargetError, done, later, not_yet, overtaken, refused, why_forbidden
from airflow_oncall.act.actions.registry import UnknownAction, action_type
from airflow_oncall.errors import AirflowApiError, NotFound
from airflow_oncall.incident import Action, ActionState, Incident, State
from airflow_oncall.rest import AirflowApi
from airflow_oncall.store.sql import Store

RETRY_SECONDS = 15.0
MOST_LOOKS = 40
"""Looks, about ten minutes, after which a database or cluster that gives no answer is a person's. Airflow is waited for."""
REOPENED = "run reopened"


def execute(store: Store, api: AirflowApi, incident: Incident, action: Action, reason: str) -> Incident:
    """Carry out a planned action and record how it ended; the incident is then ``verifying``, or stays due."""
    result = _tried(ActContext(store, api, incident, action, reason))
    if result.state is ActionState.PLANNED:
        if not result.is_look:
            return store.ledger.postpone(incident, result.seconds, result.detail, _told(incident, result))
        return store.ledger.move(incident, incident.state, due_in=result.seconds, detail=result.detail, what=_told(incident, result))
    if result.state is ActionState.REFUSED:
        return store.ledger.acted(incident, action, result.state, result.detail, State.ESCALATED, 0)
    return store.ledger.acted(incident, action, result.state, result.detail, State.VERIFYING, due_in=2)


def _told(incident: Incident, result: Result) -> str:
    """A wait is told once, not at every look."""
    return "action delayed" if result.detail != incident.detail else ""


def _tried(context: ActContext) -> Result:
    try:
        return _act(context)
    except (NotFound, UnknownAction) as error:
        return overtaken(str(error)) if isinstance(error, NotFound) else refused(str(error))
    except AirflowApiError as error:
        if error.transient:
            return not_yet(RETRY_SECONDS, str(error))
        return overtaken(str(error)) if error.status == 409 else refused(str(error))
    except TargetError as error:
        return later(RETRY_SECONDS, str(error)) if error.transient and context.incident.looks < MOST_LOOKS else refused(str(error))


def _act(context: ActContext) -> Result:
    kind = action_type(context.action.kind)
    if seen := kind.already_done(context):
        return done(seen)
    if moved := kind.precondition(context):
        return overtaken(moved)
    if paused := killswitch.why_paused(context.store):
        return not_yet(killswitch.LOOK_AGAIN_SECONDS, paused)
    if forbidden := why_forbidden(context):
        return refused(forbidden)
    return kind.execute(context)


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
    ActContext(store, api, incident, action).make_sure_of_claim()
    api.reopen_run(run.dag_id, run.run_id)
    detail = f"the scheduler had ended the run ({run.state}) while it was cleared; the run is open again"
    return store.ledger.move(incident, incident.state, due_in=2, detail=detail, what=REOPENED)
