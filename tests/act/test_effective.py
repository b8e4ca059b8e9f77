"""The policy as it is for one task instance: which override fits, which one wins, and where each value stands."""

from __future__ import annotations

from typing import Any

import pytest
from tests.tick.scene import POLICY

from airflow_oncall.act.effective import SETTING, Effective, Subject, effective, fits, subject_of
from airflow_oncall.act.policy import Match, Policy
from airflow_oncall.incident import TaskRef
from airflow_oncall.rest import TaskView

ORDERS = Subject("nightly", "load_orders", frozenset({"team:sales", "tier-1"}), "warehouse", frozenset({"ann"}))
PLAIN = POLICY.model_dump(exclude_unset=True)
STRICT, LOOSE = {"auto": 0.9, "ask": 0.5}, {"auto": 0.5, "ask": 0.1}


def policy(*overrides: dict[str, Any], **parts: Any) -> Policy:
    """The stage's policy with these parts; an override without a match is for DAG ``nightly``."""
    fitting = [{"match": {"dag": "nightly"}, **override} for override in overrides]
    return Policy.model_validate({**PLAIN, "overrides": fitting, **parts})


def orders(*overrides: dict[str, Any], mode: str = "ask", **parts: Any) -> Effective:
    return effective(policy(*overrides, **parts), ORDERS, mode)


@pytest.mark.parametrize(
    "match",
    [
        {"dag": "night*"},
        {"task": "load_?rders"},
        {"tag": "team:*"},
        {"pool": "warehouse"},
        {"owner": "ann"},
        {"dag": "nightly", "task": "load_orders", "tag": "tier-1", "pool": "ware*", "owner": "a*"},
    ],
)
def test_an_override_fits_by_any_of_its_parts(match: dict[str, str]) -> None:
    assert fits(Match.model_validate(match), ORDERS)


@pytest.mark.parametrize(
    "match", [{"dag": "Nightly"}, {"dag": "night"}, {"tag": "tier"}, {"owner": "bob"}, {"dag": "nightly", "pool": "other"}]
)
def test_an_override_fits_only_where_every_part_does(match: dict[str, str]) -> None:
    assert not fits(Match.model_validate(match), ORDERS)


def test_without_overrides_the_general_part_counts() -> None:
    found = orders()
    assert (found.mode, found.always_ask, found.route, found.budgets) == ("ask", False, None, POLICY.budgets)
    assert found.rule("rate_limit") == POLICY.categories["rate_limit"]
    assert found.thresholds("rate_limit", "clear_task") == POLICY.thresholds


def test_of_two_overrides_that_fit_the_later_one_wins_and_what_it_leaves_open_stays() -> None:
    found = orders({"mode": "shadow", "approvers": ["ann"]}, {"match": {"dag": "other"}, "mode": "ask"}, {"mode": "auto"})
    assert (found.mode, found.places["mode"]) == ("auto", "overrides.2.mode")
    assert (found.approvers, found.places["approvers"]) == (("ann",), "overrides.0.approvers")


@pytest.mark.parametrize(
    ("parts", "mode", "place"),
    [
        ({}, "ask", SETTING),
        ({"mode": "auto"}, "auto", "mode"),
        ({"mode": "auto", "overrides": [{"match": {"pool": "w*"}, "mode": "shadow"}]}, "shadow", "overrides.0.mode"),
    ],
)
def test_the_mode_is_the_settings_unless_the_policy_has_one(parts: dict[str, Any], mode: str, place: str) -> None:
    found = effective(Policy.model_validate({**PLAIN, **parts}), ORDERS, "ask")
    assert (found.mode, found.places["mode"]) == (mode, place)


def test_budgets_are_replaced_one_by_one() -> None:
    found = orders({"budgets": {"attempts_per_dag_and_hour": 3}}, {"budgets": {"attempts_per_hour": 0}})
    assert (found.budgets.attempts_per_task_instance, found.budgets.attempts_per_dag_and_hour, found.budgets.attempts_per_hour) == (4, 3, 0)
    assert found.places["budgets.attempts_per_hour"] == "overrides.1.budgets.attempts_per_hour"
    assert found.places["budgets.attempts_per_task_instance"] == "budgets.attempts_per_task_instance"
    assert found.places["budgets.actions_in_flight"] == ""


