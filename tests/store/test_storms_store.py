"""Storms in SQL, on both databases: who is taken, who may change what, and which plans the database makes."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import text
from tests.cast import next_try, vendor_was_down
from tests.tick.scene import NETWORK

from airflow_oncall.incident import Occurrence, State, Storm, StormState, TaskRef
from airflow_oncall.store.ledger import LostClaim
from airflow_oncall.store.sql import Store
from airflow_oncall.store.storms import AT_ONCE, Flood, Progress, StormMoved

CAUSE = "network_connectivity at vendor:443"
WINDOW = timedelta(minutes=15)
LEASE = timedelta(minutes=3)


def failure(number: int) -> Occurrence:
    """Of a run of its own."""
    return replace(vendor_was_down, ref=TaskRef("nightly", f"run-{number}", "load"))


def flooded(store: Store, count: int) -> Flood:
    """So many failures with one fingerprint."""
    for number in range(count):
        store.intake.record(failure(number))
    (flood,) = store.storms.floods(count, WINDOW)
    return flood


def gathered(store: Store, count: int = 4) -> Storm:
    """A storm of so many members."""
    assert store.storms.gather_flood(flooded(store, count), CAUSE, NETWORK, "auto") == count
    (storm,) = store.storms.open()
    return storm


def test_a_flood_is_told_by_its_fingerprint_and_size(store: Store) -> None:
    flood = flooded(store, 4)
    assert flood == Flood(vendor_was_down.fingerprint, 1)
    assert store.storms.floods(5, WINDOW) == []
    assert store.storms.floods(4, timedelta(0)) == []


def test_failures_without_a_fingerprint_are_no_flood(store: Store) -> None:
    for number in range(4):
        store.intake.record(replace(failure(number), fingerprint=""))
    assert store.storms.floods(2, WINDOW) == []


def test_members_are_taken_once_however_many_workers_gather(store: Store) -> None:
    flood = flooded(store, 40)
    workers = [Store.over(store.engine, f"worker-{number}") for number in range(4)]
    with ThreadPoolExecutor(4) as pool:
        taken = list(pool.map(lambda one: one.storms.gather_flood(flood, CAUSE, NETWORK, "auto"), workers))
    store.storms.gather_flood(flood, CAUSE, NETWORK, "auto")
    (storm,) = store.storms.newest(5)
    assert (storm.members, storm.held) == (40, 40)
    assert sum(taken) <= 40
    assert {len(store.reading.decisions(one.id)) for one in store.reading.incidents()} == {1}


def test_more_members_than_one_transaction_takes_are_all_taken(sqlite_store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("airflow_oncall.store.storms.AT_ONCE", 3)
    storm = gathered(sqlite_store, 10)
    assert (AT_ONCE, storm.members) == (500, 10)
    sqlite_store.storms.probe(storm, 1, StormState.PROBING, "first")
    (probing,) = sqlite_store.storms.open()
    assert sqlite_store.storms.release(probing, 8, True, "wave") == 8


def test_an_incident_that_another_worker_holds_is_not_taken(store: Store) -> None:
    flood = flooded(store, 4)
    other = Store.over(store.engine, "other")
    assert other.queue.claim(2, LEASE)
    assert store.storms.gather_flood(flood, CAUSE, NETWORK, "auto") == 3
    with pytest.raises(StormMoved, match="no longer held"):
        store.storms.probe(store.storms.open()[0], 2, StormState.PROBING, "first")


def test_of_two_workers_that_choose_a_probe_one_does(store: Store) -> None:
    storm = gathered(store)
    store.storms.probe(storm, 1, StormState.PROBING, "first")
    with pytest.raises(StormMoved, match="another worker took it on"):
        Store.over(store.engine, "other").storms.probe(storm, 2, StormState.PROBING, "second")
    assert [one.state for one in store.reading.incidents()] == [State.HELD] * 3 + [State.DIAGNOSED]


def test_of_two_workers_that_release_a_wave_one_does(store: Store) -> None:
    storm = gathered(store)
    assert store.storms.release(storm, 2, True, "wave 1") == 2
    with pytest.raises(StormMoved):
        Store.over(store.engine, "other").storms.release(storm, 2, True, "wave 1")


def test_a_wave_without_members_changes_nothing(store: Store) -> None:
    storm = gathered(store)
    store.storms.release(storm, 4, True, "wave 1")
    (after,) = store.storms.open()
    assert store.storms.release(after, 4, True, "wave 2") == 0
    assert store.storms.open() == [after]


def test_a_storm_is_not_closed_while_a_member_waits(store: Store) -> None:
    storm = gathered(store)
    with pytest.raises(StormMoved, match="has a member again"):
        store.storms.move(storm, StormState.CLOSED, "over")


def test_a_second_storm_of_a_cause_begins_when_the_first_is_closed(store: Store) -> None:
    storm = gathered(store)
    store.storms.release(storm, 4, True, "wave 1")
    store.storms.move(store.storms.open()[0], StormState.CLOSED, "over")
    for number in range(10, 13):
        store.intake.record(failure(number))
    store.storms.gather_flood(Flood(vendor_was_down.fingerprint, 1), CAUSE, NETWORK, "auto")
    assert [(one.state, one.members) for one in store.storms.newest(5)] == [(StormState.PROBING, 3), (StormState.CLOSED, 4)]


def test_a_member_is_put_back_only_by_who_holds_it(store: Store) -> None:
    storm = gathered(store)
    store.storms.release(storm, 1, True, "wave 1")
    claimed = store.queue.claim(1, LEASE)
    assert claimed
    store.intake.record(next_try(failure(0)))
    with pytest.raises(LostClaim):
        store.storms.put_back(claimed, 60, "a question is open")
    fresh = store.queue.claim(1, LEASE)
    assert fresh
    assert store.storms.put_back(fresh, 60, "a question is open").state is State.HELD
    store.queue.release(1)
    (after,) = store.storms.open()
    assert store.storms.release(after, 9, False, "wave 2") == 3, "it waits for the answer, the others do not"


def test_what_is_diagnosed_anew_is_a_member_no_more(store: Store) -> None:
    gathered(store)
    claimed = store.queue.claim(1, LEASE)
    assert claimed
    moved = store.ledger.diagnosed(claimed, NETWORK, "another cause")
    assert (moved.state, moved.storm_id) == (State.DIAGNOSED, None)
    assert store.storms.cause_of(1, WINDOW) == ("another cause", 1, False)
    assert store.storms.cause_of(2, WINDOW) == (CAUSE, 3, True)


@pytest.mark.parametrize(
    ("progress", "failed", "succeeded", "over"),
    [
        (Progress(held=5, in_flight=4), False, False, False),
        (Progress(held=5, in_flight=2, succeeded=2), False, True, False),
        (Progress(held=5, in_flight=2, failed=2), True, False, False),
        (Progress(held=5, in_flight=3, failed=1), False, False, False),
        (Progress(held=5), False, True, False),
        (Progress(asked=1), False, True, False),
        (Progress(left=3, succeeded=9), False, True, True),
        (Progress(held=5, guarded=2), False, False, False),
        (Progress(guarded=2), False, False, False),
        (Progress(held=5, guarded=8, failed=6), True, False, False),
        (Progress(held=5, guarded=3, succeeded=1), False, True, False),
        (Progress(held=5, in_flight=1, moved=1), False, False, False),
        (Progress(held=5, moved=2), True, False, False),
        (Progress(held=5, moved=1, succeeded=1), False, True, False),
    ],
)
def test_half_of_a_wave_decides(progress: Progress, failed: bool, succeeded: bool, over: bool) -> None:
    assert (progress.wave_failed, progress.wave_succeeded, progress.is_over) == (failed, succeeded, over)


LOOKED_UP = {
    "due incidents": "SELECT id FROM oncall_incidents WHERE closed_at IS NULL AND due_at <= '2026-01-01' ORDER BY due_at, id LIMIT 20",
    "floods": "SELECT fingerprint FROM oncall_incidents WHERE closed_at IS NULL AND state = 'open' GROUP BY fingerprint",
    "causes": "SELECT count(*) FROM oncall_incidents WHERE closed_at IS NULL AND cause = 'x'",
    "members": "SELECT id FROM oncall_incidents WHERE storm_id = 1 AND state = 'held'",
    "open storms": "SELECT id FROM oncall_storms WHERE closed_at IS NULL AND cause = 'x'",
    "known tries": "SELECT id FROM oncall_incidents WHERE key = 'x'",
    "runs of incidents": "SELECT id FROM oncall_incidents WHERE dag_id = 'x' AND run_id = 'y'",
    "attempts of a task instance": "SELECT sum(attempts) FROM oncall_actions WHERE dag_id = 'x' AND task_id = 'y' AND run_id = 'z'",
    "attempts of the hour": "SELECT sum(attempts) FROM oncall_actions WHERE done_at >= '2026-01-01'",
}


@pytest.mark.parametrize("what", LOOKED_UP)
def test_what_every_tick_looks_up_is_found_by_an_index(store: Store, what: str) -> None:
    with store.engine.begin() as connection:
        if store.engine.dialect.name == "postgresql":
            connection.execute(text("SET LOCAL enable_seqscan = off"))  # a table without rows is read whole all the same
            plan = connection.execute(text(f"EXPLAIN {LOOKED_UP[what]}")).scalars().all()
        else:
            plan = [row[3] for row in connection.execute(text(f"EXPLAIN QUERY PLAN {LOOKED_UP[what]}"))]
    assert any("INDEX" in line.upper() for line in plan), plan
    assert not any("SEQ SCAN" in line.upper() or (line.startswith("SCAN") and "INDEX" not in line) for line in plan), plan
