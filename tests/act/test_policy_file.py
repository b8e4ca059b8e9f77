"""The policy as a file: the shipped one is good, a wrong one is refused with file, line and field, and nothing is half read."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_oncall.act.policy import Policy, known_actions
from airflow_oncall.conf import shipped_include
from airflow_oncall.datafile import parse
from airflow_oncall.errors import BadDataFile
from airflow_oncall.incident import CATEGORIES, ActionKind

GOOD = """version: 1
thresholds:
  auto: 0.6
  ask: 0.25
budgets: {attempts_per_task_instance: 6, attempts_per_hour: 100}
after_failure: {probability_factor: 0.8, wait_factor: 2}
categories:
  rate_limit: {action: clear_task, wait_seconds: 30}
"""
"""A whole policy, eight lines long."""


def read(text: str) -> Policy:
    return parse(Policy, "/etc/oncall/policy.yaml", text)


def refused(text: str) -> str:
    with pytest.raises(BadDataFile) as caught:
        read(text)
    return str(caught.value)


def test_the_shipped_policy_is_good_and_knows_every_category() -> None:
    path = shipped_include() / "policy.yaml"
    policy = parse(Policy, str(path), path.read_text(encoding="utf-8"))
    assert set(policy.categories) == set(CATEGORIES)
    assert policy.logs == Policy.model_fields["logs"].default


def test_a_short_file_is_a_whole_policy() -> None:
    policy = read(GOOD)
    assert (policy.mode, policy.overrides, policy.quiet_hours) == (None, (), ())


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("rate_limit", "bad_luck", ["line 8", "categories.bad_luck", "'bad_luck' is no category"]),
        ("auto: 0.6", "auto: 1.6", ["line 3", "thresholds.auto", "less than or equal to 1", "1.6"]),
        ("auto: 0.6", "auto: yes", ["line 3", "thresholds.auto", "valid number", "True"]),
        ("auto: 0.6", "auto: .nan", ["line 3", "thresholds.auto", "nan"]),
        ("ask: 0.25", "ask: 0.9", ["line 2", "thresholds", "ask (0.9) must not be above auto (0.6)"]),
        ("wait_seconds", "wait_sekonds", ["line 8", "categories.rate_limit.wait_sekonds", "not permitted"]),
        ("clear_task", "reboot", ["line 8", "categories.rate_limit.action", "'reboot' is no action; use one of clear_downstream"]),
        ("clear_task", "run_runbook", ["line 8", "categories.rate_limit", "run_runbook needs parameters.runbook"]),
        ("version: 1", "version: 2", ["line 1", "version"]),
        ("budgets: {attempts_per_task_instance: 6, attempts_per_hour: 100}\n", "", ["budgets", "required"]),
        ("attempts_per_hour: 100", "attempts_per_hour: -1", ["line 5", "budgets.attempts_per_hour", "-1"]),
        ("attempts_per_hour: 100", 'attempts_per_hour: "100"', ["line 5", "budgets.attempts_per_hour", "valid integer"]),
        ("version: 1", "version: 1\nretention: {audit: 999999}", ["line 2", "retention.audit", "36500"]),
        ("wait_factor: 2", "wait_factor: .inf", ["line 6", "after_failure.wait_factor", "finite"]),
        ("  ask: 0.25", "  ask: [", ["not YAML", "line 6"]),
        ("  ask: 0.25", "  ask: 2026-13-45", ["month must be in 1..12"]),
        ("  ask: 0.25", "  ask: " + "[" * 5_000, ["recursion"]),
        ("  ask: 0.25", "  ask: 0.25\n  auto: 0.7", ["line 5", "field 'auto'", "stands twice"]),
    ],
)
def test_a_wrong_policy_names_file_line_and_field(old: str, new: str, told: list[str]) -> None:
    message = refused(GOOD.replace(old, new, 1))
    for part in ["/etc/oncall/policy.yaml", *told]:
        assert part in message


@pytest.mark.parametrize("text", ["", "- a list\n", "just text\n", "\x00"])
def test_what_is_no_policy_at_all_is_named_too(text: str) -> None:
    assert refused(text).startswith("/etc/oncall/policy.yaml")


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ("quiet_hours: [{start: 22:00, end: '06:00'}]", ["line 9", "quiet_hours.0.start", "in quotes", "1320"]),
        ("quiet_hours: [{start: '22:00Z', end: '06:00'}]", ["quiet_hours.0.start", "its zone belongs to timezone"]),
        ("quiet_hours: [{start: '25:00', end: '06:00'}]", ["quiet_hours.0.start", "25:00"]),
        ("quiet_hours: [{start: '22:00', end: '06:00', timezone: Berlin}]", ["quiet_hours.0.timezone", "'Berlin' is no time zone"]),
        ("quiet_hours: [{start: '22:00', end: '06:00', days: [friday]}]", ["quiet_hours.0.days.0", "friday"]),
        ("maintenance: [{start: 2026-12-05T20:00:00, end: 2026-12-05T23:00:00Z}]", ["maintenance.0.start", "timezone"]),
        ("maintenance: [{start: 2026-12-05T23:00:00Z, end: 2026-12-05T23:00:00Z}]", ["maintenance.0", "must be after start"]),
        ("breaker: {failures: 5, of: 3}", ["breaker", "would never open"]),
        ("adapt: {lowest: 0.9, highest: 0.5}", ["adapt", "must not be above"]),
        ("holdout: {share: 0.5}", ["holdout.share", "0.5"]),
        ("routes: {default: [{email: ann}]}", ["line 9", "routes.default.0.email", "looks like oncall@example.com"]),
        ('routes: {default: [{email: "ann@example.com\\nBcc: eve@example.com"}]}', ["routes.default.0.email", "looks like"]),
        ("routes: {default: [{email: ann@example.com, classpath: a.B}]}", ["routes.default.0", "either classpath or email"]),
        ("routes: {default: [{email: ann@example.com, after: soon}]}", ["routes.default.0.after", "15m, 2h or 1d"]),
        ("routes: {default: [{email: ann@example.com, tell_of: [bugs]}]}", ["routes.default.0.tell_of.0", "'asked'"]),
        ("notifications: {per_hour: 0}", ["notifications.per_hour", "greater than or equal to 1"]),
        ("actions: {reboot: {always_ask: true}}", ["actions.reboot", "'reboot' is no action"]),
        ("overrides: [{match: {}, mode: auto}]", ["overrides.0.match", "fits everything"]),
        ("overrides: [{match: {dag: a}, budgets: {attempts: 1}}]", ["overrides.0.budgets.attempts", "'attempts' is no budget"]),
        (
            "overrides:\n  - {match: {dag: a}, mode: ask}\n  - {match: {dag: b}, route: sales}",
            ["line 11", "overrides.1.route", "'sales' is no route"],
        ),
    ],
)
def test_contradictions_and_unknown_names_are_refused(more: str, told: list[str]) -> None:
    message = refused(GOOD + more + "\n")
    for part in told:
        assert part in message


@pytest.mark.parametrize(
    "more",
    [
        "costs: &costs {repaired_run: *costs}",
        "overrides: &all [*all]",
        "actions: &all {clear_task: *all}",
        "overrides: [{match: {dag: a}, categories: {code_error: {action: escalate, parameters: &own {again: *own}}}}]",
    ],
)
def test_a_policy_that_refers_to_itself_is_refused(more: str) -> None:
    assert "line 9" in refused(GOOD + more + "\n")


def test_what_a_notifier_signs_in_with_is_never_quoted() -> None:
    message = refused(GOOD + "routes: {default: [{kwargs: {token: hunter2}}]}\n")
    assert "field 'routes.default.0': a notifier needs either classpath or email" in message
    assert "hunter2" not in message


def test_one_address_is_a_list_of_one_and_a_wait_is_minutes() -> None:
    (first, second) = read(GOOD + "routes: {default: [{email: a@b.c}, {email: [a@b.c, d@e.f], after: 2h}]}\n").routes["default"]
    assert (first.email, first.after) == (("a@b.c",), 0)
    assert (second.email, second.after) == (("a@b.c", "d@e.f"), 120)


def test_a_budget_of_nothing_is_a_budget() -> None:
    assert read(GOOD.replace("attempts_per_hour: 100", "attempts_per_hour: 0")).budgets.attempts_per_hour == 0


class Registered:
    """An installed package's entry point."""

    name = "restart_vpn"


def test_an_action_of_another_package_may_be_used(monkeypatch: pytest.MonkeyPatch) -> None:
    def entry_points(group: str) -> list[Any]:
        return [Registered()] if group == "airflow_oncall.actions" else []

    monkeypatch.setattr("airflow_oncall.act.policy.entry_points", entry_points)
    known_actions.cache_clear()
    try:
        assert read(GOOD.replace("clear_task", "restart_vpn")).categories["rate_limit"].action == "restart_vpn"
        assert {str(kind) for kind in ActionKind} < known_actions()
    finally:
        known_actions.cache_clear()
