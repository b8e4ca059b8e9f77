"""The tables: one history, the same as the code says, made once however many try."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import select, text
from tests.databases import Databases

from airflow_oncall.store import schema
from airflow_oncall.store.engine import engine_for, transaction
from airflow_oncall.store.schema import HEAD, current_revision, upgrade
from airflow_oncall.store.sql import Store
from airflow_oncall.store.tables import VERSION_TABLE, actions, evidence_only, metadata


def test_head_is_the_newest_revision() -> None:
    scripts = ScriptDirectory(str(Path(schema.__file__).parent / "migrations"))
    assert scripts.get_heads() == [HEAD]


def test_the_migrated_tables_are_those_of_the_code(store: Store) -> None:
    with store.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE, "compare_type": True})
        assert compare_metadata(context, metadata) == []


def test_a_second_upgrade_finds_nothing_to_do(store: Store) -> None:
    assert upgrade(store.engine) == HEAD == current_revision(store.engine)


MIGRATE = """
import sys
from sqlalchemy import make_url
from airflow_oncall.store.engine import engine_for
from airflow_oncall.store.schema import upgrade
engine = engine_for(make_url(sys.argv[1]), 30.0)
sys.stdin.readline()
print(upgrade(engine))
"""


@pytest.mark.parametrize("kind", ["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def test_processes_that_migrate_at_once_make_one_schema(databases: Databases, kind: str) -> None:
    url = databases.create(kind)
    command = [sys.executable, "-c", MIGRATE, url.render_as_string(hide_password=False)]
    racers = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment())
        for _ in range(3)
    ]
    ends = [racer.communicate("go\n", timeout=120) for racer in racers]
    assert [racer.returncode for racer in racers] == [0, 0, 0], ends
    assert [out.split()[-1] for out, _ in ends] == [HEAD] * 3


def environment() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": os.pathsep.join(part for part in sys.path if part)}


ROWS = """
INSERT INTO oncall_storms (id, cause, state, opened_at, probe_id) VALUES (1, 'network', 'closed', :at, 2);
INSERT INTO oncall_incidents (id, key, kind, dag_id, run_id, task_id, map_index, state, fingerprint, try_number, opened_at, updated_at,
    storm_id) SELECT id, 'k' || id, 'task', 'd', 'r', 't', id, 'resolved', 'newer', 2, :at, :at, CASE WHEN id IN (2, 3) THEN 1 END
    FROM numbers;
INSERT INTO oncall_occurrences (incident_id, key, try_number, seen_by, seen_at, happened_at, will_retry, by_hand, fingerprint,
    exception_chain, message, traceback, log_tail) SELECT id, 'o' || id, 1, 'sweep', :at, :at, false, false, 'answered', '[]', '', '', ''
    FROM numbers;
INSERT INTO oncall_actions (id, incident_id, decision_number, kind, dag_id, run_id, task_id, map_index, answers_try, attempts, state,
    planned_at, done_at, in_wave) SELECT id, id, 1, CASE WHEN id = 7 THEN 'escalate' ELSE 'clear_task' END, 'd', 'r', 't', id, 1, 1,
    CASE WHEN id = 6 THEN 'dropped' ELSE 'done' END, :at, :at, id = 4 FROM numbers;
INSERT INTO oncall_outcomes (incident_id, action_id, kind, try_number, seen_at, detail) SELECT id, id,
    CASE WHEN id = 5 THEN 'superseded' ELSE 'failed_other' END, 2, :at, '' FROM numbers WHERE id <> 8
"""
"""1 alone; 2 a storm's probe, 3 its member, 4 a member that left it; 5 overtaken; 6 not done; 7 no repair; 8 not seen to its end."""


@pytest.mark.parametrize("kind", ["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def test_what_was_done_before_counts_as_evidence_after_an_upgrade(databases: Databases, kind: str) -> None:
    engine = engine_for(databases.create(kind), 30.0)
    config = Config()
    config.set_main_option("script_location", str(Path(schema.__file__).parent / "migrations"))
    numbers = "WITH numbers(id) AS (VALUES (1), (2), (3), (4), (5), (6), (7), (8))"
    with transaction(engine) as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0008")
        for statement in ROWS.strip().split(";\n"):
            into, _, values = statement.partition(" SELECT ")
            query = f"{into} {numbers} SELECT {values}" if values else into
            connection.execute(text(query), {"at": "2026-11-20 00:00:00+00:00"})
    upgrade(engine)
    with engine.connect() as connection:
        found = connection.execute(select(actions.c.id, actions.c.fingerprint).where(evidence_only).order_by(actions.c.id)).all()
    assert [tuple(row) for row in found] == [(1, "answered"), (2, "answered")]
    engine.dispose()
