"""Exactly one occurrence a failed try, exactly one open incident a task instance, on both databases."""

from __future__ import annotations

import threading
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta

import psycopg
import pytest
from sqlalchemy import event
from tests.cast import FOURTH_SHARD, broken_dag_file, first_of_two_tries, next_try, seen_by_the_sweep, vendor_was_down
from tests.waiting import until

from airflow_oncall.incident import Occurrence, State
from airflow_oncall.store.records import now
from airflow_oncall.store.sql import Store


def recorded(store: Store, *occurrences: Occurrence) -> list[int | None]:
    return [store.intake.record(occurrence) for occurrence in occurrences]


def test_a_failure_opens_an_incident_that_is_due_at_once(store: Store) -> None:
    (incident_id,) = recorded(store, vendor_was_down)
    incident = store.reading.incidents()[0]
    assert (incident.id, incident.state, incident.ref) == (incident_id, State.OPEN, vendor_was_down.ref)
    assert store.queue.is_urgent()


def test_what_is_stored_comes_back_whole(store: Store) -> None:
    recorded(store, vendor_was_down)
    assert store.reading.occurrences(store.reading.incidents()[0].id) == [vendor_was_down]


def test_the_same_try_seen_twice_is_one_occurrence(store: Store) -> None:
    first, second = recorded(store, vendor_was_down, seen_by_the_sweep)
    assert second is None
    assert len(store.reading.incidents()) == 1
    assert len(store.reading.occurrences(first or 0)) == 1


def test_the_richer_report_fills_what_the_first_one_lacked(store: Store) -> None:
    recorded(store, seen_by_the_sweep, vendor_was_down)
    incident = store.reading.incidents()[0]
    seen = store.reading.occurrences(incident.id)[0]
    assert seen.evidence.exception_chain == ("httpx.HTTPStatusError",)
    assert seen.evidence.hostname == "worker-7"
    assert incident.fingerprint == "vendor-503"


def test_a_second_failed_try_joins_the_open_incident(store: Store) -> None:
    first, second = recorded(store, vendor_was_down, next_try(vendor_was_down))
    assert first == second
    assert store.reading.incidents()[0].try_number == 2


def test_a_try_that_airflow_repeats_is_watched_until_the_last_one_fails(store: Store) -> None:
    recorded(store, first_of_two_tries)
    assert store.reading.incidents()[0].state is State.WATCHING
    recorded(store, next_try(first_of_two_tries, will_retry=False))
    assert store.reading.incidents()[0].state is State.OPEN


def test_an_older_try_that_arrives_late_changes_nothing_but_the_history(store: Store) -> None:
    recorded(store, next_try(vendor_was_down), first_of_two_tries)
    incident = store.reading.incidents()[0]
    assert (incident.try_number, incident.state) == (2, State.OPEN)
    assert [seen.try_number for seen in store.reading.occurrences(incident.id)] == [1, 2]


def test_a_repeated_report_of_a_closed_incident_opens_nothing(store: Store) -> None:
    recorded(store, vendor_was_down)
    (incident,) = store.queue.claim_due(10, timedelta(minutes=1))
    store.ledger.move(incident, State.CLOSED, due_in=None)
    assert recorded(store, seen_by_the_sweep) == [None]
    assert [known.state for known in store.reading.incidents()] == [State.CLOSED]


def test_a_new_failure_after_the_incident_closed_opens_another(store: Store) -> None:
    recorded(store, vendor_was_down)
    (incident,) = store.queue.claim_due(10, timedelta(minutes=1))
    store.ledger.move(incident, State.RESOLVED, due_in=None)
    recorded(store, next_try(vendor_was_down))
    assert [known.state for known in store.reading.incidents()] == [State.OPEN, State.RESOLVED]


def test_mapped_task_instances_have_incidents_of_their_own(store: Store) -> None:
    for index in range(3):
        recorded(store, replace(vendor_was_down, ref=replace(FOURTH_SHARD, map_index=index)))
    assert {incident.ref.map_index for incident in store.reading.incidents()} == {0, 1, 2}


def test_eight_reporters_at_once_store_one_occurrence(store: Store) -> None:
    with ThreadPoolExecutor(8) as pool:
        ids = list(pool.map(store.intake.record, [vendor_was_down, seen_by_the_sweep] * 8))
    assert len([known for known in ids if known]) == 1
    assert len(store.reading.incidents()) == 1
    assert len(store.reading.occurrences(store.reading.incidents()[0].id)) == 1


