"""The sweep finds every failed try that nobody reported, once."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta, timezone

import pytest
from tests.cast import vendor_was_down
from tests.tick.scene import ORDERS, SHARDS, Scene

from airflow_oncall.capture.sweep import WATERMARK, sweep, sweep_requested
from airflow_oncall.errors import AirflowApiError
from airflow_oncall.incident import Kind, State, TaskRef


def tries(scene: Scene) -> list[tuple[TaskRef, int, bool]]:
    """Every stored failed try, and whether Airflow repeats it."""
    read = scene.store.reading
    found = [seen for incident in read.incidents() for seen in read.occurrences(incident.id)]
    return sorted((seen.ref, seen.try_number, seen.will_retry) for seen in found)


def test_a_killed_task_that_nobody_reported_is_seen_once(failed: Scene) -> None:
    assert sweep(failed.store, failed.api) == 1
    assert sweep(failed.store, failed.api) == 0
    assert tries(failed) == [(ORDERS, 1, False)]
    assert failed.store.reading.occurrences(failed.incident.id)[0].seen_by == "sweep"


def test_what_capture_reported_is_not_new_to_the_sweep(failed: Scene) -> None:
    failed.notice(replace(vendor_was_down, ref=ORDERS))
    assert sweep(failed.store, failed.api) == 0


def test_the_watermark_moves_with_every_sweep(failed: Scene) -> None:
    sweep(failed.store, failed.api)
    first = str(failed.store.cursors.get(WATERMARK))
    failed.airflow.clock_ahead = timedelta(minutes=1)
    sweep(failed.store, failed.api)
    assert str(failed.store.cursors.get(WATERMARK)) > first


def test_a_failure_committed_late_is_found_in_the_overlap(scene: Scene) -> None:
    sweep(scene.store, scene.api)
    scene.airflow.fail(ORDERS)
    scene.airflow.instances[ORDERS].updated_at = scene.airflow.now() - timedelta(seconds=60)
    assert sweep(scene.store, scene.api) == 1


def test_what_failed_long_before_the_first_sweep_is_history(scene: Scene) -> None:
    scene.airflow.fail(ORDERS, end_run=False)
    scene.airflow.instances[ORDERS].updated_at = scene.airflow.now() - timedelta(hours=2)
    assert sweep(scene.store, scene.api) == 0


@pytest.mark.parametrize("skew", [timedelta(hours=-5), timedelta(hours=5)], ids=["behind", "ahead"])
def test_a_clock_that_differs_from_airflows_loses_nothing(scene: Scene, skew: timedelta) -> None:
    scene.airflow.clock_ahead = skew
    sweep(scene.store, scene.api)
    scene.airflow.fail(ORDERS)
    assert sweep(scene.store, scene.api) == 1
    scene.airflow.fail(SHARDS[0])
    assert sweep(scene.store, scene.api) == 1


def test_a_task_that_airflow_repeats_is_watched(scene: Scene) -> None:
    scene.airflow.fail(ORDERS, retries=1)
    sweep(scene.store, scene.api)
    assert (tries(scene), scene.state) == ([(ORDERS, 1, True)], State.WATCHING)


def test_tries_that_failed_in_silence_are_found_in_the_history(scene: Scene) -> None:
    scene.airflow.fail(ORDERS, retries=2)
    scene.airflow.schedule()
    scene.airflow.fail(ORDERS)
    scene.airflow.schedule()
    scene.airflow.succeed(ORDERS)
    assert sweep(scene.store, scene.api) == 2
    assert (tries(scene), scene.state) == ([(ORDERS, 1, True), (ORDERS, 2, True)], State.WATCHING)
    scene.tick()
    assert scene.state == State.SELF_HEALED


def test_a_silent_try_before_a_running_one_is_found(scene: Scene) -> None:
    scene.airflow.fail(ORDERS, retries=1)
    scene.airflow.schedule()
    assert sweep(scene.store, scene.api) == 1
    assert tries(scene) == [(ORDERS, 1, True)]


def test_a_silent_try_before_a_failed_one_is_found(scene: Scene) -> None:
    scene.airflow.fail(ORDERS, retries=1)
    scene.airflow.schedule()
    scene.airflow.fail(ORDERS)
    assert sweep(scene.store, scene.api) == 2
    assert tries(scene) == [(ORDERS, 1, True), (ORDERS, 2, False)]


def test_a_try_that_a_person_cleared_before_anybody_looked_is_still_found(failed: Scene) -> None:
    failed.airflow.clear_by_hand(ORDERS)
    failed.airflow.schedule()
    assert sweep(failed.store, failed.api) == 1
    assert tries(failed) == [(ORDERS, 1, True)]


def test_a_task_cleared_after_its_success_is_no_failure(scene: Scene) -> None:
    scene.airflow.add(ORDERS)
    scene.airflow.succeed(ORDERS)
    scene.airflow.clear_by_hand(ORDERS)
    scene.airflow.schedule()
    assert sweep(scene.store, scene.api) == 0


def test_a_failure_of_a_run_that_was_made_again_under_its_name_is_seen(failed: Scene) -> None:
    sweep(failed.store, failed.api)
    failed.store.ledger.closed_by_hand(failed.claimed(), "ann", "known")
    assert sweep(failed.store, failed.api) == 0
    failed.airflow.forget_run(ORDERS.dag_id, ORDERS.run_id)
    failed.airflow.clock_ahead = timedelta(minutes=5)
    failed.airflow.fail(ORDERS)
    assert [sweep(failed.store, failed.api) for _ in range(2)] == [1, 0]
    assert [incident.state for incident in failed.store.reading.incidents()] == [State.OPEN, State.CLOSED]


def test_each_map_index_is_its_own(scene: Scene) -> None:
    for shard in SHARDS:
        scene.airflow.fail(shard)
    assert sweep(scene.store, scene.api) == 3
    assert [ref for ref, _, _ in tries(scene)] == SHARDS


def test_our_own_dags_and_ignored_dags_are_skipped(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__ONCALL__IGNORE_DAGS", "sandbox_.*")
    for dag_id in ("oncall_triage", "oncall_approval", "sandbox_ann"):
        ref = TaskRef(dag_id, "r", "t")
        scene.airflow.fail(ref)
        scene.airflow.add(replace(ref, run_id="timed_out"))
        scene.airflow.time_out_run(replace(ref, run_id="timed_out"))
    assert sweep(scene.store, scene.api) == 0


def test_a_sweep_that_broke_in_the_middle_is_made_again(failed: Scene) -> None:
    failed.airflow.answer_with(500, times=3, on="/taskInstances")
    with pytest.raises(AirflowApiError):
        sweep(failed.store, failed.api)
    assert failed.store.cursors.get(WATERMARK) is None
    sweep(failed.store, failed.api)
    assert tries(failed) == [(ORDERS, 1, False)]


def test_import_errors_that_airflow_cannot_show_hold_nothing_else_up(failed: Scene) -> None:
    failed.airflow.answer_with(500, times=3, on="importErrors")
    with pytest.raises(AirflowApiError, match="import_errors"):
        sweep(failed.store, failed.api)
    assert (tries(failed), failed.store.cursors.get(WATERMARK) is None) == ([(ORDERS, 1, False)], False)


def cleared_after_success(scene: Scene, *refs: TaskRef) -> None:
    """A person runs again what had succeeded."""
    for ref in refs:
        scene.airflow.add(ref)
        scene.airflow.succeed(ref)
        scene.airflow.clear_by_hand(ref)
    scene.airflow.schedule()


@pytest.fixture
def each_call_takes_a_second(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the sweep's clock."""
    monkeypatch.setattr("airflow_oncall.capture.sweep.monotonic", lambda: len(scene.airflow.requests))


