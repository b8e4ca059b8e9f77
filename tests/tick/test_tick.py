"""A tick takes every incident as far as it can go, and never further than it may."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from tests.cast import vendor_was_down
from tests.tick.scene import BUG, ORDERS, RATE_LIMIT, SHARDS, Scene, proven
from tests.waiting import until

from airflow_oncall.errors import AirflowApiError
from airflow_oncall.incident import OWN_DAG_IDS, ActionKind, Kind, Occurrence, State, TaskRef, Verdict
from airflow_oncall.store.records import now
from airflow_oncall.tick import SWEEP_SECONDS
from airflow_oncall.triage.models import Recommendation, Remedy

ORDERS_FAILED = replace(vendor_was_down, ref=ORDERS)


def test_a_failed_task_instance_is_cleared_once_and_followed_to_its_success(failed: Scene) -> None:
    failed.tick()
    assert failed.airflow.clears == [(ORDERS,)]
    assert failed.state == State.VERIFYING
    failed.airflow.schedule()
    failed.airflow.succeed(ORDERS)
    failed.ticks()
    assert failed.state == State.RESOLVED
    assert failed.outcomes() == ["success"]
    assert failed.airflow.clears == [(ORDERS,)]


def test_a_tick_stays_for_a_repair_that_takes_moments(failed: Scene) -> None:
    with ThreadPoolExecutor(1) as pool:
        result = pool.submit(failed.tick, None, 20)
        until(lambda: bool(failed.airflow.clears))
        failed.airflow.schedule()
        failed.airflow.succeed(ORDERS)
        assert result.result().noticed == 1
    assert failed.state == State.RESOLVED


def test_only_the_failed_map_index_is_cleared_with_what_waited_for_it(scene: Scene) -> None:
    sink = TaskRef("shards", "manual__1", "sink")
    for shard in SHARDS:
        scene.airflow.add(shard, downstream=("sink",))
    scene.airflow.add(sink)
    scene.airflow.succeed(SHARDS[0])
    scene.airflow.succeed(SHARDS[2])
    scene.airflow.fail(SHARDS[1])
    scene.tick()
    assert scene.airflow.clears == [(SHARDS[1], sink)]


def test_a_try_that_airflow_repeats_by_itself_is_only_watched(scene: Scene) -> None:
    scene.airflow.fail(ORDERS, retries=1)
    scene.tick()
    assert scene.state == State.WATCHING
    scene.airflow.schedule()
    scene.airflow.succeed(ORDERS)
    scene.ticks()
    assert scene.state == State.SELF_HEALED
    assert scene.labels() == [("self_healed", "true", "airflow")]
    assert scene.airflow.mutations == []


def test_a_task_whose_last_retry_failed_is_repaired(scene: Scene) -> None:
    scene.airflow.fail(ORDERS, retries=1)
    scene.tick()
    scene.airflow.schedule()
    scene.airflow.fail(ORDERS)
    scene.ticks(1)
    assert scene.airflow.clears == [(ORDERS,)]
    assert [seen.try_number for seen in scene.store.reading.occurrences(scene.incident.id)] == [1, 2]


def reasons_after(scene: Scene, *tries: Occurrence) -> tuple[str, ...]:
    """What the decision says after these failed tries, of which Airflow repeated all but the last."""
    proven(scene)
    for number, one in enumerate(tries, 1):
        scene.notice(replace(one, try_number=number))
        scene.airflow.fail(ORDERS, retries=int(number < len(tries)))
        if number < len(tries):
            scene.airflow.schedule()
    scene.tick()
    decision = scene.store.reading.decision(scene.incident.id)
    assert decision is not None
    return decision.reasons


def failed_at(minutes: float, **about: Any) -> Occurrence:
    """The nightly orders failed so many minutes ago."""
    return replace(ORDERS_FAILED, happened_at=now() - timedelta(minutes=minutes), **about)


def test_what_airflows_own_retries_met_is_counted_against_the_next_run_of_the_same(scene: Scene) -> None:
    reasons = reasons_after(scene, failed_at(10, will_retry=True), failed_at(0))
    assert "Airflow's own retries failed with the same cause, over 10 min." in reasons


def test_retries_before_an_earlier_repair_do_not_count_again(scene: Scene) -> None:
    reasons = reasons_after(scene, failed_at(300, will_retry=True), failed_at(300), failed_at(0))
    assert not [reason for reason in reasons if "own retries" in reason]


def test_a_retry_that_failed_of_something_else_says_nothing(scene: Scene) -> None:
    reasons = reasons_after(scene, failed_at(10, will_retry=True, fingerprint="disk-full"), failed_at(0))
    assert not [reason for reason in reasons if "own retries" in reason]


def test_nothing_is_done_before_airflow_itself_says_failed(scene: Scene) -> None:
    scene.airflow.add(ORDERS)  # capture speaks while the process still runs
    scene.notice(ORDERS_FAILED)
    scene.tick()
    assert (scene.state, scene.airflow.mutations) == (State.OPEN, [])
    scene.airflow.fail(ORDERS)
    scene.ticks(1)
    assert scene.airflow.clears == [(ORDERS,)]


def test_a_repair_that_failed_again_is_tried_again_within_the_budget_and_then_escalated(failed: Scene) -> None:
    proven(failed)
    for _ in range(6):
        failed.ticks(1)
        failed.airflow.schedule()
        failed.airflow.fail(ORDERS)
        failed.ticks(1)
    assert len(failed.airflow.clears) == 4
    assert failed.state == State.ESCALATED
    decision = failed.store.reading.decision(failed.incident.id)
    assert decision is not None
    assert "budget of this task instance" in decision.reasons[0]
    assert failed.outcomes() == ["failed_same"] * 4


def test_a_rate_limit_is_waited_for_before_the_clear(failed: Scene) -> None:
    failed.brain.says = RATE_LIMIT
    failed.tick()
    assert (failed.state, failed.airflow.clears) == (State.WAITING, [])
    failed.ticks(1)
    assert failed.airflow.clears == [(ORDERS,)]


def test_a_bug_is_escalated_and_not_run_again(failed: Scene) -> None:
    failed.brain.says = BUG
    failed.tick()
    assert (failed.state, failed.airflow.clears) == (State.ESCALATED, [])
    assert failed.airflow.instances[ORDERS].note is not None


def test_an_escalated_incident_is_resolved_when_a_person_mended_it(failed: Scene) -> None:
    failed.brain.says = BUG
    failed.tick()
    failed.airflow.clear_by_hand(ORDERS)
    failed.airflow.schedule()
    failed.airflow.succeed(ORDERS)
    failed.ticks(1)
    assert failed.state == State.RESOLVED
    assert failed.labels() == [("outcome_without_us", "success", "airflow")]


def test_an_escalated_incident_that_fails_anew_is_decided_anew(failed: Scene) -> None:
    failed.brain.says = BUG
    failed.tick()
    failed.airflow.clear_by_hand(ORDERS)
    failed.airflow.schedule()
    failed.airflow.fail(ORDERS)
    failed.ticks(1)
    assert [decision.answers_try for decision in failed.store.reading.decisions(failed.incident.id)] == [1, 2]


def test_shadow_mode_decides_and_does_nothing(failed: Scene) -> None:
    failed.mode = "shadow"
    failed.ticks()
    assert (failed.state, failed.airflow.mutations) == (State.OBSERVED, [])
    decision = failed.store.reading.decision(failed.incident.id)
    assert decision is not None
    assert decision.verdict is Verdict.OBSERVE
    assert "it would be auto" in decision.reasons[0]


def test_shadow_mode_does_not_even_escalate(failed: Scene) -> None:
    failed.mode, failed.brain.says = "shadow", BUG
    failed.ticks()
    assert (failed.state, failed.airflow.mutations) == (State.OBSERVED, [])


def test_shadow_mode_sees_how_it_ended_without_it(failed: Scene) -> None:
    failed.mode = "shadow"
    failed.tick()
    failed.airflow.clear_by_hand(ORDERS)
    failed.airflow.schedule()
    failed.airflow.succeed(ORDERS)
    failed.ticks(1)
    assert (failed.state, failed.outcomes()) == (State.RESOLVED, ["success"])


def test_a_paused_dag_is_left_alone(failed: Scene) -> None:
    failed.airflow.dags["nightly"].is_paused = True
    failed.tick()
    assert (failed.state, failed.airflow.clears) == (State.ESCALATED, [])


def test_a_task_instance_that_does_not_start_because_its_dag_was_paused_is_followed_on(failed: Scene) -> None:
    failed.tick()
    failed.airflow.dags["nightly"].is_paused = True
    assert failed.airflow.schedule() == []
    failed.ticks(2)
    assert failed.state == State.VERIFYING


def test_a_dag_deleted_between_failure_and_triage_closes_the_incident(scene: Scene) -> None:
    scene.airflow.fail(ORDERS)
    scene.notice(ORDERS_FAILED)
    scene.airflow.delete_dag("nightly")
    scene.tick()
    assert (scene.state, scene.incident.detail) == (State.CLOSED, "it is gone")


def test_a_task_that_its_dag_no_longer_has_is_escalated(failed: Scene) -> None:
    del failed.airflow.dags["nightly"].tasks["load_orders"]
    failed.tick()
    assert (failed.state, failed.airflow.clears) == (State.ESCALATED, [])


def test_what_a_person_marked_failed_is_not_undone(scene: Scene) -> None:
    scene.airflow.fail(ORDERS)
    scene.notice(replace(ORDERS_FAILED, by_hand=True))
    scene.tick()
    assert (scene.state, scene.airflow.mutations) == (State.CLOSED, [])


def test_a_retrying_task_that_a_person_marked_failed_is_not_undone(scene: Scene) -> None:
    scene.airflow.fail(ORDERS, retries=1)
    scene.tick()
    scene.airflow.mark(ORDERS, "failed")
    scene.notice(replace(ORDERS_FAILED, by_hand=True))
    scene.ticks(1)
    assert (scene.state, scene.airflow.mutations) == (State.CLOSED, [])


def test_a_task_instance_that_a_person_repaired_first_is_no_self_healing(scene: Scene) -> None:
    scene.airflow.fail(ORDERS)
    scene.notice(ORDERS_FAILED)
    scene.airflow.clear_by_hand(ORDERS)
    scene.airflow.schedule()
    scene.tick()
    assert scene.state == State.WATCHING
    scene.airflow.succeed(ORDERS)
    scene.ticks(1)
    assert scene.state == State.RESOLVED
    assert scene.labels() == [("outcome_without_us", "success", "airflow")]


def test_two_ticks_at_once_make_one_clear(failed: Scene) -> None:
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(failed.tick, [failed.store, failed.another_worker()]))
    assert failed.airflow.clears == [(ORDERS,)]
    assert len(failed.store.reading.actions(failed.incident.id)) == 1


def test_an_incident_that_breaks_triage_does_not_stop_the_others_at_the_next_tick(scene: Scene) -> None:
    scene.notice(replace(vendor_was_down, ref=SHARDS[0], evidence=replace(vendor_was_down.evidence, traceback="poison")))
    for ref in (SHARDS[0], SHARDS[1]):
        scene.airflow.fail(ref)
    scene.store.intake.record(replace(vendor_was_down, ref=SHARDS[1]))
    scene.brain.breaks = ["poison"]
    with pytest.raises(ZeroDivisionError):
        scene.tick()
    scene.tick(scene.another_worker())
    assert scene.airflow.clears == [(SHARDS[1],)]


def test_while_airflow_is_away_nothing_is_lost(failed: Scene) -> None:
    failed.airflow.answer_with(503, times=3)
    with pytest.raises(AirflowApiError, match="503"):
        failed.tick()
    failed.ticks(1)
    assert failed.airflow.clears == [(ORDERS,)]


@pytest.mark.parametrize("asked_for", [True, False])
def test_a_run_that_airflow_can_never_show_stops_no_triage(scene: Scene, asked_for: bool) -> None:
    broken = replace(ORDERS, run_id="broken")
    scene.airflow.add(broken)
    scene.airflow.time_out_run(broken)
    if asked_for:
        scene.store.intake.request_sweep("nightly", "broken")
    scene.airflow.fail(ORDERS)
    scene.airflow.answer_with(500, times=99, on="/dagRuns/broken")
    with pytest.raises(AirflowApiError, match="broken: HTTP 500"):
        scene.tick()
    assert scene.airflow.clears == [(ORDERS,)]


def test_however_much_there_is_to_sweep_triage_has_its_time(failed: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the sweep's clock, few calls of Airflow take as long as a sweep may."""
    monkeypatch.setattr("airflow_oncall.capture.sweep.monotonic", lambda: len(failed.airflow.requests) * SWEEP_SECONDS / 2.5)
    for run in ("a", "b"):
        failed.airflow.add(replace(ORDERS, run_id=run))
        failed.airflow.time_out_run(replace(ORDERS, run_id=run))
    failed.notice(ORDERS_FAILED)
    failed.tick()
    assert failed.airflow.clears == [(ORDERS,)]
    failed.tick()
    assert len(failed.store.reading.incidents()) == 3, "what was left is seen by the next one"


