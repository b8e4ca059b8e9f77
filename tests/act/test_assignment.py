"""Arms, hold-outs and what their results say."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
from tests.act.test_decide import INCIDENT, policy_with
from tests.cast import MIDNIGHT

from airflow_oncall.act.assignment import REPAIRED, arms_of, difference, experimental, held_out, is_drawn, standings
from airflow_oncall.act.effective import Effective, Subject, effective
from airflow_oncall.act.policy import CategoryRule
from airflow_oncall.incident import Incident, Kind, TaskRef
from airflow_oncall.store.experiments import HASH, THOMPSON, ArmCounts, Experiment

TWO_WAYS = CategoryRule(action="clear_task", alternatives=("clear_downstream",))
REACH = Experiment("reach", "network_connectivity", ("clear_task", "clear_downstream"), HASH, "ann", MIDNIGHT)
BY_PROMISE = replace(REACH, assignment=THOMPSON)
CLEARLY_BETTER = {"clear_task": ArmCounts(5, 45), "clear_downstream": ArmCounts(45, 5)}


def keys(count: int = 400) -> list[str]:
    """Task instances of so many runs."""
    return [TaskRef("nightly", f"run-{number}", "load").key for number in range(count)]


def arms_given(experiment: Experiment, results: dict[str, ArmCounts] | None = None, rule: CategoryRule = TWO_WAYS) -> Counter[str | None]:
    return Counter(experimental(experiment, key, rule, results or {}).action for key in keys())


def policy_of(**parts: Any) -> Effective:
    return effective(policy_with(**parts), Subject("nightly", "load_orders"), "auto")


FRESH = replace(INCIDENT, decisions=0)
SOME_OUT = {"share": 0.2, "categories": ["network_connectivity"]}


def left_out(incident: Incident = FRESH, *, kind: str = "clear_task", is_critical: bool = False, **parts: Any) -> list[str]:
    """The arms of 400 incidents like this one; an empty one is in no draw."""
    found = policy_of(**{"holdout": SOME_OUT, **parts})
    draws = [
        held_out(
            replace(incident, ref=TaskRef("nightly", f"run-{number}", "load")), "network_connectivity", kind, found, is_critical=is_critical
        )
        for number in range(400)
    ]
    return ["left out" if draw.is_left_out else draw.arm for draw in draws]


def test_a_hash_gives_all_arms_about_the_same_share() -> None:
    given = arms_given(REACH)
    assert set(given) == {"clear_task", "clear_downstream"}
    assert min(given.values()) > 160


def test_a_task_instance_keeps_its_arm() -> None:
    assert {experimental(REACH, "nightly/r/load/-1", TWO_WAYS, {}) for _ in range(5)} == {
        experimental(REACH, "nightly/r/load/-1", TWO_WAYS, {})
    }


def test_two_experiments_split_differently() -> None:
    other = replace(REACH, name="reach-2")
    assert [experimental(REACH, key, TWO_WAYS, {}).action for key in keys()] != [
        experimental(other, key, TWO_WAYS, {}).action for key in keys()
    ]


def test_the_arm_names_its_experiment() -> None:
    draw = experimental(REACH, "nightly/r/load/-1", TWO_WAYS, {})
    assert draw.arm == f"reach/{draw.action}"


def test_thompson_sampling_begins_with_equal_shares_and_turns_to_what_helps() -> None:
    assert min(arms_given(BY_PROMISE).values()) > 160
    assert arms_given(BY_PROMISE, CLEARLY_BETTER)["clear_downstream"] == 400


def test_thompson_sampling_goes_on_trying_what_may_still_be_better() -> None:
    given = arms_given(BY_PROMISE, {"clear_task": ArmCounts(3, 2), "clear_downstream": ArmCounts(4, 1)})
    assert 20 < given["clear_task"] < given["clear_downstream"]


def test_an_arm_that_the_policy_no_longer_allows_is_not_given() -> None:
    three = replace(REACH, arms=("clear_task", "clear_downstream", "clear_run"))
    assert set(arms_given(three)) == {"clear_task", "clear_downstream"}


def test_an_experiment_with_one_arm_left_assigns_nothing() -> None:
    assert set(arms_given(REACH, rule=CategoryRule(action="clear_task"))) == {None}


@pytest.mark.parametrize("useless", ["mark_success", "skip", "escalate", "pause_dag"])
def test_what_repairs_nothing_is_no_arm(useless: str) -> None:
    assert arms_of(CategoryRule(action="clear_task", alternatives=(useless, "clear_run"))) == ("clear_task", "clear_run")


def test_the_policys_share_of_repairs_is_left_out_and_the_others_are_what_they_are_compared_with() -> None:
    counted = Counter(left_out())
    assert set(counted) == {"left out", REPAIRED}
    assert 50 < counted["left out"] < 110


@pytest.mark.parametrize(
    "why_not",
    [
        {"holdout": {"share": 0.2, "categories": ["rate_limit"]}},
        {"holdout": {}},
        {"mode": "ask"},
        {"mode": "shadow"},
        {"always_ask": ["nightly"]},
        {"is_critical": True},
        {"kind": "run_runbook"},
        {"incident": replace(FRESH, decisions=1)},
    ],
)
def test_nothing_else_is_in_the_draw(why_not: dict[str, Any]) -> None:
    assert set(left_out(**why_not)) == {""}


def test_only_single_task_instances_are_drawn() -> None:
    assert is_drawn(INCIDENT)
    assert not is_drawn(replace(INCIDENT, storm_id=3))
    assert not is_drawn(replace(INCIDENT, kind=Kind.DAG_RUN))


def test_results_name_the_best_arm_with_its_interval() -> None:
    best, worst = standings(CLEARLY_BETTER)
    assert (best.arm, worst.arm) == ("clear_downstream", "clear_task")
    assert best.mean == pytest.approx(46 / 52, abs=0.01)
    # Quantiles of Beta(46, 6), as tables have them.
    assert [best.low, best.high] == pytest.approx([0.786, 0.956], abs=0.01)
    assert (best.best, worst.best) == (1.0, 0.0)


def test_arms_without_results_are_equally_likely_the_best() -> None:
    one, other = standings({"clear_task": ArmCounts(), "clear_downstream": ArmCounts()})
    assert [one.best, other.best] == pytest.approx([0.5, 0.5], abs=0.02)
    assert [one.low, one.high] == pytest.approx([0.025, 0.975], abs=0.01)


def test_a_difference_is_as_uncertain_as_its_two_sides() -> None:
    sure, unsure = difference(ArmCounts(900, 100), ArmCounts(300, 700)), difference(ArmCounts(9, 1), ArmCounts(3, 7))
    assert sure.mean == pytest.approx(0.6, abs=0.01)
    assert unsure.low < sure.low < sure.high < unsure.high


def test_a_difference_of_nothing_spans_zero() -> None:
    found = difference(ArmCounts(5, 5), ArmCounts(5, 5))
    assert found.low < 0 < found.high