@pytest.mark.usefixtures("each_call_takes_a_second")
def test_a_sweep_whose_time_is_up_goes_on_where_it_stopped(scene: Scene) -> None:
    days = [replace(ORDERS, run_id=f"scheduled__2025-{day}") for day in range(9)]
    cleared_after_success(scene, *days)
    scene.airflow.fail(SHARDS[0], retries=1)
    scene.airflow.schedule()
    asked, found = [0], 0
    while scene.store.cursors.get(WATERMARK) is None:
        found += sweep(scene.store, scene.api, 6)
        asked.append(scene.airflow.asked("/tries"))
        assert asked[-2] < asked[-1] < asked[-2] + 4, "each sweep gets further, and ends"
    assert (asked[-1], found, tries(scene)) == (10, 1, [(SHARDS[0], 1, True)])


def test_what_was_found_harmless_is_not_asked_about_again(scene: Scene) -> None:
    cleared_after_success(scene, ORDERS)
    scene.airflow.add(SHARDS[0])
    scene.airflow.time_out_run(SHARDS[0])
    assert [sweep(scene.store, scene.api) for _ in range(3)] == [1, 0, 0]
    assert (scene.airflow.asked("/tries"), scene.airflow.asked("/dagRuns/manual__1/taskInstances")) == (1, 1)


def test_what_failed_after_its_history_was_found_harmless_is_seen(scene: Scene) -> None:
    cleared_after_success(scene, ORDERS)
    sweep(scene.store, scene.api)
    scene.airflow.fail(ORDERS)
    assert sweep(scene.store, scene.api) == 1
    assert tries(scene) == [(ORDERS, 2, False)]


def test_a_history_that_airflow_cannot_show_is_read_later_and_holds_nothing_up(scene: Scene) -> None:
    for ref in (ORDERS, SHARDS[0]):
        scene.airflow.fail(ref, retries=1)
        scene.airflow.schedule()
        scene.airflow.fail(ref)
    scene.airflow.answer_with(500, times=9, on="load_orders/tries")
    with pytest.raises(AirflowApiError, match="500"):
        sweep(scene.store, scene.api)
    assert tries(scene) == [(ORDERS, 2, False), (SHARDS[0], 1, True), (SHARDS[0], 2, False)]
    assert scene.store.cursors.get(WATERMARK) is None
    scene.airflow.mend()
    sweep(scene.store, scene.api)
    assert tries(scene)[0] == (ORDERS, 1, True)
    assert scene.store.cursors.get(WATERMARK)


