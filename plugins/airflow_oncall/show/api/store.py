"""The store of this API server process, opened at the first request that needs it."""

from __future__ import annotations

from threading import Lock
from time import monotonic
from typing import Annotated

from fastapi import Depends, Request
from starlette.datastructures import State

from airflow_oncall.errors import StoreError
from airflow_oncall.store import open_store
from airflow_oncall.store.sql import Store

PATIENCE = 10.0
"""Seconds a page waits for the store."""
RETRY_SECONDS = 2.0
"""Seconds for which a failure answers for those who come after it."""
_opening = Lock()


def the_store(request: Request) -> Store:
    """The store; one that cannot be opened is tried again by a request a little later."""
    state = request.app.state
    store: Store | None = getattr(state, "store", None)
    if store is None:
        with _opening:
            store = getattr(state, "store", None) or _opened(state)
    return store


def _opened(state: State) -> Store:
    """The store, now opened. Those who waited meanwhile are told of its failure: each would wait as long, one after the other."""
    failed_at, failure = getattr(state, "store_failure", (0.0, None))
    if failure is not None and monotonic() - failed_at < RETRY_SECONDS:
        raise failure.with_traceback(None)  # else it would grow with each request
    try:
        state.store = store = open_store(patience=PATIENCE)
    except StoreError as error:
        state.store_failure = (monotonic(), error)
        raise
    return store


StoreDep = Annotated[Store, Depends(the_store)]
