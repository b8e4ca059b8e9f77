"""One Airflow API server for all tests of the API, and a store of its own for each."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.show.api.client import DAGS, Api, airflow_server, know_dags
from tests.show.api.story import Story

from airflow_oncall.store.sql import Store


@pytest.fixture(scope="session")
def server(airflow_database: Path) -> Iterator[Api]:
    """Airflow's app over a migrated database in which some DAGs are known."""
    home = Path(os.environ["AIRFLOW_HOME"])
    shutil.copy(airflow_database, home / "airflow.db")
    know_dags(DAGS)
    with airflow_server(home) as api:
        yield api


@pytest.fixture
def api(server: Api, sqlite_store: Store) -> Iterator[Api]:
    """The API over an empty store on SQLite."""
    server.use(Store.over(sqlite_store.engine, "api-server"))
    yield server
    server.use(None)


@pytest.fixture
def story(sqlite_store: Store) -> Story:
    """What happened before somebody opened the page."""
    return Story(sqlite_store)
