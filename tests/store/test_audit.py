"""The audit log: whatever is done to a row behind the store's back is noticed, and what the store does itself never breaks it."""

from __future__ import annotations

import ast
import multiprocessing
import threading
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, Engine, delete, insert, make_url, select, text, update
from tests.cast import NIGHTLY_ORDERS, vendor_was_down
from tests.databases import Databases

from airflow_oncall.store import audit as audit_module
from airflow_oncall.store import audit_log, retention, schema
from airflow_oncall.store.audit import chain, note
from airflow_oncall.store.audit_log import AuditLog, erase, rows_about
from airflow_oncall.store.engine import engine_for, transaction
from airflow_oncall.store.records import now
from airflow_oncall.store.sql import Store
from airflow_oncall.store.tables import audit, audit_head

Tamper = Callable[[Connection], Any]
STORE = Path(audit_module.__file__).parent


@pytest.fixture
def told(store: Store) -> Store:
    """A store whose log has six rows, with numbers 1 to 6."""
    for number in range(1, 7):
        with transaction(store.engine) as connection:
            note(connection, f"person {number}", "paused", {"reason": f"reason {number}", "share": 0.1, "none": None}, incident_id=number)
    return store


def tamper(store: Store, how: Tamper) -> None:
    with store.engine.begin() as connection:
        how(connection)


def change(number: int, **values: object) -> Tamper:
    return lambda connection: connection.execute(update(audit).where(audit.c.id == number).values(**values))


def remove(*numbers: int) -> Tamper:
    return lambda connection: connection.execute(delete(audit).where(audit.c.id.in_(numbers)))


def forge_after(number: int, at: int) -> Tamper:
    """Another row that follows one, with hashes as they should be."""

    def forged(connection: Connection) -> None:
        previous = connection.execute(select(audit.c.hash).where(audit.c.id == number)).scalar_one()
        row = {"id": at, "at": now(), "actor": "mallory", "what": "approved", "incident_id": 1, "detail": {}}
        connection.execute(insert(audit), list(chain(previous, [row])))

    return forged


def rehash(number: int) -> Tamper:
    """Another text, with the hashes that belong to it."""

    def rehashed(connection: Connection) -> None:
        row = connection.execute(select(audit).where(audit.c.id == number)).mappings().one()
        (forged,) = chain(row["prev_hash"], [{**row, "actor": "mallory"}])
        connection.execute(update(audit).where(audit.c.id == number).values(forged))

    return rehashed


def test_a_log_that_nobody_touched_is_whole(told: Store) -> None:
    found = told.audit.verify()
    assert (found.rows, found.erased, found.row, found.problem) == (6, 0, None, "")
    assert found.head == told.audit.head() != ""


def test_an_empty_log_is_whole(store: Store) -> None:
    assert store.audit.verify() == (0, 0, "", None, "")


@pytest.mark.parametrize(
    ("how", "row", "problem"),
    [
        pytest.param(change(3, detail={"reason": "another"}), 3, "changed", id="another detail"),
        pytest.param(change(3, actor="somebody else"), 3, "changed", id="another actor"),
        pytest.param(change(3, incident_id=99), 3, "changed", id="another incident"),
        pytest.param(change(6, what="resumed"), 6, "changed", id="the newest row"),
        pytest.param(change(3, detail={}, salt=""), 3, "taken out", id="its detail taken out"),
        pytest.param(rehash(3), 4, "does not follow", id="another row in its place, with its own hashes"),
        pytest.param(remove(3), 3, "removed", id="one row removed"),
        pytest.param(remove(3, 4), 3, "removed", id="two rows removed"),
        pytest.param(remove(1), 1, "removed", id="the first row removed"),
        pytest.param(remove(6), 6, "removed", id="the newest row removed"),
        pytest.param(remove(1, 2, 3, 4, 5, 6), 1, "every row was removed", id="every row removed"),
        pytest.param(forge_after(6, at=7), 7, "added past", id="a forged row added"),
    ],
)
def test_the_first_row_that_is_not_as_written_is_named(told: Store, how: Tamper, row: int, problem: str) -> None:
    tamper(told, how)
    found = told.audit.verify()
    assert found.row == row
    assert problem in found.problem


