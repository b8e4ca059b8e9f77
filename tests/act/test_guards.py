"""Each guard by itself, and what several of them make together."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from tests.act.test_decide import CALM, INCIDENT, policy_with
from tests.cast import MIDNIGHT
from tests.tick.scene import BUG, NETWORK, ORDERS, POLICY

from airflow_oncall.act.decide import decide, effective_of, is_held
from airflow_oncall.act.guards import LONGEST_SECONDS, breakers_of, hourly, limits_in_force, limits_of
from airflow_oncall.act.policy import Policy
from airflow_oncall.incident import Decision, Kind, Verdict
from airflow_oncall.store.limits import Ended, Limit, Used

EVERY_BUDGET = {
    "attempts_per_task_instance": 9,
    "attempts_per_hour": 8,
    "attempts_per_task_and_day": 7,
    "attempts_per_dag_and_hour": 6,
    "attempts_per_category_and_hour": 5,
    "attempts_per_action_and_hour": 4,
    "actions_in_flight": 3,
}
BUDGETED = policy_with(budgets=EVERY_BUDGET)
FAILING = tuple(Ended(MIDNIGHT - timedelta(minutes=number), True) for number in range(4))
NIGHT = [{"start": "22:00", "end": "06:00"}]


def decided(policy: Policy = POLICY, **situation: Any) -> Decision:
    return decide(replace(CALM, **({"at": MIDNIGHT} | situation)), policy)


def test_each_budget_counts_what_it_is_for() -> None:
    limits = {limit.name: limit for limit in limits_of(BUDGETED.budgets, ORDERS, "network_connectivity", "clear_task")}
    assert {name: limit.most for name, limit in limits.items()} == EVERY_BUDGET
    task = {"dag_id": "nightly", "task_id": "load_orders"}
    assert limits["attempts_per_task_instance"].where == {**task, "run_id": ORDERS.run_id, "map_index": -1}
    assert (limits["attempts_per_task_and_day"].where, limits["attempts_per_task_and_day"].hours) == (task, 24)
    assert limits["attempts_per_dag_and_hour"].where == {"dag_id": "nightly"}
    assert limits["attempts_per_category_and_hour"].where == {"category": "network_connectivity"}
    assert limits["attempts_per_action_and_hour"].where == {"kind": "clear_task"}
    assert (limits["attempts_per_hour"].where, limits["attempts_per_hour"].hours) == ({}, 1)
    assert limits["actions_in_flight"].in_flight


def test_members_of_a_storm_have_an_hour_of_their_own_where_the_policy_says_so() -> None:
    budgets = BUDGETED.budgets.model_copy(update={"storm_attempts_per_hour": 50})
    assert hourly(budgets, in_wave=True) == Limit("storm_attempts_per_hour", 50, 1, {"in_wave": True})
    assert hourly(budgets, in_wave=False) == Limit("attempts_per_hour", 8, 1, {"in_wave": False})
    assert hourly(BUDGETED.budgets, in_wave=True) == hourly(BUDGETED.budgets, in_wave=False) == Limit("attempts_per_hour", 8, 1)


def test_a_budget_without_a_limit_is_not_counted() -> None:
    names = [limit.name for limit in limits_of(POLICY.budgets, ORDERS, "network_connectivity", "clear_task")]
    assert names == ["attempts_per_task_instance", "attempts_per_hour"]


@pytest.mark.parametrize("name", ["attempts_per_task_instance", "attempts_per_task_and_day"])
def test_a_task_that_used_up_its_own_budget_is_a_persons(name: str) -> None:
    decision = decided(BUDGETED, used={name: Used(EVERY_BUDGET[name])})
    assert decision.verdict is Verdict.ESCALATE
    assert f"it would be {EVERY_BUDGET[name] + 1} attempts of {EVERY_BUDGET[name]}" in decision.reasons[0]


@pytest.mark.parametrize("name", [name for name in EVERY_BUDGET if name.endswith("hour")])
def test_a_budget_of_an_hour_is_waited_for_until_the_oldest_leaves_it(name: str) -> None:
    decision = decided(BUDGETED, used={name: Used(EVERY_BUDGET[name], MIDNIGHT + timedelta(minutes=7))})
    assert is_held(decision)
    assert (decision.wait_seconds, decision.basis["held_by"]) == (420, f"budgets.{name}")


def test_actions_under_way_are_waited_for() -> None:
    decision = decided(BUDGETED, used={"actions_in_flight": Used(3)})
    assert (is_held(decision), decision.wait_seconds) == (True, 60)
    assert not is_held(decided(BUDGETED, used={"actions_in_flight": Used(2)}))


@pytest.mark.parametrize("name", list(EVERY_BUDGET))
def test_a_budget_of_nothing_is_never_waited_for(name: str) -> None:
    decision = decided(policy_with(budgets={**EVERY_BUDGET, name: 0}))
    assert decision.verdict is Verdict.ESCALATE
    assert "is 0: nothing is repaired" in decision.reasons[0]


@pytest.mark.parametrize("name", list(EVERY_BUDGET))
@pytest.mark.parametrize("most", [0, None])
def test_a_budget_is_named_as_in_the_policy(name: str, most: int | None) -> None:
    budgets = EVERY_BUDGET if most is None else {**EVERY_BUDGET, name: most}
    decision = decided(policy_with(budgets=budgets), used={name: Used(EVERY_BUDGET[name])})
    assert f"(budgets.{name})" in decision.reasons[0]


def test_a_clock_that_jumped_keeps_no_incident_waiting_for_longer_than_an_hour() -> None:
    ahead = decided(BUDGETED, used={"attempts_per_hour": Used(8, MIDNIGHT + timedelta(days=400))})
    behind = decided(BUDGETED, used={"attempts_per_hour": Used(8, MIDNIGHT - timedelta(days=400))})
    assert (ahead.wait_seconds, behind.wait_seconds) == (LONGEST_SECONDS, 1)


@pytest.mark.parametrize("breaker", ["breaker.action", "breaker.dag"])
def test_an_action_that_keeps_failing_waits_for_the_end_of_the_pause(breaker: str) -> None:
    decision = decided(ended={breaker: FAILING}, at=MIDNIGHT + timedelta(minutes=50))
    assert (is_held(decision), decision.wait_seconds, decision.basis["held_by"]) == (True, 600, breaker)
    assert "failed 4 times of 4" in decision.reasons[0]


def test_then_exactly_one_is_let_through() -> None:
    later = MIDNIGHT + timedelta(minutes=61)
    first = decided(ended={"breaker.action": FAILING}, at=later)
    second = decided(ended={"breaker.action": FAILING}, used={"breaker.action": Used(1)}, at=later)
    assert first.verdict is Verdict.AUTO
    assert is_held(second)
    assert "another one is under way" in second.reasons[0]


def test_a_half_open_breaker_is_a_limit_of_one_when_the_action_is_planned() -> None:
    half_open = replace(CALM, at=MIDNIGHT + timedelta(minutes=61), ended={"breaker.dag": FAILING})
    limits = limits_in_force(half_open, effective_of(half_open, POLICY), "clear_task")
    assert breakers_of(ORDERS, NETWORK.category, "clear_task")[1] in limits
    closed = limits_in_force(CALM, effective_of(CALM, POLICY), "clear_task")
    assert [limit.name for limit in closed] == ["attempts_per_task_instance", "attempts_per_hour"]


def test_a_breaker_does_not_stop_a_question() -> None:
    assert decided(ended={"breaker.dag": FAILING}, mode="ask").verdict is Verdict.ASK


def test_in_maintenance_everything_waits_even_for_people() -> None:
    window = {"start": "2026-01-01T00:00:00Z", "end": "2027-01-01T00:00:00Z", "dags": ["night*"], "reason": "new cluster"}
    decision = decided(policy_with(maintenance=[window]), diagnosis=BUG)
    assert (is_held(decision), decision.wait_seconds) == (True, LONGEST_SECONDS)
    assert decision.reasons[0].startswith("Maintenance (new cluster) until 2027-01-01 00:00 UTC")


@pytest.mark.parametrize(
    ("situation", "held"),
    [({"mode": "ask"}, True), ({"diagnosis": BUG}, True), ({}, False), ({"mode": "ask", "is_critical": True}, False)],
)
def test_in_quiet_hours_nobody_is_asked_or_told_but_of_what_is_critical(situation: dict[str, Any], held: bool) -> None:
    assert is_held(decided(policy_with(quiet_hours=NIGHT), **situation)) is held


@pytest.mark.parametrize(("backfill", "held"), [("wait", True), ("allow", False)])
def test_nothing_is_done_while_a_backfill_of_the_dag_runs_unless_allowed(backfill: str, held: bool) -> None:
    assert is_held(decided(policy_with(risk={"backfill": backfill}), has_backfill=True)) is held


@pytest.mark.parametrize("risk", [{"changed_code": "allow"}])
def test_changed_code_is_allowed_where_the_policy_says_so(risk: dict[str, str]) -> None:
    assert decided(policy_with(risk=risk), changed_code=True).verdict is Verdict.AUTO


def test_everything_that_held_is_listed_and_the_longest_counts() -> None:
    used = {"attempts_per_hour": Used(8, MIDNIGHT + timedelta(minutes=7))}
    decision = decided(BUDGETED, used=used, why_paused="Repairs are paused by ann", downstream=500)
    assert [(one["guard"], one["says"]) for one in decision.basis["guards"]] == [
        ("kill_switch", "hold"),
        ("budgets.attempts_per_hour", "hold"),
        ("risk.downstream", "ask"),
    ]
    assert decision.basis["held_by"] == "kill_switch"
    assert any("The budget of this hour is used up" in reason for reason in decision.reasons)


def test_a_run_is_guarded_as_a_task_is() -> None:
    run = replace(INCIDENT, kind=Kind.DAG_RUN)
    assert is_held(decided(incident=run, why_paused="Repairs are paused by ann"))
