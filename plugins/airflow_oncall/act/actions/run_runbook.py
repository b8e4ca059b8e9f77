"""``run_runbook``: a remediation is a DAG. Any DAG tagged ``oncall-runbook`` can be the action of a rule.

It gets the incident as conf, in one run whose id is that of the action, so that it is never started twice for one decision.
How that run ends is the verification: when it succeeds, the task instance runs again (``then: clear``) or the incident is resolved
(``then: nothing``); when it fails, or does not end in time, a person goes on and the task instance is left alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from airflow_oncall.act.actions.base import (
    ActContext,
    Impossible,
    Plan,
    PlanContext,
    Result,
    SharedAction,
    Verified,
    clear,
    done,
    later,
    refused,
)
from airflow_oncall.errors import NotFound
from airflow_oncall.incident import OWN_DAG_IDS, ActionKind, OutcomeKind, State
from airflow_oncall.rest import AirflowApi
from airflow_oncall.store.records import now

TAG = "oncall-runbook"
MINUTES = 60
SLOWEST_SECONDS = 60.0
CLEAR, NOTHING = "clear", "nothing"


class RunRunbook(SharedAction):
    """Parameters: ``runbook`` (dag_id, needed), ``then`` (``clear`` or ``nothing``), ``minutes`` it may take, ``conf`` in addition."""

    kind = str(ActionKind.RUN_RUNBOOK)

    def plan(self, context: PlanContext) -> Plan | Impossible:
        """A runbook that can run now, and never for the failure of a runbook."""
        planned = super().plan(context)
        if isinstance(planned, Impossible):
            return planned
        said = {"then": CLEAR, "minutes": MINUTES, "conf": {}, **context.parameters}
        runbook, then, minutes = str(said.get("runbook") or ""), said["then"], said["minutes"]
        if then not in (CLEAR, NOTHING) or not isinstance(minutes, int) or minutes < 1 or not isinstance(said["conf"], Mapping):
            return Impossible(f"parameters: then ({then!r}) is clear or nothing, minutes ({minutes!r}) a whole number, conf a mapping")
        if TAG in context.task.tags:
            return Impossible("a runbook failed; a runbook is not repaired by a runbook")
        problem = problem_of(context.api, runbook)
        if problem:
            return Impossible(problem)
        parameters = {"runbook": runbook, "then": then, "minutes": minutes, "conf": dict(said["conf"])}
        return replace(planned, attempts=planned.attempts if then == CLEAR else 0, parameters=parameters)

    def for_member(self, parameters: Mapping[str, Any]) -> str:
        """What follows the runbook; where nothing does, a person goes on."""
        return super().for_member(parameters) if parameters.get("then", CLEAR) == CLEAR else str(ActionKind.ESCALATE)

    def describe(self, parameters: Mapping[str, Any]) -> str:
        """Which one, and what follows."""
        then = f", and when it succeeds {super().describe(parameters)}" if parameters["then"] == CLEAR else ""
        return f"runbook {parameters['runbook']} runs{then}"

    def execute(self, context: ActContext) -> Result:
        """Start it, wait for its end, then clear where that follows."""
        runbook, run_id = str(context.parameters["runbook"]), context.action.own_run_id
        try:
            state = context.api.run(runbook, run_id).state
        except NotFound:
            if _was_started(context, run_id):
                return done(f"runbook {runbook}: its run {run_id} was deleted")
            return self._start(context, runbook, run_id)
        if state in ("queued", "running"):
            return self._wait(context, runbook, run_id)
        if state == "success" and context.parameters["then"] == CLEAR:
            return clear(context)
        return done(f"runbook {runbook} ended: {state}")

    @staticmethod
    def _start(context: ActContext, runbook: str, run_id: str) -> Result:
        problem = problem_of(context.api, runbook)
        if problem:
            return refused(problem)
        context.make_sure_of_claim()
        context.api.trigger(runbook, run_id, _conf(context))
        return later(1, _started(run_id))

    @staticmethod
    def _wait(context: ActContext, runbook: str, run_id: str) -> Result:
        """The limit counts from its start, or from when it was triggered while it waits for one."""
        run = context.api.run(runbook, run_id)
        minutes = int(context.parameters["minutes"])
        if (now() - (run.started_at or run.run_after or context.action.planned_at)).total_seconds() > 60 * minutes:
            return done(f"runbook {runbook} did not end in {minutes} min; its run {run_id} is left to a person")
        if run.started_at is None and context.api.is_paused(runbook):
            return done(f"runbook {runbook} was paused before its run {run_id} began")
        return later(min(2.0 ** min(context.incident.looks, 6), SLOWEST_SECONDS), f"waits for runbook {runbook}")

    def verify(self, context: ActContext, state: str) -> Verified | None:
        """As the runbook ended; as the task instance ends where that was cleared."""
        runbook, run_id = str(context.parameters["runbook"]), context.action.own_run_id
        try:
            ended = context.api.run(runbook, run_id).state
        except NotFound:
            return Verified(OutcomeKind.EXPIRED, State.ESCALATED, f"runbook {runbook}: its run {run_id} was deleted")
        if ended == "success":
            resolved = Verified(OutcomeKind.SUCCESS, State.RESOLVED, f"runbook {runbook} succeeded")
            return resolved if context.parameters["then"] == NOTHING else None
        if ended == "failed":
            return Verified(OutcomeKind.FAILED_SAME, State.ESCALATED, f"runbook {runbook} failed, see its run {run_id}")
        return Verified(OutcomeKind.EXPIRED, State.ESCALATED, context.action.detail)


def _started(run_id: str) -> str:
    return f"runbook started as {run_id}"


def _was_started(context: ActContext, run_id: str) -> bool:
    """Whether a run that is not there was: a person deleted it then, and it is not started again."""
    return any(row["detail"].get("detail") == _started(run_id) for row in context.store.reading.history(context.incident.id))


def problem_of(api: AirflowApi, runbook: str) -> str:
    """Why a DAG cannot be run as a runbook now; empty when it can."""
    if not runbook:
        return "parameter runbook has no default; name a DAG that is tagged oncall-runbook"
    if runbook in OWN_DAG_IDS:
        return f"{runbook} is no runbook: it is a DAG of airflow-oncall itself"
    try:
        dag = api.task(runbook, "")
    except NotFound:
        return f"runbook {runbook!r} is no DAG of this Airflow; is its file in the DAG folder, without import errors?"
    if TAG not in dag.tags:
        return f"DAG {runbook!r} is no runbook: tag it {TAG}"
    return f"runbook {runbook!r} is paused; unpause it" if dag.is_paused else ""


def _conf(context: ActContext) -> dict[str, Any]:
    """The incident, for ``dag_run.conf["incident"]``, beside what the policy's rule adds."""
    incident, action = context.incident, context.action
    diagnosis = context.store.reading.diagnosis(incident.id)
    told = {
        "id": incident.id,
        "dag_id": incident.ref.dag_id,
        "run_id": incident.ref.run_id,
        "task_id": incident.ref.task_id,
        "map_index": incident.ref.map_index,
        "try_number": action.answers_try,
        "category": action.category,
        "identifiers": dict(diagnosis.identifiers) if diagnosis else {},
        "evidence": list(diagnosis.evidence[:3]) if diagnosis else [],
    }
    return {**context.parameters["conf"], "incident": told}
