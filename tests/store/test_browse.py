"""Pages and figures on both databases: the same rows for the same question, and none that may not be seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta, timezone

import pytest
from tests.cast import NIGHTLY_ORDERS, broken_dag_file, vendor_was_down

from airflow_oncall.incident import (
    Action,
    ActionKind,
    ActionState,
    Correlation,
    Decision,
    Diagnosis,
    Incident,
    LogEvent,
    Outcome,
    OutcomeKind,
    State,
    TaskRef,
    Verdict,
)
from airflow_oncall.store import browse, records
from airflow_oncall.store.browse import Sight, Wanted
from airflow_oncall.store.figures import Closed, Scope
from airflow_oncall.store.records import now
from airflow_oncall.store.sql import Store

LEASE = timedelta(minutes=5)
NOON = datetime(2026, 11, 21, 12, tzinfo=timezone.utc)
ALL = Sight(frozenset({"nightly", "shards"}), import_errors=True, logs=True)
SHARDS = [TaskRef("shards", "manual__1", "work", index) for index in range(3)]
OUT_OF_MEMORY = LogEvent("orders_db", "file:1", vendor_was_down.happened_at, "FATAL: out of memory", "pg-oom")


def failed(store: Store, ref: TaskRef, fingerprint: str = "vendor-503") -> int:
    incident_id = store.intake.record(replace(vendor_was_down, ref=ref, fingerprint=fingerprint))
    assert incident_id is not None
    return incident_id


def logged(store: Store, event: LogEvent) -> int:
    store.logs.commit(event.source, store.logs.cursor(event.source), {"read": event.position}, [event])
    found = store.logs.event(event.source, event.position)
    assert found is not None
    return found[0]


def shown(store: Store, wanted: Wanted = Wanted(), sight: Sight = ALL) -> list[int]:  # noqa: B008 - it is frozen
    return [line.incident.id for line in store.browse.incidents(sight, wanted, 50)]


def repaired(store: Store, incident_id: int, how: OutcomeKind, probability: float = 0.92) -> None:
    """It was diagnosed, cleared, and seen to end so."""
    incident = store.queue.claim(incident_id, LEASE)
    assert incident is not None
    incident = store.ledger.diagnosed(incident, Diagnosis("network_timeout", 0.9, True, 0.9))
    decision = Decision(incident.id, 1, Verdict.AUTO, "clear_task", 1, probability, ("it is likely to help",), basis={"severity": "low"})
    incident = store.ledger.decided(incident, decision, State.ACTING, 0, 1)
    action = _planned(store, incident)
    incident = store.ledger.acted(incident, action, ActionState.DONE, "cleared", State.VERIFYING, 60)
    state = State.RESOLVED if how is OutcomeKind.SUCCESS else State.ESCALATED
    outcome = Outcome(incident.id, how, now(), 2, action.id)
    store.ledger.ended(incident, outcome, [], state, None if state is State.RESOLVED else 60, "seen")
    store.queue.release(incident.id)


def _planned(store: Store, incident: Incident) -> Action:
    action = store.ledger.open_action(incident.id)
    assert action is not None
    return action


def test_incidents_come_newest_first_with_what_was_last_decided(store: Store) -> None:
    first, second = failed(store, NIGHTLY_ORDERS), failed(store, SHARDS[0])
    repaired(store, first, OutcomeKind.SUCCESS)
    fresh, old = store.browse.incidents(ALL, Wanted(), 50)
    assert (fresh.incident.id, fresh.probability, fresh.verdict, fresh.action) == (second, None, None, None)
    assert (old.incident.id, old.probability, old.verdict, old.action, old.incident.severity) == (first, 0.9, "auto", "clear_task", "low")


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (Wanted(state=("resolved",)), ["orders"]),
        (Wanted(state=("open",)), ["database", "file", "shard"]),
        (Wanted(is_open=True), ["database", "file", "shard"]),
        (Wanted(is_open=False), ["orders"]),
        (Wanted(dag_id=("shards",), map_index=0), ["shard"]),
        (Wanted(fingerprint="vendor-503"), ["orders"]),
        (Wanted(source=("orders_db", "airflow"), kind=("log", "dag_import")), ["database", "file"]),
        (Wanted(category=("network_timeout",), severity=("low",)), ["orders"]),
        (Wanted(text="LOAD_ORD"), ["orders"]),
        (Wanted(text="%"), []),
        (Wanted(text="l_ad"), []),
        (Wanted(since=vendor_was_down.happened_at + timedelta(days=36500)), []),
    ],
    ids=str,
)
def test_filters_choose_rows(store: Store, wanted: Wanted, expected: Sequence[str]) -> None:
    orders, shard = failed(store, NIGHTLY_ORDERS), failed(store, SHARDS[0], "other")
    file = store.intake.record(broken_dag_file)
    database = logged(store, OUT_OF_MEMORY)
    repaired(store, orders, OutcomeKind.SUCCESS)
    names = {orders: "orders", shard: "shard", file: "file", database: "database"}
    assert [names[incident_id] for incident_id in shown(store, wanted)] == expected
    assert store.browse.count(ALL, wanted) == len(expected)


def test_each_kind_of_incident_has_its_own_right(store: Store) -> None:
    orders = failed(store, NIGHTLY_ORDERS)
    file = store.intake.record(broken_dag_file)
    alone = logged(store, OUT_OF_MEMORY)
    tied = logged(store, replace(OUT_OF_MEMORY, position="file:2", ref=SHARDS[0], correlation=Correlation.EXPLICIT))
    assert shown(store, sight=Sight(frozenset({"nightly"}))) == [orders]
    assert shown(store, sight=Sight(frozenset({"shards"}))) == [tied]
    assert shown(store, sight=Sight(frozenset(), import_errors=True)) == [file]
    assert shown(store, sight=Sight(frozenset(), logs=True)) == [alone]
    assert shown(store, sight=Sight(frozenset({"team/broken.py", "orders_db"}))) == []
    assert shown(store, sight=Sight(frozenset())) == []


def test_more_dags_than_a_statement_may_have_parameters_can_be_seen(store: Store) -> None:
    orders = failed(store, NIGHTLY_ORDERS)
    many = frozenset(f"dag_{number}" for number in range(100_000))
    assert shown(store, sight=Sight(many)) == []
    assert shown(store, sight=Sight(many | {"nightly"})) == [orders]


def test_a_large_number_is_not_counted_to_its_end(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    for ref in SHARDS:
        failed(store, ref)
    monkeypatch.setattr(browse, "COUNTED", 2)
    assert store.browse.count(ALL, Wanted()) is None
    assert store.browse.count(ALL, Wanted(map_index=0)) == 1


def test_actions_and_decisions_of_hidden_incidents_are_hidden(store: Store) -> None:
    for ref in (NIGHTLY_ORDERS, SHARDS[0]):
        repaired(store, failed(store, ref), OutcomeKind.SUCCESS)
    mine = Sight(frozenset({"nightly"}))
    assert [action.ref for action in store.browse.actions(mine, 50)] == [NIGHTLY_ORDERS]
    assert len(store.browse.decisions(mine, 50)) == 1
    assert [action.ref for action in store.browse.actions(ALL, 50)] == [SHARDS[0], NIGHTLY_ORDERS]


def test_figures_count_what_was_opened_closed_told_and_tried(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records.clock, "read", lambda: NOON)
    helped, failed_again, told = (failed(store, ref) for ref in SHARDS)
    monkeypatch.setattr(records.clock, "read", lambda: NOON + timedelta(minutes=5))
    repaired(store, helped, OutcomeKind.SUCCESS, probability=1.0)
    repaired(store, failed_again, OutcomeKind.FAILED_SAME, probability=0.3)
    incident = store.queue.claim(told, LEASE)
    assert incident is not None
    decision = Decision(told, 1, Verdict.ESCALATE, str(ActionKind.ESCALATE), 1, 0.1, ("a bug",))
    store.ledger.decided(incident, decision, State.ACTING, 0, 0)
    scope, today = Scope(ALL, now() - timedelta(days=1)), f"{now():%Y-%m-%d}"
    counted = store.figures.counted(scope)
    assert sorted((one.state, one.number) for one in counted.opened) == [("acting", 1), ("escalated", 1), ("resolved", 1)]
    assert counted.opened_per_day == {today: 3}
    (closed,) = counted.closed
    assert closed == Closed(today, "resolved", 1, closed.minutes)
    assert closed.minutes == pytest.approx(5.0)
    assert [(one.day, one.number, one.tries) for one in counted.told] == [(today, 1, 1)]
    tried = [(one.action, one.bin, one.successes, one.number, one.resolved) for one in counted.tried]
    assert tried == [("clear_task", 3, 0, 1, 0), ("clear_task", 9, 1, 1, 1)]
    assert counted.open == 2
    assert store.figures.counted(replace(scope, dag_id="nightly")).open == 0
    assert store.figures.counted(replace(scope, sight=Sight(frozenset({"nightly"})))).tried == []


def test_a_text_is_looked_for_a_stretch_at_a_time(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted_id, *others = [failed(store, NIGHTLY_ORDERS), *(failed(store, ref, "other") for ref in SHARDS)]
    monkeypatch.setattr(browse, "SEARCHED", 2)
    wanted = Wanted(text="load_orders")
    first = store.browse.stretch(ALL, wanted)
    assert first == others[1]
    assert store.browse.incidents(ALL, wanted, 50, None, first) == []
    second = store.browse.stretch(ALL, wanted, first)
    assert second == wanted_id
    assert [line.incident.id for line in store.browse.incidents(ALL, wanted, 50, first, second)] == [wanted_id]
    assert store.browse.stretch(ALL, wanted, second) is None


def test_a_page_without_a_text_has_no_stretch(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    failed(store, NIGHTLY_ORDERS)
    monkeypatch.setattr(browse, "SEARCHED", 1)
    assert store.browse.stretch(ALL, Wanted()) is None
