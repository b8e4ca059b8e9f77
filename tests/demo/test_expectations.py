"""The demo may only say that all went well when it did."""

from __future__ import annotations

from typing import Any

import pytest
from demo.expectations import EXPECTATIONS, Expectation, incident_problems, is_at_rest, try_problems

from airflow_oncall.incident import CATEGORIES, ActionKind, OutcomeKind, State, Verdict

MAPPED = {("load_prices", index): ["success"] for index in range(5)}


def test_every_expectation_speaks_the_words_of_the_product() -> None:
    for expectation in EXPECTATIONS:
        assert set(expectation.categories.split()) <= set(CATEGORIES)
        assert set(expectation.decisions.split()) <= {str(word) for word in Verdict}
        assert set(expectation.actions.split()) <= {str(word) for word in ActionKind}
        assert expectation.state in {str(word) for word in State}
        assert expectation.outcome in {None, *(str(word) for word in OutcomeKind)}


def test_a_repaired_incident_is_at_rest_and_without_problems(reset_connection: Expectation, repaired: dict[str, Any]) -> None:
    assert is_at_rest(reset_connection, [repaired])
    assert incident_problems(reset_connection, [repaired]) == []


@pytest.mark.parametrize(
    ("field", "value", "sentence"),
    [
        ("state", "asked", "state is asked instead of resolved"),
        ("category", "code_error", "category is code_error instead of network_connectivity"),
        ("decision", "ask", "decision is ask instead of auto or wait"),
        ("action", None, "action is none instead of clear_task"),
        ("outcome", "failed_same", "outcome is failed_same instead of success"),
    ],
)
def test_what_differs_is_said(
    reset_connection: Expectation, repaired: dict[str, Any], field: str, value: str | None, sentence: str
) -> None:
    assert incident_problems(reset_connection, [{**repaired, field: value}]) == [sentence]


def test_a_fault_without_an_incident_is_a_problem_and_not_at_rest(reset_connection: Expectation, repaired: dict[str, Any]) -> None:
    another_index = {**repaired, "map_index": 2}

    assert not is_at_rest(reset_connection, [another_index])
    assert incident_problems(reset_connection, [another_index]) == ["0 incidents instead of exactly one"]


def test_two_incidents_of_one_task_instance_are_a_problem(reset_connection: Expectation, repaired: dict[str, Any]) -> None:
    assert incident_problems(reset_connection, [repaired, repaired]) == ["2 incidents instead of exactly one"]


def test_only_the_failed_task_instance_may_have_run_again(reset_connection: Expectation) -> None:
    downstream = {("publish", -1): ["upstream_failed", "success"]}
    assert try_problems(reset_connection, {**MAPPED, **downstream, ("load_prices", 3): ["failed", "success"]}) == []


def test_a_neighbour_that_was_cleared_too_is_a_problem(reset_connection: Expectation) -> None:
    tries = {**MAPPED, ("load_prices", 3): ["failed", "success"], ("load_prices", 4): ["success", "success"]}

    assert try_problems(reset_connection, tries) == ["tries of load_prices[4] are success, success instead of success"]


def test_a_task_instance_that_airflow_does_not_know_is_a_problem(reset_connection: Expectation) -> None:
    assert try_problems(reset_connection, {}) == ["Airflow has no task instance demo_reset_connection/load_prices[3]"]
