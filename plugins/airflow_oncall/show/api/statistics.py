"""Figures for the overview and the learning view."""

from __future__ import annotations

from collections.abc import Hashable
from datetime import datetime, timedelta
from threading import Lock
from typing import Annotated

from cachetools import TTLCache, cached
from cachetools.keys import hashkey
from fastapi import APIRouter, Query

from airflow_oncall.reports.arithmetic import DIGITS, ActionShare, Bin, counts_by, mean_minutes, per_action, per_bin, per_day, repair_rate
from airflow_oncall.show.api.auth import Reader
from airflow_oncall.show.api.schemas import Days, Name, Out
from airflow_oncall.show.api.store import StoreDep
from airflow_oncall.store.browse import Sight
from airflow_oncall.store.figures import Scope
from airflow_oncall.store.records import now
from airflow_oncall.store.sql import Store

router = APIRouter(prefix="/statistics", tags=["Statistics"])
FRESH_SECONDS = 30.0
"""A page that looks every few seconds, and all others of the same rights, share what was counted."""
KEPT = 256


class DayOut(Out):
    """One day, in UTC."""

    day: str
    opened: int
    resolved: int
    self_healed: int
    escalated: int
    """Incidents that people were told of."""


class MinutesOut(Out):
    """Mean minutes from the failure noticed to the success seen; `null` where there was none."""

    with_action: float | None
    without: float | None


class SuccessOut(Out):
    """How one kind of action ended."""

    action: str
    successes: int
    failures: int
    low: float
    high: float
    """95 % interval of the share that helped."""


class BinOut(Out):
    """Actions of which about the same was expected."""

    expected: float
    """Mean probability that the decisions gave."""
    observed: float
    """Share that helped."""
    number: int


class StatisticsOut(Out):
    """Figures of the incidents that the reader may see. Shares and means are `null` where there is nothing to divide by."""

    since: datetime
    """Beginning of the first day, in UTC: all days but today are whole ones."""
    until: datetime
    open: int
    """Open now, however old."""
    opened: int
    """Opened since."""
    by_state: dict[str, int]
    by_category: dict[str, int]
    by_source: dict[str, int]
    by_severity: dict[str, int]
    per_day: list[DayOut]
    """Oldest first, no day left out."""
    repair_rate: float | None
    """Of the actions whose end was seen, the share that helped."""
    mttr_minutes: MinutesOut
    attempts_saved: int
    """Tries that clearing those once would have run that people were told of instead."""
    success_per_action: list[SuccessOut]
    calibration: list[BinOut]
    """By probability, the lowest first."""


@router.get("")
def get_statistics(
    access: Reader,
    store: StoreDep,
    days: Days = 30,
    dag_id: Annotated[Name | None, Query(description="Only this DAG's.")] = None,
) -> StatisticsOut:
    """Counts, times to repair, and how actions ended; as they were at most half a minute ago."""
    return _statistics(store, access.sight, days, dag_id)


def _key(store: Store, sight: Sight, days: int, dag_id: str | None) -> Hashable:
    return hashkey(store.engine.url, sight, days, dag_id)


@cached(TTLCache(maxsize=KEPT, ttl=FRESH_SECONDS), key=_key, lock=Lock())
def _statistics(store: Store, sight: Sight, days: int, dag_id: str | None) -> StatisticsOut:
    until = now()
    scope = Scope(sight, until - timedelta(days=days), dag_id)
    counted = store.figures.counted(scope)
    opened, tried, minutes = counted.opened, counted.tried, mean_minutes(counted)
    return StatisticsOut(
        since=scope.from_moment,
        until=until,
        open=counted.open,
        opened=sum(one.number for one in opened),
        by_state=counts_by(opened, "state"),
        by_category=counts_by(opened, "category"),
        by_source=counts_by(opened, "source"),
        by_severity=counts_by(opened, "severity"),
        per_day=[DayOut(**day._asdict()) for day in per_day(counted, scope.since.date(), until.date())],
        repair_rate=repair_rate(tried),
        mttr_minutes=MinutesOut(**minutes._asdict()),
        attempts_saved=sum(one.tries for one in counted.told),
        success_per_action=list(map(_success, per_action(tried))),
        calibration=list(map(_bin, per_bin(tried))),
    )


def _success(one: ActionShare) -> SuccessOut:
    ends = {"low": round(one.low, DIGITS), "high": round(one.high, DIGITS)}
    return SuccessOut(action=one.action, successes=one.helped, failures=one.tried - one.helped, **ends)


def _bin(one: Bin) -> BinOut:
    return BinOut(expected=round(one.expected / one.tried, DIGITS), observed=round(one.helped / one.tried, DIGITS), number=one.tried)
