"""Waves of a storm: what counts as failed, whom they leave out, and what becomes of one that is called off."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import text
from tests.simulated_world import Backfill, Dag
from tests.tick.scene import BUG, judgement_of
from tests.tick.storm_scene import DATABASE_DOWN, STORMY, StormScene

from airflow_oncall.act.guards import Hold
from airflow_oncall.act.policy import Maintenance, Policy
from airflow_oncall.incident import ActionKind, ActionState, Decision, State, StormState, TaskRef, Verdict
from airflow_oncall.judgement import Judged
from airflow_oncall.store.records import now
from airflow_oncall.storms import StormWatch


@pytest.fixture
def released(storm: StormScene) -> StormScene:
    """Of forty task instances that one database failed, the probe succeeded and the first wave of two runs."""
    storm.brain.knows["db1"] = DATABASE_DOWN
    storm.strike(40, message="no route to db1")
    storm.tick()
    storm.run_what_waits()
    assert (storm.storm.state, storm.storm.wave, len(storm.cleared)) == (StormState.RELEASING, 1, 3)
    return storm


# what counts as failed


def test_a_wave_that_fails_with_the_same_cause_in_other_words_is_the_last_one(released: StormScene) -> None:
    released.run_what_waits(fails="timeout of db1")
    released.tick()
    assert (released.storm.state, len(released.cleared)) == (StormState.WAITING, 3)
    assert released.states == {"resolved": 1, "held": 39}


def test_an_approved_storm_whose_members_fail_in_other_words_each_time_is_handed_over(storm: StormScene) -> None:
    storm.mode = "ask"
    storm.brain.knows["db1"] = DATABASE_DOWN
    storm.strike(40, message="no route to db1")
    storm.tick()
    storm.approve()
    storm.run_what_waits()
    for words in ("timeout of db1", "db1 gone", "db1 refused", "db1 busy"):
        storm.run_what_waits(fails=words)
        storm.ticks(1)
    assert (storm.storm.state, len(storm.cleared)) == (StormState.ESCALATED, 4)


def test_members_that_leave_with_another_cause_count_as_failed(released: StormScene) -> None:
    released.brain.knows["bad row"] = BUG
    released.run_what_waits(fails="bad row")
    released.tick()
    assert (released.storm.state, len(released.cleared)) == (StormState.WAITING, 3)
    assert released.states["escalated"] == 2


def test_a_wave_that_a_person_took_over_proves_nothing(released: StormScene) -> None:
    for ref in released.cleared[1:]:
        released.airflow.mark(ref, "success")
    released.ticks(1)
    released.tick()
    assert (released.storm.state, len(released.cleared)) == (StormState.WAITING, 3)
    assert "nothing of wave 1 was seen to succeed" in released.storm.detail


def test_what_an_approval_holds_for_waits_for_guards_as_all_else(storm: StormScene) -> None:
    storm.mode = "ask"
    storm.strike(8)
    storm.tick()
    storm.approve()
    storm.policy = STORMY.model_copy(update={"budgets": STORMY.budgets.model_copy(update={"attempts_per_dag_and_hour": 2})})
    for _ in range(4):
        storm.run_what_waits()
    assert len(storm.cleared) == 2
    waiting = storm.store.reading.incidents([State.DIAGNOSED])
    assert waiting
    assert all("budget of this DAG and hour is used up" in one.detail for one in waiting)


def test_an_approval_opens_no_circuit_breaker(struck: StormScene) -> None:
    watch = StormWatch(struck.store, struck.api, judgement_of(struck.store, struck.brain, "ask", STORMY))
    (one, *_) = struck.store.reading.incidents([State.HELD])
    asks = Decision(one.id, 2, Verdict.ASK, ActionKind.CLEAR_TASK, 1, 0.9, ("Mode ask",))
    rests = Hold("breaker.dag", "Repairs of nightly failed 4 times of 4", 600)
    approved = replace(struck.storm, answer="approved", answered_by="ann")
    agreed = watch.agreed(approved, one, Judged(asks, State.ASKED, 0, 1, hold=rests))
    assert agreed
    assert (agreed.decision.verdict, agreed.decision.action, agreed.state, agreed.due_in) == (Verdict.WAIT, None, State.DIAGNOSED, 600)


def test_a_storm_whose_members_have_no_budget_is_handed_over(struck: StormScene) -> None:
    budgets = STORMY.budgets.model_copy(update={"storm_attempts_per_hour": 0})
    struck.policy = STORMY.model_copy(update={"budgets": budgets})
    struck.run_what_waits()
    assert struck.storm.state == StormState.ESCALATED
    assert "budgets.storm_attempts_per_hour is 0" in struck.storm.detail


# a probe that was only marked


def test_a_probe_that_a_person_only_marked_proves_nothing_and_another_one_has_to(struck: StormScene) -> None:
    (probe,) = struck.cleared
    struck.airflow.mark(probe, "success")
    struck.ticks(1)
    assert (struck.storm.state, struck.storm.probes, struck.storm.wave) == (StormState.PROBING, 2, 0)
    struck.ticks(1)
    assert len(struck.cleared) == 2
    struck.weather()
    assert struck.states == {"resolved": 12}


# a wave that is called off


def waiting_wave(storm: StormScene) -> list[TaskRef]:
    """Of a wave of four that waits before it is cleared, two are cleared and fail again; the other two."""
    storm.policy = Policy.model_validate(
        STORMY.model_dump()
        | {
            "categories": {"network_connectivity": {"action": "clear_task", "wait_seconds": 600}},
            "storms": {**STORMY.storms.model_dump(), "first_wave": 4},
        }
    )
    storm.strike(12)
    storm.ticks(2)
    storm.run_what_waits()
    first, second, *others = storm.store.reading.incidents([State.WAITING])
    for _ in range(2):
        due(storm, first.id, second.id)
        for ref in storm.airflow.schedule():
            storm.airflow.fail(ref)
            storm.report(ref)
    assert storm.storm.state == StormState.WAITING
    return [one.ref for one in others]


def due(storm: StormScene, *ids: int) -> None:
    """These are due now, and a tick sees it."""
    with storm.store.engine.begin() as connection:
        for incident_id in ids:
            connection.execute(text("UPDATE oncall_incidents SET due_at = opened_at WHERE id = :id"), {"id": incident_id})
    storm.tick()


def test_members_of_a_wave_that_was_called_off_are_held_again_and_their_plans_dropped(storm: StormScene) -> None:
    others = waiting_wave(storm)
    cleared = len(storm.cleared)
    due(storm, *(one.id for one in storm.store.reading.incidents() if one.ref in others))
    assert len(storm.cleared) == cleared == 3
    for one in storm.store.reading.incidents():
        if one.ref in others:
            assert (one.state, storm.store.reading.actions(one.id)[-1].state) == (State.HELD, ActionState.DROPPED)
            assert "its wave was called off" in one.detail


def test_a_member_that_was_cleared_before_a_crash_is_followed_though_its_wave_was_called_off(storm: StormScene) -> None:
    (ref, *_) = waiting_wave(storm)
    one = next(one for one in storm.store.reading.incidents() if one.ref == ref)
    action = storm.store.ledger.open_action(one.id)
    assert action
    storm.api.clear(ref, action.mark)
    due(storm, one.id)
    assert storm.incident_number(one.id).state == State.VERIFYING
    assert storm.store.reading.actions(one.id)[-1].state is ActionState.DONE


# DAGs that rest


def under_maintenance(storm: StormScene, *dags: str) -> None:
    """For five more hours."""
    window = Maintenance(start=now() - timedelta(hours=1), end=now() + timedelta(hours=5), dags=dags)
    storm.policy = STORMY.model_copy(update={"maintenance": (window,)})


def test_the_probe_is_none_of_a_dag_under_maintenance_and_waves_leave_it_out(storm: StormScene) -> None:
    under_maintenance(storm, "nightly")
    storm.strike(4, "nightly")
    storm.strike(8, "hourly")
    storm.tick()
    assert [ref.dag_id for ref in storm.cleared] == ["hourly"]
    for _ in range(6):
        storm.run_what_waits()
    assert storm.states == {"resolved": 8, "held": 4}
    storm.policy = STORMY
    storm.weather()
    assert storm.states == {"resolved": 12}


def test_a_wave_that_a_maintenance_stops_stops_no_other_members(struck: StormScene) -> None:
    struck.strike(8, "hourly")
    struck.tick()
    struck.airflow.schedule()
    struck.airflow.succeed(struck.cleared[0])
    struck.store.storms.release(struck.storm, 2, True, "wave 1: at most 2 members follow")
    under_maintenance(struck, "nightly")
    for _ in range(6):
        struck.run_what_waits()
    assert {ref.dag_id for ref in struck.cleared[1:]} == {"hourly"}
    assert len(struck.cleared) == 1 + 8


def test_the_probe_is_none_of_a_dag_with_a_backfill_where_there_is_another(storm: StormScene) -> None:
    storm.airflow.backfills.append(Backfill("nightly"))
    storm.strike(4, "nightly")
    storm.strike(4, "hourly")
    storm.tick()
    assert [ref.dag_id for ref in storm.cleared] == ["hourly"]


def test_the_kill_switch_holds_the_wave_that_runs_and_lets_no_other_go(struck: StormScene) -> None:
    struck.store.switch.pause("ann", "a look first")
    struck.run_what_waits()
    struck.ticks(4)
    assert (struck.storm.wave, len(struck.cleared)) == (1, 1)
    assert struck.states == {"resolved": 1, "diagnosed": 2, "held": 9}


# actions on what members share


def restarting(storm: StormScene, **parameters: str) -> None:
    """The rule is a runbook that needs nobody's word."""
    storm.airflow.dags["restart_service"] = Dag(tags=("oncall-runbook",))
    rule = {"action": "run_runbook", "parameters": {"runbook": "restart_service", **parameters}}
    given = {
        "categories": {"network_connectivity": rule},
        "actions": {"run_runbook": {"always_ask": False}},
        "costs": {"wrong_action": 0.1},
    }
    storm.policy = Policy.model_validate(STORMY.model_dump() | given | {"costs": {"wrong_action": 0.1}})


def runs_of_the_runbook(storm: StormScene) -> int:
    return sum(dag_id == "restart_service" for dag_id, _ in storm.airflow.runs)


def play(storm: StormScene) -> None:
    """Runbooks and what was cleared succeed, until no storm is on."""
    for _ in range(10):
        for (dag_id, run_id), run in list(storm.airflow.runs.items()):
            if dag_id == "restart_service" and run.state != "success":
                storm.airflow.end_run(dag_id, run_id, "success")
        storm.ticks(2)
        storm.run_what_waits()
        if not storm.store.storms.open():
            return


def test_a_service_is_restarted_once_for_the_probe_and_members_are_cleared(storm: StormScene) -> None:
    restarting(storm)
    storm.strike(10)
    storm.ticks(1)
    play(storm)
    assert (runs_of_the_runbook(storm), storm.states) == (1, {"resolved": 10})


def test_where_nothing_follows_a_runbook_members_are_left_to_people(storm: StormScene) -> None:
    restarting(storm, then="nothing")
    storm.strike(10)
    storm.ticks(1)
    play(storm)
    assert (runs_of_the_runbook(storm), len(storm.cleared)) == (1, 0)
    assert storm.states == {"resolved": 1, "escalated": 9}
