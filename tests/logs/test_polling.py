"""One poll: what is read becomes events and incidents, each exactly once."""

from __future__ import annotations

import os
import random
import sys
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from airflow_oncall.capture.logs import files, polling
from airflow_oncall.capture.logs.polling import poll
from airflow_oncall.capture.logs.source import LogSource
from airflow_oncall.errors import BadDataFile, StoreRefused, StoreUnavailable
from airflow_oncall.incident import Correlation, Kind, LogEvent
from airflow_oncall.store.logs import CursorMoved
from airflow_oncall.store.sql import Store
from tests.cast import MIDNIGHT, NIGHTLY_ORDERS
from tests.logs.notebook import Notebook, noted
from tests.logs.shop_logs import poller
from tests.tick.crash_child import Boundaries

DISK_FULL = "could not write block 7: No space left on device"
LOCKED = "canceling statement due to lock timeout"
FRUIT = ("apples", "figs", "pears")
KILLS = 50


def events(store: Store) -> list[LogEvent]:
    return [event for incident in store.reading.incidents(limit=10_000) for event in store.logs.events(incident.id, newest=100_000)]


@pytest.fixture
def told(store: Store) -> Store:
    """A source told of a full disk twice, of a lock once."""
    poll(Notebook([[noted(1, DISK_FULL), noted(2, LOCKED)], [noted(3, DISK_FULL.replace("7", "8"))]]), store.logs)
    return store


def test_the_same_trouble_is_one_incident_however_often_it_is_logged(told: Store) -> None:
    assert [incident.kind for incident in told.reading.incidents()] == [Kind.LOG, Kind.LOG]
    assert sorted(event.text for event in events(told)) == [LOCKED, DISK_FULL, DISK_FULL.replace("7", "8")]


def test_a_second_poll_goes_on_where_the_first_stopped(told: Store) -> None:
    notebook = Notebook([[], [], [noted(4, LOCKED)]])
    assert (poll(notebook, told.logs).records, poll(notebook, told.logs).records) == (1, 0)
    assert len(events(told)) == 4


def test_a_record_that_is_read_again_is_stored_once(told: Store) -> None:
    told.logs.commit("notebook", {"page": 2}, {}, [])
    poll(Notebook([[noted(1, DISK_FULL), noted(2, LOCKED)], [noted(3, DISK_FULL)]]), told.logs)
    assert len(events(told)) == 3


def test_what_one_batch_repeats_is_one_event_with_a_count(sqlite_store: Store) -> None:
    poll(Notebook([[noted(number, f"{DISK_FULL} at {number}") for number in range(30)]]), sqlite_store.logs)
    (event,) = events(sqlite_store)
    assert (event.count, event.position) == (30, "line 0")


def test_what_two_tries_of_a_task_instance_log_alike_stays_evidence_of_each(sqlite_store: Store) -> None:
    ids = {"dag_id": NIGHTLY_ORDERS.dag_id, "run_id": NIGHTLY_ORDERS.run_id, "task_id": NIGHTLY_ORDERS.task_id}
    tries = [noted(number, DISK_FULL, identifiers=ids | {"try_number": str(number)}) for number in (1, 2, 2)]
    tries[2] = replace(tries[2], position="line 3")
    poll(Notebook([tries]), sqlite_store.logs)
    assert sorted((event.try_number, event.count) for event in events(sqlite_store)) == [(1, 1), (2, 2)]
    assert len(sqlite_store.reading.incidents()) == 1


