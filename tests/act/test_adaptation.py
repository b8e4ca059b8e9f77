"""Bars that follow what was seen, within limits."""

from __future__ import annotations

from random import Random

import pytest

from airflow_oncall.act.adaptation import Move, interval, moved
from airflow_oncall.act.policy import Adapt

ADAPT = Adapt(enabled=True, lowest=0.4, highest=0.7, least_outcomes=20, step=0.05)


def tried(probability: float, helped: int, of: int) -> list[tuple[float, float]]:
    return [(probability, float(number < helped)) for number in range(of)]


def month(seed: int, bar: float, promises_too_much: float = 0.0) -> float:
    """Where a bar of 60 % stands after 90 days in which it followed an outcome an hour."""
    dice, base, seen = Random(seed), bar, []
    for _ in range(24 * 90):
        probability = dice.uniform(0.25, 0.95)
        seen.append((probability, float(dice.random() < probability - promises_too_much)))
        move = moved(bar, seen, Adapt(enabled=True), shift=bar - base)
        if move:
            bar, seen = move.auto, []
    return bar


def test_actions_that_help_less_often_than_the_bar_says_raise_it_by_a_step() -> None:
    move = moved(0.6, tried(0.9, 8, 30), ADAPT)
    assert move is not None
    assert (move.auto, move.reason) == (0.65, "8 of 30 actions at or above the bar of 60% helped, expected were 90%; it is 65% now")


def test_actions_near_the_bar_that_help_more_often_lower_it_by_a_step() -> None:
    move = moved(0.6, tried(0.55, 28, 30), ADAPT)
    assert move is not None
    assert move.auto == 0.55


@pytest.mark.parametrize("seed", range(6))
def test_it_stays_where_probabilities_are_right(seed: int) -> None:
    assert month(seed, 0.6) == 0.6


@pytest.mark.parametrize(("too_much", "least", "most"), [(0.15, 0.65, 0.8), (-0.15, 0.4, 0.55)])
def test_it_moves_by_what_probabilities_promise_too_much_and_no_further(too_much: float, least: float, most: float) -> None:
    assert all(least <= month(seed, 0.6, too_much) <= most for seed in range(3))


def test_a_bar_that_has_risen_by_what_they_promise_too_much_stands_right() -> None:
    assert moved(0.7, tried(0.9, 32, 40), ADAPT, shift=0.1) is None
    assert moved(0.7, tried(0.75, 39, 40), ADAPT, shift=0.1) == Move(
        0.65, "39 of 40 actions near the bar of 70% helped, expected were 65%; it is 65% now"
    )


@pytest.mark.parametrize(
    "seen",
    [
        [],
        tried(0.9, 0, 19),
        tried(0.6, 19, 19),
        tried(0.6, 18, 30),
        tried(0.95, 30, 30),
        tried(0.3, 0, 30),
    ],
    ids=["nothing", "too few failed", "too few helped", "as often as it says", "far above it helps", "far below it fails"],
)
def test_it_stays_where_nothing_speaks_for_a_move(seen: list[tuple[float, float]]) -> None:
    assert moved(0.6, seen, ADAPT) is None


@pytest.mark.parametrize(("bar", "seen", "end"), [(0.68, tried(0.9, 5, 40), 0.7), (0.42, tried(0.45, 39, 40), 0.4)])
def test_a_step_ends_at_the_limit(bar: float, seen: list[tuple[float, float]], end: float) -> None:
    move = moved(bar, seen, ADAPT)
    assert move is not None
    assert move.auto == end


@pytest.mark.parametrize(
    ("bar", "seen"), [(0.7, tried(0.9, 5, 40)), (0.4, tried(0.45, 39, 40)), (0.9, tried(0.95, 5, 40)), (0.2, tried(0.25, 39, 40))]
)
def test_at_or_beyond_a_limit_it_stays(bar: float, seen: list[tuple[float, float]]) -> None:
    assert moved(bar, seen, ADAPT) is None


def test_the_interval_narrows_with_what_was_seen() -> None:
    assert interval(0, 0) == (0.0, 1.0)
    assert interval(8, 10) == pytest.approx((0.4902, 0.9433), abs=1e-3)
    assert interval(80, 100) == pytest.approx((0.7112, 0.8666), abs=1e-3)