@pytest.mark.postgres
def test_a_report_that_fills_gaps_and_one_that_comes_second_never_wait_for_each_other(postgres_store: Store) -> None:
    store, here, pool = postgres_store, threading.get_ident(), ThreadPoolExecutor(1)
    richer: list[Future[int | None]] = []

    def meanwhile(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        if threading.get_ident() != here:
            return
        if statement.startswith("INSERT INTO oncall_incidents"):  # it saw no occurrence; now there is one
            pool.submit(store.intake.record, seen_by_the_sweep).result()
        if statement.startswith("INSERT INTO oncall_occurrences"):  # it holds the incident
            richer.append(pool.submit(store.intake.record, vendor_was_down))
            until(lambda: _somebody_waits_for_a_lock(store))

    event.listen(store.engine, "before_cursor_execute", meanwhile)
    assert store.intake.record(vendor_was_down) is None
    assert richer[0].result() is None
    assert store.reading.occurrences(1)[0].evidence.traceback == vendor_was_down.evidence.traceback


def _somebody_waits_for_a_lock(store: Store) -> bool:
    with psycopg.connect(store.engine.url.set(drivername="postgresql").render_as_string(hide_password=False)) as connection:
        waiting = connection.execute("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'").fetchone()
    return waiting is not None and waiting[0] > 0


@pytest.mark.parametrize("name", ["ünïcødé_データ", "x" * 250])
def test_names_of_any_alphabet_and_length_are_kept(store: Store, name: str) -> None:
    ref = replace(FOURTH_SHARD, dag_id=name, run_id=name, task_id=name)
    recorded(store, replace(vendor_was_down, ref=ref))
    assert store.reading.incidents()[0].ref == ref


def test_known_tries_are_those_of_the_task_instance_only(store: Store) -> None:
    recorded(store, vendor_was_down, next_try(vendor_was_down), replace(vendor_was_down, ref=FOURTH_SHARD, try_number=7))
    assert store.intake.known(vendor_was_down.ref) == {1, 2}


def test_the_same_import_error_is_one_occurrence_until_it_was_mended(store: Store) -> None:
    first, again = recorded(store, broken_dag_file, broken_dag_file)
    assert again is None
    (incident,) = store.queue.claim_due(10, timedelta(minutes=1))
    store.ledger.move(incident, State.RESOLVED, due_in=None)
    (anew,) = recorded(store, broken_dag_file)
    assert anew not in (None, first)


def closed(store: Store, occurrence: Occurrence = vendor_was_down) -> datetime:
    """When the incident of this failure was closed."""
    recorded(store, occurrence)
    (incident,) = store.queue.claim_due(10, timedelta(minutes=1))
    ended = store.ledger.move(incident, State.CLOSED, due_in=None).closed_at
    assert ended
    return ended


def failed_after(start: datetime, seconds: float | None = 60) -> Occurrence:
    """The first try of a run of the same name, which began then."""
    evidence = replace(vendor_was_down.evidence, message="of the new run", duration=seconds)
    return replace(vendor_was_down, happened_at=start + timedelta(seconds=seconds or 0), evidence=evidence)


def test_the_first_try_of_a_run_that_was_made_again_is_an_incident_of_its_own(store: Store) -> None:
    anew = failed_after(closed(store) + timedelta(minutes=5))
    first, again = recorded(store, anew, replace(anew, seen_by="sweep"))
    assert again is None
    assert [known.state for known in store.reading.incidents()] == [State.OPEN, State.CLOSED]
    assert first
    assert [seen.evidence.message for seen in store.reading.occurrences(first)] == ["of the new run"]
    second = recorded(store, next_try(anew))[0]
    assert second == first


@pytest.mark.parametrize("minutes", [-5, 1])
def test_what_began_before_its_incident_was_closed_is_the_same_try(store: Store, minutes: float) -> None:
    assert recorded(store, failed_after(closed(store) + timedelta(minutes=minutes))) == [None]


def test_a_late_report_that_does_not_tell_when_the_try_began_is_of_the_same_try(store: Store) -> None:
    assert recorded(store, failed_after(closed(store) + timedelta(hours=5), seconds=None)) == [None]


def test_clocks_that_are_hours_ahead_make_no_second_occurrence_of_one_try(store: Store) -> None:
    ahead = replace(failed_after(now() + timedelta(hours=5)), seen_by="sweep")
    closed(store, ahead)
    assert recorded(store, replace(ahead, seen_by="callback")) == [None]
