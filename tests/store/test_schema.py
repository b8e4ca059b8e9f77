"""The tables: one history, the same as the code says, made once however many try."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from tests.databases import Databases

from airflow_oncall.store import schema
from airflow_oncall.store.schema import HEAD, current_revision, upgrade
from airflow_oncall.store.sql import Store
from airflow_oncall.store.tables import VERSION_TABLE, metadata


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
