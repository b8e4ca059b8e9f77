"""Who may touch an incident: one worker at a time, and a dead one not for ever."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import update
from tests.cast import FOURTH_SHARD, first_of_two_tries, next_try, vendor_was_down
from tests.tick.scene import NETWORK

from airflow_oncall.incident import ActionKind, Decision, Incident, Label, State, Verdict
from airflow_oncall.store.ledger import LostClaim
from airflow_oncall.store.records import now
from airflow_oncall.store.sql import Store
from airflow_oncall.store.tables import incidents

LEASE = timedelta(minutes=3)


def another_worker(store: Store) -> Store:
    return Store.over(store.engine, "triage-2")


def claimed(store: Store) -> Incident:
    """The vendor was down, and triage holds the incident."""
    store.intake.record(vendor_was_down)
    (incident,) = store.queue.claim_due(10, LEASE)
    return incident


def the_lease_ends(store: Store) -> None:
    with store.engine.begin() as connection:
        connection.execute(update(incidents).values(claimed_until=now() - timedelta(seconds=1)))


def clear_of(incident: Incident) -> Decision:
    return Decision(incident.id, incident.decisions + 1, Verdict.AUTO, ActionKind.CLEAR_TASK, incident.try_number, 0.9, ("because",))


def test_eight_workers_at_once_get_each_incident_exactly_once(store: Store) -> None:
    for index in range(40):
        store.intake.record(replace(vendor_was_down, ref=replace(FOURTH_SHARD, map_index=index)))

    def work(number: int) -> list[int]:
        queue, mine = Store.over(store.engine, f"worker-{number}").queue, []
        while batch := queue.claim_due(3, LEASE):
            mine += [incident.id for incident in batch if incident.id not in mine]
            store_of_mine = Store.over(store.engine, f"worker-{number}")
            for incident in batch:
                store_of_mine.ledger.move(incident, State.OPEN, due_in=60)
        return mine

    with ThreadPoolExecutor(8) as pool:
        taken = [incident_id for mine in pool.map(work, range(8)) for incident_id in mine]
    assert sorted(taken) == sorted(set(taken))
    assert len(taken) == 40


def test_a_claimed_incident_is_nobody_elses(store: Store) -> None:
    incident = claimed(store)
    other = another_worker(store).queue
    assert other.claim_due(10, LEASE) == []
    assert other.claim(incident.id, LEASE) is None


def test_a_dead_workers_claim_returns(store: Store) -> None:
    incident = claimed(store)
    the_lease_ends(store)
    assert [one.id for one in another_worker(store).queue.claim_due(10, LEASE)] == [incident.id]


def test_a_claim_given_back_is_free_at_once(store: Store) -> None:
    incident = claimed(store)
    store.queue.release(incident.id)
    assert another_worker(store).queue.claim(incident.id, LEASE) is not None


def test_nobody_gives_back_the_claim_of_another(store: Store) -> None:
    incident = claimed(store)
    another_worker(store).queue.release(incident.id)
    assert another_worker(store).queue.claim(incident.id, LEASE) is None


def test_a_closed_incident_cannot_be_claimed(store: Store) -> None:
    incident = claimed(store)
    store.ledger.move(incident, State.RESOLVED, due_in=None)
    assert store.queue.claim(incident.id, LEASE) is None


def test_what_is_not_due_is_not_handed_out(store: Store) -> None:
    store.ledger.move(claimed(store), State.WAITING, due_in=60)
    assert store.queue.claim_due(10, LEASE) == []
    assert not store.queue.is_urgent()


def test_the_first_reported_comes_first(store: Store) -> None:
    for index in (2, 0, 1):
        store.intake.record(replace(vendor_was_down, ref=replace(FOURTH_SHARD, map_index=index)))
    assert [one.ref.map_index for one in store.queue.claim_due(2, LEASE)] == [2, 0]


def test_the_longest_due_comes_first(store: Store) -> None:
    for index in range(3):
        store.intake.record(replace(vendor_was_down, ref=replace(FOURTH_SHARD, map_index=index)))
    for incident, due_in in zip(store.queue.claim_due(3, LEASE), (-10, -30, -20), strict=True):
        store.ledger.move(incident, State.OPEN, due_in=due_in)
    assert [one.ref.map_index for one in store.queue.claim_due(2, LEASE)] == [1, 2]


def test_a_report_from_a_worker_whose_clock_is_ahead_is_due_at_once(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("airflow_oncall.store.intake.now", lambda: now() + timedelta(hours=1))
    store.intake.record(vendor_was_down)
    assert [one.ref for one in store.queue.claim_due(10, LEASE)] == [vendor_was_down.ref]


def test_a_newer_try_reported_by_a_clock_that_is_ahead_wakes_what_waits_at_once(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    store.ledger.move(claimed(store), State.WAITING, due_in=60)
    monkeypatch.setattr("airflow_oncall.store.intake.now", lambda: now() + timedelta(hours=1))
    store.intake.record(next_try(vendor_was_down))
    assert [one.try_number for one in store.queue.claim_due(10, LEASE)] == [2]


def writes(store: Store, incident: Incident) -> dict[str, object]:
    """Every kind of write, each for the same incident."""
    label = Label(incident.id, "approval", "clear", "ann", now())
    return {
        "move": lambda ledger: ledger.move(incident, State.VERIFYING, due_in=0),
        "postpone": lambda ledger: ledger.postpone(incident, 30),
        "diagnosed": lambda ledger: ledger.diagnosed(incident, NETWORK),
        "decided": lambda ledger: ledger.decided(incident, clear_of(incident), State.ACTING, 0, 1),
        "ended": lambda ledger: ledger.ended(incident, None, [label], State.RESOLVED, None, "succeeded"),
    }


WRITES = ["move", "postpone", "diagnosed", "decided", "ended"]


@pytest.mark.parametrize("write", WRITES)
def test_a_lost_claim_cannot_write(store: Store, write: str) -> None:
    incident = claimed(store)
    the_lease_ends(store)
    another_worker(store).queue.claim(incident.id, LEASE)
    with pytest.raises(LostClaim):
        writes(store, incident)[write](store.ledger)  # type: ignore[operator]
    assert_untouched(store, incident)


@pytest.mark.parametrize("write", WRITES)
def test_an_expired_claim_cannot_write_even_when_nobody_else_took_it(store: Store, write: str) -> None:
    incident = claimed(store)
    the_lease_ends(store)
    with pytest.raises(LostClaim):
        writes(store, incident)[write](store.ledger)  # type: ignore[operator]
    assert_untouched(store, incident)


@pytest.mark.parametrize("write", WRITES)
def test_what_was_known_before_a_newer_try_failed_is_not_written(store: Store, write: str) -> None:
    incident = claimed(store)
    store.intake.record(next_try(vendor_was_down))
    with pytest.raises(LostClaim):
        writes(store, incident)[write](store.ledger)  # type: ignore[operator]
    assert store.reading.incidents()[0].try_number == 2
    assert_untouched(store, incident)


def assert_untouched(store: Store, incident: Incident) -> None:
    assert store.reading.incidents()[0].state is State.OPEN
    assert store.reading.decisions(incident.id) == []
    assert store.reading.diagnoses(incident.id) == []
    assert store.reading.actions(incident.id) == []
    assert store.reading.labels(incident.id) == []


def test_a_worker_whose_decision_was_made_by_another_meanwhile_hears_of_its_lost_claim(store: Store) -> None:
    incident = claimed(store)
    the_lease_ends(store)
    other = another_worker(store)
    taken = other.queue.claim(incident.id, LEASE)
    assert taken is not None
    other.ledger.decided(taken, clear_of(taken), State.ACTING, 0, 1)
    with pytest.raises(LostClaim):
        store.ledger.decided(incident, clear_of(incident), State.ACTING, 0, 1)
    assert len(store.reading.actions(incident.id)) == 1


def test_a_claim_that_ends_soon_does_not_hold_long(store: Store) -> None:
    incident = claimed(store)
    assert store.ledger.holds(incident.id, timedelta(minutes=2))
    assert not store.ledger.holds(incident.id, timedelta(minutes=4))
    assert not another_worker(store).ledger.holds(incident.id, timedelta(0))


def test_a_look_is_counted_and_a_look_that_could_not_be_had_is_not(store: Store) -> None:
    incident = store.ledger.move(claimed(store), State.OPEN, due_in=0)
    assert incident.looks == 1
    assert store.ledger.postpone(incident, 30).looks == 1
    assert store.ledger.move(store.reading.incidents()[0], State.DIAGNOSED, due_in=0).looks == 0


def test_an_older_try_that_is_reported_late_does_not_wake_what_waits(store: Store) -> None:
    store.intake.record(next_try(vendor_was_down))
    (incident,) = store.queue.claim_due(10, LEASE)
    waiting = store.ledger.move(incident, State.WAITING, due_in=600)
    store.intake.record(first_of_two_tries)
    after = store.reading.incidents()[0]
    assert (after.due_at, after.looks, after.try_number) == (waiting.due_at, waiting.looks, 2)


def test_that_a_person_marked_it_failed_is_learned_also_of_a_try_that_is_known(store: Store) -> None:
    store.intake.record(first_of_two_tries)
    store.intake.record(replace(vendor_was_down, by_hand=True))
    assert store.reading.occurrences(store.reading.incidents()[0].id)[0].by_hand
