"""The ladder from diagnosis to decision."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from tests.cast import MIDNIGHT
from tests.tick.scene import BUG, MEMORY, NETWORK, ORDERS, POLICY, RATE_LIMIT

from airflow_oncall.act.decide import HOLDOUT, Situation, decide, declaration, is_held
from airflow_oncall.act.economics import Statistic
from airflow_oncall.act.policy import Policy
from airflow_oncall.act.situation import AdaptedBar
from airflow_oncall.incident import UNKNOWN, ActionKind, Decision, Diagnosis, Incident, Kind, State, TaskRef, Verdict
from airflow_oncall.store.limits import Used

INCIDENT = Incident(7, Kind.TASK, ORDERS, State.DIAGNOSED, "vendor-503", 2, MIDNIGHT, MIDNIGHT, MIDNIGHT, decisions=1)
UNSURE = replace(NETWORK, transient_probability=0.65)
CALM = Situation(INCIDENT, NETWORK, "auto")


TASK_INSTANCE, HOUR = "attempts_per_task_instance", "attempts_per_hour"


def decided(diagnosis: Diagnosis = NETWORK, policy: Policy = POLICY, **situation: Any) -> Decision:
    return decide(replace(CALM, diagnosis=diagnosis, **situation), policy)


def used(name: str, amount: int) -> dict[str, Used]:
    return {name: Used(amount)}


def policy_with(**parts: Any) -> Policy:
    """The policy of the other tests, but for these parts."""
    return Policy.model_validate(POLICY.model_dump(mode="json") | parts)


def test_a_sure_repair_in_mode_auto_is_made_for_exactly_the_failed_try() -> None:
    decision = decided()
    assert (decision.verdict, decision.action, decision.answers_try) == (Verdict.AUTO, ActionKind.CLEAR_TASK, 2)
    assert (decision.incident_id, decision.number) == (7, 2)


@pytest.mark.parametrize(
    ("situation", "reason"),
    [
        ({"is_paused": True}, "paused"),
        ({"declared": "never"}, "never"),
        ({"incident": replace(INCIDENT, kind=Kind.DAG_IMPORT)}, "author"),
        ({"diagnosis": replace(NETWORK, category=UNKNOWN)}, "No category"),
        ({"diagnosis": BUG}, "needs a person"),
        ({"diagnosis": replace(NETWORK, transient=False)}, "permanent"),
        ({"used": used(TASK_INSTANCE, 4)}, "budget of this task instance"),
        ({"retries": 20}, "too small for one repair"),
        ({"impossible": "it has no pool"}, "clear_task cannot be done here: it has no pool"),
        ({"incident": replace(INCIDENT, ref=TaskRef("oncall_triage", "r", "tick"))}, "never acts on itself"),
        ({"diagnosis": replace(NETWORK, transient_probability=0.2)}, "20% only"),
    ],
)
def test_each_rung_that_forbids_a_repair_escalates_and_says_why(situation: dict[str, Any], reason: str) -> None:
    decision = decided(**situation)
    assert (decision.verdict, decision.action) == (Verdict.ESCALATE, ActionKind.ESCALATE)
    assert reason in decision.reasons[0]


def test_what_earlier_outcomes_say_of_the_repair_counts_before_what_the_text_says() -> None:
    decision = decided(chance=0.3, advice="clear_task 30%, escalate 70%")
    assert (decision.probability, decision.verdict) == (0.3, decided(diagnosis=replace(NETWORK, transient_probability=0.3)).verdict)


def test_the_ranking_of_actions_names_earlier_outcomes_only_where_there_are_some() -> None:
    ranked = "clear_task 30%, escalate 70%"
    assert f"By the models: {ranked}." in decided(chance=0.3, advice=ranked).reasons
    seen = decided(chance=0.3, advice=ranked, statistic=Statistic(2.0, 1.0, "task"))
    assert f"By the models, corrected by earlier outcomes: {ranked}." in seen.reasons


@pytest.mark.parametrize(
    ("situation", "reason"),
    [
        ({"diagnosis": replace(NETWORK, anomaly=True)}, "Unlike anything known"),
        ({"declared": "ask"}, "Declared"),
        ({"diagnosis": replace(NETWORK, transient_probability=0.5)}, "Below the bar of 60%"),
        ({"mode": "ask"}, "Mode ask"),
        ({"asks": "It ends a session of somebody"}, "It ends a session of somebody"),
        ({"downstream": 201}, "More than 200 task instances wait for it"),
        ({"run_began": MIDNIGHT - timedelta(hours=73)}, "Its run is older than 72 h"),
        ({"diagnosis": UNSURE, "never_succeeded": True}, "Below the bar of 70% for a task that never succeeded"),
        ({"changed_code": True}, "The DAG's code changed"),
        ({"policy": policy_with(always_ask=["night*"])}, "A person always decides here (always_ask.0)"),
    ],
)
def test_each_doubt_is_a_question_to_a_person(situation: dict[str, Any], reason: str) -> None:
    decision = decided(**situation)
    assert (decision.verdict, decision.action) == (Verdict.ASK, ActionKind.CLEAR_TASK)
    assert reason in decision.reasons[0]


def test_more_memory_is_trusted_against_a_lack_of_memory_only() -> None:
    starved = replace(MEMORY, transient=False, transient_probability=0.05)
    chances = [decided(one, action="retry_with_more_memory").probability for one in (starved, replace(starved, category="rate_limit"))]
    assert chances == [0.65, 0.5]


def test_a_task_that_succeeded_before_needs_no_higher_bar() -> None:
    assert decided(UNSURE, never_succeeded=False).verdict is Verdict.AUTO


@pytest.mark.parametrize(
    ("probability", "verdict"), [(0.6, Verdict.AUTO), (0.599, Verdict.ASK), (0.25, Verdict.ASK), (0.249, Verdict.ESCALATE)]
)
def test_the_bars_belong_to_the_better_side(probability: float, verdict: Verdict) -> None:
    assert decided(replace(NETWORK, transient_probability=probability)).verdict is verdict


def test_a_task_declared_auto_needs_no_question_in_mode_ask() -> None:
    assert decided(mode="ask", declared="auto").verdict is Verdict.AUTO


def test_a_task_declared_auto_is_still_asked_about_when_it_is_unlike_anything_known() -> None:
    assert decided(replace(NETWORK, anomaly=True), declared="auto").verdict is Verdict.ASK


@pytest.mark.parametrize(("probability", "would"), [(0.9, "auto"), (0.5, "ask"), (0.1, "escalate")])
def test_shadow_mode_tells_what_mode_auto_would_do(probability: float, would: str) -> None:
    decision = decided(replace(NETWORK, transient_probability=probability), mode="shadow")
    assert decision.verdict is Verdict.OBSERVE
    assert f"it would be {would}" in decision.reasons[0]


def test_what_needs_time_waits_first() -> None:
    decision = decided(RATE_LIMIT)
    assert (decision.verdict, decision.wait_seconds) == (Verdict.WAIT, 30)


def test_failed_repairs_lower_the_probability_and_lengthen_the_wait() -> None:
    decision = decided(RATE_LIMIT, failed_repairs=2)
    assert decision.probability == pytest.approx(0.9 * 0.9**2)
    assert decision.wait_seconds == 120
    assert any("2 repair(s) failed" in reason for reason in decision.reasons)


PATIENT = POLICY.model_copy(update={"after_failure": POLICY.after_failure.model_copy(update={"wait_seconds": 900})})


@pytest.mark.parametrize(("failed", "waits"), [(0, 0), (1, 900), (2, 1800)])
def test_a_failed_repair_lets_the_next_one_wait_also_where_its_category_needs_no_wait(failed: int, waits: int) -> None:
    assert decide(replace(CALM, failed_repairs=failed), PATIENT).wait_seconds == waits


TEN_MINUTES = timedelta(minutes=10)


def test_retries_of_airflow_that_failed_with_the_same_cause_count_as_soon_as_a_repair_failed_too() -> None:
    first, second = (decide(replace(CALM, outlasted=TEN_MINUTES, failed_repairs=failed), PATIENT) for failed in (0, 1))
    assert first.probability == decide(CALM, PATIENT).probability
    assert second.probability == decide(replace(CALM, failed_repairs=2), PATIENT).probability


def test_retries_that_failed_are_a_reason() -> None:
    decision = decide(replace(CALM, outlasted=TEN_MINUTES), PATIENT)
    assert "Airflow's own retries failed with the same cause, over 10 min." in decision.reasons


@pytest.mark.parametrize(("minutes", "waits"), [(0.5, 30), (10, 600), (60, 900)])
def test_what_outlasted_retries_is_given_as_long_again_before_a_repair(minutes: float, waits: int) -> None:
    decision = decide(replace(CALM, outlasted=timedelta(minutes=minutes)), PATIENT)
    assert (decision.verdict, decision.wait_seconds) == (Verdict.WAIT, waits)


def test_a_member_whose_cause_was_seen_to_be_gone_does_not_wait_for_what_its_retries_met() -> None:
    follows = replace(CALM, outlasted=TEN_MINUTES, in_wave=True)
    assert decide(follows, PATIENT) == decide(replace(CALM, in_wave=True), PATIENT)


def test_what_is_over_at_once_or_stays_is_run_again_once_after_retries_that_failed_and_then_asked_about() -> None:
    over_at_once = policy_with(categories={"network_connectivity": {"action": "clear_task", "repeat": False}})
    assert decided(policy=over_at_once, outlasted=TEN_MINUTES).verdict is Verdict.AUTO
    assert decided(policy=over_at_once, outlasted=TEN_MINUTES, failed_repairs=1).verdict is Verdict.ASK


def test_retries_say_nothing_of_an_action_that_changes_something() -> None:
    assert decided(outlasted=TEN_MINUTES, action="resize_pool") == decided(action="resize_pool")


def test_the_wait_never_exceeds_a_day() -> None:
    patient = POLICY.model_copy(update={"after_failure": POLICY.after_failure.model_copy(update={"wait_factor": 1e6})})
    assert decide(replace(CALM, diagnosis=RATE_LIMIT, failed_repairs=1), patient).wait_seconds == 86_400


@pytest.mark.parametrize(
    ("retries", "before", "verdict"), [(3, 0, Verdict.AUTO), (4, 0, Verdict.ESCALATE), (1, 2, Verdict.AUTO), (1, 3, Verdict.ESCALATE)]
)
def test_a_budget_counts_every_attempt_that_a_clear_re_arms(retries: int, before: int, verdict: Verdict) -> None:
    assert decided(retries=retries, used=used(TASK_INSTANCE, before)).verdict is verdict


def test_a_failed_run_is_cleared_as_a_run() -> None:
    assert decided(incident=replace(INCIDENT, kind=Kind.DAG_RUN)).action == ActionKind.CLEAR_RUN


def test_a_decision_carries_its_whole_reason() -> None:
    reasons = " ".join(decided(replace(NETWORK, decided_by="model", model_version="3")).reasons)
    for part in ("90%", "network_connectivity", "by model (3)", "Evidence: Connection reset by peer"):
        assert part in reasons


@pytest.mark.parametrize(
    ("tags", "params", "word"),
    [
        (set(), {}, None),
        ({"team:etl"}, {}, None),
        ({"oncall:auto"}, {}, "auto"),
        ({"oncall:auto", "oncall:never"}, {}, "never"),
        ({"oncall:never"}, {"oncall": "auto"}, "auto"),
        (set(), {"oncall": " Never "}, "never"),
        ({"oncall:perhaps"}, {}, "ask"),
        (set(), {"oncall": 1}, "ask"),
    ],
)
def test_what_an_author_declares_is_read_carefully(tags: set[str], params: dict[str, object], word: str | None) -> None:
    assert declaration(frozenset(tags), params) == word


def test_what_a_run_is_worth_raises_the_bar_where_attempts_are_dear() -> None:
    dear = policy_with(costs={"repaired_run": 10, "attempt_minute": 0.1, "wrong_action": 0})
    decision = decided(policy=dear, minutes=80.0)
    assert (decision.verdict, decision.basis["break_even"], decision.basis["gain"]) == (Verdict.AUTO, 0.8, 1.0)
    asked = decided(replace(NETWORK, transient_probability=0.7), policy=dear, minutes=80.0)
    assert asked.verdict is Verdict.ASK
    assert "Below the bar of 80%" in asked.reasons[0]


def test_what_costs_more_than_it_can_gain_is_never_done_without_asking() -> None:
    decision = decided(policy=policy_with(costs={"repaired_run": 1, "attempt_minute": 1, "wrong_action": 0}), minutes=60.0)
    assert (decision.verdict, decision.basis["bar"]) == (Verdict.ASK, None)
    assert "cost more than it gains" in decision.reasons[0]


def test_outcomes_of_the_same_failure_correct_the_model() -> None:
    assert decided(statistic=Statistic(0, 12)).verdict is Verdict.ESCALATE
    assert decided(replace(NETWORK, transient_probability=0.3), statistic=Statistic(12, 0)).verdict is Verdict.AUTO


def test_an_action_that_changes_something_is_asked_about_until_outcomes_speak_for_it() -> None:
    more_memory = policy_with(categories={"rate_limit": {"action": "retry_with_more_memory"}})
    permanent = Diagnosis("rate_limit", 0.9, False, 0.05)
    assert decided(permanent, policy=more_memory).verdict is Verdict.ASK
    assert decided(permanent, policy=more_memory, statistic=Statistic(9, 1)).verdict is Verdict.AUTO


def test_an_adapted_bar_decides_while_the_policy_has_the_bar_it_was_moved_from() -> None:
    adapting = policy_with(adapt={"enabled": True, "highest": 0.8})
    likely = replace(NETWORK, transient_probability=0.7)
    assert decided(likely, policy=adapting, adapted=AdaptedBar(0.75, 0.6)).verdict is Verdict.ASK
    assert decided(likely, policy=adapting, adapted=AdaptedBar(0.75, 0.65)).verdict is Verdict.AUTO
    assert decided(likely, adapted=AdaptedBar(0.75, 0.6)).verdict is Verdict.AUTO
    assert decided(policy=adapting, adapted=AdaptedBar(0.99, 0.6)).basis["bar"] == 0.8


def test_a_repair_that_was_drawn_to_be_left_out_is_only_observed() -> None:
    decision = decided(is_held_out=True, arm="of no matter")
    assert (decision.verdict, decision.action, decision.arm) == (Verdict.OBSERVE, ActionKind.CLEAR_TASK, HOLDOUT)
    assert (decision.reasons[0][:37], decision.basis["would_be"]) == ("Left out to measure what repairs gain", "auto")


def test_only_what_would_be_repaired_is_left_out() -> None:
    assert decided(replace(NETWORK, transient_probability=0.5), is_held_out=True).verdict is Verdict.ASK
    assert decided(BUG, is_held_out=True).verdict is Verdict.ESCALATE
    assert is_held(decided(why_paused="paused by ann", is_held_out=True))


def test_a_decision_says_what_outcomes_made_of_the_models_word() -> None:
    decision = decided(chance=0.7, statistic=Statistic(6, 0, "fingerprint"))
    assert (decision.basis["probability"]["before"], decision.basis["probability"]["after"]) == (0.7, 0.88)
    assert decision.probability == 0.88
    said = "Outcomes of the same fingerprint, older ones counting less: 6.0 helped, 0.0 did not; 70% becomes 88%."
    assert said in decision.reasons


def test_an_assigned_action_is_judged_in_place_of_the_rules() -> None:
    decision = decided(action="clear_downstream", arm="reach/b", parameters={"depth": 1})
    assert (decision.action, decision.arm, decision.parameters) == ("clear_downstream", "reach/b", {"depth": 1})


def test_an_override_decides_for_the_task_instances_it_fits() -> None:
    careful = policy_with(overrides=[{"match": {"dag": "nightly"}, "mode": "shadow"}])
    assert decided(policy=careful).verdict is Verdict.OBSERVE
    assert decided(policy=careful).mode == "shadow"


def test_the_figures_behind_a_decision_are_kept_as_json() -> None:
    decision = decided(used=used(HOUR, 3), minutes=2.0, policy=policy_with(approvers=["ann"]))
    basis = json.loads(json.dumps(decision.basis))
    assert (basis["action"], basis["attempts"], basis["minutes"], basis["used"]) == ("clear_task", 1, 2.0, {HOUR: 3})
    assert (basis["approvers"], basis["lines"]["rule"]) == (["ann"], "categories.network_connectivity")
    assert (
        "Expected gain +8.56: 90% of 10, less 10% of 4, less 1 attempt of 2.0 min at 0.02 a minute; worth it from 29% on."
        in decision.reasons
    )


def test_a_held_decision_says_what_it_waits_for_and_what_it_would_be() -> None:
    decision = decided(why_paused="Repairs are paused by ann")
    assert is_held(decision)
    assert (decision.verdict, decision.action, decision.basis["held_by"]) == (Verdict.WAIT, None, "kill_switch")
    assert decision.reasons[0].startswith("Repairs are paused by ann; then it is decided anew. It would be auto: Repairs")


def test_what_holds_repairs_holds_no_escalation() -> None:
    assert decided(BUG, why_paused="Repairs are paused by ann").verdict is Verdict.ESCALATE


def test_in_shadow_mode_a_hold_is_told_and_the_incident_goes_on() -> None:
    decision = decided(mode="shadow", why_paused="Repairs are paused by ann")
    assert (decision.verdict, is_held(decision)) == (Verdict.OBSERVE, False)
    assert "it would be wait: Repairs are paused by ann" in decision.reasons[0]
