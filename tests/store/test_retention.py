"""What is older than the policy keeps it is forgotten, on both databases; what is open never is."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from sqlalchemy import func, select, update
from tests.cast import MIDNIGHT, NIGHTLY_ORDERS, vendor_was_down
from tests.tick.scene import POLICY

from airflow_oncall import upkeep
from airflow_oncall.act.policy import Retention
from airflow_oncall.incident import LogEvent, State
from airflow_oncall.store import retention, tables
from airflow_oncall.store.records import now
from airflow_oncall.store.retention import forget
from airflow_oncall.store.sql import Store
from airflow_oncall.store.suggestions import Suggested

FULL_DISK = LogEvent("warehouse", "line 1", MIDNIGHT, "disk full", "full")


def closed_incident(store: Store, run_id: str, at: datetime) -> int:
    """Number of an incident that was opened and closed at this time, with an event that was noticed then."""
    ref = replace(NIGHTLY_ORDERS, run_id=run_id)
    store.intake.record(replace(vendor_was_down, ref=ref))
    incident = next(one for one in store.reading.incidents() if one.ref == ref)
    cursor = store.logs.cursor("warehouse")
    store.logs.commit(
        "warehouse", cursor, {"line": cursor.get("line", 0) + 1}, [replace(FULL_DISK, position=run_id, ref=ref, try_number=1)]
    )
    with store.engine.begin() as connection:
        connection.execute(
            update(tables.incidents)
            .where(tables.incidents.c.run_id == run_id)
            .values(opened_at=at, closed_at=at, due_at=None, state=str(State.RESOLVED))
        )
        connection.execute(update(tables.log_events).where(tables.log_events.c.position == run_id).values(seen_at=at))
    return incident.id


def count(store: Store, table: str) -> int:
    with store.engine.connect() as connection:
        return connection.scalar(select(func.count()).select_from(getattr(tables, table))) or 0


@pytest.fixture
def old_and_new(store: Store) -> Store:
    """An incident of a year ago, one of yesterday."""
    closed_incident(store, "old", now() - timedelta(days=365))
    closed_incident(store, "new", now() - timedelta(days=1))
    return store


def runs(store: Store) -> set[str]:
    return {one.ref.run_id for one in store.reading.incidents()}


def test_an_old_incident_goes_with_all_that_belongs_to_it(old_and_new: Store) -> None:
    gone = forget(old_and_new.engine, now() - timedelta(days=30), None)
    assert gone.incidents > 0
    assert runs(old_and_new) == {"new"}
    assert count(old_and_new, "occurrences") == 1
    assert forget(old_and_new.engine, now() - timedelta(days=30), None) == (0, 0)


def test_old_log_events_go_and_their_incident_stays(old_and_new: Store) -> None:
    before = count(old_and_new, "log_events")
    gone = forget(old_and_new.engine, None, now() - timedelta(days=30))
    assert (gone.incidents, count(old_and_new, "log_events")) == (0, before - gone.log_events)
    assert gone.log_events == 1
    assert runs(old_and_new) == {"old", "new"}


def test_of_what_a_log_tells_again_and_again_old_events_go_but_for_the_newest(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "KEPT_EVENTS", 2)
    told = {"a year ago": 365, "before": 100, "the month before": 40, "last month": 31, "yesterday": 1}
    events = [replace(FULL_DISK, position=when, happened_at=now() - timedelta(days=days)) for when, days in told.items()]
    store.logs.commit("warehouse", {}, {"line": 5}, events)
    with store.engine.begin() as connection:
        connection.execute(update(tables.log_events).values(seen_at=tables.log_events.c.happened_at))
    (incident,) = store.reading.incidents()
    assert forget(store.engine, None, now() - timedelta(days=30)) == (0, 3)
    assert [event.position for event in store.logs.events(incident.id)] == ["last month", "yesterday"]
    assert forget(store.engine, None, now() - timedelta(days=30)) == (0, 0)


def test_what_is_open_is_never_forgotten(store: Store) -> None:
    store.intake.record(vendor_was_down)
    with store.engine.begin() as connection:
        connection.execute(update(tables.incidents).values(opened_at=MIDNIGHT - timedelta(days=999)))
    assert forget(store.engine, now() + timedelta(days=1), now() + timedelta(days=1)) == (0, 0)
    assert len(store.reading.incidents()) == 1


def test_much_is_forgotten_in_batches_and_the_rest_the_next_time(old_and_new: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "BATCH", 1)
    monkeypatch.setattr(retention, "MOST_BATCHES", 1)
    late = now() + timedelta(days=1)
    whole = count(old_and_new, "log_events")
    assert forget(old_and_new.engine, None, late).log_events == 1
    assert count(old_and_new, "log_events") == whole - 1


def test_suggestions_go_once_no_incident_is_left_that_failed_so(old_and_new: Store) -> None:
    asked_at = {"vendor-503": 2, "gone": 2, "today": 0}
    for fingerprint, days in asked_at.items():
        at = now() - timedelta(days=days)
        old_and_new.suggestions.put(Suggested(fingerprint, "rate_limit", "The vendor said so.", [], "test", "", at))

    def suggested() -> set[str]:
        return {fingerprint for fingerprint in asked_at if old_and_new.suggestions.get(fingerprint)}

    forget(old_and_new.engine, now() - timedelta(days=30), None)
    assert suggested() == {"vendor-503", "today"}, "an incident of yesterday has it, and a question of today counts"
    forget(old_and_new.engine, now(), None)
    assert suggested() == {"today"}


@pytest.mark.parametrize(("days", "left"), [(None, {"old", "new"}), (400, {"old", "new"}), (30, {"new"})])
def test_the_policy_says_how_long_things_are_kept(old_and_new: Store, days: int | None, left: set[str]) -> None:
    policy = POLICY.model_copy(update={"retention": Retention(closed_incidents=days)})
    upkeep.forget_the_old(old_and_new, policy)
    assert runs(old_and_new) == left


@pytest.mark.parametrize(("days", "left"), [(None, 2), (30, 1)])
def test_the_policy_says_how_long_the_audit_log_is_kept(store: Store, monkeypatch: pytest.MonkeyPatch, days: int | None, left: int) -> None:
    today = now()
    monkeypatch.setattr("airflow_oncall.store.switch.now", lambda: today - timedelta(days=365))
    store.switch.pause("ann", "a year ago")
    monkeypatch.setattr("airflow_oncall.store.switch.now", lambda: today)
    store.switch.pause("ann", "today")
    upkeep.forget_the_old(store, POLICY.model_copy(update={"retention": Retention(audit=days)}))
    assert len(store.audit.rows(limit=9, what="paused")) == left
    assert store.audit.verify().problem == ""
