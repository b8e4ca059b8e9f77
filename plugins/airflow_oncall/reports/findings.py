"""What a report says, gathered from the store: figures, rankings, what was learned, and where it should become better."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from airflow_oncall.reports.areas import AdviceBasis, advice
from airflow_oncall.reports.arithmetic import (
    ActionShare,
    Day,
    Minutes,
    calibration_error,
    counts_by,
    mean_minutes,
    per_action,
    per_day,
    repair_rate,
)
from airflow_oncall.store.bars import Bar
from airflow_oncall.store.engine import one_look
from airflow_oncall.store.figures import Scope
from airflow_oncall.store.rankings import Cause, Handled, Noisy
from airflow_oncall.store.records import now
from airflow_oncall.store.sql import Store

FLAPS = 3
"""A task that recovered so often in the time of the report only to fail again is flapping."""
WAITS_TOO_LONG = timedelta(hours=12)
HEADLINE = ("accuracy_strict", "macro_f1_lenient", "ece")


class Version(NamedTuple):
    """One model that was trained, and its figures on failures it had not seen."""

    name: str
    version: str
    trained_at: datetime
    promoted_at: datetime | None
    withdrawn_at: datetime | None
    figures: dict[str, float]


@dataclass(frozen=True)
class Findings:
    """A report. Times are UTC; shares and means are ``None`` where there is nothing to divide by."""

    since: datetime
    until: datetime
    open: int
    opened: int
    by_category: dict[str, int]
    by_source: dict[str, int]
    days: list[Day]
    repair_rate: float | None
    repairs: int
    """Actions whose end was seen."""
    mttr_minutes: Minutes
    tries_saved: int
    """That clearing once would have run of failures that people were told of instead."""
    minutes_saved: float | None
    """What those would have taken, going by the mean time of a failed try."""
    actions: list[ActionShare]
    causes: list[Cause]
    noisy: list[Noisy]
    flapping: Sequence[Noisy]
    handled: Sequence[Handled]
    versions: list[Version]
    """Newest first."""
    labels: dict[str, int]
    bars: list[Bar]
    """Thresholds that outcomes moved."""
    calibration_error: float | None
    waiting: int
    improve: list[str]
    """Where it should become better, most urgent first."""

    def plain(self) -> dict[str, Any]:
        """For programs."""
        plain = asdict(self)
        for name in ("days", "actions", "causes", "noisy", "flapping", "handled", "versions"):
            plain[name] = [one._asdict() for one in getattr(self, name)]
        return plain | {"mttr_minutes": self.mttr_minutes._asdict()}


def findings(store: Store, days: int) -> Findings:
    """What there is to say of the newest so many days."""
    with one_look(store.engine):
        return _gathered(store, now(), days)


def _gathered(store: Store, until: datetime, days: int) -> Findings:
    scope = Scope(None, until - timedelta(days=days))
    since, counted, rankings = scope.from_moment, store.figures.counted(scope), store.rankings
    tries, minutes = sum(one.tries for one in counted.told), rankings.minutes_of_a_try(since)
    standing = AdviceBasis(
        opened=sum(one.number for one in counted.opened),
        by_category=counts_by(counted.opened, "category"),
        handled=rankings.handled(since),
        flapping=rankings.flapping(since, FLAPS),
        calibration_error=calibration_error(counted.tried) if counted.tried else None,
        waiting=rankings.waiting(until - WAITS_TOO_LONG),
        labels=rankings.labels(since),
    )
    return Findings(
        since=since,
        until=until,
        open=counted.open,
        by_source=counts_by(counted.opened, "source"),
        days=per_day(counted, since.date(), until.date()),
        repair_rate=repair_rate(counted.tried),
        repairs=sum(one.number for one in counted.tried),
        mttr_minutes=mean_minutes(counted),
        tries_saved=tries,
        minutes_saved=None if minutes is None else round(tries * minutes, 1),
        actions=per_action(counted.tried),
        causes=rankings.causes(since),
        noisy=rankings.noisy(since),
        versions=_versions(store),
        bars=store.bars.all(),
        improve=advice(standing),
        **vars(standing),
    )


def _versions(store: Store) -> list[Version]:
    found = []
    for model in store.models.list():
        report = model.metrics.get("reports", {}).get("challenger", {}).get("unseen groups", {})
        figures = {name: float(report[name]) for name in HEADLINE if report.get(name) is not None}
        found.append(Version(model.name, model.version, model.trained_at, model.promoted_at, model.withdrawn_at, figures))
    return found
