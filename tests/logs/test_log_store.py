"""Storing a batch: one transaction on both databases, by COPY on PostgreSQL."""

from __future__ import annotations

from dataclasses import replace

import pytest

from airflow_oncall.errors import StoreRefused
from airflow_oncall.incident import Correlation, LogEvent
from airflow_oncall.store.logs import CursorMoved
from airflow_oncall.store.sql import Store
from tests.cast import MIDNIGHT, NIGHTLY_ORDERS

AWKWARD = "a\\tb\tc\\N\r\nd \\. \"e\" 'f' {g} \\\\ ünï😀"
refused = LogEvent("gateway", "line 1", MIDNIGHT, "Connection refused", "f1", "network-unreachable", "ERROR")


def stored(store: Store) -> list[LogEvent]:
    return [event for incident in store.reading.incidents() for event in store.logs.events(incident.id)]


def test_what_is_stored_is_read_as_it_was(store: Store) -> None:
    event = replace(
        refused,
        position=AWKWARD,
        text=AWKWARD,
        identifiers={"host": AWKWARD, "pid": "7"},
        claimed={"task_id": AWKWARD},
        ref=NIGHTLY_ORDERS,
        try_number=2,
        correlation=Correlation.INFERRED,
        probability=0.875,
        count=3,
    )
    assert store.logs.commit("gateway", {}, {"page": 1}, [event]) == 1
    assert stored(store) == [event]


@pytest.mark.postgres
def test_a_row_that_is_refused_takes_the_whole_batch_and_its_cursor_with_it(postgres_store: Store) -> None:
    store = postgres_store  # SQLite takes text of any length
    with pytest.raises(StoreRefused, match="value too long"):
        store.logs.commit("gateway", {}, {"page": 1}, [refused, replace(refused, position="line 2", severity="E" * 21)])
    assert stored(store) == []
    assert store.logs.cursor("gateway") == {}
    assert store.logs.commit("gateway", {}, {"page": 1}, [refused]) == 1


def test_what_is_stored_already_is_left_out_of_a_large_batch(store: Store) -> None:
    many = [replace(refused, position=f"line {number}") for number in range(1_500)]
    store.logs.commit("gateway", {}, {"page": 1}, many[::2])
    store.logs.commit("gateway", {"page": 1}, {"page": 2}, many)
    (incident,) = store.reading.incidents()
    assert sorted(event.position for event in store.logs.events(incident.id, newest=5_000)) == sorted(event.position for event in many)
    assert store.logs.stored("gateway", ["line 7", "line 1500"]) == {"line 7"}


def test_of_a_cursor_that_moved_nothing_is_stored(store: Store) -> None:
    store.logs.commit("gateway", {}, {"page": 1}, [])
    with pytest.raises(CursorMoved):
        store.logs.commit("gateway", {}, {"page": 1}, [refused])
    assert stored(store) == []
