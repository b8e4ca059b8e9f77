"""``pause_dag``: let nothing more of a DAG start, so that what is wrong does not happen again before a person looked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow_oncall.act.actions.base import ActContext, Impossible, Plan, PlanContext, Result, Verified, done
from airflow_oncall.incident import ActionKind, State


class PauseDag:
    """Re-arms nothing, and unpausing is a person's."""

    kind = str(ActionKind.PAUSE_DAG)

    def plan(self, context: PlanContext) -> Plan | Impossible:
        """Nothing is needed."""
        return Plan(0) if context.incident.ref.run_id else Impossible("it needs a DAG run that failed")

    def for_member(self, parameters: Mapping[str, Any]) -> str:
        """Each DAG is paused by itself."""
        return self.kind

    def describe(self, parameters: Mapping[str, Any]) -> str:
        """What it means."""
        return "the DAG is paused: nothing of it starts until a person unpauses it"

    def already_done(self, context: ActContext) -> str | None:
        """It is paused, by whomever."""
        return "the DAG is paused" if context.api.is_paused(context.action.ref.dag_id) else None

    def precondition(self, context: ActContext) -> str | None:
        """What failed may have been repaired meanwhile; the DAG is paused for those to come."""
        return None

    def execute(self, context: ActContext) -> Result:
        """Pausing twice is pausing once."""
        context.make_sure_of_claim()
        context.api.pause_dag(context.action.ref.dag_id)
        return done("paused the DAG")

    def verify(self, context: ActContext, state: str) -> Verified | None:
        """It repairs nothing, so there is nothing to learn from what becomes of the task instance."""
        return Verified(None, State.ESCALATED, "the DAG is paused so that nothing more fails; unpause it when the cause is gone")
