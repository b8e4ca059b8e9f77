"""What an action is worth."""

from __future__ import annotations

import pytest

from airflow_oncall.act.economics import Economics, Statistic, posterior
from airflow_oncall.act.policy import Costs

COSTS = Costs(repaired_run=10, attempt_minute=0.02, wrong_action=4)


def test_the_worked_example_of_the_docs() -> None:
    half_an_hour = Economics(0.7, attempts=3, minutes=30.0, costs=COSTS)
    assert half_an_hour.price == pytest.approx(1.8)
    assert half_an_hour.gain == 4.0
    assert half_an_hour.break_even == pytest.approx(0.4143)


def test_at_the_break_even_nothing_is_gained() -> None:
    at = Economics(0.5, 2, 30.0, COSTS).break_even
    assert Economics(at, 2, 30.0, COSTS).gain == pytest.approx(0, abs=0.01)


def test_attempts_whose_length_is_not_known_cost_nothing() -> None:
    unknown = Economics(0.9, 4, None, COSTS)
    assert unknown.price == 0
    assert "a time not known" in str(unknown)


@pytest.mark.parametrize(("wrong", "minutes", "break_even"), [(0.0, None, 0.0), (1.0, None, 1.0), (0.0, 60.0, float("inf"))])
def test_where_a_repair_is_worth_nothing_only_what_is_free_is_worth_doing(wrong: float, minutes: float | None, break_even: float) -> None:
    costs = Costs(repaired_run=0, attempt_minute=1, wrong_action=wrong)
    assert Economics(0.9, 1, minutes, costs).break_even == break_even


def test_what_can_never_pay_says_so() -> None:
    assert "never worth it" in str(Economics(0.9, 1, 60.0, Costs(repaired_run=1, attempt_minute=1, wrong_action=0)))


@pytest.mark.parametrize(
    ("seen", "expected"), [(None, 0.8), (Statistic(), 0.8), (Statistic(4, 0), 0.9), (Statistic(0, 4), 0.4), (Statistic(0.5, 0.5), 0.74)]
)
def test_outcomes_weigh_against_four_of_the_models_word(seen: Statistic | None, expected: float) -> None:
    assert posterior(0.8, seen) == pytest.approx(expected)
