"""A storm's question: whose word holds for it, what silence means, and what follows when an approved probe fails."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import text
from tests.tick.storm_scene import STORMY, StormScene

from airflow_oncall.act.approval import answer
from airflow_oncall.act.policy import Policy
from airflow_oncall.incident import State, StormState


@pytest.fixture
def asking(storm: StormScene) -> StormScene:
    """Four members were repaired; eight of another DAG want a person's word, and one of those is asked about."""
    storm.strike(4, "nightly")
    storm.strike(8, "payroll", tags=("oncall:ask",))
    storm.tick()
    for _ in range(5):
        storm.run_what_waits()
    assert storm.states == {"resolved": 4, "asked": 1, "held": 7}
    return storm


def named(storm: StormScene, monkeypatch: pytest.MonkeyPatch, *approvers: str) -> None:
    """The policy in force asks, and takes the word of these only."""
    storm.mode, storm.policy = "ask", STORMY.model_copy(update={"approvers": approvers})
    for reads in ("approval", "actions.base"):
        monkeypatch.setattr(f"airflow_oncall.act.{reads}.read_policy", lambda _: policy_of(storm))


def policy_of(storm: StormScene) -> Policy:
    return storm.policy


def asked_about(storm: StormScene) -> int:
    """The one that a person is asked about."""
    (one,) = storm.store.reading.incidents([State.ASKED])
    return one.id


def silence_about(storm: StormScene, incident_id: int) -> str:
    """Nobody answers in time."""
    one = storm.incident_number(incident_id)
    return answer(storm.another_worker("approval"), storm.api, one.id, one.decisions, None)


# the last word


def test_when_an_approved_probe_fails_people_are_told_and_asked_anew(handed_over: StormScene, told: list[dict[str, Any]]) -> None:
    told.clear()
    handed_over.approve()
    handed_over.ticks(1)
    handed_over.run_what_waits(fails="connection reset")
    handed_over.ticks(3)
    assert (handed_over.storm.state, len(handed_over.questions), len(told)) == (StormState.ESCALATED, 2, 1)
    assert "probe 3 (incident 3) did not help, though a person was asked" in told[0]["body"]
    handed_over.ticks(3)
    assert (len(handed_over.questions), len(told)) == (2, 1), "once"
    handed_over.approve()
    handed_over.weather()
    assert handed_over.states == {"resolved": 8}


def test_people_are_told_once_though_airflow_does_not_answer_when_the_next_probe_is_looked_for(
    struck: StormScene, told: list[dict[str, Any]]
) -> None:
    struck.run_what_waits(fails="connection reset")
    struck.ticks(2)
    for ref in struck.airflow.schedule():
        struck.airflow.fail(ref)
        struck.report(ref)
    struck.airflow.answer_with(503, times=float("inf"), on="/dags/nightly/details")
    struck.ticks(3)
    assert told == []
    struck.airflow.mend()
    struck.ticks(2)
    assert (struck.storm.state, len(told)) == (StormState.ESCALATED, 1)


# whose word


def test_an_approver_who_is_named_by_id_is_asked_once(storm: StormScene, monkeypatch: pytest.MonkeyPatch) -> None:
    named(storm, monkeypatch, "1")
    storm.strike(8)
    storm.tick()
    storm.approve()
    storm.weather()
    assert (storm.states, len(storm.questions)) == ({"resolved": 8}, 1)


def test_the_word_of_somebody_who_may_not_answer_is_no_answer_to_a_storm(asking: StormScene, monkeypatch: pytest.MonkeyPatch) -> None:
    named(asking, monkeypatch, "bob")
    assert "only bob may" in asking.reject(asked_about(asking))
    asking.ticks(2)
    assert (asking.storm.answer, len(asking.questions)) == ("", 2)


def test_silence_about_one_member_is_no_answer_for_the_others(asking: StormScene) -> None:
    first = asked_about(asking)
    assert silence_about(asking, first) == "nobody answered in time"
    asking.ticks(2)
    assert (asking.storm.answer, asking.storm.answered_by, len(asking.questions)) == ("", "", 2)
    asking.approve(asked_about(asking))
    asking.weather()
    assert asking.states == {"resolved": 11, "escalated": 1}


def test_silence_about_a_probe_is_told_and_holds_the_others(storm: StormScene, told: list[dict[str, Any]]) -> None:
    storm.mode = "ask"
    storm.strike(6)
    storm.tick()
    silence_about(storm, storm.storm.probe_id or 0)
    storm.ticks(2)
    assert (storm.storm.state, storm.storm.answer, storm.cleared) == (StormState.ESCALATED, "", [])
    (message,) = told
    assert "nobody answered in time" in message["body"]


def test_whoever_looks_at_a_member_that_is_left_to_people_reads_why(asking: StormScene, told: list[dict[str, Any]]) -> None:
    before = len(told)
    asking.reject(asked_about(asking))
    asking.ticks(5)
    assert asking.states == {"resolved": 4, "escalated": 8}
    notes = [one.note or "" for one in asking.airflow.instances.values() if one.state == "failed"]
    assert len([note for note in notes if "answered with no by ann" in note]) == 7, "of the others: theirs was asked about"
    assert len(told) - before <= 2, "one message for all of them, beside that of whoever was asked"


# what is kept of it


def test_looks_that_find_no_news_leave_no_trace_in_the_audit_log(storm: StormScene) -> None:
    storm.mode = "ask"
    storm.strike(6)
    storm.tick()
    storm.reject()
    storm.ticks(2)
    before = rows_of_storms(storm)
    storm.ticks(3)
    assert rows_of_storms(storm) == before


def rows_of_storms(storm: StormScene) -> int:
    with storm.store.engine.connect() as connection:
        return int(connection.execute(text("SELECT count(*) FROM oncall_audit WHERE what LIKE 'storm %'")).scalar_one())
