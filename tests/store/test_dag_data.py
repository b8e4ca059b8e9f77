"""What is stored about a DAG is handed out whole, and deleted whole: nothing of its text is left, wherever it was taken over."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import event, insert, make_url, select, text, update
from tests.cast import MIDNIGHT, NIGHTLY_ORDERS, vendor_was_down
from tests.databases import Databases, fresh_store

from airflow_oncall.incident import Decision, Diagnosis, Evidence, LogEvent, State, StormState, TaskRef, Verdict
from airflow_oncall.store import dag_data
from airflow_oncall.store.dag_data import DagData
from airflow_oncall.store.engine import engine_for
from airflow_oncall.store.knowledge import Draft
from airflow_oncall.store.records import now
from airflow_oncall.store.retention import forget
from airflow_oncall.store.sql import Store
from airflow_oncall.store.suggestions import Suggested
from airflow_oncall.store.tables import incidents, metadata, storms

OWN = "customer Ada Lovelace is unknown to the vendor"
"""Text that must not outlive the data of the DAG it came from."""
THEIRS = replace(vendor_was_down, ref=TaskRef("billing", "manual__1", "send"), fingerprint="billing-503")


def fill(store: Store, runs: int = 3) -> None:
    """Incidents of two DAGs, those of ``nightly`` with text of their own in every place that takes some over."""
    for number in range(runs):
        ref = replace(NIGHTLY_ORDERS, run_id=f"run-{number}")
        evidence = Evidence(("ValueError",), OWN, f"Traceback\nValueError: {OWN}")
        incident_id = store.intake.record(replace(vendor_was_down, ref=ref, fingerprint="ada", evidence=evidence))
        assert incident_id is not None
        store.labels.give_feedback(incident_id, "ann", comment=f"look: {OWN}")
    store.intake.record(THEIRS)
    read = {"line": 1}
    store.logs.commit("pg", {}, read, [LogEvent("pg", "1", MIDNIGHT, OWN, "ada-log", ref=NIGHTLY_ORDERS, try_number=1)])
    store.logs.remember_key("key-1", NIGHTLY_ORDERS, 1)
    store.intake.request_sweep("nightly", "run-0")
    entry = {"name": "ada", "category": "data_quality", "fingerprint": "ada", "confidence": 0.7}
    for notes in (f"it said {OWN}", "call the vendor", f"again: {OWN}"):
        store.knowledge.write([Draft("ada", {**entry, "example": OWN, "notes": notes})], "ann", "edited")
    store.knowledge.write([Draft("theirs", {**entry, "name": "theirs", "fingerprint": "billing-503", "example": "503"})], "ann", "added")
    store.suggestions.put(Suggested("ada", "data_quality", OWN, [OWN], "test", "", now()))


def close(store: Store, dag_id: str = "nightly") -> None:
    with store.engine.begin() as connection:
        values = {"state": str(State.RESOLVED), "closed_at": now(), "due_at": None}
        connection.execute(update(incidents).where(incidents.c.dag_id == dag_id).values(values))


def everything(store: Store) -> str:
    """All rows of all tables, as one text."""
    with store.engine.connect() as connection:
        return json.dumps(
            [dict(row) for table in metadata.sorted_tables for row in connection.execute(select(table)).mappings()], default=str
        )


@pytest.fixture
def filled(store: Store) -> Store:
    """Two DAGs have failed, and are repaired."""
    fill(store)
    close(store)
    return store


def test_an_export_holds_every_row_about_the_dag_and_says_how_many(filled: Store) -> None:
    lines = [json.loads(json.dumps(line)) for line in filled.dag_data.export("nightly", "ann")]
    head, rows, end = lines[0], lines[1:-1], lines[-1]
    assert (head["format"], head["version"], head["dag_id"]) == ("airflow-oncall-dag-data", 1, "nightly")
    assert end == {"rows": len(rows)}
    tables = {row["table"] for row in rows}
    expected = {"incidents", "occurrences", "labels", "audit", "log_events", "task_keys", "sweep_requests", "knowledge", "suggestions"}
    assert expected | {"knowledge_history"} <= tables
    named = {row["row"]["dag_id"] for row in rows if "dag_id" in row["row"] and row["table"] != "audit"}
    assert named == {"nightly"}
    assert {row["row"]["dag_id"] for row in rows if row["table"] == "audit"} == {None}, "an incident that is there names it"
    assert "billing" not in json.dumps(rows)
    assert [(row.actor, row.what) for row in filled.audit.rows(limit=1)] == [("ann", "data exported")]


def test_an_export_names_no_row_twice(filled: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dag_data, "AT_ONCE", 1)
    rows = [json.dumps(line, sort_keys=True) for line in filled.dag_data.export("nightly", "ann")][1:-1]
    assert len(rows) == len(set(rows)) == sum(filled.dag_data.count("nightly").values())


def test_of_a_dag_that_nothing_is_known_about_there_is_nothing(filled: Store) -> None:
    assert [line.get("rows") for line in filled.dag_data.export("unheard_of", "ann")] == [None, 0]
    assert filled.dag_data.delete("unheard_of", "ann").incidents == 0


def test_a_deletion_leaves_no_word_of_the_dag_and_everything_of_others(filled: Store) -> None:
    gone = filled.dag_data.delete("nightly", "ann")
    assert (gone.incidents, gone.knowledge, gone.left) == (4, 1, 0)
    left = everything(filled)
    assert OWN not in left
    assert filled.dag_data.count("nightly") == {}
    assert [one.ref.dag_id for one in filled.reading.incidents()] == ["billing"]
    kept = filled.knowledge.get(["ada", "theirs"])
    assert kept["theirs"].entry["example"] == "503"
    assert "example" not in kept["ada"].entry
    assert {change.entry.get("notes") for change in filled.knowledge.history("ada") if change.entry} == {None, "call the vendor"}


def storm_of(store: Store, dag_id: str) -> None:
    """All failures of the DAG were one storm, whose cause holds text of its own; it is over."""
    with store.engine.begin() as connection:
        theirs = incidents.c.dag_id == dag_id
        connection.execute(update(incidents).where(theirs).values(state=str(State.DIAGNOSED), cause=f"at {OWN}"))
    store.storms.gather_cause(f"at {OWN}", Diagnosis("database_connectivity", 0.9, True, 0.9), "auto")
    (storm,) = store.storms.open()
    store.storms.answered(storm, approved=True, user="ann", known_as=[OWN])
    close(store, dag_id)
    store.storms.move(storm, StormState.CLOSED, f"it was {OWN}")


def test_a_storm_without_members_goes_with_the_last_of_them(store: Store) -> None:
    fill(store)
    storm_of(store, "nightly")
    lines = [line for line in store.dag_data.export("nightly", "ann") if line.get("table") == "storms"]
    assert [line["row"]["cause"] for line in lines] == [f"at {OWN}"]
    store.dag_data.delete("nightly", "ann")
    assert OWN not in everything(store)
    assert store.storms.newest(5) == []
    assert store.audit.verify().problem == ""


def test_a_storm_with_members_of_another_dag_stays(store: Store) -> None:
    fill(store)
    with store.engine.begin() as connection:
        connection.execute(update(incidents).values(dag_id="billing").where(incidents.c.run_id == "run-0"))
    storm_of(store, "nightly")
    with store.engine.begin() as connection:
        connection.execute(update(incidents).values(storm_id=store.storms.newest(1)[0].id).where(incidents.c.dag_id == "billing"))
    store.dag_data.delete("nightly", "ann")
    assert [storm.members for storm in store.storms.newest(5)] == [2]


def test_a_storm_that_another_dag_had_keeps_what_the_audit_log_tells_of_it(store: Store) -> None:
    fill(store)
    storm_of(store, "billing")
    ended = now() + timedelta(minutes=1)
    assert forget(store.engine, ended, None, dag_id="billing").incidents == 1
    close(store)
    before = [row for row in store.audit.rows(limit=100) if "storm" in row.detail]
    assert before
    store.dag_data.delete("nightly", "ann")
    assert [storm.members for storm in store.storms.newest(5)] == [0]
    assert [row for row in store.audit.rows(limit=100) if "storm" in row.detail] == before


def test_a_storm_that_goes_takes_no_words_of_an_older_one_that_had_its_number(store: Store) -> None:
    fill(store)
    storm_of(store, "nightly")
    with store.engine.begin() as connection:
        connection.execute(update(storms).values(opened_at=now() + timedelta(minutes=1)))
        another = {"cause": "another", "state": str(StormState.CLOSED), "opened_at": MIDNIGHT, "closed_at": now()}
        number = connection.execute(insert(storms).values(another).returning(storms.c.id)).scalar_one()
        connection.execute(update(incidents).values(storm_id=number).where(incidents.c.run_id == "run-0"))
    older = [row.detail for row in store.audit.rows(limit=100) if "storm" in row.detail and row.incident_id is None]
    assert older
    store.dag_data.delete("nightly", "ann")
    assert store.storms.newest(5) == []
    assert [row.detail for row in store.audit.rows(limit=100) if "storm" in row.detail and row.incident_id is None] == older


@pytest.fixture
def taken_over(filled: Store) -> Store:
    """People took the failure's words over into an entry that has another fingerprint by now, and into one that a pattern recognises."""
    changed = {"name": "changed", "category": "data_quality", "fingerprint": "ada", "confidence": 0.7, "example": OWN, "notes": OWN}
    filled.knowledge.write([Draft("changed", changed)], "ann", "added")
    filled.knowledge.write([Draft("changed", changed | {"fingerprint": "mended", "notes": f"once: {OWN}"})], "ann", "edited")
    filled.knowledge.write([Draft("changed", changed | {"fingerprint": "mended", "example": "of billing's", "notes": ""})], "ann", "edited")
    pattern = {"name": "pattern", "category": "data_quality", "pattern": "unknown to", "example": f"Traceback\nValueError: {OWN}"}
    filled.knowledge.write([Draft("pattern", pattern)], "ann", "added")
    return filled