def test_a_run_that_timed_out_is_one_incident_of_the_run(scene: Scene) -> None:
    scene.airflow.add(ORDERS)
    scene.airflow.time_out_run(ORDERS)
    assert [sweep(scene.store, scene.api) for _ in range(3)] == [1, 0, 0]
    assert (scene.incident.kind, scene.incident.ref) == (Kind.DAG_RUN, TaskRef(ORDERS.dag_id, ORDERS.run_id))


def test_a_run_that_failed_with_a_task_instance_is_no_incident_of_its_own(failed: Scene) -> None:
    sweep(failed.store, failed.api)
    failed.airflow.end_run(ORDERS.dag_id, ORDERS.run_id, "failed")
    sweep(failed.store, failed.api)
    assert failed.incident.kind is Kind.TASK


def test_a_run_that_asked_for_it_is_swept_at_once(failed: Scene) -> None:
    failed.store.intake.request_sweep(ORDERS.dag_id, ORDERS.run_id)
    assert failed.store.queue.is_urgent()
    assert sweep_requested(failed.store, failed.api) == 1
    assert sweep_requested(failed.store, failed.api) == 0


def test_a_request_for_a_run_that_timed_out_gives_its_incident(scene: Scene) -> None:
    scene.airflow.add(ORDERS)
    scene.airflow.time_out_run(ORDERS)
    scene.store.intake.request_sweep(ORDERS.dag_id, ORDERS.run_id)
    assert sweep_requested(scene.store, scene.api) == 1
    assert scene.incident.kind is Kind.DAG_RUN


def test_a_request_for_a_run_that_is_gone_is_dropped(scene: Scene) -> None:
    scene.store.intake.request_sweep("gone", "gone")
    assert sweep_requested(scene.store, scene.api) == 0
    assert scene.store.queue.take_sweep_requests() == []


def test_a_request_waits_while_airflow_is_away(failed: Scene) -> None:
    failed.store.intake.request_sweep(ORDERS.dag_id, ORDERS.run_id)
    failed.airflow.answer_with(503, times=3)
    with pytest.raises(AirflowApiError):
        sweep_requested(failed.store, failed.api)
    assert failed.store.queue.take_sweep_requests() == [(ORDERS.dag_id, ORDERS.run_id)]


def test_a_run_that_airflow_cannot_show_is_asked_for_again_after_the_others(failed: Scene) -> None:
    failed.store.intake.request_sweep("nightly", "broken")
    failed.airflow.add(replace(ORDERS, run_id="broken"))
    failed.store.intake.request_sweep(ORDERS.dag_id, ORDERS.run_id)
    failed.airflow.answer_with(500, times=99, on="/dagRuns/broken")
    with pytest.raises(AirflowApiError, match="500"):
        sweep_requested(failed.store, failed.api)
    assert tries(failed) == [(ORDERS, 1, False)]
    assert failed.store.queue.take_sweep_requests() == [("nightly", "broken")]
    failed.store.intake.request_sweep("nightly", "newer")
    failed.store.intake.request_sweep("nightly", "broken")
    assert failed.store.queue.take_sweep_requests() == [("nightly", "newer"), ("nightly", "broken")]


@pytest.mark.usefixtures("each_call_takes_a_second")
def test_requests_for_which_there_is_no_time_are_left_to_the_next_look(scene: Scene) -> None:
    for shard in SHARDS:
        scene.airflow.fail(replace(shard, run_id=f"run-{shard.map_index}"))
        scene.store.intake.request_sweep(shard.dag_id, f"run-{shard.map_index}")
    assert [sweep_requested(scene.store, scene.api, 0) for _ in range(4)] == [1, 1, 1, 0]


SYNTAX_ERROR = 'Traceback (most recent call last):\n  File "orders.py", line 3\n    def\n       ^\nSyntaxError: invalid syntax'


def test_a_file_that_cannot_be_imported_is_one_incident_until_it_can(scene: Scene) -> None:
    scene.airflow.break_file("orders.py", SYNTAX_ERROR)
    scene.ticks(3)
    assert (scene.incident.kind, scene.state) == (Kind.DAG_IMPORT, State.ESCALATED)
    scene.airflow.import_errors.clear()
    scene.ticks(1)
    assert scene.state == State.RESOLVED


def test_a_file_that_breaks_again_in_the_same_way_is_a_new_incident(scene: Scene) -> None:
    for _ in range(2):
        scene.airflow.break_file("orders.py", SYNTAX_ERROR)
        scene.ticks(1)
        scene.airflow.import_errors.clear()
        scene.ticks(1)
    assert [incident.state for incident in scene.store.reading.incidents()] == [State.RESOLVED, State.RESOLVED]


def test_a_failure_remembers_when_it_happened_by_airflows_clock(failed: Scene) -> None:
    sweep(failed.store, failed.api)
    seen = failed.store.reading.occurrences(failed.incident.id)[0]
    assert seen.happened_at == failed.airflow.instances[ORDERS].ended_at
    assert seen.happened_at < datetime.now(timezone.utc)
