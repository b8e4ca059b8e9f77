"""``clear_downstream``: run the failed task instance and everything after it again, also what succeeded or failed by itself.

For results that were made from what the failed one left behind, e.g. by tasks with the trigger rule ``all_done``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow_oncall.act.actions.base import (
    ActContext,
    Impossible,
    Plan,
    PlanContext,
    Result,
    TaskAction,
    done,
    no_task_instance,
    overtaken,
)
from airflow_oncall.incident import ActionKind, TaskRef
from airflow_oncall.rest import AirflowApi

ENDED = frozenset({"failed", "upstream_failed", "success", "skipped"})


class ClearDownstream(TaskAction):
    """Clears what ended; Airflow refuses all of it while one of them runs."""

    kind = str(ActionKind.CLEAR_DOWNSTREAM)

    def plan(self, context: PlanContext) -> Plan | Impossible:
        """The retries and one of each task instance that would run again."""
        impossible = no_task_instance(context)
        if impossible:
            return impossible
        refs, retries = _affected(context.api, context.incident.ref), context.api.retries(context.incident.ref.dag_id)
        return Plan(sum(retries.get(ref.task_id, 0) + 1 for ref in refs), {"task_instances": len(refs)})

    def describe(self, parameters: Mapping[str, Any]) -> str:
        """How much runs again."""
        return f"{parameters.get('task_instances', 'all')} task instances run again: it and everything after it, whatever its state"

    def execute(self, context: ActContext) -> Result:
        """Clear them in one call, so that a crash leaves all or nothing."""
        refs = _affected(context.api, context.action.ref)
        if context.action.ref not in refs:
            return overtaken("not cleared: Airflow found it no longer ended")
        context.make_sure_of_claim()
        cleared = context.api.clear_all(refs, context.note)
        return done(f"cleared try {context.action.answers_try} and {len(cleared) - 1} task instance(s) after it")


def _affected(api: AirflowApi, ref: TaskRef) -> list[TaskRef]:
    return [one.ref for one in api.downstream(ref, only_failed=False) if one.state in ENDED]
