"""The ladder from diagnosis to decision, and the file that sets its bars."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from tests.cast import MIDNIGHT
from tests.tick.scene import BUG, NETWORK, ORDERS, POLICY, RATE_LIMIT

from airflow_oncall.act.decide import Situation, decide, declaration
from airflow_oncall.act.policy import Policy
from airflow_oncall.conf import shipped_include
from airflow_oncall.datafile import parse
from airflow_oncall.errors import BadDataFile
from airflow_oncall.incident import UNKNOWN, ActionKind, Decision, Diagnosis, Incident, Kind, State, Verdict

INCIDENT = Incident(7, Kind.TASK, ORDERS, State.DIAGNOSED, "vendor-503", 2, MIDNIGHT, MIDNIGHT, MIDNIGHT, decisions=1)
CALM = Situation(INCIDENT, NETWORK, "auto")


def decided(diagnosis: Diagnosis = NETWORK, **situation: Any) -> Decision:
    return decide(replace(CALM, diagnosis=diagnosis, **situation), POLICY)


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
        ({"used_here": 4}, "budget of this task instance"),
        ({"used_this_hour": 20}, "budget of this hour"),
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
    assert "By earlier outcomes: clear_task 30%, escalate 70%." in decision.reasons


@pytest.mark.parametrize(
    ("situation", "reason"),
    [
        ({"diagnosis": replace(NETWORK, anomaly=True)}, "Unlike anything known"),
        ({"declared": "ask"}, "Declared"),
        ({"diagnosis": replace(NETWORK, transient_probability=0.5)}, "Below the bar of 60%"),
        ({"mode": "ask"}, "Mode ask"),
    ],
)
def test_each_doubt_is_a_question_to_a_person(situation: dict[str, Any], reason: str) -> None:
    decision = decided(**situation)
    assert (decision.verdict, decision.action) == (Verdict.ASK, ActionKind.CLEAR_TASK)
    assert reason in decision.reasons[0]


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


def test_the_wait_never_exceeds_a_day() -> None:
    patient = POLICY.model_copy(update={"after_failure": POLICY.after_failure.model_copy(update={"wait_factor": 1e6})})
    assert decide(replace(CALM, diagnosis=RATE_LIMIT, failed_repairs=1), patient).wait_seconds == 86_400


@pytest.mark.parametrize(
    ("retries", "used", "verdict"), [(3, 0, Verdict.AUTO), (4, 0, Verdict.ESCALATE), (1, 2, Verdict.AUTO), (1, 3, Verdict.ESCALATE)]
)
def test_a_budget_counts_every_attempt_that_a_clear_re_arms(retries: int, used: int, verdict: Verdict) -> None:
    assert decided(retries=retries, used_here=used).verdict is verdict


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


GOOD = """version: 1
thresholds:
  auto: 0.6
  ask: 0.25
budgets: {attempts_per_task_instance: 6, attempts_per_hour: 100}
after_failure: {probability_factor: 0.8, wait_factor: 2}
categories:
  rate_limit: {action: clear_task, wait_seconds: 30}
"""


def test_the_shipped_policy_is_good() -> None:
    path = shipped_include() / "policy.yaml"
    assert parse(Policy, str(path), path.read_text()).version == 1


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("rate_limit", "bad_luck", ["line 8", "categories.bad_luck", "'bad_luck' is no category"]),
        ("auto: 0.6", "auto: 1.6", ["line 3", "thresholds.auto", "less than or equal to 1", "1.6"]),
        ("ask: 0.25", "ask: 0.9", ["line 2", "thresholds", "ask (0.9) must not be above auto (0.6)"]),
        ("wait_seconds", "wait_sekonds", ["line 8", "categories.rate_limit.wait_sekonds", "not permitted"]),
        ("clear_task", "reboot", ["line 8", "categories.rate_limit.action", "'reboot'"]),
        ("version: 1", "version: 2", ["line 1", "version"]),
        ("budgets: {attempts_per_task_instance: 6, attempts_per_hour: 100}\n", "", ["budgets", "required"]),
        ("  ask: 0.25", "  ask: [", ["not YAML", "line 6"]),
    ],
)
def test_a_wrong_policy_names_file_line_and_field(old: str, new: str, told: list[str]) -> None:
    with pytest.raises(BadDataFile) as caught:
        parse(Policy, "/etc/oncall/policy.yaml", GOOD.replace(old, new, 1))
    for part in ["/etc/oncall/policy.yaml", *told]:
        assert part in str(caught.value)


@pytest.mark.parametrize("text", ["", "- a list\n", "just text\n", "\x00"])
def test_what_is_no_policy_at_all_is_named_too(text: str) -> None:
    with pytest.raises(BadDataFile, match=r"policy\.yaml"):
        parse(Policy, "policy.yaml", text)
