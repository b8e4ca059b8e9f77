"""Learning at work in triage: outcomes move chances, experiments assign actions, hold-outs are left alone for a while."""

from __future__ import annotations

from datetime import timedelta
from itertools import count

import pytest
from sqlalchemy import update
from tests.act.test_decide import policy_with
from tests.learn.past import RESET, Past
from tests.tick.scene import NETWORK, ORDERS, Scene

from airflow_oncall.act.assignment import LEFT_OUT, REPAIRED, held_out
from airflow_oncall.act.decide import HOLDOUT
from airflow_oncall.act.effective import Subject, effective
from airflow_oncall.act.policy import Policy
from airflow_oncall.incident import ActionKind, Decision, Incident, Kind, OutcomeKind, State, TaskRef, Verdict
from airflow_oncall.store.experiments import HASH, Experiment
from airflow_oncall.store.records import now
from airflow_oncall.store.tables import actions, incidents
from airflow_oncall.triage.models import Recommendation, Remedy

MEASURED = policy_with(holdout={"share": 0.2, "categories": ["network_connectivity"]})
BREAKER_OFF = {"failures": 99, "of": 99}


def newest(scene: Scene) -> tuple[Incident, Decision]:
    incident = scene.store.reading.incidents(limit=1)[0]
    decision = scene.store.reading.decision(incident.id)
    assert decision is not None
    return incident, decision


def run_that_is(left_out: bool) -> TaskRef:
    """The first run of the nightly orders that chance leaves out, or does not."""
    found = effective(MEASURED, Subject("nightly", "load_orders"), "auto")
    for number in count():
        ref = TaskRef("nightly", f"run-{number}", "load_orders")
        incident = Incident(1, Kind.TASK, ref, State.DIAGNOSED, "", 1, now(), now(), None)
        if held_out(incident, NETWORK.category, "clear_task", found, is_critical=False).is_left_out is left_out:
            return ref
    raise AssertionError


def fails(scene: Scene, left_out: bool) -> TaskRef:
    ref = run_that_is(left_out)
    scene.airflow.fail(ref)
    scene.policy = MEASURED
    return ref


def an_hour_passes(scene: Scene) -> None:
    with scene.store.engine.begin() as connection:
        connection.execute(update(incidents).values(updated_at=now() - LEFT_OUT - timedelta(minutes=1)))


@pytest.mark.usefixtures("separate_occasions")
def test_repairs_of_the_task_that_failed_make_the_next_one_less_likely(failed: Scene) -> None:
    past = Past(failed.store)
    for _ in range(6):
        past.repaired(past.failed("another", diagnosis=RESET), OutcomeKind.FAILED_SAME)
    with failed.store.engine.begin() as connection:
        connection.execute(update(actions).values(task_id=ORDERS.task_id))
    failed.policy = policy_with(breaker=BREAKER_OFF)
    failed.tick()
    decision = newest(failed)[1]
    assert decision.basis["probability"]["before"] == 0.9
    assert decision.basis["probability"]["after"] == pytest.approx(4 * 0.9 / 10, abs=0.001)
    assert decision.basis["probability"]["outcomes"]["level"] == "task"
    assert decision.verdict is Verdict.ASK


def test_a_left_out_repair_is_observed_and_nobody_is_told(scene: Scene) -> None:
    fails(scene, left_out=True)
    scene.ticks()
    assert (scene.state, scene.airflow.mutations) == (State.OBSERVED, [])
    decision = newest(scene)[1]
    assert (decision.arm, decision.basis["would_be"]) == (HOLDOUT, "auto")


def test_a_left_out_repair_is_made_up_for_after_its_time(scene: Scene) -> None:
    ref = fails(scene, left_out=True)
    scene.ticks(1)
    an_hour_passes(scene)
    scene.ticks(1)
    assert scene.airflow.clears == [(ref,)]
    assert [one.arm for one in scene.store.reading.decisions(scene.incident.id)] == [HOLDOUT, ""]


def test_what_ended_by_itself_meanwhile_is_not_touched(scene: Scene) -> None:
    ref = fails(scene, left_out=True)
    scene.ticks(1)
    scene.airflow.clear_by_hand(ref)
    scene.airflow.schedule()
    scene.airflow.succeed(ref)
    an_hour_passes(scene)
    scene.ticks(1)
    assert (scene.state, scene.outcomes(), scene.airflow.clears) == (State.RESOLVED, ["success"], [])


def test_the_others_in_the_draw_are_repaired_and_marked(scene: Scene) -> None:
    ref = fails(scene, left_out=False)
    scene.ticks(1)
    assert scene.airflow.clears == [(ref,)]
    assert newest(scene)[1].arm == REPAIRED


def test_an_experiment_assigns_the_action_and_marks_the_decision(failed: Scene) -> None:
    failed.policy = with_alternatives("clear_downstream")
    started(failed, "clear_task", "clear_downstream")
    failed.tick()
    decision = newest(failed)[1]
    assert decision.arm == f"reach/{decision.action}"
    assert decision.action in ("clear_task", "clear_downstream")


def test_an_arm_that_cannot_be_done_gives_way_to_the_rules_action(failed: Scene) -> None:
    failed.policy = with_alternatives("restart_pod", "kill_spark_application")
    started(failed, "restart_pod", "kill_spark_application")  # the task has neither
    failed.tick()
    decision = newest(failed)[1]
    assert (decision.verdict, decision.action, decision.arm) == (Verdict.AUTO, ActionKind.CLEAR_TASK, "")


def test_nothing_is_drawn_in_mode_shadow(failed: Scene) -> None:
    failed.policy, failed.mode = with_alternatives("clear_downstream"), "shadow"
    started(failed, "clear_task", "clear_downstream")
    failed.tick()
    assert newest(failed)[1].arm == ""


def started(scene: Scene, *arms: str) -> None:
    scene.store.experiments.start(Experiment("reach", NETWORK.category, arms, HASH, "ann", now()))


def with_alternatives(*alternatives: str) -> Policy:
    return policy_with(categories={"network_connectivity": {"action": "clear_task", "alternatives": list(alternatives)}})


@pytest.mark.usefixtures("separate_occasions")
def test_the_ranking_that_people_see_follows_outcomes(failed: Scene) -> None:
    past = Past(failed.store)
    for _ in range(4):
        past.repaired(past.failed("another"), OutcomeKind.FAILED_SAME)
    with failed.store.engine.begin() as connection:
        connection.execute(update(actions).values(task_id=ORDERS.task_id))
    failed.brain.ranks = [Recommendation(Remedy("clear_task"), 0.8), Recommendation(Remedy("clear_run"), 0.5)]
    failed.policy = policy_with(breaker=BREAKER_OFF)
    failed.tick()
    assert any("clear_run 50%, clear_task 40%" in reason for reason in newest(failed)[1].reasons)
    assert newest(failed)[1].basis["probability"]["model"] == 0.8