def test_a_forged_row_between_two_is_named(told: Store) -> None:
    tamper(told, change(6, id=60))
    tamper(told, change(5, id=50))
    tamper(told, forge_after(4, at=20))
    found = told.audit.verify()
    assert (found.row, found.problem) == (20, "it was inserted")


@pytest.mark.parametrize("what", ["audit cut", "audit erased"])
def test_a_row_that_was_made_to_speak_of_the_log_itself_is_named(told: Store, what: str) -> None:
    tamper(told, change(3, what=what, detail={"through": 1}))
    tamper(told, change(4, what=what, detail={}))
    found = told.audit.verify()
    assert (found.row, found.problem) == (3, "it was changed")


def test_of_two_wrong_rows_the_first_is_named(told: Store) -> None:
    tamper(told, change(5, actor="mallory"))
    tamper(told, change(2, detail={}, salt=""))
    assert told.audit.verify().row == 2


def test_a_row_written_past_the_store_is_named(told: Store) -> None:
    tamper(told, lambda connection: connection.execute(insert(audit).values(at=now(), actor="psql", what="approved", detail={})))
    found = told.audit.verify()
    assert found.row == 7
    assert "past the store's own code" in found.problem


def test_a_log_that_was_written_anew_is_known_by_a_hash_kept_elsewhere(told: Store) -> None:
    kept = told.audit.head()
    assert told.audit.verify(kept).problem == ""
    with told.engine.begin() as connection:
        rows = connection.execute(select(audit).order_by(audit.c.id)).mappings().all()
        anew = list(chain("", [{**row, "actor": "mallory"} for row in rows]))
        connection.execute(delete(audit))
        connection.execute(insert(audit), anew)
        connection.execute(update(audit_head).values(hash=anew[-1]["hash"]))
    assert told.audit.verify().problem == ""
    assert "written anew" in told.audit.verify(kept).problem


def test_what_a_failed_transaction_did_is_not_told(store: Store) -> None:
    def fail() -> None:
        with transaction(store.engine) as connection:
            note(connection, "ann", "paused", {})
            raise InterruptedError

    with pytest.raises(InterruptedError):
        fail()
    assert store.audit.verify().rows == 0


def test_erased_details_leave_the_chain_whole(told: Store) -> None:
    with transaction(told.engine) as connection:
        assert erase(connection, rows_about([2, 4]), "ann") == 2
    found = told.audit.verify()
    assert (found.rows, found.erased, found.problem) == (7, 2, "")
    assert [row.detail for row in told.audit.rows(limit=9, incident_id=2)] == [{}]
    assert "reason 2" not in str(told.audit.rows(limit=9))


def test_retention_cuts_the_oldest_rows_and_leaves_a_row_that_says_so(told: Store) -> None:
    tamper(told, lambda connection: age(connection, told, 4))
    before = told.audit.verify()
    assert before.problem == ""
    assert told.audit.cut(now() - timedelta(days=30)) == 4
    found = told.audit.verify()
    assert (found.rows, found.problem) == (3, "")
    assert [row.what for row in told.audit.rows(limit=9)] == ["audit cut", "paused", "paused"]
    assert told.audit.cut(now() - timedelta(days=30)) == 0
    tamper(told, remove(5))
    assert told.audit.verify().row == 5


