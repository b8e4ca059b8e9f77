"""What is told of a policy that is good and perhaps not meant."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from pydantic import ValidationError
from tests.tick.scene import POLICY

from airflow_oncall.act.policy import Match, Policy
from airflow_oncall.act.soundness import Doubt, covers, doubts, unknown_dags
from airflow_oncall.conf import shipped_include
from airflow_oncall.datafile import parse
from airflow_oncall.incident import CATEGORIES

NOW = datetime(2026, 11, 21, 12, tzinfo=timezone.utc)
EVERY = {category: {"action": "clear_task"} for category in CATEGORIES}
PLAIN = POLICY.model_dump(exclude_unset=True) | {"categories": EVERY}


def told(**parts: Any) -> list[Doubt]:
    """Of a policy that nothing else is told of."""
    return doubts(Policy.model_validate(PLAIN | parts), NOW)


def overriding(*overrides: dict[str, Any]) -> list[Doubt]:
    return told(overrides=[{"match": {"dag": "nightly"}, **override} for override in overrides], routes={"sales": [{"classpath": "x"}]})


def test_nothing_is_told_of_the_shipped_policy() -> None:
    path = shipped_include() / "policy.yaml"
    assert doubts(parse(Policy, str(path), path.read_text(encoding="utf-8")), NOW) == []


ROUTE = {"mode": "ask", "route": "sales"}


@pytest.mark.parametrize(
    ("parts", "place", "text"),
    [
        ({"budgets": {"attempts_per_task_instance": 0, "attempts_per_hour": 1}}, "budgets.attempts_per_task_instance", "no action is ever"),
        (
            {"budgets": {"attempts_per_task_instance": 1, "attempts_per_hour": 1, "attempts_per_dag_and_hour": 2}},
            "budgets.attempts_per_dag_and_hour",
            "never reached",
        ),
        ({"thresholds": {"auto": 0.3, "ask": 0.2}, "adapt": {"enabled": True}}, "thresholds.auto", "outside of what adapt allows"),
        ({"costs": {"repaired_run": 0}}, "costs.repaired_run", "expected to gain"),
        ({"categories": {"code_error": {"action": "escalate"}}}, "categories", "always escalated: database_connectivity"),
        ({"categories": EVERY | {"code_error": {"action": "skip"}}}, "categories.code_error.action", "a person decides on skip"),
        (
            {"categories": EVERY | {"code_error": {"action": "terminate_blocker"}}},
            "categories.code_error.action",
            "a person decides on terminate",
        ),
        (
            {"categories": EVERY | {"code_error": {"action": "clear_task", "alternatives": ["clear_task"]}}},
            "categories.code_error.alternatives",
            "own action",
        ),
        (
            {"categories": EVERY | {"code_error": {"action": "clear_task", "otherwise": "terminate_blocker"}}},
            "categories.code_error.otherwise",
            "a person decides on terminate",
        ),
        (
            {"categories": EVERY | {"code_error": {"action": "escalate", "otherwise": "clear_task"}}},
            "categories.code_error.otherwise",
            "never taken",
        ),
        ({"routes": {"sales": [{"classpath": "x"}]}}, "routes.sales", "nobody is told by it"),
        ({"routes": {"default": []}}, "routes.default", "nobody is told"),
        ({"routes": {"default": [{"email": "a@b.c", "after": "15m"}]}}, "routes.default", "nobody is told at once"),
        ({"routes": {"default": [{"email": "a@b.c", "tell_of": []}]}}, "routes.default.0.tell_of", "told of nothing"),
        ({"holdout": {"share": 0.1}}, "holdout.categories", "nothing is left out"),
        ({"quiet_hours": [{"start": "00:00", "end": "00:00"}]}, "quiet_hours", "do not count"),
        ({"maintenance": [{"start": NOW - timedelta(hours=2), "end": NOW}]}, "maintenance.0", "it is over"),
    ],
)
def test_what_may_not_be_meant_is_told_with_its_place(parts: dict[str, Any], place: str, text: str) -> None:
    (doubt,) = told(**parts)
    assert doubt.place == place
    assert text in doubt.text


def test_an_action_that_the_policy_allows_to_be_made_alone_is_not_told_of() -> None:
    rule = EVERY | {"database_performance": {"action": "terminate_blocker"}}
    assert told(categories=rule, actions={"terminate_blocker": {"always_ask": False}}) == []


@pytest.mark.parametrize(
    ("overrides", "place", "text"),
    [
        ([{}, ROUTE], "overrides.0", "changes nothing"),
        ([{"mode": "auto"}, ROUTE], "overrides.0", "never takes effect: overrides.1"),
        (
            [
                {"match": {"dag": "nightly", "pool": "a"}, "budgets": {"attempts_per_hour": 1}},
                {**ROUTE, "budgets": {"attempts_per_hour": 2}},
            ],
            "overrides.0",
            "never",
        ),
        ([{"match": {"dag": "night?y"}, "mode": "auto"}, {**ROUTE, "match": {"dag": "night*"}}], "overrides.0", "never takes effect"),
        ([{"approvers": ["ann"]}, ROUTE], "overrides.0", "overrides.1 has the same match"),
        ([{**ROUTE, "always_ask": True, "mode": "auto"}], "overrides.0.mode", "contradict"),
        ([{**ROUTE, "match": {"dag": "oncall_train"}}], "overrides.0.match.dag", "our own DAGs"),
        ([{**ROUTE, "budgets": {"attempts_per_hour": 0}}], "overrides.0.budgets.attempts_per_hour", "no action"),
    ],
)
def test_overrides_that_cannot_do_what_they_say_are_told_of(overrides: list[dict[str, Any]], place: str, text: str) -> None:
    (doubt,) = overriding(*overrides)
    assert doubt.place == place
    assert text in doubt.text


def test_an_override_of_which_a_part_stays_is_not_told_of() -> None:
    narrow = {"match": {"dag": "nightly", "task": "load"}, "mode": "auto"}
    assert overriding(ROUTE, narrow) == []
    assert overriding({**narrow, "budgets": {"attempts_per_hour": 1}}, ROUTE) == []


@pytest.mark.parametrize(
    ("wide", "narrow", "certain"),
    [
        ({"dag": "a*"}, {"dag": "ab"}, True),
        ({"dag": "a*"}, {"dag": "ab*"}, True),
        ({"dag": "*a"}, {"dag": "*ba"}, False),  # true, and too clever to be told of
        ({"dag": "ab*"}, {"dag": "a*"}, False),
        ({"dag": "a"}, {"tag": "a"}, False),
        ({"dag": "a", "tag": "b"}, {"dag": "a"}, False),
        ({"dag": "a"}, {"dag": "a", "tag": "b"}, True),
    ],
)
def test_one_match_covers_another_only_where_that_is_certain(wide: dict[str, str], narrow: dict[str, str], certain: bool) -> None:
    assert covers(Match.model_validate(wide), Match.model_validate(narrow)) is certain


def test_dags_and_runbooks_that_airflow_does_not_know_are_told_of() -> None:
    cleanup = {"action": "run_runbook", "parameters": {"runbook": "cleanup"}}
    policy = Policy.model_validate(
        PLAIN
        | {
            "always_ask": ["billing_*", "night*"],
            "overrides": [
                {"match": {"dag": "gone"}, "mode": "ask"},
                {"match": {"tag": "x"}, "categories": {"storage_exhaustion": cleanup}},
            ],
            "maintenance": [{"start": NOW, "end": NOW + timedelta(hours=1), "dags": ["nightly", "lost"]}],
        }
    )
    assert {one.place for one in unknown_dags(policy, {"nightly"})} == {
        "always_ask.0",
        "overrides.0.match.dag",
        "maintenance.0.dags.1",
        "overrides.1.categories.storage_exhaustion.parameters.runbook",
    }
    assert unknown_dags(policy, {"nightly", "billing_1", "gone", "lost", "cleanup"}) == []


def test_a_runbook_that_is_only_taken_where_the_action_cannot_be_is_looked_for_too() -> None:
    rule = {"action": "clear_task", "otherwise": "run_runbook", "parameters": {"runbook": "restart"}}
    (doubt,) = unknown_dags(Policy.model_validate(PLAIN | {"categories": EVERY | {"code_error": rule}}), ["nightly"])
    assert doubt == ("categories.code_error.parameters.runbook", "there is no DAG 'restart'")


@pytest.mark.parametrize(
    ("otherwise", "problem"),
    [("clear_task", "otherwise is the action itself"), ("run_runbook", "run_runbook needs parameters.runbook")],
)
def test_an_otherwise_that_cannot_be_is_refused(otherwise: str, problem: str) -> None:
    with pytest.raises(ValidationError, match=problem):
        Policy.model_validate(PLAIN | {"categories": {"code_error": {"action": "clear_task", "otherwise": otherwise}}})
