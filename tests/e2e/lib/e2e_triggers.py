"""A trigger that raises; on the PYTHONPATH of every component, as triggers must be."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent


class BrokenTrigger(BaseTrigger):
    """Raises as soon as it runs."""

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Path and arguments."""
        return "e2e_triggers.BrokenTrigger", {}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Divide by nothing."""
        yield TriggerEvent(1 / 0)
