"""People are told, whatever is wrong with the way to tell them."""

from __future__ import annotations

import json
from typing import Any, ClassVar

import pytest
from airflow.sdk import BaseNotifier
from tests.tick.scene import BUG, ORDERS, POLICY, Scene

from airflow_oncall.act.approval import answer
from airflow_oncall.act.notify.sending import load
from airflow_oncall.act.policy import Policy
from airflow_oncall.act.routes import Target, targets_of
from airflow_oncall.errors import BadSetting
from airflow_oncall.incident import State


class Pager(BaseNotifier):
    """Writes down what it was told."""

    template_fields = ("text",)
    told: ClassVar[list[tuple[str, dict[str, Any]]]] = []

    def __init__(self, text: str = "{{ oncall.subject }}") -> None:
        super().__init__()
        self.text = text

    def notify(self, context: Any) -> None:
        self.told.append((self.text, context["oncall"]))


class BrokenPager(Pager):
    """Has no network."""

    def notify(self, context: Any) -> None:
        raise ConnectionError("password=hunter2 refused")


class OutlandishPager(Pager):
    """Raises an error of its vendor's own kind."""

    def notify(self, context: Any) -> None:
        raise RuntimeError("quota")


class UnbuildablePager(Pager):
    """Cannot even be made."""

    def __init__(self) -> None:
        raise RuntimeError("no licence")


@pytest.fixture(autouse=True)
def told() -> list[tuple[str, dict[str, Any]]]:
    Pager.told.clear()
    return Pager.told


def use(monkeypatch: pytest.MonkeyPatch, *names: str, **kwargs: object) -> None:
    """Configure notifiers of this file (or of a full path)."""
    specs = [{"classpath": name if "." in name else f"{__name__}.{name}", "kwargs": kwargs} for name in names]
    monkeypatch.setenv("AIRFLOW__ONCALL__ESCALATION_NOTIFIERS", json.dumps(specs))


@pytest.fixture
def bug(failed: Scene) -> Scene:
    """The nightly orders have a bug."""
    failed.brain.says = BUG
    return failed


def test_people_are_told_what_why_and_where(bug: Scene, monkeypatch: pytest.MonkeyPatch, told: list[Any]) -> None:
    use(monkeypatch, "Pager")
    bug.tick()
    ((text, oncall),) = told
    assert text == "nightly/scheduled__2026-11-21/load_orders needs you: code_error"
    assert (oncall["key"], oncall["category"], oncall["task_id"]) == ("oncall-1", "code_error", "load_orders")
    assert "a re-run does not mend it" in oncall["body"]
    assert oncall["link"].endswith("/dags/nightly/runs/scheduled__2026-11-21/tasks/load_orders")


def test_people_are_told_once(bug: Scene, monkeypatch: pytest.MonkeyPatch, told: list[Any]) -> None:
    use(monkeypatch, "Pager")
    bug.ticks(4)
    assert len(told) == 1


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("BrokenPager", "BrokenPager failed with ConnectionError"),
        ("UnbuildablePager", "UnbuildablePager failed with RuntimeError"),
        ("OutlandishPager", "OutlandishPager failed with RuntimeError"),
        ("nowhere.Pager", "'nowhere.Pager' cannot be made: No module named 'nowhere'"),
        ("json.JSONDecoder", "'json.JSONDecoder' is no BaseNotifier"),
    ],
)
def test_a_notifier_that_cannot_tell_does_not_stop_the_escalation_nor_the_other_notifiers(
    bug: Scene, monkeypatch: pytest.MonkeyPatch, told: list[Any], name: str, problem: str
) -> None:
    use(monkeypatch, name, "Pager")
    bug.tick()
    assert (bug.state, len(told)) == (State.ESCALATED, 1)
    assert problem in bug.incident.detail
    assert "hunter2" not in bug.incident.detail


def test_wrong_arguments_name_the_setting_and_the_class() -> None:
    with pytest.raises(BadSetting, match=r"escalation_notifiers\.0: '.*Pager' cannot be made: .*colour"):
        load(Target("escalation_notifiers.0", f"{__name__}.Pager", {"colour": "red"}))