def test_an_incident_that_airflow_cannot_show_just_now_waits_while_the_others_go_on(scene: Scene) -> None:
    for ref in SHARDS[:2]:
        scene.airflow.fail(ref)
    scene.airflow.answer_with(500, times=3, on="/taskInstances/work/0")
    scene.tick()
    assert scene.airflow.clears == [(SHARDS[1],)]
    scene.ticks(1)
    assert scene.airflow.clears == [(SHARDS[1],), (SHARDS[0],)]


@pytest.mark.parametrize("dag_id", sorted(OWN_DAG_IDS))
def test_the_system_never_acts_on_its_own_dags(scene: Scene, dag_id: str) -> None:
    scene.airflow.fail(TaskRef(dag_id, "r", "triage"))
    scene.ticks(2)
    assert (scene.store.reading.incidents(), scene.airflow.mutations) == ([], [])


def test_a_declared_never_is_respected(failed: Scene) -> None:
    failed.airflow.dags["nightly"].tags = ("oncall:never",)
    failed.tick()
    assert (failed.state, failed.airflow.clears) == (State.ESCALATED, [])


def test_a_declared_auto_needs_no_question_in_mode_ask(failed: Scene) -> None:
    failed.mode = "ask"
    failed.airflow.dags["nightly"].tasks["load_orders"].params = {"oncall": "auto"}
    failed.tick()
    assert failed.airflow.clears == [(ORDERS,)]


