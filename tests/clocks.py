"""The store's clock in the hands of a test."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

from airflow_oncall.store.records import Clock


class MovedClock(Clock):
    """The computer's clock, moved on by the test."""

    def __init__(self) -> None:
        self.ahead = timedelta()

    def read(self) -> datetime:  # type: ignore[override]
        """Later than it is."""
        return datetime.now(timezone.utc) + self.ahead

    def forward(self, **by: float) -> None:
        """So much time passes."""
        self.ahead += timedelta(**by)

    def put_to(self, moment: datetime) -> None:
        """It is this moment."""
        self.ahead = moment - datetime.now(timezone.utc)