def test_a_cut_that_was_killed_leaves_a_whole_log_and_is_gone_on_with(told: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    tamper(told, lambda connection: age(connection, told, 4))
    monkeypatch.setattr(retention, "BATCH", 1)
    monkeypatch.setattr(retention, "MOST_BATCHES", 2)
    assert told.audit.cut(now() - timedelta(days=30)) == 2
    assert told.audit.verify().problem == ""
    assert told.audit.cut(now() - timedelta(days=30)) == 2
    assert told.audit.verify().problem == ""


def during_the_check(monkeypatch: pytest.MonkeyPatch, row: int, deed: Callable[[], object]) -> None:
    """Do something right after a check, which reads two rows at a time, has looked at this row."""
    look = audit_log._Check.look

    def looking(check: audit_log._Check, one: Any) -> None:
        look(check, one)
        if one["id"] == row:
            deed()

    monkeypatch.setattr(audit_log, "AT_ONCE", 2)
    monkeypatch.setattr(audit_log._Check, "look", looking)


def test_rows_that_are_cut_off_while_the_log_is_checked_are_no_gap(told: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    tamper(told, lambda connection: age(connection, told, 4))
    kept = told.audit.head()
    during_the_check(monkeypatch, 2, lambda: told.audit.cut(now() - timedelta(days=30)))
    assert told.audit.verify(kept).problem == ""


def test_a_hash_that_was_cut_off_while_the_log_is_checked_is_not_missed(told: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    tamper(told, lambda connection: age(connection, told, 4))
    with told.engine.connect() as connection:
        kept = connection.execute(select(audit.c.hash).where(audit.c.id == 4)).scalar_one()
    during_the_check(monkeypatch, 2, lambda: told.audit.cut(now() - timedelta(days=30)))
    assert told.audit.verify(kept).problem == ""


def test_rows_that_go_by_and_by_while_the_log_is_checked_are_no_gap(told: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    tamper(told, lambda connection: age(connection, told, 5))
    monkeypatch.setattr(retention, "BATCH", 1)
    monkeypatch.setattr(retention, "MOST_BATCHES", 3)
    during_the_check(monkeypatch, 2, lambda: told.audit.cut(now() - timedelta(days=30)))
    assert told.audit.verify().problem == ""


def test_a_row_that_is_removed_beside_a_cut_is_named(told: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def cut_more_than_is_said() -> None:
        told.audit.cut(now() - timedelta(days=30))
        tamper(told, remove(3))

    tamper(told, lambda connection: age(connection, told, 2))
    during_the_check(monkeypatch, 2, cut_more_than_is_said)
    found = told.audit.verify()
    assert (found.row, found.problem) == (3, "it was removed")


def test_a_row_that_is_removed_before_a_cut_came_to_it_is_named(told: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    tamper(told, lambda connection: age(connection, told, 4))
    monkeypatch.setattr(retention, "BATCH", 1)
    monkeypatch.setattr(retention, "MOST_BATCHES", 1)
    told.audit.cut(now() - timedelta(days=30))
    tamper(told, remove(3))
    found = told.audit.verify()
    assert (found.row, found.problem) == (3, "it was removed")


@pytest.mark.postgres
def test_numbers_that_no_row_has_are_no_gap_behind_a_cut(postgres_store: Store) -> None:
    """PostgreSQL gives a number once, also to a transaction that fails."""
    store = postgres_store
    store.switch.pause("ann", "a year ago")
    with store.engine.connect() as connection:
        connection.execute(insert(audit).values(at=now(), actor="ann", what="paused", detail={}))
        connection.rollback()
    store.switch.pause("ann", "today")
    tamper(store, lambda connection: age(connection, store, 1))
    assert store.audit.cut(now() - timedelta(days=30)) == 1
    assert store.audit.verify().problem == ""


def age(connection: Connection, store: Store, rows: int) -> None:
    """Make the log one whose first rows were written a year ago."""
    old = connection.execute(select(audit).order_by(audit.c.id)).mappings().all()
    year = timedelta(days=365)
    anew = list(chain("", [{**row, "at": row["at"] - year if row["id"] <= rows else row["at"]} for row in old]))
    for row in anew:
        connection.execute(update(audit).where(audit.c.id == row["id"]).values(row))
    connection.execute(update(audit_head).values(hash=anew[-1]["hash"]))


def test_rows_are_found_by_who_and_what(told: Store) -> None:
    assert [row.id for row in told.audit.rows(limit=2)] == [6, 5]
    assert [row.id for row in told.audit.rows(limit=2, before=5)] == [4, 3]
    assert [row.id for row in told.audit.rows(limit=9, actor="person 3", what="paused")] == [3]


@pytest.mark.parametrize(
    "detail", [{"a": 1, 2: "two"}, {"text": "\u202e<script>\ud83d\ude00\n"}, {"share": 1e-320, "deep": [{"x": (1, 2)}]}]
)
def test_any_detail_is_hashed_as_it_is_stored(store: Store, detail: dict[Any, Any]) -> None:
    with transaction(store.engine) as connection:
        note(connection, "x" * 400, "y" * 100, detail)
    assert store.audit.verify().problem == ""


def write_many(url: str, rows: int) -> None:
    engine = engine_for(make_url(url), 60.0)
    intake = Store.over(engine, f"writer-{multiprocessing.current_process().name}").intake
    for number in range(rows):
        name = f"{multiprocessing.current_process().name}-{number}"
        ref = NIGHTLY_ORDERS.__class__("nightly", name, "load_orders")
        intake.record(vendor_was_down.__class__(**{**vendor_was_down.__dict__, "ref": ref}))
    engine.dispose()


@pytest.mark.parametrize("kind", ["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def test_eight_writers_at_once_make_one_chain(databases: Databases, kind: str) -> None:
    url = databases.migrated(kind)
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=write_many, args=(url.render_as_string(hide_password=False), 25)) for _ in range(8)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(120)
    assert [writer.exitcode for writer in writers] == [0] * 8
    engine = engine_for(url, 30.0)
    found = AuditLog(engine).verify()
    engine.dispose()
    assert (found.rows, found.problem) == (200, "")


def test_the_log_is_checked_while_others_write(store: Store) -> None:
    ended = threading.Event()

    def write() -> None:
        while not ended.is_set():
            with transaction(store.engine) as connection:
                note(connection, "triage", "noticed", {})

    writer = threading.Thread(target=write)
    writer.start()
    problems = [store.audit.verify().problem for _ in range(10)]
    ended.set()
    writer.join()
    assert problems == [""] * 10


@pytest.mark.parametrize("kind", ["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def test_rows_from_before_the_chain_are_chained(databases: Databases, kind: str) -> None:
    engine = engine_for(databases.migrated(kind), 30.0)
    migrate(engine, command.downgrade, "0006")
    row = "INSERT INTO oncall_audit (at, actor, what, incident_id, detail) VALUES (:at, 'ann', 'paused', NULL, '{\"reason\": \"x\"}')"
    with engine.begin() as connection:
        for _ in range(3):
            connection.execute(text(row), {"at": "2026-11-20 01:02:03.000004+00" if kind == "postgresql" else "2026-11-20 01:02:03.000004"})
    schema.upgrade(engine)
    store = Store.over(engine, "triage-1")
    assert (store.audit.verify().rows, store.audit.verify().problem) == (3, "")
    store.switch.pause("ann", "the cluster moves")
    assert (store.audit.verify().rows, store.audit.verify().problem) == (4, "")
    engine.dispose()


def migrate(engine: Engine, how: Callable[[Config, str], None], revision: str) -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(schema.__file__).parent / "migrations"))
    with transaction(engine) as connection:
        config.attributes["connection"] = connection
        how(config, revision)


@pytest.mark.parametrize("path", sorted(STORE.glob("*.py")), ids=lambda path: path.stem)
def test_only_the_log_itself_writes_its_table(path: Path) -> None:
    """Rows are added by ``audit.write_pending``; changed and deleted by ``audit.name_dag`` and by ``audit_log`` (erase, cut) alone."""
    if path.stem in ("audit", "audit_log"):
        return
    calls = [node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.Call) and node.args]
    named = {(getattr(one.func, "id", ""), getattr(one.args[0], "id", "")) for one in calls}
    assert not named & {("insert", "audit"), ("update", "audit"), ("delete", "audit"), ("in_batches", "audit")}


def test_people_and_files_that_decide_stand_in_the_log(store: Store) -> None:
    store.good_files.set("policy.yaml", "mode: ask")
    store.good_files.set("policy.yaml", "mode: ask")
    store.good_files.set("policy.yaml", "mode: auto")
    store.switch.pause("ann", "x")
    store.switch.resume("bob")
    assert [(row.actor, row.what) for row in store.audit.rows(limit=9)] == [
        ("bob", "resumed"),
        ("ann", "paused"),
        ("operator", "file in force"),
        ("operator", "file in force"),
    ]
