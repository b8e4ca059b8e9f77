"""The shadow report: what would have been done, compared with how it ended without us."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import update
from tests.tick.scene import BUG, NETWORK, Scene

from airflow_oncall.incident import Diagnosis, State, TaskRef
from airflow_oncall.shadow import ASKS, ESCALATES, REPAIRS, WAITS, ShadowReport, shadow_report
from airflow_oncall.store.records import now
from airflow_oncall.store.tables import decisions, occurrences, outcomes

SHADY = replace(NETWORK, transient_probability=0.5)


@pytest.fixture
def shadow(scene: Scene) -> Scene:
    scene.mode = "shadow"
    return scene


def fails(scene: Scene, run: str, diagnosis: Diagnosis = NETWORK) -> TaskRef:
    """A run of the nightly orders fails and is decided about."""
    ref = TaskRef("nightly", run, "load_orders")
    scene.brain.says = diagnosis
    scene.airflow.fail(ref)
    scene.tick()
    return ref


def people_rerun(scene: Scene, ref: TaskRef, succeeds: bool) -> None:
    scene.airflow.clear_by_hand(ref)
    scene.airflow.schedule()
    if succeeds:
        scene.airflow.succeed(ref)
    else:
        scene.airflow.fail(ref)
    scene.ticks(1)


def report(scene: Scene) -> ShadowReport:
    return shadow_report(scene.store, days=30)


def counts(found: ShadowReport, would: str) -> tuple[int, int, int, int]:
    hits = found.would[would]
    return hits.decisions, hits.succeeded, hits.failed, hits.not_known


def test_a_repair_is_right_where_the_re_run_of_people_succeeded(shadow: Scene) -> None:
    people_rerun(shadow, fails(shadow, "one"), succeeds=True)
    people_rerun(shadow, fails(shadow, "two"), succeeds=False)
    fails(shadow, "three")
    found = report(shadow)
    assert counts(found, REPAIRS) == (3, 1, 1, 1)
    assert (found.would[REPAIRS].share, found.would[REPAIRS].expected) == (0.5, 0.9)
    assert (found.failures, found.still_open) == (3, 2)


def test_questions_and_escalations_are_told_apart(shadow: Scene) -> None:
    people_rerun(shadow, fails(shadow, "one", SHADY), succeeds=True)
    people_rerun(shadow, fails(shadow, "two", BUG), succeeds=False)
    found = report(shadow)
    assert (counts(found, ASKS), counts(found, ESCALATES)) == ((1, 1, 0, 0), (1, 0, 1, 0))
    assert found.by_category == {}


def test_a_guard_that_would_have_held_it_is_seen(shadow: Scene) -> None:
    shadow.store.switch.pause("ann", "the cluster moves")
    fails(shadow, "one")
    assert counts(report(shadow), WAITS) == (1, 0, 0, 1)


def test_only_the_first_decision_about_a_failure_counts(shadow: Scene) -> None:
    ref = fails(shadow, "one")
    people_rerun(shadow, ref, succeeds=False)
    people_rerun(shadow, ref, succeeds=True)
    assert len(shadow.store.reading.decisions(shadow.incident.id)) == 2
    assert counts(report(shadow), REPAIRS) == (1, 0, 1, 0)


def test_a_re_run_that_airflow_retried_counts_by_its_end(shadow: Scene) -> None:
    ref = fails(shadow, "one")
    people_rerun(shadow, ref, succeeds=False)
    with shadow.store.engine.begin() as connection:
        connection.execute(update(occurrences).where(occurrences.c.try_number > 1).values(will_retry=True))
    assert counts(report(shadow), REPAIRS) == (1, 0, 0, 1)


def test_repairs_that_are_no_re_run_are_not_known(shadow: Scene) -> None:
    people_rerun(shadow, fails(shadow, "one"), succeeds=True)
    with shadow.store.engine.begin() as connection:
        connection.execute(update(decisions).values(action="retry_with_more_memory"))
    assert counts(report(shadow), REPAIRS) == (1, 0, 0, 1)


def test_what_it_would_have_saved_is_the_time_that_runs_stood_failed(shadow: Scene) -> None:
    people_rerun(shadow, fails(shadow, "one"), succeeds=True)
    with shadow.store.engine.begin() as connection:
        connection.execute(update(occurrences).values(happened_at=now() - timedelta(minutes=90)))
        connection.execute(
            update(decisions).values(made_at=now() - timedelta(minutes=89), wait_seconds=60, basis={"would_be": "wait", "minutes": 8.0})
        )
        connection.execute(update(outcomes).values(seen_at=now() - timedelta(minutes=30)))
    savings = report(shadow).savings
    assert (savings.runs, savings.minutes_without, savings.minutes_with) == (1, 60.0, 10.0)
    assert savings.hours_saved == pytest.approx(50 / 60, abs=0.01)


def test_attempts_are_counted_on_both_sides(shadow: Scene) -> None:
    people_rerun(shadow, fails(shadow, "one"), succeeds=False)
    people_rerun(shadow, fails(shadow, "two", BUG), succeeds=False)
    with shadow.store.engine.begin() as connection:
        connection.execute(update(occurrences).values(duration=300.0))
        connection.execute(
            update(decisions).where(decisions.c.incident_id == 1).values(basis={"would_be": "auto", "minutes": 4.0, "attempts": 3})
        )
    savings = report(shadow).savings
    assert (savings.attempt_minutes_spent, savings.attempt_minutes_saved) == (12.0, 5.0)


def test_what_happened_after_the_mode_changed_is_our_doing(shadow: Scene) -> None:
    ref = fails(shadow, "one")
    shadow.mode = "auto"
    people_rerun(shadow, ref, succeeds=False)
    shadow.ticks(1)
    shadow.airflow.schedule()
    shadow.airflow.succeed(ref)
    shadow.ticks(2)
    assert shadow.state == State.RESOLVED
    assert counts(report(shadow), REPAIRS) == (1, 0, 0, 1)


def test_nothing_in_shadow_is_an_empty_report(scene: Scene) -> None:
    found = report(scene)
    assert (found.failures, counts(found, REPAIRS), found.savings.minutes_without) == (0, (0, 0, 0, 0), None)
