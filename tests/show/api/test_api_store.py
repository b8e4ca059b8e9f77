"""The store of the API server's process: opened once, and not tried by everybody in turn while it does not answer."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from threading import Event

import pytest
from fastapi import FastAPI, Request

from airflow_oncall.errors import StoreUnavailable
from airflow_oncall.show.api import store as opening
from airflow_oncall.show.api.store import RETRY_SECONDS, the_store
from airflow_oncall.store.sql import Store

READERS = 3


@dataclass
class Database:
    """A database that takes its time before it says no; and the clock of the process that asks it."""

    gives_up: Event = field(default_factory=Event)
    tries: int = 0
    now: float = 100.0
    store: Store | None = None

    def open(self, *, patience: float) -> Store:
        self.tries += 1
        assert self.gives_up.wait(30)
        if self.store is None:
            raise StoreUnavailable(f"no answer for {patience:g} s")
        return self.store


@pytest.fixture
def database(monkeypatch: pytest.MonkeyPatch) -> Database:
    database = Database()
    monkeypatch.setattr(opening, "open_store", database.open)
    monkeypatch.setattr(opening, "monotonic", lambda: database.now)
    return database


@pytest.fixture
def request_of_somebody() -> Request:
    return Request({"type": "http", "app": FastAPI()})


def test_those_who_waited_for_a_store_that_cannot_be_opened_fail_with_the_first(database: Database, request_of_somebody: Request) -> None:
    with ThreadPoolExecutor(READERS) as readers:
        asked = [readers.submit(the_store, request_of_somebody) for _ in range(READERS)]
        database.gives_up.set()
    assert [str(one.exception()) for one in asked] == ["no answer for 10 s"] * READERS
    assert database.tries == 1


def test_after_a_short_while_it_is_tried_again_and_then_kept(database: Database, request_of_somebody: Request, sqlite_store: Store) -> None:
    database.gives_up.set()
    with pytest.raises(StoreUnavailable):
        the_store(request_of_somebody)
    database.store = sqlite_store
    database.now += RETRY_SECONDS
    assert the_store(request_of_somebody) is sqlite_store
    assert the_store(request_of_somebody) is sqlite_store
    assert database.tries == 2
