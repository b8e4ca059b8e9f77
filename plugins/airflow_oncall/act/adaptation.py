"""Let the ``auto`` bar of a category and action follow how its actions ended, within what the policy allows. Pure.

    done at or above the bar, and helped less often than expected      -> the bar rises by a step
    thought to be near the bar, and helped more often than expected    -> the bar falls by a step

Expected is the mean of their probabilities, less what the bar stands above the policy's own: a bar that has risen by as much as
probabilities promise too much stands right. "More" and "less" mean outside an interval of what was seen, so that luck moves
nothing. Only outcomes since the last move count: no evidence is used twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from statistics import fmean

from airflow_oncall.act.policy import Adapt

NEAR = 0.1
"""Outcomes whose probability was this close to the bar tell what a lower bar would have let through."""
Z = 1.96
SURE = 3.0
"""Standard deviations from which a bar moves. It is looked at every hour, and by luck 1.96 are passed sooner or later."""


@dataclass(frozen=True)
class Move:
    """Where a bar shall stand from now on, and why."""

    auto: float
    reason: str


def interval(successes: float, of: int, z: float = Z) -> tuple[float, float]:
    """Interval of a share, by Wilson; by default the one of 95 %."""
    if not of:
        return 0.0, 1.0
    share, spread = successes / of, z * z / of
    middle = share + spread / 2
    width = z * sqrt(share * (1 - share) / of + spread / (4 * of))
    return (middle - width) / (1 + spread), (middle + width) / (1 + spread)


def moved(bar: float, tried: Sequence[tuple[float, float]], adapt: Adapt, shift: float = 0.0) -> Move | None:
    """Where the bar shall go; ``None``: it stays.

    ``tried``: the probability of actions since it last moved, and whether they helped (1, 0, or a share). ``shift``: by how much
    the bar stands above the policy's own already.
    """
    above = [one for one in tried if one[0] >= bar]
    near = [one for one in tried if abs(one[0] - bar) <= NEAR]
    if _compared(above, adapt, shift) < 0:
        return _to(max(min(bar + adapt.step, adapt.highest), bar), bar, above, "at or above", shift)
    if _compared(near, adapt, shift) > 0:
        return _to(min(max(bar - adapt.step, adapt.lowest), bar), bar, near, "near", shift)
    return None


def _expected(ended: Sequence[tuple[float, float]], shift: float) -> float:
    return fmean(probability for probability, _ in ended) - shift


def _compared(ended: Sequence[tuple[float, float]], adapt: Adapt, shift: float) -> int:
    """-1: they helped less often than expected; 1: more often; 0: that cannot be told."""
    if not ended or len(ended) < adapt.least_outcomes:
        return 0
    low, high = interval(sum(helped for _, helped in ended), len(ended), SURE)
    expected = _expected(ended, shift)
    return (low > expected) - (high < expected)


def _to(auto: float, bar: float, ended: Sequence[tuple[float, float]], where: str, shift: float) -> Move | None:
    auto, helped = round(auto, 4), sum(helped for _, helped in ended)
    if auto == bar:  # it stands at the limit, or beyond it
        return None
    seen = f"{helped:.0f} of {len(ended)} actions {where} the bar of {bar:.0%} helped"
    return Move(auto, f"{seen}, expected were {_expected(ended, shift):.0%}; it is {auto:.0%} now")