def test_words_in_entries_that_the_fingerprint_does_not_name_any_more_are_deleted(taken_over: Store) -> None:
    gone = taken_over.dag_data.delete("nightly", "ann")
    assert gone.knowledge == 3
    assert OWN not in everything(taken_over)
    kept = taken_over.knowledge.get(["changed", "pattern"])
    assert kept["changed"].entry["example"] == "of billing's"
    assert kept["pattern"].entry["pattern"] == "unknown to"
    assert taken_over.audit.verify().problem == ""


def test_words_in_entries_that_the_fingerprint_does_not_name_any_more_are_handed_out(taken_over: Store) -> None:
    rows = list(taken_over.dag_data.export("nightly", "ann"))[1:-1]
    handed_out = [(row["table"], row["row"]["name"]) for row in rows if row["table"].startswith("knowledge")]
    assert handed_out.count(("knowledge_history", "changed")) == 3
    assert {name for table, name in handed_out if table == "knowledge"} == {"ada", "changed", "pattern"}


def test_what_tracebacks_of_all_failures_have_in_common_takes_no_example_of_another(store: Store) -> None:
    frames = """Traceback (most recent call last):
  File "/opt/airflow/task_runner.py", line 1215, in run
    result = _execute_task(context=context, ti=ti, log=log)
             ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
"""
    store.intake.record(replace(vendor_was_down, evidence=Evidence(("ValueError",), OWN, f"{frames}ValueError: {OWN}")))
    theirs = {"name": "theirs", "category": "data_quality", "pattern": "disk", "example": f"{frames}OSError: the disk is full"}
    store.knowledge.write([Draft("theirs", theirs)], "ann", "added")
    close(store)
    assert store.dag_data.delete("nightly", "ann").knowledge == 0
    assert store.knowledge.get(["theirs"])["theirs"].entry == theirs


