"""``clear_with_delay``: run the failed task instance again after a time in which its cause may pass."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from airflow_oncall.act.actions.base import Impossible, Plan, PlanContext, TaskAction
from airflow_oncall.incident import ActionKind

DELAY_SECONDS = 300


class ClearWithDelay(TaskAction):
    """Parameters: ``delay_seconds``."""

    kind = str(ActionKind.CLEAR_WITH_DELAY)

    def plan(self, context: PlanContext) -> Plan | Impossible:
        """As a clear, with a wait before it."""
        planned = super().plan(context)
        delay = context.parameters.get("delay_seconds", DELAY_SECONDS)
        if not isinstance(delay, int) or not 0 <= delay <= 86_400:
            return Impossible(f"parameter delay_seconds has value {delay!r}; it must be a whole number of seconds up to 86400")
        return planned if isinstance(planned, Impossible) else replace(planned, wait_seconds=delay, parameters={"delay_seconds": delay})

    def describe(self, parameters: Mapping[str, Any]) -> str:
        """With the wait, which is over when a person is asked."""
        return f"{super().describe(parameters)} (planned with a wait of {parameters.get('delay_seconds', DELAY_SECONDS)} s)"
