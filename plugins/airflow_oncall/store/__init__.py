"""REMEMBER: the incident store. ``open_store()`` is the door; SQL loads behind it, not with this package."""

from __future__ import annotations

import os
import secrets
import socket
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow_oncall.store.sql import Store

PATIENCE = 30.0
"""Seconds triage and commands wait for a lock or a connection; capture, inside other people's tasks, waits less."""


def worker_name() -> str:
    """A name for this holder of claims; containers may share host name and process number, so part of it is random."""
    return f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"


def open_store(*, migrate: bool = True, patience: float = PATIENCE) -> Store:
    """Open the store of this deployment.

    ``migrate`` brings missing or older tables up to date first. Capture passes ``False``: it never creates anything,
    and an outdated store raises :class:`~airflow_oncall.errors.SchemaOutdated` at its first use instead.
    """
    from airflow_oncall.store.sql import Store

    return Store.open(worker_name(), migrate=migrate, patience=patience)