def test_evidence_is_read_a_page_at_a_time(filled: Store) -> None:
    pages: list[tuple[str, int | None]] = []
    columns = ("oncall_log_events.text", "oncall_occurrences.traceback")

    def listen(*call: Any) -> None:
        pages.extend((column, call[4].execution_options.get("yield_per")) for column in columns if column in call[2])

    event.listen(filled.engine, "before_cursor_execute", listen)
    filled.dag_data.delete("nightly", "ann")
    assert {column for column, _ in pages} == {*columns}
    assert {size for _, size in pages} == {dag_data.AT_ONCE}


def purged(store: Store, dag_id: str | None = "nightly") -> None:
    """Everything of it is older than the policy keeps it."""
    close(store)
    assert forget(store.engine, now() + timedelta(minutes=1), now() + timedelta(minutes=1), dag_id=dag_id).incidents == 4


def test_what_was_purged_before_is_deleted_wherever_it_was_taken_over(store: Store) -> None:
    fill(store)
    purged(store)
    assert OWN in everything(store), "in knowledge, suggestions and the audit log"
    gone = store.dag_data.delete("nightly", "ann")
    assert (gone.incidents, gone.knowledge) == (0, 1)
    assert gone.audit > 0
    assert OWN not in everything(store)
    assert store.dag_data.count("nightly") == {}
    assert store.knowledge.get(["theirs"])["theirs"].entry["example"] == "503"
    assert store.audit.verify().problem == ""


def test_an_incident_that_gets_the_number_of_a_purged_one_has_nothing_of_it(store: Store) -> None:
    fill(store)
    for dag_id in ("nightly", "billing"):
        close(store, dag_id)
        forget(store.engine, now() + timedelta(minutes=1), now() + timedelta(minutes=1), dag_id=dag_id)
    if store.engine.dialect.name == "postgresql":  # SQLite gives numbers again by itself
        with store.engine.begin() as connection:
            connection.execute(text("SELECT setval(pg_get_serial_sequence('oncall_incidents', 'id'), 1, false)"))
    assert store.intake.record(THEIRS) == 1
    assert OWN not in "".join(json.dumps(line) for line in store.dag_data.export("billing", "ann"))
    before = everything(store).count(OWN)
    close(store, "billing")
    assert forget(store.engine, now() + timedelta(minutes=1), now() + timedelta(minutes=1), dag_id="billing").incidents == 1
    store.dag_data.delete("billing", "ann")
    assert everything(store).count(OWN) == before, "another DAG's"
    store.dag_data.delete("nightly", "ann")
    assert OWN not in everything(store)


