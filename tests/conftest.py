"""What every test shares: an Airflow that touches nothing of this machine, real databases, and a cast of incidents."""

from __future__ import annotations

import fcntl
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

# Airflow reads these when it is imported, so they are set before any test module is.
_HOME = Path(tempfile.mkdtemp(prefix="oncall-tests-"))
_ROOT = Path(__file__).parents[1]
os.environ |= {
    "AIRFLOW_HOME": str(_HOME),
    "AIRFLOW__CORE__UNIT_TEST_MODE": "False",
    "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
    "AIRFLOW__CORE__DAGS_FOLDER": str(_ROOT / "dags"),
    "AIRFLOW__CORE__PLUGINS_FOLDER": str(_ROOT / "plugins"),
    "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{_HOME}/airflow.db",
}

import pytest  # noqa: E402

from airflow_oncall.store import records  # noqa: E402
from airflow_oncall.store.sql import Store  # noqa: E402
from airflow_oncall.triage.rulefile import parse_rules  # noqa: E402
from airflow_oncall.triage.rules import RuleBook  # noqa: E402
from tests.clocks import MovedClock  # noqa: E402
from tests.databases import Databases, fresh_store  # noqa: E402
from tests.packaging.installation import Installation  # noqa: E402


def pytest_unconfigure() -> None:
    """Airflow's home goes with the process that it was made for."""
    shutil.rmtree(_HOME, ignore_errors=True)


@pytest.fixture(scope="session")
def databases(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Databases]:
    """A real SQLite folder and, when first asked for, a real PostgreSQL server."""
    with Databases(tmp_path_factory.getbasetemp().parent / "postgresql.lock") as databases:
        yield databases


@pytest.fixture(scope="session")
def airflow_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Airflow's own database, migrated and empty, for homes that are to run a DAG: made once for all processes of a test run."""
    base = tmp_path_factory.getbasetemp()
    home = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "airflow-database"
    home.mkdir(exist_ok=True)
    with (home / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (home / "made").exists():
            Installation(Path(sys.executable), home).run("-c", "from airflow.utils.db import initdb; initdb()").check_returncode()
            (home / "made").touch()
    return home / "airflow.db"


@pytest.fixture
def somewhere(tmp_path: Path, airflow_database: Path) -> Installation:
    """An AIRFLOW_HOME with an empty database; the package comes from the checkout."""
    home = Installation(Path(sys.executable), tmp_path / "home")
    shutil.copy(airflow_database, home.home)
    return home


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> MovedClock:
    """The store's clock."""
    clock = MovedClock()
    monkeypatch.setattr(records, "clock", clock)
    return clock


@pytest.fixture(scope="session")
def rules() -> RuleBook:
    """The rules as they are shipped."""
    folder = _ROOT / "include" / "oncall" / "rules"
    return parse_rules({path.name: path.read_text(encoding="utf-8") for path in sorted(folder.glob("*.yaml"))})


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def store(request: pytest.FixtureRequest, databases: Databases) -> Iterator[Store]:
    """An empty, migrated store on each of the two databases."""
    yield from fresh_store(databases, request.param)


@pytest.fixture
def sqlite_store(databases: Databases) -> Iterator[Store]:
    """An empty, migrated store on SQLite, for tests that are not about SQL."""
    yield from fresh_store(databases, "sqlite")


@pytest.fixture
def postgres_store(databases: Databases) -> Iterator[Store]:
    """An empty, migrated store on PostgreSQL, for tests of what only a server with many sessions can do."""
    yield from fresh_store(databases, "postgresql")


@pytest.fixture
def separate_occasions(monkeypatch: pytest.MonkeyPatch) -> None:
    """Outcomes that a test makes one right after another count as if hours lay between them."""
    monkeypatch.setattr("airflow_oncall.store.outcomes.EPISODE", timedelta(0))