def test_the_log_is_read_once_and_kept_with_its_try(failed: Scene) -> None:
    failed.airflow.logs[ORDERS, 1] = [b'{"event": "Connection reset by peer", "level": "error"}\n']
    failed.tick()
    assert failed.brain.texts == ["error Connection reset by peer"]
    seen = failed.store.reading.occurrences(failed.incident.id)[0]
    assert seen.evidence.log_tail == "error Connection reset by peer"


def test_secrets_in_the_log_are_masked_before_anything_sees_them(failed: Scene) -> None:
    failed.airflow.logs[ORDERS, 1] = [b"connecting to postgresql://etl:hunter2hunter2@db/orders\n"]
    failed.tick()
    assert "hunter2" not in failed.brain.texts[0]
    assert "hunter2" not in failed.store.reading.occurrences(failed.incident.id)[0].evidence.log_tail


def test_a_log_that_cannot_be_had_is_no_reason_to_stop(failed: Scene) -> None:
    failed.airflow.answer_with(500, times=9, on="/logs/")
    failed.tick()
    assert failed.airflow.clears == [(ORDERS,)]


def test_a_timed_out_run_is_asked_about_and_never_counted_as_repaired_when_nothing_ran(scene: Scene) -> None:
    scene.airflow.add(ORDERS)
    scene.airflow.time_out_run(ORDERS)
    scene.tick()
    assert scene.incident.ref == TaskRef(ORDERS.dag_id, ORDERS.run_id)
    assert scene.state == State.ASKED