def test_beyond_the_cap_kinds_of_trouble_are_counted_in_one_event(sqlite_store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(polling, "INCIDENTS_A_POLL", 2)
    words = ("apple", "birch", "cedar", "daisy", "elder")
    poll(Notebook([[noted(number, f"no more {word}") for number, word in enumerate(words)]]), sqlite_store.logs)
    more = [event for event in events(sqlite_store) if event.signature == "more-like-this"]
    assert len(events(sqlite_store)) == 3
    assert "3 more records of 3 kinds" in more[0].text
    assert "no more elder" in more[0].text


def test_secrets_are_masked_before_anything_is_stored(sqlite_store: Store) -> None:
    poll(Notebook([[noted(1, "login failed, password=hunter2", identifiers={"dsn": "postgresql://me:hunter2@db/x"})]]), sqlite_store.logs)
    assert "hunter2" not in repr(events(sqlite_store))


def test_what_a_message_says_of_itself_never_names_the_task_instance(sqlite_store: Store) -> None:
    forged = f"ERROR dag_id={NIGHTLY_ORDERS.dag_id} run_id={NIGHTLY_ORDERS.run_id} task_id={NIGHTLY_ORDERS.task_id} is out of memory"
    poll(Notebook([[noted(1, forged)]]), sqlite_store.logs)
    (event,) = events(sqlite_store)
    assert (event.ref, event.correlation) == (None, Correlation.NONE)
    assert event.claimed["dag_id"] == NIGHTLY_ORDERS.dag_id


def test_fields_of_the_engine_name_the_task_instance(sqlite_store: Store) -> None:
    names = {"dag_id": NIGHTLY_ORDERS.dag_id, "run_id": NIGHTLY_ORDERS.run_id, "task_id": NIGHTLY_ORDERS.task_id, "try_number": "2"}
    poll(Notebook([[noted(1, DISK_FULL, identifiers=names)]]), sqlite_store.logs)
    (event,) = events(sqlite_store)
    assert (event.ref, event.try_number, event.correlation) == (NIGHTLY_ORDERS, 2, Correlation.EXPLICIT)
    assert sqlite_store.reading.incidents()[0].ref == NIGHTLY_ORDERS


def test_trouble_of_our_own_dags_is_nobodys_incident(sqlite_store: Store) -> None:
    names = {"dag_id": "oncall_triage", "run_id": "r", "task_id": "tick"}
    poll(Notebook([[noted(1, DISK_FULL, identifiers=names)]]), sqlite_store.logs)
    assert events(sqlite_store) == []


def test_a_record_from_the_future_happened_when_it_was_read(sqlite_store: Store) -> None:
    tomorrow = datetime.now(timezone.utc) + timedelta(days=1)
    poll(Notebook([[noted(1, DISK_FULL, happened_at=tomorrow), noted(2, LOCKED, happened_at=MIDNIGHT)]]), sqlite_store.logs)
    at = {event.text: event.happened_at for event in events(sqlite_store)}
    assert at[DISK_FULL] < tomorrow
    assert at[LOCKED] == MIDNIGHT


def test_a_source_that_cannot_be_read_is_one_incident_until_it_can_be_again(store: Store) -> None:
    torn, mended = Notebook(torn="the disk is gone; mount it"), Notebook()
    assert [poll(torn, store.logs).incidents for _ in range(3)] == [1, 0, 0]
    poll(mended, store.logs)
    poll(torn, store.logs)
    found = events(store)
    assert [event.signature for event in found] == ["source-unreadable"] * 2
    assert "mount it" in found[0].text


@pytest.mark.parametrize(
    "surprise", [AttributeError("'str' object has no attribute 'get'"), RecursionError("too deep"), BadDataFile("log.yaml", "no field")]
)
def test_a_failure_that_nobody_thought_of_is_one_incident_and_fails_the_poll(sqlite_store: Store, surprise: Exception) -> None:
    odd = Notebook([[noted(1, LOCKED)]], surprise=surprise)
    for _ in range(2):
        with pytest.raises(type(surprise)):
            poll(odd, sqlite_store.logs)
    (unreadable,) = [event for event in events(sqlite_store) if event.signature == "source-unreadable"]
    assert f"source 'notebook' cannot be read: {type(surprise).__name__}: {surprise}" in unreadable.text
    assert LOCKED in {event.text for event in events(sqlite_store)}


def test_a_store_that_is_down_is_not_held_against_the_source(sqlite_store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def down(*_: Any) -> int:
        raise StoreUnavailable("the database is locked")

    with monkeypatch.context() as patched:
        patched.setattr(type(sqlite_store.logs), "commit", down)
        with pytest.raises(StoreUnavailable):
            poll(Notebook([[noted(1, LOCKED)]]), sqlite_store.logs)
    assert events(sqlite_store) == []


def test_a_store_that_is_busy_once_all_is_stored_fails_no_poll(
    sqlite_store: Store, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    commit = type(sqlite_store.logs).commit

    def busy(logs: Any, source: str, *batch: Any) -> int:
        if source == polling.health_cursor("notebook"):
            raise StoreUnavailable("the database is locked")
        return commit(logs, source, *batch)

    with monkeypatch.context() as patched:
        patched.setattr(type(sqlite_store.logs), "commit", busy)
        result = poll(Notebook([[noted(1, LOCKED)]]), sqlite_store.logs)
    assert (result.records, result.is_done, result.problems) == (1, True, [])
    assert [event.text for event in events(sqlite_store)] == [LOCKED]
    assert "source 'notebook' was read" in caplog.text
    assert "the database is locked" in caplog.text


def test_what_could_not_be_read_in_between_is_told_and_reading_goes_on(sqlite_store: Store) -> None:
    result = poll(Notebook([[], [noted(1, LOCKED)]], problems={0: "row 3 is no JSON"}), sqlite_store.logs)
    assert result.problems == ["row 3 is no JSON"]
    assert {event.signature for event in events(sqlite_store)} == {"source-problem", "trouble"}


def test_a_poll_ends_after_its_time_and_the_next_goes_on(sqlite_store: Store) -> None:
    notebook = Notebook([[noted(number, f"{LOCKED} {chr(97 + number)}")] for number in range(3)])
    first = poll(notebook, sqlite_store.logs, seconds=0)
    assert (first.is_done, first.records) == (False, 1)
    assert poll(notebook, sqlite_store.logs).records == 2


def test_of_two_pollers_of_one_source_the_slower_one_writes_nothing(store: Store) -> None:
    poll(Notebook([[noted(1, LOCKED)]]), store.logs)
    with pytest.raises(CursorMoved, match="notebook"):
        store.logs.commit("notebook", {}, {"page": 1}, [])
    assert len(events(store)) == 1


def test_a_log_whose_poller_is_killed_fifty_times_is_told_whole_and_once(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "BATCH", len(FRUIT))
    dice, log, written, reached = random.Random(7), tmp_path / "etl.log", [f"{DISK_FULL} of nuts"], [0]
    log.write_text(f"{written[0]}\n", encoding="utf-8")
    source = poller(log, settle_seconds=0).source
    poll(source, store.logs)  # signatures are compiled here, not in every fork anew
    while len(reached) <= KILLS:
        for _ in range(dice.randrange(4, 12)):
            written.append(f"{DISK_FULL} of {FRUIT[len(written) % len(FRUIT)]} {len(written)}")
        log.write_text("\n".join([*written, ""]), encoding="utf-8")
        if _is_killed(dice.randrange(1, 8), source, store):
            reached.append(sum(place["offset"] for place in store.logs.cursor(source.name).get("files", ())))
    poll(source, store.logs)
    assert sorted(event.text for event in events(store)) == sorted(written)
    assert reached == sorted(reached)
    assert len({*reached}) > KILLS / 2, "most kills fall where the poller had come further than before"


def _is_killed(at: int, source: LogSource, store: Store) -> bool:
    """Poll in a process of its own, which dies at this beginning or end of a transaction that writes, if it comes so far."""
    store.engine.dispose()  # a connection must not be shared with a fork
    child = os.fork()
    if child == 0:
        try:
            _, counted = os.pipe()
            Boundaries(at, counted).watch(store.engine)
            poll(source, store.logs)
        finally:
            os._exit(bool(sys.exc_info()[0]))
    status = os.waitpid(child, 0)[1]
    assert os.WIFSIGNALED(status) or status == 0
    return os.WIFSIGNALED(status)


def test_a_record_that_is_known_does_not_stand_for_a_new_one(sqlite_store: Store) -> None:
    poll(Notebook([[noted(1, LOCKED)]]), sqlite_store.logs)
    poll(Notebook([[], [noted(1, LOCKED), noted(2, LOCKED)]]), sqlite_store.logs)
    assert [event.position for event in events(sqlite_store)] == ["line 1", "line 2"]


def test_the_cap_counts_over_a_whole_poll_and_spares_what_belongs_to_a_task(sqlite_store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(polling, "INCIDENTS_A_POLL", 2)
    mine = {"dag_id": NIGHTLY_ORDERS.dag_id, "run_id": NIGHTLY_ORDERS.run_id, "task_id": NIGHTLY_ORDERS.task_id}
    pages = [[noted(10 * page + line, f"no more {word}") for line, word in enumerate(("apple", "birch"))] for page in range(1)]
    poll(
        Notebook([*pages, [noted(30, "no more cedar"), noted(31, DISK_FULL, identifiers=mine), noted(32, "no more apple")]]),
        sqlite_store.logs,
    )
    found = events(sqlite_store)
    assert [event.ref for event in found if event.text == DISK_FULL] == [NIGHTLY_ORDERS]
    assert sum(event.text == "no more apple" for event in found) == 2
    assert [event.count for event in found if event.signature == "more-like-this"] == [1]


def test_another_problem_of_the_same_words_is_told_again(sqlite_store: Store) -> None:
    poll(Notebook([[]], problems={0: "/var/log/a.log vanished, 17 bytes are lost"}), sqlite_store.logs)
    poll(Notebook([[], []], problems={1: "/var/log/b.log vanished, 99000 bytes are lost"}), sqlite_store.logs)
    assert len(events(sqlite_store)) == 2


def test_what_the_store_will_never_take_is_told_as_a_source_that_cannot_be_read(
    sqlite_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = sqlite_store.logs.commit

    def refusing(source: str, *batch: Any) -> int:
        if source == "notebook":
            raise StoreRefused("value too long for its column")
        return commit(source, *batch)

    monkeypatch.setattr(sqlite_store.logs, "commit", refusing)
    assert [poll(Notebook([[noted(1, LOCKED)]]), sqlite_store.logs).incidents for _ in range(2)] == [1, 0]
    (event,) = events(sqlite_store)
    assert (event.signature, event.text) == ("source-unreadable", "value too long for its column")


def test_secrets_in_problems_and_failures_are_masked(sqlite_store: Store) -> None:
    told = poll(Notebook([[]], problems={0: "row 3: password=hunter2 is no JSON"}), sqlite_store.logs).problems
    told += poll(Notebook(torn="postgresql://me:hunter2@db refused"), sqlite_store.logs).problems
    assert "hunter2" not in repr(told)
    assert len(told) == 2
