"""What repairs gain, measured by those that were drawn to be left out."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median
from typing import NamedTuple

from airflow_oncall.act.assignment import LEFT_OUT, REPAIRED, Difference, difference
from airflow_oncall.act.decide import HOLDOUT
from airflow_oncall.store.experiments import ArmCounts
from airflow_oncall.store.hindsight import Drawn
from airflow_oncall.store.outcomes import LOOK_BACK
from airflow_oncall.store.records import now
from airflow_oncall.store.sql import Store


class Gain(NamedTuple):
    """What repairs gain, from those that were left out."""

    repaired: ArmCounts
    left_out: ArmCounts
    difference: Difference
    minutes: dict[str, float | None]
    """Median time from the decision to the success, by arm."""


def gain_of(store: Store) -> Gain | None:
    """What repairs gained in the last half year; ``None`` where none was left out."""
    until = now() - 2 * LEFT_OUT  # by then every left-out one was looked at after its time
    drawn = store.hindsight.drawn((HOLDOUT, REPAIRED), until - LOOK_BACK, until)
    by_arm = {arm: [one for one in drawn if one.arm == arm] for arm in (REPAIRED, HOLDOUT)}
    if not by_arm[HOLDOUT]:
        return None
    counted = {arm: _within_the_time(found) for arm, found in by_arm.items()}
    minutes = {"repaired": _median(by_arm[REPAIRED]), "left_out": _median(by_arm[HOLDOUT])}
    return Gain(counted[REPAIRED], counted[HOLDOUT], difference(counted[REPAIRED], counted[HOLDOUT]), minutes)


def _within_the_time(drawn: Sequence[Drawn]) -> ArmCounts:
    """Those that had succeeded by the time until which the left-out ones were left alone: the same time for both arms."""
    good = sum(one.succeeded_at is not None and one.succeeded_at - one.decided_at <= LEFT_OUT for one in drawn)
    return ArmCounts(good, len(drawn) - good)


def _median(drawn: Sequence[Drawn]) -> float | None:
    took = [(one.succeeded_at - one.decided_at).total_seconds() / 60 for one in drawn if one.succeeded_at]
    return round(median(took), 1) if took else None
