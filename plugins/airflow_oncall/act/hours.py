"""Quiet hours and maintenance: until when is it better to wait? Pure, and right across midnight and changes of the clock.

A time that the clock skips in spring counts as that much later; one that it shows twice in autumn begins a window when it
comes first and ends one when it comes last.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from datetime import date, datetime, time, timedelta, timezone
from fnmatch import fnmatchcase
from zoneinfo import ZoneInfo

from airflow_oncall.act.policy import DAYS, Maintenance, Policy, Window

LONGEST = timedelta(days=8)
"""Quiet hours that go on for longer never end: they leave no time in which people could be asked, so they do not count."""


def quiet_until(windows: Iterable[Window], at: datetime) -> datetime | None:
    """When the quiet hours end in which this moment lies, windows that follow each other taken together; ``None``: not quiet."""
    end = _quiet_end(windows, at)
    return None if end is None or end - at > LONGEST else end


def always_quiet(windows: Iterable[Window], at: datetime) -> bool:
    """Whether there is no end of the quiet hours from this moment on."""
    end = _quiet_end(windows, at)
    return end is not None and end - at > LONGEST


def _quiet_end(windows: Iterable[Window], at: datetime) -> datetime | None:
    known = tuple(windows)
    return _chained(at, lambda moment: (end for window in known for start, end in _around(window, moment) if start <= moment < end))


def maintenance_until(policy: Policy, dag_id: str, at: datetime) -> datetime | None:
    """When the maintenance of this DAG ends in which this moment lies; ``None``: there is none."""
    own = maintenance_of(policy, dag_id)
    return _chained(at, lambda moment: (one.end.astimezone(timezone.utc) for one in own if one.covers(moment)))


def silent_until(policy: Policy, dag_ids: Iterable[str], critical: Collection[str], at: datetime) -> datetime | None:
    """From when on people may be told of one of these DAGs, at the earliest; ``None``: at once. ``critical``: what quiet hours spare."""
    quiet = quiet_until(policy.quiet_hours, at)
    ends = [(None if dag_id in critical else quiet, maintenance_until(policy, dag_id, at)) for dag_id in dag_ids]
    latest = [max(filter(None, both), default=None) for both in ends]
    return None if None in latest else min(filter(None, latest), default=None)


def maintenance_of(policy: Policy, dag_id: str) -> list[Maintenance]:
    """Every maintenance of this DAG."""
    return [one for one in policy.maintenance if any(fnmatchcase(dag_id, glob) for glob in one.dags)]


def _chained(at: datetime, ends_at: Callable[[datetime], Iterator[datetime]]) -> datetime | None:
    moment = at.astimezone(timezone.utc)
    while moment - at <= LONGEST and (ends := list(ends_at(moment))):
        moment = max(ends)
    return moment if moment > at else None


def _around(window: Window, moment: datetime) -> Iterator[tuple[datetime, datetime]]:
    """The window's times, in UTC, that can hold this moment: it began today or yesterday, where the window is."""
    zone = ZoneInfo(window.timezone)
    today = moment.astimezone(zone).date()
    for day in (today - timedelta(days=1), today):
        if DAYS[day.weekday()] in window.days:
            last = day if window.end > window.start else day + timedelta(days=1)
            yield _instants(day, window.start, zone)[0], max(_instants(last, window.end, zone))


def _instants(day: date, clock: time, zone: ZoneInfo) -> list[datetime]:
    """The two moments that a time of the day can mean while the clock is changed; else the same one twice."""
    return [datetime.combine(day, clock.replace(fold=fold), tzinfo=zone).astimezone(timezone.utc) for fold in (0, 1)]
