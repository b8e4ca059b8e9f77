"""``resize_pool``: give the task's pool more slots, up to a cap, then run the task instance again."""

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
    clear,
    later,
    overtaken,
    refused,
)
from airflow_oncall.errors import NotFound
from airflow_oncall.incident import ActionKind


class ResizePool(SharedAction):
    """Parameters: ``cap`` (slots, needed), ``pool`` (else the task's), ``step`` (slots; else half as many again)."""

    kind = str(ActionKind.RESIZE_POOL)

    def plan(self, context: PlanContext) -> Plan | Impossible:
        """From how many slots to how many."""
        planned = super().plan(context)
        if isinstance(planned, Impossible):
            return planned
        said, name = context.parameters, str(context.parameters.get("pool") or context.task.pool)
        cap, step = said.get("cap"), said.get("step", 0)
        if not isinstance(cap, int) or not isinstance(step, int) or step < 0:
            return Impossible(f"parameters cap ({cap!r}) and step ({step!r}) must be whole numbers of slots; cap has no default")
        try:
            slots = context.api.pool(name).slots
        except NotFound:
            return Impossible(f"there is no pool {name!r}")
        target = min(cap, slots + (step or max(slots // 2, 1)))
        if slots < 0 or target <= slots:
            return Impossible(f"pool {name!r} has {'no limit' if slots < 0 else f'{slots} slots, the cap is {cap}'}")
        return replace(planned, parameters={"pool": name, "from": slots, "to": target})

    def describe(self, parameters: Mapping[str, Any]) -> str:
        """From how many slots to how many."""
        return f"pool {parameters['pool']} grows from {parameters['from']} to {parameters['to']} slots, then {super().describe(parameters)}"

    def execute(self, context: ActContext) -> Result:
        """Only from the size that was seen when it was planned; a person who resized it meanwhile wins."""
        name, before, after = (context.parameters[key] for key in ("pool", "from", "to"))
        try:
            slots = context.api.pool(name).slots
        except NotFound:
            return refused(f"pool {name!r} is gone")
        if slots >= after or slots < 0:
            return clear(context)
        if slots != before:
            return overtaken(f"not done: pool {name!r} has {slots} slots by now, not {before}; somebody resized it")
        context.make_sure_of_claim()
        context.api.resize_pool(name, after)
        return later(0, f"pool {name!r} resized from {before} to {after} slots")
