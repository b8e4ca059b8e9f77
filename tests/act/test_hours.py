"""Until when it is better to wait: quiet hours and maintenance, across midnight and changes of the clock."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from tests.tick.scene import POLICY

from airflow_oncall.act.hours import maintenance_until, quiet_until, silent_until
from airflow_oncall.act.policy import Maintenance, Window


def utc(text: str) -> datetime:
    """``2026-11-21 23:00`` as a moment."""
    return datetime.fromisoformat(text).replace(tzinfo=timezone.utc)


def window(start: str, end: str, **parts: Any) -> Window:
    return Window.model_validate({"start": start, "end": end, **parts})


NIGHT = window("22:00", "06:00")
BERLIN_NIGHT = window("22:00", "06:00", timezone="Europe/Berlin")


@pytest.mark.parametrize(
    ("at", "until"),
    [
        ("2026-11-20 21:59", None),
        ("2026-11-20 22:00", "2026-11-21 06:00"),
        ("2026-11-20 23:59", "2026-11-21 06:00"),
        ("2026-11-21 00:00", "2026-11-21 06:00"),
        ("2026-11-21 05:59", "2026-11-21 06:00"),
        ("2026-11-21 06:00", None),
        ("2026-12-31 23:00", "2027-01-01 06:00"),
    ],
)
def test_a_night_goes_on_after_midnight(at: str, until: str | None) -> None:
    assert quiet_until([NIGHT], utc(at)) == (utc(until) if until else None)


def test_a_window_belongs_to_the_day_on_which_it_begins() -> None:
    friday_night = window("22:00", "06:00", days=["fri"])
    assert quiet_until([friday_night], utc("2026-11-21 03:00")) == utc("2026-11-21 06:00")  # Saturday, before six
    assert quiet_until([friday_night], utc("2026-11-20 03:00")) is None  # Friday: that night began on Thursday


def test_windows_that_follow_each_other_are_one() -> None:
    weekend = window("00:00", "00:00", days=["sat", "sun"])
    assert quiet_until([NIGHT, weekend], utc("2026-11-20 23:00")) == utc("2026-11-23 06:00")


@pytest.mark.parametrize(
    ("at", "until"),
    [
        ("2026-03-28 21:00", "2026-03-29 04:00"),  # 22:00 CET to 06:00 CEST: seven hours
        ("2026-10-24 20:00", "2026-10-25 05:00"),  # 22:00 CEST to 06:00 CET: nine hours
    ],
)
def test_a_night_in_which_the_clock_is_changed_ends_when_the_clock_says_so(at: str, until: str) -> None:
    assert quiet_until([BERLIN_NIGHT], utc(at)) == utc(until)
    assert quiet_until([BERLIN_NIGHT], utc(at) - timedelta(seconds=1)) is None


def test_an_end_that_the_clock_skips_counts_an_hour_later() -> None:
    skipped = window("22:00", "02:30", timezone="Europe/Berlin")
    assert quiet_until([skipped], utc("2026-03-29 00:59")) == utc("2026-03-29 01:30")


def test_an_hour_that_comes_twice_is_quiet_both_times() -> None:
    twice = window("02:15", "02:45", timezone="Europe/Berlin")
    for at in ("2026-10-25 00:15", "2026-10-25 01:00", "2026-10-25 01:44"):
        assert quiet_until([twice], utc(at)) == utc("2026-10-25 01:45")


def test_a_window_that_the_clock_skips_altogether_is_left_out_that_day() -> None:
    skipped = window("02:30", "03:00", timezone="Europe/Berlin")
    assert not [at for minute in range(1440) if quiet_until([skipped], at := utc("2026-03-29 00:00") + timedelta(minutes=minute))]


def test_a_moment_in_any_zone_is_the_same_moment() -> None:
    tokyo = utc("2026-11-20 23:00").astimezone(timezone(timedelta(hours=9)))
    assert quiet_until([NIGHT], tokyo) == utc("2026-11-21 06:00")


def test_hours_that_are_always_quiet_do_not_count() -> None:
    assert quiet_until([window("00:00", "00:00")], utc("2026-11-21 12:00")) is None
    assert quiet_until([NIGHT, window("06:00", "22:00")], utc("2026-11-21 12:00")) is None


def test_whatever_the_clock_jumps_to_the_wait_ends_within_a_day_and_what_follows_it_is_not_quiet() -> None:
    for step in range(0, 3 * 366 * 24 * 60, 397):
        at = utc("2025-12-31 00:00") + timedelta(minutes=step)
        until = quiet_until([BERLIN_NIGHT], at)
        if until:
            assert timedelta(0) < until - at <= timedelta(hours=9)
            assert quiet_until([BERLIN_NIGHT], until) is None


def upgrade(**parts: Any) -> Maintenance:
    return Maintenance.model_validate({"start": "2026-11-21T20:00:00Z", "end": "2026-11-21T22:00:00Z", **parts})


def test_maintenance_holds_the_dags_that_it_names_until_its_end() -> None:
    policy = POLICY.model_copy(update={"maintenance": (upgrade(dags=["warehouse_*"]),)})
    assert maintenance_until(policy, "warehouse_sales", utc("2026-11-21 20:00")) == utc("2026-11-21 22:00")
    assert maintenance_until(policy, "warehouse_sales", utc("2026-11-21 22:00")) is None
    assert maintenance_until(policy, "nightly", utc("2026-11-21 20:00")) is None


def test_maintenance_that_is_prolonged_ends_with_its_last_part() -> None:
    longer = upgrade(start="2026-11-21T22:00:00+01:00", end="2026-11-22T01:30:00+01:00")
    policy = POLICY.model_copy(update={"maintenance": (upgrade(), longer)})
    assert maintenance_until(policy, "nightly", utc("2026-11-21 20:30")) == utc("2026-11-22 00:30")


@pytest.mark.parametrize(
    ("dags", "critical", "until"),
    [
        (["orders"], [], "2026-11-21 07:00"),
        (["orders", "nightly"], [], "2026-11-21 06:00"),
        (["orders"], ["orders"], "2026-11-21 07:00"),
        (["orders", "nightly"], ["nightly"], None),
        ([], [], None),
    ],
)
def test_people_are_told_as_soon_as_they_may_be_told_of_one_of_the_dags(dags: list[str], critical: list[str], until: str | None) -> None:
    upgrading = Maintenance(start=utc("2026-11-20 20:00"), end=utc("2026-11-21 07:00"), dags=("orders",))
    policy = POLICY.model_copy(update={"quiet_hours": (NIGHT,), "maintenance": (upgrading,)})
    assert silent_until(policy, dags, critical, utc("2026-11-20 23:00")) == (utc(until) if until else None)
