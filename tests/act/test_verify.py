"""Every repair is followed to its real end, and success is only what was seen."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import text
from tests.cast import vendor_was_down
from tests.tick.scene import BUG, ORDERS, Scene

from airflow_oncall.incident import State

FIRST = replace(vendor_was_down, ref=ORDERS)


@pytest.fixture
def cleared(failed: Scene) -> Scene:
    """Try 1 failed with a 503 and was cleared by us; try 2 runs."""
    failed.notice(FIRST)
    failed.tick()
    assert failed.airflow.clears == [(ORDERS,)]
    failed.airflow.schedule()
    return failed


def fails_again(scene: Scene, **report: object) -> None:
    scene.airflow.fail(ORDERS)
    scene.notice(replace(FIRST, **({"try_number": 2} | report)))  # type: ignore[arg-type]
    scene.ticks(1)


def test_success_resolves_the_incident_and_labels_the_repair(cleared: Scene) -> None:
    cleared.airflow.succeed(ORDERS)
    cleared.ticks(1)
    assert (cleared.state, cleared.outcomes()) == (State.RESOLVED, ["success"])
    assert cleared.labels() == [("outcome", "success", "airflow")]


def test_the_outcome_tells_when_airflow_saw_it_end(cleared: Scene) -> None:
    cleared.airflow.succeed(ORDERS)
    ended_at = cleared.airflow.instances[ORDERS].ended_at
    assert ended_at is not None
    cleared.ticks(1)
    (outcome,) = cleared.store.reading.outcomes(cleared.incident.id)
    assert outcome.ended_at == ended_at
    assert outcome.ended_at < outcome.seen_at


def test_what_fails_again_has_no_end_of_its_own(cleared: Scene) -> None:
    fails_again(cleared)
    assert [one.ended_at for one in cleared.store.reading.outcomes(cleared.incident.id)] == [None]


def test_what_a_person_marked_before_it_ran_is_no_success_of_ours(failed: Scene) -> None:
    failed.notice(FIRST)
    failed.tick()
    failed.airflow.mark(ORDERS, "success")
    failed.ticks(1)
    assert (failed.state, failed.outcomes(), failed.labels()) == (State.RESOLVED, ["superseded"], [])


def test_a_task_that_still_runs_is_not_taken_for_repaired(cleared: Scene) -> None:
    cleared.ticks(3)
    assert (cleared.state, cleared.outcomes()) == (State.VERIFYING, [])


def test_the_same_failure_again_is_told_apart_from_another(cleared: Scene) -> None:
    fails_again(cleared)
    assert cleared.outcomes() == ["failed_same"]


def test_another_failure_is_told_apart_from_the_same(cleared: Scene) -> None:
    fails_again(cleared, fingerprint="disk-full")
    assert cleared.outcomes() == ["failed_other"]


def test_the_cause_is_compared_with_the_try_that_was_answered(scene: Scene) -> None:
    scene.airflow.fail(ORDERS, retries=1)
    scene.notice(replace(FIRST, will_retry=True, fingerprint="flaky"))
    scene.airflow.schedule()
    scene.airflow.fail(ORDERS)
    scene.notice(replace(FIRST, try_number=2))
    scene.tick()
    for try_number in (3, 4):
        scene.airflow.schedule()
        scene.airflow.fail(ORDERS)
        scene.notice(replace(FIRST, try_number=try_number, will_retry=try_number == 3, fingerprint="disk-full"))
    scene.ticks(1)
    assert scene.outcomes() == ["failed_other"]


def test_a_new_try_that_nobody_reported_is_found_by_looking(cleared: Scene) -> None:
    cleared.airflow.fail(ORDERS)
    cleared.ticks(1)
    assert len(cleared.store.reading.occurrences(cleared.incident.id)) == 2
    assert cleared.outcomes() == ["failed_other"]


def test_a_re_run_that_a_person_marked_failed_says_nothing_about_the_repair(cleared: Scene) -> None:
    fails_again(cleared, by_hand=True, fingerprint="by-hand")
    assert (cleared.state, cleared.outcomes(), cleared.labels()) == (State.CLOSED, ["superseded"], [])


@pytest.mark.parametrize("state", ["skipped", "removed", "upstream_failed"])
def test_what_ended_otherwise_closes_the_incident(cleared: Scene, state: str) -> None:
    cleared.airflow.mark(ORDERS, state)
    cleared.ticks(1)
    assert (cleared.state, cleared.outcomes(), cleared.incident.detail) == (State.CLOSED, ["superseded"], f"it is {state}")


def test_what_was_deleted_closes_the_incident(cleared: Scene) -> None:
    cleared.airflow.delete_dag("nightly")
    cleared.ticks(1)
    assert (cleared.state, cleared.outcomes()) == (State.CLOSED, ["superseded"])


def test_what_a_person_repaired_first_is_resolved_but_no_success_of_ours(failed: Scene) -> None:
    failed.airflow.answer_with(503, on="clearTaskInstances")
    failed.tick()
    failed.airflow.clear_by_hand(ORDERS)
    failed.airflow.schedule()
    failed.airflow.succeed(ORDERS)
    failed.ticks(2)
    assert (failed.state, failed.outcomes(), failed.labels()) == (State.RESOLVED, ["superseded"], [])


def test_what_never_ends_expires_and_is_escalated(cleared: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__ONCALL__VERIFY_TIMEOUT", "0")
    cleared.ticks(1)
    assert (cleared.state, cleared.outcomes()) == (State.ESCALATED, ["expired"])


def test_the_time_a_question_waited_is_not_held_against_the_repair(cleared: Scene) -> None:
    with cleared.store.engine.begin() as connection:
        connection.execute(text("UPDATE oncall_actions SET planned_at = '2020-01-01 00:00:00'"))
    cleared.ticks(1)
    assert (cleared.state, cleared.outcomes()) == (State.VERIFYING, [])


def test_a_repair_that_led_to_a_bug_is_escalated_with_both_in_its_history(cleared: Scene) -> None:
    cleared.brain.says = BUG
    fails_again(cleared, fingerprint="key-error")
    assert cleared.state == State.ESCALATED
    assert [row.category for row in cleared.store.reading.diagnoses(cleared.incident.id)] == ["network_connectivity", "code_error"]


def test_an_escalated_incident_that_nobody_touched_for_a_week_is_closed(failed: Scene) -> None:
    failed.brain.says = BUG
    failed.tick()
    with failed.store.engine.begin() as connection:
        connection.execute(text("UPDATE oncall_incidents SET updated_at = '2020-01-01 00:00:00'"))
    failed.ticks(1)
    assert (failed.state, failed.outcomes()) == (State.CLOSED, ["expired"])


@pytest.mark.parametrize("state", [State.WATCHING, State.OPEN, State.HELD, State.VERIFYING, State.ESCALATED, State.OBSERVED])
def test_an_early_try_that_is_told_of_when_a_later_one_was_closed_is_closed_too(failed: Scene, state: State) -> None:
    """Try 2 failed and a person closed its incident; only then the spool of another host tells of try 1."""
    failed.airflow.clear_by_hand(ORDERS)
    failed.airflow.schedule()
    failed.airflow.fail(ORDERS)
    failed.notice(replace(FIRST, try_number=2))
    failed.store.ledger.closed_by_hand(failed.claimed(), "ann", "known")
    failed.store.intake.record(FIRST)
    late = failed.store.reading.incidents([State.OPEN])[0]
    (claimed,) = failed.store.queue.claim_due(10, timedelta(minutes=3))
    failed.store.ledger.move(claimed, state, due_in=0)
    failed.ticks()
    seen = failed.store.reading.incident(late.id)
    assert seen
    assert (seen.state, "try 2" in seen.detail, failed.airflow.clears) == (State.CLOSED, True, [])
