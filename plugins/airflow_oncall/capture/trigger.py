"""Wake triage up when an incident appears: the event source of the ``oncall_incidents`` asset."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from typing import Any

from airflow.triggers.base import BaseEventTrigger, TriggerEvent

from airflow_oncall.errors import OnCallError

log = logging.getLogger(__name__)


class IncidentTrigger(BaseEventTrigger):
    """Fires when the store holds urgent work. It keeps no position: what is due stands in the store alone.

    :param poll: seconds between two looks at the store.
    :param pause: seconds after an event in which no other is sent, because one triage run takes all work there is.
    """

    def __init__(self, poll: float = 1.0, pause: float = 10.0) -> None:
        super().__init__()
        self.poll, self.pause = poll, pause

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Path and arguments, as the triggerer wants them."""
        return "airflow_oncall.capture.trigger.IncidentTrigger", {"poll": self.poll, "pause": self.pause}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Look, fire, pause, for ever. A store that is down is reported once and looked at again."""
        down = False
        while True:
            try:
                urgent = await asyncio.to_thread(_is_urgent)
                down = False
            except OnCallError as error:
                if not down:
                    log.warning("incident store: %s; triage runs at its next minute", error)
                down, urgent = True, False
            if urgent:
                yield TriggerEvent({"at": time.time()})
            await asyncio.sleep(self.pause if urgent else self.poll)


def _is_urgent() -> bool:
    from airflow_oncall.store import open_store

    return open_store(migrate=False, patience=2.0).queue.is_urgent()