def test_a_template_that_cannot_be_rendered_does_not_stop_the_escalation(bug: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, "Pager", text="{{ oncall.subject")
    bug.tick()
    assert bug.state == State.ESCALATED
    assert "Pager failed with TemplateSyntaxError" in bug.incident.detail


def test_the_reason_stands_on_the_task_instance_above_what_people_wrote(bug: Scene) -> None:
    bug.airflow.instances[ORDERS].note = "call Ann first"
    bug.tick()
    note = bug.airflow.instances[ORDERS].note or ""
    assert note.startswith(f"{bug.store.reading.actions(bug.incident.id)[0].mark} code_error needs a person")
    assert note.endswith("\n\ncall Ann first")


def test_a_note_that_cannot_be_written_is_no_reason_to_keep_quiet(bug: Scene, monkeypatch: pytest.MonkeyPatch, told: list[Any]) -> None:
    use(monkeypatch, "Pager")
    bug.airflow.answer_with(403, times=9, on="PATCH")
    bug.tick()
    assert (bug.state, len(told)) == (State.ESCALATED, 1)
    assert "note not written" in bug.incident.detail


@pytest.mark.parametrize(("response", "why"), [(None, "nobody answered in time"), ({"chosen_options": ["Reject"]}, "rejection by unknown")])
def test_a_question_without_a_yes_is_told_to_people_once(
    asked: Scene, monkeypatch: pytest.MonkeyPatch, told: list[Any], response: dict[str, Any] | None, why: str
) -> None:
    use(monkeypatch, "Pager")
    answer(asked.store, asked.api, asked.incident.id, 1, response)
    asked.ticks(3)
    ((_, oncall),) = told
    assert oncall["reasons"][0] == why
    assert asked.state == State.ESCALATED


def test_a_repair_that_airflow_refuses_is_told_to_people(failed: Scene, monkeypatch: pytest.MonkeyPatch, told: list[Any]) -> None:
    use(monkeypatch, "Pager")
    failed.airflow.answer_with(403, times=2, on="clearTaskInstances")
    failed.ticks(3)
    ((_, oncall),) = told
    assert "HTTP 403" in oncall["reasons"][0]


def sales_is_told_of(match: dict[str, str]) -> Policy:
    """Whoever is matched has a pager of its own; a route ``default`` is there for all others."""
    pager = f"{__name__}.Pager"
    routes = {
        "sales": [{"classpath": pager, "kwargs": {"text": "to sales"}}],
        "default": [{"classpath": pager, "kwargs": {"text": "to all"}}],
    }
    parts = {"routes": routes, "overrides": [{"match": match, "route": "sales"}]}
    return Policy.model_validate(POLICY.model_dump(exclude_unset=True) | parts)


@pytest.mark.parametrize(
    ("match", "text"), [({"dag": "nightly"}, "to sales"), ({"tag": "team:sales"}, "to sales"), ({"dag": "x"}, "to all")]
)
def test_the_route_of_the_policy_says_who_is_told(bug: Scene, told: list[Any], match: dict[str, str], text: str) -> None:
    bug.airflow.dags["nightly"].tags = ("team:sales",)
    bug.policy = sales_is_told_of(match)
    bug.tick()
    assert [heard for heard, _ in told] == [text]


def test_without_a_route_the_settings_say_who_is_told(bug: Scene, monkeypatch: pytest.MonkeyPatch, told: list[Any]) -> None:
    use(monkeypatch, "Pager", text="by the settings")
    bug.tick()
    assert [heard for heard, _ in told] == ["by the settings"]


def test_people_are_told_by_name_alone_while_airflow_does_not_say_which_tags_a_task_has(failed: Scene) -> None:
    failed.airflow.answer_with(404, times=9, on="/dags/nightly/details")
    (target,) = targets_of(sales_is_told_of({"tag": "team:sales"}), failed.api, ORDERS)
    assert target.kwargs == {"text": "to all"}
