"""The store of this API server process, opened at the first request that needs it."""

from __future__ import annotations

from threading import Lock
from typing import Annotated

from fastapi import Depends, Request

from airflow_oncall.store import open_store
from airflow_oncall.store.sql import Store

PATIENCE = 10.0
"""Seconds a page waits for the store."""
_opening = Lock()


def the_store(request: Request) -> Store:
    """The store; one that cannot be opened is tried again at the next request."""
    state = request.app.state
    with _opening:
        if getattr(state, "store", None) is None:
            state.store = open_store(patience=PATIENCE)
        store: Store = state.store
    return store


StoreDep = Annotated[Store, Depends(the_store)]
