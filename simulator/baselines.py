"""What the same troubles cost without this project: with blind retries, and with what authors wrote."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from simulator.site import RETRY_DELAY, Plan

BLIND = 3


@dataclass(frozen=True)
class Replay:
    """How one task instance ended by Airflow's own retries alone."""

    succeeded: bool
    ended_at: datetime
    rerun_minutes: float
    """Of all tries after the first."""
    wasted_minutes: float
    """Of those among them that failed again."""


def replay(plan: Plan, retries: int) -> Replay:
    """With so many retries, whatever the cause."""
    started, rerun, wasted = plan.starts_at, 0.0, 0.0
    for nth in range(1, retries + 2):
        fails = plan.trouble.fails(nth, started)
        lasts = plan.lasts(nth, fails)
        minutes = lasts.total_seconds() / 60 if nth > 1 else 0
        rerun, wasted = rerun + minutes, wasted + minutes * fails
        ended = started + lasts
        if not fails:
            return Replay(True, ended, rerun, wasted)
        started = ended + RETRY_DELAY
    return Replay(False, ended, rerun, wasted)


def blind(plans: Sequence[Plan]) -> list[Replay]:
    """Every task with ``retries=3``."""
    return [replay(plan, BLIND) for plan in plans]


def nobody(plans: Sequence[Plan]) -> list[Replay]:
    """Every task with its author's retries."""
    return [replay(plan, plan.retries) for plan in plans]
