"""Let the ``auto`` bar of a category and action follow how its actions ended, within what the policy allows. Pure.

    done at or above the bar, and helped less often than it says      -> the bar rises by a step
    thought to be near the bar, and helped more often than it says    -> the bar falls by a step

"More" and "less" mean outside the 95 % interval of what was seen, so that luck moves nothing. Only outcomes since the last
move count: no evidence is used twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

from airflow_oncall.act.policy import Adapt

NEAR = 0.1
"""Outcomes whose probability was this close to the bar tell what a lower bar would have let through."""
Z = 1.96


@dataclass(frozen=True)
class Move:
    """Where a bar shall stand from now on, and why."""

    auto: float
    reason: str


def interval(successes: int, of: int) -> tuple[float, float]:
    """95 % interval of a share, by Wilson."""
    if not of:
        return 0.0, 1.0
    share, spread = successes / of, Z * Z / of
    middle = share + spread / 2
    width = Z * sqrt(share * (1 - share) / of + spread / (4 * of))
    return (middle - width) / (1 + spread), (middle + width) / (1 + spread)


def moved(bar: float, tried: Sequence[tuple[float, bool]], adapt: Adapt) -> Move | None:
    """Where the bar shall go; ``tried``: the probability and the success of actions since it last moved. ``None``: it stays."""
    above = [resolved for probability, resolved in tried if probability >= bar]
    near = [resolved for probability, resolved in tried if abs(probability - bar) <= NEAR]
    if len(above) >= adapt.least_outcomes and interval(sum(above), len(above))[1] < bar:
        return _to(min(bar + adapt.step, adapt.highest), bar, above, "at or above")
    if len(near) >= adapt.least_outcomes and interval(sum(near), len(near))[0] > bar:
        return _to(max(bar - adapt.step, adapt.lowest), bar, near, "near")
    return None


def _to(auto: float, bar: float, ended: Sequence[bool], where: str) -> Move | None:
    auto = round(auto, 4)
    if (auto > bar) != (sum(ended) / len(ended) < bar) or auto == bar:  # the limit lies on the other side
        return None
    return Move(auto, f"{sum(ended)} of {len(ended)} actions {where} the bar of {bar:.0%} helped; it is {auto:.0%} now")
