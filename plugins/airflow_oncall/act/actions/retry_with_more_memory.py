"""``retry_with_more_memory``: give the next try more memory, up to a cap, then run the task instance again.

The amount is written into the task's state store in Airflow; the task reads it with :mod:`airflow_oncall.macros`. What was enough for
this task before is tried at once, else it grows step by step.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from airflow_oncall.act.actions.base import ActContext, Impossible, Plan, PlanContext, Result, TaskAction, clear
from airflow_oncall.incident import ActionKind
from airflow_oncall.macros import KEY, mebibytes, written_as

FACTOR = 1.5


class RetryWithMoreMemory(TaskAction):
    """Parameters: ``cap`` (needed, e.g. ``16g``), ``factor`` of a step, ``initial`` for tasks that do not declare theirs."""

    kind = str(ActionKind.RETRY_WITH_MORE_MEMORY)

    def plan(self, context: PlanContext) -> Plan | Impossible:
        """From how much to how much."""
        planned = super().plan(context)
        if isinstance(planned, Impossible):
            return planned
        try:
            sizes = _sizes(context)
        except (ValueError, TypeError) as error:
            return Impossible(str(error))
        return sizes if isinstance(sizes, Impossible) else replace(planned, parameters=sizes)

    def describe(self, parameters: Mapping[str, Any]) -> str:
        """From how much to how much."""
        return f"memory grows from {parameters['from']} to {parameters['memory']}, then {super().describe(parameters)}"

    def execute(self, context: ActContext) -> Result:
        """Writing the same amount twice is writing it once, and nobody reads it before the clear."""
        memory = str(context.parameters["memory"])
        context.make_sure_of_claim()
        if context.api.task_state(context.action.ref, KEY) != memory:
            context.api.set_task_state(context.action.ref, KEY, memory)
        return clear(context)


def _sizes(context: PlanContext) -> dict[str, str] | Impossible:
    ref, said = context.incident.ref, context.parameters
    cap, factor = said.get("cap"), float(said.get("factor", FACTOR))
    if cap is None or factor <= 1:
        return Impossible(f"parameters: cap ({cap!r}) has no default, e.g. 16g, and factor ({factor:g}) must be above 1")
    has = context.api.task_state(ref, KEY) or context.task.params.get(KEY) or said.get("initial")
    if has is None:
        return Impossible(f'it is not known how much memory the task has; declare params={{"{KEY}": "4g"}} on it, or initial in the policy')
    learned = context.store.remedies.last_success(str(ActionKind.RETRY_WITH_MORE_MEMORY), ref.dag_id, ref.task_id).get("memory", "0m")
    wanted = max(round(mebibytes(has) * factor), mebibytes(learned))
    target = min(wanted, mebibytes(cap))
    if target <= mebibytes(has):
        return Impossible(f"it has {has} already, the cap is {cap}")
    return {"from": str(has), "memory": written_as(target, "m")}
