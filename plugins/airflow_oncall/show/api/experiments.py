"""Experiments between actions, what repairs gain over none, and what mode `auto` would have done."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from fastapi import APIRouter

from airflow_oncall.act.assignment import standings
from airflow_oncall.gain import gain_of
from airflow_oncall.shadow import shadow_report
from airflow_oncall.show.api.auth import Inspector
from airflow_oncall.show.api.schemas import Days, Out
from airflow_oncall.show.api.store import StoreDep

router = APIRouter(tags=["Experiments"])


class ArmOut(Out):
    """How one arm of an experiment stands."""

    arm: str
    successes: int
    failures: int
    under_way: int
    not_done: int
    mean: float
    """How likely it helps."""
    low: float
    high: float
    """With 95 %."""
    best: float
    """How likely it is the best arm."""


class ExperimentOut(Out):
    """Actions that compete for incidents of one category."""

    name: str
    category: str
    fingerprint: str
    assignment: str
    started_by: str
    started_at: datetime
    stopped_at: datetime | None
    detail: str
    arms: list[ArmOut]
    """The most promising first."""


class SideOut(Out):
    """Incidents that were repaired, or left out."""

    successes: int
    failures: int
    minutes: float | None
    """Median from the decision to the success."""


class HoldoutOut(Out):
    """What repairs gain over none, in shares of incidents."""

    repaired: SideOut
    left_out: SideOut
    difference: float
    low: float
    high: float


class ExperimentsOut(Out):
    """All experiments, the newest first."""

    items: list[ExperimentOut]
    holdout: HoldoutOut | None
    """`null` where no repair was left out."""


@router.get("/experiments")
def list_experiments(access: Inspector, store: StoreDep) -> ExperimentsOut:
    """Experiments with what came of them, and what repairs gain."""
    gain = gain_of(store)
    items = []
    for one in store.experiments.all():
        arms = [ArmOut(**arm._asdict() | arm.counts._asdict()) for arm in standings(store.experiments.counts(one))]
        items.append(ExperimentOut(**vars(one) | {"arms": arms}))
    return ExperimentsOut(items=items, holdout=_holdout(gain) if gain else None)


@router.get("/shadow")
def shadow(access: Inspector, store: StoreDep, days: Days = 30) -> dict[str, Any]:
    """What mode `auto` would have done while nothing was done, how often it would have been right, and what it would have saved."""
    return shadow_report(store, days).plain()


def _holdout(gain: Any) -> HoldoutOut:
    def side(counts: Any, name: str) -> SideOut:
        return SideOut(successes=counts.successes, failures=counts.failures, minutes=gain.minutes[name])

    mean, low, high = gain.difference
    return HoldoutOut(
        repaired=side(gain.repaired, "repaired"), left_out=side(gain.left_out, "left_out"), difference=mean, low=low, high=high
    )