RULE = {"action": "escalate"}


def test_an_overrides_rule_replaces_the_whole_rule_of_its_category() -> None:
    found = orders({"categories": {"rate_limit": RULE}})
    rule = found.rule("rate_limit")
    assert rule is not None
    assert (rule.action, rule.wait_seconds) == ("escalate", 0)
    assert found.rule_place("rate_limit") == "overrides.0.categories.rate_limit"
    assert found.rule_place("network_connectivity") == "categories.network_connectivity"


def test_a_category_of_which_the_policy_says_nothing_has_no_rule() -> None:
    assert orders().rule("data_quality") is None
    assert orders().rule_place("data_quality") == ""


OWN = {"action": "clear_task", "thresholds": STRICT}


@pytest.mark.parametrize(
    ("overrides", "parts", "bar", "place"),
    [
        ([], {}, 0.6, "thresholds"),
        ([], {"actions": {"clear_task": {"thresholds": STRICT}}}, 0.9, "actions.clear_task.thresholds"),
        ([], {"actions": {"skip": {"thresholds": STRICT}}}, 0.6, "thresholds"),
        (
            [],
            {"categories": {"rate_limit": OWN}, "actions": {"clear_task": {"thresholds": LOOSE}}},
            0.9,
            "categories.rate_limit.thresholds",
        ),
        ([{"thresholds": LOOSE}], {"categories": {"rate_limit": OWN}}, 0.5, "overrides.0.thresholds"),
        ([{"thresholds": LOOSE, "categories": {"rate_limit": OWN}}], {}, 0.9, "overrides.0.categories.rate_limit.thresholds"),
        ([{"categories": {"rate_limit": OWN}}, {"thresholds": LOOSE}], {}, 0.5, "overrides.1.thresholds"),
        ([{"thresholds": LOOSE}, {"categories": {"rate_limit": RULE}}], {"categories": {"rate_limit": OWN}}, 0.5, "overrides.0.thresholds"),
    ],
)
def test_the_newest_and_most_special_thresholds_count(overrides: list[Any], parts: dict[str, Any], bar: float, place: str) -> None:
    bars = orders(*overrides, **parts).bars("rate_limit", "clear_task")
    assert (bars.thresholds.auto, bars.place) == (bar, place)


def test_a_critical_dag_always_asks_unless_an_override_takes_that_back() -> None:
    assert orders(always_ask=["other", "night*"]).asks("clear_task") == "always_ask.1"
    assert orders({"always_ask": True}).asks("clear_task") == "overrides.0.always_ask"
    assert orders({"always_ask": False}, always_ask=["night*"]).asks("clear_task") is None


@pytest.mark.parametrize(
    ("action", "said", "asks"),
    [
        ("clear_task", {}, None),
        ("clear_task", {"always_ask": True}, "actions.clear_task.always_ask"),
        ("terminate_blocker", {}, "terminate_blocker asks by default"),
        ("terminate_blocker", {"always_ask": False}, None),
        ("mark_success", {"always_ask": False}, "mark_success is never done alone"),
    ],
)
def test_some_actions_are_a_persons_to_decide(action: str, said: dict[str, bool], asks: str | None) -> None:
    assert orders(actions={action: said} if said else {}).asks(action) == asks


PAGER = {"classpath": "site.Pager", "kwargs": {"to": "sales"}}


def test_the_route_is_the_overrides_else_the_default_one() -> None:
    routes = {"sales": [PAGER], "default": []}
    assert orders(routes={"sales": [PAGER]}).route is None
    assert orders(routes=routes).route == "default"
    assert orders({"route": "sales"}, routes=routes).route == "sales"


def test_a_subject_is_read_from_what_airflow_knows_of_the_task() -> None:
    task = TaskView(retries=1, tags=frozenset({"tier-1"}), params={}, is_paused=False, pool="warehouse", owners=frozenset({"ann"}))
    assert subject_of(TaskRef("nightly", "r", "load_orders"), task) == Subject(
        "nightly", "load_orders", frozenset({"tier-1"}), "warehouse", frozenset({"ann"})
    )
