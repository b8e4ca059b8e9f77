"""A circuit breaker that follows from outcomes alone."""

from __future__ import annotations

from datetime import timedelta

import pytest
from tests.cast import MIDNIGHT

from airflow_oncall.act.breaker import broken, look_back
from airflow_oncall.act.policy import Breaker
from airflow_oncall.store.limits import Ended

BREAKER = Breaker(failures=3, of=4, pause_minutes=60)


def history(word: str) -> list[Ended]:
    """One letter an outcome, the newest first: ``F`` failed, ``s`` succeeded; a minute between them."""
    return [Ended(MIDNIGHT - timedelta(minutes=number), letter == "F") for number, letter in enumerate(word)]


@pytest.mark.parametrize("word", ["", "s", "FF", "FFs", "FFss", "sFFF", "FssFFF"])
def test_it_stays_closed(word: str) -> None:
    assert broken(history(word), BREAKER, MIDNIGHT) is None


@pytest.mark.parametrize("word", ["FFF", "FFsF", "FsFFss"])
def test_enough_failures_of_the_last_ones_open_it_for_a_pause(word: str) -> None:
    found = broken(history(word), BREAKER, MIDNIGHT + timedelta(minutes=59))
    assert found is not None
    assert (found.failed, found.until) == (3, MIDNIGHT + timedelta(hours=1))


def test_after_the_pause_it_is_half_open() -> None:
    found = broken(history("FFF"), BREAKER, MIDNIGHT + timedelta(minutes=60))
    assert found is not None
    assert found.until is None


def test_a_success_closes_it_and_a_failure_opens_it_again() -> None:
    assert broken(history("sFFF"), BREAKER, MIDNIGHT) is None
    again = broken(history("FFFF"), BREAKER, MIDNIGHT)
    assert again is not None
    assert again.until == MIDNIGHT + timedelta(hours=1)


def test_an_outcome_from_a_future_that_a_clock_made_up_blocks_nothing_for_ever() -> None:
    found = broken(history("FFF"), BREAKER, MIDNIGHT - timedelta(days=400))
    assert found is not None
    assert found.until is None


def test_outcomes_count_for_a_day_and_for_longer_where_pauses_are_long() -> None:
    assert look_back(BREAKER) == timedelta(days=1)
    assert look_back(Breaker(pause_minutes=1000)) == timedelta(minutes=3000)
