"""Which earlier outcomes count for an incident, and how much."""

from __future__ import annotations

from airflow_oncall.act.economics import Statistic, posterior
from airflow_oncall.act.experience import CATEGORY_CAP, TASK_CAP, statistic
from airflow_oncall.store.outcomes import CATEGORY, FINGERPRINT, TASK, Decayed


def test_the_same_failure_speaks_before_the_same_task() -> None:
    seen = {FINGERPRINT: Decayed(1, 2), TASK: Decayed(9, 0), CATEGORY: Decayed(90, 0)}
    assert statistic(seen, is_rerun=True) == Statistic(1, 2, FINGERPRINT)


def test_the_same_failure_counts_in_full() -> None:
    assert statistic({FINGERPRINT: Decayed(60, 20)}, is_rerun=True) == Statistic(60, 20, FINGERPRINT)


def test_a_failure_seen_too_seldom_leaves_the_word_to_its_task() -> None:
    seen = {FINGERPRINT: Decayed(0, 1), TASK: Decayed(3, 1)}
    assert statistic(seen, is_rerun=True) == Statistic(3, 1, TASK)


def test_one_outcome_counts_where_nothing_wider_is_known() -> None:
    assert statistic({FINGERPRINT: Decayed(0, 1)}, is_rerun=True) == Statistic(0, 1, FINGERPRINT)


def test_a_task_with_a_long_history_counts_no_more_than_its_cap() -> None:
    found = statistic({TASK: Decayed(30, 10)}, is_rerun=True)
    assert found == Statistic(TASK_CAP * 0.75, TASK_CAP * 0.25, TASK)


def test_a_category_counts_for_actions_that_change_something_as_much_as_the_models_word() -> None:
    found = statistic({CATEGORY: Decayed(90, 10)}, is_rerun=False)
    assert found == Statistic(CATEGORY_CAP * 0.9, CATEGORY_CAP * 0.1, CATEGORY)
    assert posterior(0.5, found) == 0.7


def test_a_category_says_nothing_about_a_re_run() -> None:
    assert statistic({CATEGORY: Decayed(90, 10)}, is_rerun=True) is None


def test_nothing_seen_is_nothing_said() -> None:
    assert statistic({}, is_rerun=False) is None