def test_how_likely_the_repair_is_to_help_is_learned_from_how_earlier_ones_ended(failed: Scene) -> None:
    failed.brain.ranks = [
        Recommendation(Remedy(ActionKind.CLEAR_TASK, waits=True), 0.9),
        Recommendation(Remedy(ActionKind.CLEAR_TASK), 0.7),
    ]
    failed.tick()
    (decision,) = failed.store.reading.decisions(failed.incident.id)
    assert decision.probability == 0.7, "the policy repairs at once, so what waiting would bring does not count"
    assert "By the models: clear_task after a wait 90%, clear_task 70%." in decision.reasons
    assert [(around.try_number, around.successes, around.failures) for around in failed.brain.circumstances] == [(1, 0, 0)]


def test_a_decision_says_how_bad_it_is_and_why(scene: Scene) -> None:
    scene.airflow.add(ORDERS, downstream=("report",), tags=("oncall:critical",))
    scene.airflow.add(replace(ORDERS, task_id="report"))
    scene.airflow.fail(ORDERS)
    scene.tick()
    decision = scene.store.reading.decision(scene.incident_of(Kind.TASK).id)
    assert decision
    assert decision.verdict is Verdict.ASK, "of a critical DAG a person is asked"
    (said,) = [reason for reason in decision.reasons if reason.startswith("Severity")]
    assert said == "Severity high (the DAG is critical (+4); 1 task downstream cannot run (+1))."
