"""``mark_success`` and ``skip``: let a run go on as if the task instance had succeeded. Only a person decides on these."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from airflow_oncall.act.actions.base import ActContext, Impossible, Plan, PlanContext, Result, TaskAction, Verified, done
from airflow_oncall.incident import ActionKind, State, TaskRef
from airflow_oncall.rest import AirflowApi


class _Mark(TaskAction):
    state = ""
    ends = State.RESOLVED

    def plan(self, context: PlanContext) -> Plan | Impossible:
        """Impossible where Airflow would also clear what failed downstream by itself."""
        planned = super().plan(context)
        if isinstance(planned, Impossible):
            return planned
        other = _failed_downstream(context.api, context.incident.ref)
        if other:
            return Impossible(f"Airflow would also clear {other}, which failed by itself")
        return replace(planned, attempts=0, ask=f"Nobody but a person says that a task instance counts as {self.state}")

    def describe(self, parameters: Mapping[str, Any]) -> str:
        """What it means."""
        return f"the task instance is marked {self.state} without running again, and what waits for it goes on"

    def precondition(self, context: ActContext) -> str | None:
        """It still stands failed, and it alone."""
        other = _failed_downstream(context.api, context.action.ref)
        return super().precondition(context) or (f"not done: {other} failed meanwhile and would be cleared with it" if other else None)

    def execute(self, context: ActContext) -> Result:
        """State and note are one transaction of Airflow."""
        context.make_sure_of_claim()
        context.api.set_state(context.action.ref, self.state, context.note)
        return done(f"marked {self.state}")

    def verify(self, context: ActContext, state: str) -> Verified | None:
        """Nothing ran, so nothing is to be learned."""
        return Verified(None, self.ends, f"marked {self.state}") if state == self.state else None


class MarkSuccess(_Mark):
    """State ``success``."""

    kind = str(ActionKind.MARK_SUCCESS)
    state = "success"


class Skip(_Mark):
    """State ``skipped``; what is downstream is skipped, too, where its trigger rule says so."""

    kind = str(ActionKind.SKIP)
    state = "skipped"
    ends = State.CLOSED


def _failed_downstream(api: AirflowApi, ref: TaskRef) -> TaskRef | None:
    below = (one for one in api.downstream(ref, only_failed=True) if one.ref != ref and one.state == "failed")
    return next((one.ref for one in below), None)
