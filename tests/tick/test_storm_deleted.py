"""Data about a storm's probe may be deleted while the storm is on: by a person, or because it is old."""

from __future__ import annotations

from typing import Any

from sqlalchemy import delete
from tests.tick.storm_scene import StormScene

from airflow_oncall.act.approval import answer
from airflow_oncall.act.escalate import tell_of_storm
from airflow_oncall.incident import State, StormState
from airflow_oncall.store.notices import Occasion
from airflow_oncall.store.records import now
from airflow_oncall.store.retention import forget
from airflow_oncall.store.tables import incidents


def purge(scene: StormScene) -> None:
    """Somebody deletes the probe's run, and what is known of it here."""
    ref = scene.incident_number(scene.storm.probe_id or 0).ref
    scene.airflow.forget_run(ref.dag_id, ref.run_id)
    assert forget(scene.store.engine, now(), None, also_open=True, actor="ann").incidents == 1


def let_the_question_expire(scene: StormScene) -> None:
    """Nobody answers it, and people are told."""
    probe = scene.incident_number(scene.storm.probe_id or 0)
    answer(scene.another_worker("approval"), scene.api, probe.id, probe.decisions, None)
    scene.ticks(2)
    assert scene.storm.state is StormState.ESCALATED


def test_what_a_storm_leaves_to_people_is_told_though_its_probe_is_gone(storm: StormScene, told: list[dict[str, Any]]) -> None:
    storm.strike(3, "asleep", is_paused=True)
    storm.strike(3, "nightly")
    storm.tick()
    storm.run_what_waits()
    assert (storm.storm.state, storm.incident_number(storm.storm.probe_id or 0).state) == (StormState.RELEASING, State.RESOLVED)
    storm.store.dag_data.delete("nightly", "ann")
    storm.weather()
    assert storm.storm.state is StormState.CLOSED
    (message,) = told
    assert (message["key"], message["dag_id"]) == ("oncall-storm-1", "asleep")
    assert "3 are left to people" in message["body"]


def test_nobody_is_told_of_a_storm_without_members(storm: StormScene, told: list[dict[str, Any]]) -> None:
    storm.strike(6)
    storm.tick()
    with storm.store.engine.begin() as connection:
        connection.execute(delete(incidents))
    tell_of_storm(storm.store, storm.api, storm.policy, storm.storm, Occasion.HANDED_OVER, "too many probes failed")
    storm.tick()
    assert told == []


def test_another_probe_takes_the_place_of_one_that_was_a_person_s(storm: StormScene) -> None:
    storm.mode = "ask"
    storm.strike(6)
    storm.tick()
    let_the_question_expire(storm)
    purge(storm)
    storm.ticks(2)
    assert (storm.storm.state, storm.states, len(storm.questions)) == (StormState.PROBING, {"held": 4, "asked": 1}, 2)
    storm.approve()
    storm.weather()
    assert storm.states == {"resolved": 5}


def test_where_too_many_probes_failed_people_are_asked_before_another_one(handed_over: StormScene) -> None:
    let_the_question_expire(handed_over)
    purge(handed_over)
    handed_over.ticks(2)
    assert (handed_over.storm.state, handed_over.states) == (StormState.ESCALATED, {"held": 6, "asked": 1})
    assert (len(handed_over.cleared), len(handed_over.questions)) == (2, 2)


def test_a_rejection_holds_though_the_probe_is_gone(storm: StormScene) -> None:
    storm.mode = "ask"
    storm.strike(6)
    storm.tick()
    storm.reject()
    storm.ticks(2)
    purge(storm)
    storm.ticks(2)
    assert (storm.states, len(storm.questions)) == ({"held": 5}, 1)
