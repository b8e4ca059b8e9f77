"""What a guard counts: named limits, how much of each is used, and how the actions under one ended. Values only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from airflow_oncall.errors import StoreError


@dataclass(frozen=True)
class Limit:
    """Most runs that actions may re-arm, or most actions under way, among those that ``where`` picks."""

    name: str
    """As in the policy's ``budgets``, or of the guard that sets it."""
    most: int
    hours: int | None = None
    """Counts what was done in so many hours, and what is still to be done; ``None``: ever."""
    where: Mapping[str, str | int] = field(default_factory=dict)
    """Columns of ``actions`` and the values that they must have."""
    in_flight: bool = False
    """Counts actions whose end was not seen yet, in place of the runs that they re-arm."""

    def would_be(self, used: int, attempts: int) -> int:
        """How much is used once one more action, which re-arms ``attempts`` runs, is planned."""
        return used + (1 if self.in_flight else attempts)


@dataclass(frozen=True)
class Used:
    """How much of a limit is used."""

    amount: int = 0
    frees_at: datetime | None = None
    """When the oldest of what counts leaves the window; ``None`` where nothing leaves it by itself."""


@dataclass(frozen=True)
class Ended:
    """How one action was seen to end."""

    at: datetime
    failed: bool


class BudgetUsedUp(StoreError):
    """Another worker used what was left of a limit between the decision and its writing; deciding anew helps."""

    def __init__(self, limit: Limit, would_be: int) -> None:
        super().__init__(f"the limit {limit.name} is used up by now: it would be {would_be} of {limit.most}")
        self.limit = limit
