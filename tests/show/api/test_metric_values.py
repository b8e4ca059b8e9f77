"""The value of every metric follows from rows that were written as the product writes them."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from tests.cast import vendor_was_down
from tests.clocks import MovedClock
from tests.show.api.exposed import of, scraped
from tests.show.api.story import Story

from airflow_oncall import conf
from airflow_oncall.capture import spool
from airflow_oncall.incident import ModelVersion, OutcomeKind, State, TaskRef, Verdict
from airflow_oncall.store.records import now
from airflow_oncall.store.sql import Store

CLEARED = 'kind="clear_task",category="network_timeout"'


@pytest.fixture
def told(store: Store) -> Story:
    """A story on each of the two databases."""
    return Story(store)


def repaired(story: Story, number: int, end: OutcomeKind) -> None:
    """A task instance was cleared, with a probability of 0.7, and ended so."""
    incident = story.diagnosed(story.failed(TaskRef("nightly", f"run-{number}", "load_orders"), happened_at=now()))
    story.ended(story.decided(incident, Verdict.AUTO, State.ACTING), end)


def test_incidents_are_told_by_state_category_and_source(told: Story) -> None:
    told.asked()
    told.failed(TaskRef("shards", "manual__1", "work"))
    told.engine_logged()
    assert of("incidents_open", told.store) == {
        'state="asked",category="network_timeout",source="airflow"': 1,
        'state="open",category="",source="airflow"': 1,
        'state="open",category="",source="orders_db"': 1,
    }
    repaired(told, 1, OutcomeKind.SUCCESS)
    assert of("incidents_opened_last_day", told.store) == {
        'category="network_timeout",source="airflow"': 2,
        'category="",source="airflow"': 1,
        'category="",source="orders_db"': 1,
    }


def test_decisions_actions_and_outcomes_are_told_for_a_day(told: Story, clock: MovedClock) -> None:
    told.asked()
    repaired(told, 1, OutcomeKind.SUCCESS)
    repaired(told, 2, OutcomeKind.SUCCESS)
    repaired(told, 3, OutcomeKind.FAILED_SAME)
    assert of("decisions_last_day", told.store) == {'verdict="ask"': 1, 'verdict="auto"': 3}
    assert of("actions_last_day", told.store) == {'kind="clear_task",state="planned"': 1, 'kind="clear_task",state="done"': 3}
    assert of("outcomes_last_day", told.store) == {'kind="success"': 2, 'kind="failed_same"': 1}
    clock.forward(hours=25)
    assert {name: of(f"{name}_last_day", told.store) for name in ("decisions", "actions", "outcomes", "incidents_opened")} == {
        "decisions": {},
        "actions": {},
        "outcomes": {},
        "incidents_opened": {},
    }


def test_the_age_of_the_queue_is_that_of_its_first(told: Story, clock: MovedClock) -> None:
    told.failed()
    clock.forward(minutes=10)
    told.failed(TaskRef("shards", "manual__1", "work"))
    clock.forward(minutes=5)
    found = scraped(told.store)
    assert found["oncall_queue_due"] == 2
    assert found["oncall_queue_age_seconds"] == pytest.approx(900, abs=60)


def test_a_breaker_is_open_until_its_pause_is_over(told: Story, clock: MovedClock) -> None:
    for number in range(3):
        repaired(told, number, OutcomeKind.FAILED_SAME)
    assert of("breaker_open", told.store) == {CLEARED: 0}
    repaired(told, 4, OutcomeKind.FAILED_SAME)
    assert of("breaker_open", told.store) == {CLEARED: 1}
    clock.forward(minutes=61)
    assert of("breaker_open", told.store) == {CLEARED: 0}


def test_calibration_is_the_distance_of_what_was_expected_and_seen(told: Story) -> None:
    assert scraped(told.store)["oncall_calibration_error"] == 0
    for number, end in enumerate([OutcomeKind.SUCCESS, OutcomeKind.FAILED_SAME, OutcomeKind.FAILED_SAME, OutcomeKind.FAILED_OTHER]):
        repaired(told, number, end)
    assert scraped(told.store)["oncall_calibration_error"] == pytest.approx(0.7 - 0.25)


def test_the_version_in_service_and_its_age_are_told(store: Store, clock: MovedClock) -> None:
    for version, days in (("v1", 20), ("v2", 3)):
        trained = ModelVersion("triage", version, f"triage/{version}/model.joblib", "0" * 64, "scikit-learn", now() - timedelta(days=days))
        store.models.register(trained)
    assert of("model_info", store) == {}
    store.models.promote("triage", "v1")
    store.models.promote("triage", "v2")
    assert of("model_info", store) == {'name="triage",version="v2"': 1}
    assert of("model_age_seconds", store) == {'name="triage"': pytest.approx(timedelta(days=3).total_seconds(), abs=60)}
    store.models.withdraw("triage", "v2")
    assert of("model_info", store) == {'name="triage",version="v1"': 1}


def test_what_waits_in_the_spool_is_told_until_it_is_stored(told: Story, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conf, "spool_path", lambda: tmp_path / "spool")
    assert scraped(told.store)["oncall_spool_bytes"] == 0
    for try_number in (1, 2):
        assert spool.append(spool.OCCURRENCE, spool.to_payload(replace(vendor_was_down, try_number=try_number)))
    waiting = tmp_path / "spool" / spool.WAITING
    assert scraped(told.store)["oncall_spool_bytes"] == waiting.stat().st_size > 0
    assert spool.replay(told.store.intake) == 2
    found = scraped(told.store)
    assert found["oncall_spool_bytes"] == 0
    assert found['oncall_incidents_open{state="open",category="",source="airflow"}'] == 1
