"""Who may answer a question: those whom the policy names, when it is asked and when it is answered."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.act.test_approval import ANN, hours_pass, question_run, reply
from tests.act.test_decide import policy_with
from tests.tick.scene import ORDERS, Scene

from airflow_oncall.conf import shipped_include
from airflow_oncall.incident import ActionState, State

SHIPPED = (shipped_include() / "policy.yaml").read_text()
BOB = {"id": "2", "name": "bob"}


@pytest.fixture
def policy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The operator's policy file: only ann may answer."""
    monkeypatch.setenv("AIRFLOW__ONCALL__INCLUDE_PATH", str(tmp_path))
    path = tmp_path / "policy.yaml"
    path.write_text(SHIPPED + "\napprovers: [ann]\n")
    return path


def question(scene: Scene) -> dict[str, Any]:
    return scene.airflow.runs["oncall_approval", question_run(scene)].conf


def test_a_question_names_those_who_may_answer_it(failed: Scene) -> None:
    failed.mode, failed.policy = "ask", policy_with(approvers=["ann", "carl"])
    failed.tick()
    assert question(failed)["approvers"] == ["ann", "carl"]


def test_without_approvers_anybody_may_answer_whom_airflow_lets(asked: Scene) -> None:
    assert question(asked)["approvers"] == []
    reply(asked, "Approve", user=BOB)
    assert asked.airflow.clears == [(ORDERS,)]


@pytest.mark.parametrize("user", [ANN, {"id": "ann", "name": None}, "ann"])
def test_an_approver_may_be_named_by_name_or_id(asked: Scene, policy: Path, user: Any) -> None:
    reply(asked, "Approve", user=user)
    assert asked.airflow.clears == [(ORDERS,)]


@pytest.mark.parametrize("option", ["Approve", "Reject"])
def test_the_answer_of_somebody_else_does_nothing_and_is_escalated(asked: Scene, policy: Path, option: str) -> None:
    assert "bob answered, but only ann may; nothing is done" in reply(asked, option, user=BOB)
    assert (asked.state, asked.airflow.clears) == (State.ESCALATED, [])
    assert asked.store.reading.actions(asked.incident.id)[0].state is ActionState.DROPPED
    assert asked.labels() == [("no_answer", "clear_task", "bob")]


def test_an_approver_who_left_since_the_question_was_asked_does_not_count_any_more(asked: Scene, policy: Path) -> None:
    policy.write_text(SHIPPED + "\napprovers: [carl]\n")
    assert "only carl may" in reply(asked, "Approve", user=ANN)
    assert (asked.state, asked.airflow.clears) == (State.ESCALATED, [])


def test_a_question_that_nobody_is_left_to_answer_is_escalated_in_time(asked: Scene, policy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    policy.write_text(SHIPPED + "\napprovers: [carl]\n")  # Airflow still takes the answer of ann only, who left
    asked.ticks(1)
    assert asked.state == State.ASKED
    hours_pass(asked, monkeypatch, 24)
    assert (asked.state, asked.airflow.clears) == (State.ESCALATED, [])
    assert "nobody answered" in asked.incident.detail


def test_an_override_names_approvers_of_its_own(asked: Scene, policy: Path) -> None:
    asked.airflow.dags[ORDERS.dag_id].tags = ("team:etl",)
    policy.write_text(SHIPPED + '\napprovers: [ann]\noverrides: [{match: {tag: "team:*"}, approvers: [bob]}]\n')
    reply(asked, "Approve", user=BOB)
    assert asked.airflow.clears == [(ORDERS,)]


def test_an_answer_read_after_the_fact_is_checked_as_well(asked: Scene, policy: Path) -> None:
    run = ("oncall_approval", question_run(asked))
    asked.airflow.answers[run] = ("Approve", "bob")
    asked.airflow.end_run(*run, "success")
    asked.ticks(1)
    assert (asked.state, asked.airflow.clears) == (State.ESCALATED, [])