def test_what_was_purged_before_is_handed_out_as_far_as_it_is_there(store: Store) -> None:
    fill(store)
    purged(store)
    rows = [json.dumps(line) for line in store.dag_data.export("nightly", "ann")][1:-1]
    assert {json.loads(row)["table"] for row in rows} >= {"audit", "knowledge", "knowledge_history", "suggestions"}
    assert "billing" not in "".join(rows)
    assert len(rows) == len(set(rows))


def test_log_events_that_went_before_their_incident_leave_no_word_either(store: Store) -> None:
    fill(store)
    entry = {"name": "log", "category": "data_quality", "fingerprint": "ada-log", "confidence": 0.7, "example": OWN}
    store.knowledge.write([Draft("log", entry)], "ann", "added")
    close(store)
    with store.engine.begin() as connection:
        connection.execute(update(incidents).where(incidents.c.fingerprint == "ada-log").values(fingerprint="newer"))
    assert forget(store.engine, None, now() + timedelta(minutes=1)).log_events == 1
    store.dag_data.delete("nightly", "ann")
    assert OWN not in everything(store)


def test_what_an_earlier_try_failed_with_is_deleted_too(store: Store) -> None:
    fill(store)
    for number in range(3):
        ref = replace(NIGHTLY_ORDERS, run_id=f"run-{number}")
        store.intake.record(replace(vendor_was_down, ref=ref, try_number=vendor_was_down.try_number + 1, fingerprint="another"))
    close(store)
    assert OWN in json.dumps(list(map(str, store.dag_data.export("nightly", "ann"))))
    store.dag_data.delete("nightly", "ann")
    assert OWN not in everything(store)


def test_a_deletion_is_told_in_a_log_that_stays_whole(filled: Store) -> None:
    filled.dag_data.delete("nightly", "ann")
    found = filled.audit.verify()
    assert found.problem == ""
    assert found.erased > 0
    newest = filled.audit.rows(limit=1)[0]
    assert (newest.actor, newest.what, newest.detail["dag_id"], newest.detail["incidents"]) == ("ann", "data deleted", "nightly", 4)


def test_what_something_is_being_done_about_stays(store: Store) -> None:
    fill(store, runs=2)
    close(store)
    live = store.intake.record(replace(vendor_was_down, ref=replace(NIGHTLY_ORDERS, run_id="live"), fingerprint="live"))
    assert live is not None
    claimed = store.queue.claim(live, timedelta(minutes=3))
    assert claimed is not None
    decision = Decision(live, 1, Verdict.ASK, "clear_task", 1, 0.5, ("because",))
    store.ledger.decided(claimed, decision, State.ASKED, 60, attempts=1)
    store.queue.release(live)
    gone = store.dag_data.delete("nightly", "ann")
    assert gone.left == 1
    assert [(one.id, one.state) for one in store.reading.incidents() if one.ref.dag_id == "nightly"] == [(live, State.ASKED)]
    assert store.ledger.open_action(live) is not None


def die_after(url: str, commits: int) -> None:
    """Delete, and be killed right after so many commits."""
    engine = engine_for(make_url(url), 30.0)
    left = [commits]

    def count(connection: Any) -> None:
        if not connection.get_execution_options().get("oncall_reading"):
            left[0] -= 1
            if left[0] < 0:
                os.kill(os.getpid(), signal.SIGKILL)

    event.listen(engine, "commit", count)
    dag_data.AT_ONCE = 1
    DagData(engine).delete("nightly", "ann")


@pytest.mark.parametrize("kind", ["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
@pytest.mark.parametrize("commits", [1, 3, 6])
def test_a_deletion_that_was_killed_is_finished_by_the_next(databases: Databases, kind: str, commits: int) -> None:
    for store in fresh_store(databases, kind):
        fill(store)
        close(store)
        url = store.engine.url.render_as_string(hide_password=False)
        killed = multiprocessing.get_context("spawn").Process(target=die_after, args=(url, commits))
        killed.start()
        killed.join(120)
        assert killed.exitcode == -signal.SIGKILL
        assert store.audit.verify().problem == "", "what is gone is told, and nothing else is missing"
        assert store.dag_data.count("nightly")
        store.dag_data.delete("nightly", "ann")
        assert OWN not in everything(store)
        assert store.dag_data.count("nightly") == {}
        assert store.audit.verify().problem == ""
