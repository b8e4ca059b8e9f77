"""A knowledge base whose indexes lie in a folder of the test's own."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.knowledge.people import People

from airflow_oncall.knowledge.book import Book
from airflow_oncall.store.sql import Store


@pytest.fixture
def models_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where indexes are kept."""
    monkeypatch.setenv("AIRFLOW__ONCALL__MODELS_PATH", str(tmp_path / "models"))
    return tmp_path / "models"


@pytest.fixture
def book(sqlite_store: Store) -> Book:
    """Ada's pen."""
    return Book(sqlite_store, "ada")


@pytest.fixture
def people(sqlite_store: Store, models_path: Path) -> People:
    """Those who look after the books."""
    return People(sqlite_store)
