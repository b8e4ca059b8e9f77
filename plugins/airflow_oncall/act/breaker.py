"""A circuit breaker that stores no state: what it says follows from how the newest actions ended. Pure.

    closed ── the newest failed, and so did enough of the last ones ──> open, for a pause after the newest
    open ──── the pause is over ──> half-open: one may go, while none is under way
    half-open ── it succeeded ──> closed;  it failed ──> open again

Because it is derived, a crash, a second worker or a restart cannot lose it, and what people approved counts like all else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from airflow_oncall.act.policy import Breaker
from airflow_oncall.store.limits import Ended


@dataclass(frozen=True)
class Broken:
    """An open or half-open breaker."""

    failed: int
    of: int
    until: datetime | None
    """End of the pause; ``None``: half-open."""


def broken(ended: Sequence[Ended], breaker: Breaker, at: datetime) -> Broken | None:
    """Whether the actions that ended like this (newest first) have opened the breaker; ``None``: it is closed."""
    last = ended[: breaker.of]
    failed = sum(one.failed for one in last)
    if not last or not last[0].failed or failed < breaker.failures:
        return None
    pause = timedelta(minutes=breaker.pause_minutes)
    # An outcome from the future was written before a clock went back; nobody can tell how long ago that was.
    resting = last[0].at <= at < last[0].at + pause
    return Broken(failed, len(last), last[0].at + pause if resting else None)


def look_back(breaker: Breaker) -> timedelta:
    """How old outcomes may be that still count."""
    return max(timedelta(days=1), 3 * timedelta(minutes=breaker.pause_minutes))
