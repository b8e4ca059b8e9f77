"""``clear_run``: run again what the end of a failed run cut off, though none of its task instances failed."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any

from airflow_oncall.act.actions.base import ActContext, Impossible, Plan, PlanContext, Result, Verified, compose_note, done
from airflow_oncall.incident import ActionKind, Kind, TaskRef
from airflow_oncall.rest import AirflowApi, RunView, TaskInstanceView

CUT_OFF_WITHIN = timedelta(seconds=5)


class ClearRun:
    """About a run, not a task instance."""

    kind = str(ActionKind.CLEAR_RUN)

    def plan(self, context: PlanContext) -> Plan | Impossible:
        """The retries and one of each task instance that would run again."""
        if context.incident.kind is not Kind.DAG_RUN:
            return Impossible("it is for runs that failed without a failed task instance")
        retries, cut_off = context.api.retries(context.incident.ref.dag_id), _Look(context.api, context.incident.ref).cut_off
        return Plan(max(sum(retries.get(one.task_id, 0) + 1 for one in cut_off), 1), {"task_instances": len(cut_off)})

    def for_member(self, parameters: Mapping[str, Any]) -> str:
        """The same: it is about each run by itself."""
        return self.kind

    def describe(self, parameters: Mapping[str, Any]) -> str:
        """How much runs again."""
        return f"{parameters.get('task_instances', 'the')} task instances that the end of the run cut off run again"

    def already_done(self, context: ActContext) -> str | None:
        """A note of one of its task instances carries our mark."""
        marked = any(context.action.mark in one.note for one in _Look(context.api, context.action.ref).instances)
        return "run cleared (seen in Airflow after a restart)" if marked else None

    def precondition(self, context: ActContext) -> str | None:
        """The run still stands failed, with something cut off."""
        look = _Look(context.api, context.action.ref)
        if look.run.state == "failed" and look.cut_off:
            return None
        return f"not cleared: the run is {look.run.state}, {len(look.cut_off)} of its task instances were cut off"

    def execute(self, context: ActContext) -> Result:
        """Clear them in one call."""
        cut_off = _Look(context.api, context.action.ref).cut_off
        context.make_sure_of_claim()
        cleared = context.api.clear_all(cut_off, compose_note(context.action, context.reason, ""))
        return done(f"cleared {len(cleared)} task instance(s) that the end of the run cut off")

    def verify(self, context: ActContext, state: str) -> Verified | None:
        """As the run ends."""
        return None


class _Look:
    """A run and its task instances now."""

    def __init__(self, api: AirflowApi, ref: TaskRef) -> None:
        self._api, self._ref = api, ref

    @cached_property
    def run(self) -> RunView:
        return self._api.run(self._ref.dag_id, self._ref.run_id)

    @cached_property
    def instances(self) -> list[TaskInstanceView]:
        return list(self._api.task_instances(self._ref.dag_id, self._ref.run_id))

    @property
    def cut_off(self) -> list[TaskRef]:
        return [one.ref for one in self.instances if was_cut_off(one, self.run.ended_at)]


def was_cut_off(one: TaskInstanceView, run_ended_at: datetime | None) -> bool:
    """Whether a run's end stopped it: it failed, or was skipped at that moment while it ran or waited.

    A branch that was not taken is skipped, too, but on no host and with a start; a task that skips itself, earlier.
    """
    if one.state in ("failed", "upstream_failed"):
        return True
    at_the_end = one.ended_at is None or run_ended_at is None or abs(run_ended_at - one.ended_at) < CUT_OFF_WITHIN
    return one.state == "skipped" and at_the_end and bool(one.hostname or not one.started_at)
