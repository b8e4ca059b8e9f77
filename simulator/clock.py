"""Time that stands still until the simulation moves it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone

from airflow_oncall.store import records

START = datetime(2026, 6, 1, tzinfo=timezone.utc)
"""A Monday."""


class SimulatedClock(records.Clock):
    """The store's clock and Airflow's."""

    def __init__(self, at: datetime = START) -> None:
        self.at = at

    def read(self) -> datetime:  # type: ignore[override]  # the computer's clock needs no instance
        """The simulated moment."""
        return self.at

    def advance(self, by: timedelta) -> None:
        """Time passes."""
        self.at += by


@contextmanager
def running_on(clock: SimulatedClock) -> Iterator[None]:
    """The store goes by this clock."""
    before = records.clock
    records.clock = clock
    try:
        yield
    finally:
        records.clock = before
