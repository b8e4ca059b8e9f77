"""How bad an incident is: points for what depends on it and for what broke, added up in the open."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Level = Literal["low", "medium", "high", "critical"]

LEVELS: tuple[tuple[int, Level], ...] = ((7, "critical"), (5, "high"), (3, "medium"), (0, "low"))
"""Least points of each level."""
CRITICAL_POINTS = 4
REACH = ((20, 3), (5, 2), (1, 1))
"""Least number of tasks downstream that cannot run, and its points."""
WIDE = frozenset({"infrastructure_failure", "database_connectivity", "storage_exhaustion", "authentication"})
"""Categories whose cause seldom stays with one task."""
WRONG_DATA = frozenset({"data_quality"})
"""Categories in which wrong results may already have been handed on."""


@dataclass(frozen=True)
class Severity:
    """A level, and what was counted for it with its points."""

    level: Level
    reasons: tuple[str, ...]


def severity(category: str, *, critical: bool = False, downstream: int = 0) -> Severity:
    """Severity of an incident of ``category``.

    ``critical``: the policy or the author calls the DAG critical. ``downstream``: tasks that cannot run because of it.
    """
    reach = next((points for least, points in REACH if downstream >= least), 0)
    counted = (
        (CRITICAL_POINTS if critical else 0, "the DAG is critical"),
        (reach, f"{downstream} task{'' if downstream == 1 else 's'} downstream cannot run"),
        (2 if category in WIDE else 0, f"{category} seldom stays with one task"),
        (2 if category in WRONG_DATA else 0, f"{category} may have handed wrong results on"),
    )
    points = sum(amount for amount, _ in counted)
    level = next(level for least, level in LEVELS if points >= least)
    return Severity(level, tuple(f"{reason} (+{amount})" for amount, reason in counted if amount))
