"""The failure callback as a notifier, for places that take notifiers."""

from __future__ import annotations

from airflow.sdk import BaseNotifier, Context

from airflow_oncall.capture.callbacks import on_failure


class OnCallNotifier(BaseNotifier):
    """``on_failure_callback=OnCallNotifier()``: notes the failure, like :func:`airflow_oncall.on_failure`."""

    def notify(self, context: Context) -> None:
        """Note the failed task or run of this context."""
        on_failure(context)

    async def async_notify(self, context: Context) -> None:
        """The same from an event loop, which is not held up meanwhile."""
        import asyncio

        await asyncio.to_thread(on_failure, context)
