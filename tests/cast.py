"""The cast: failures with names, so that tests read aloud."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta, timezone

from airflow_oncall.incident import Evidence, Kind, Occurrence, TaskRef

MIDNIGHT = datetime(2026, 11, 21, tzinfo=timezone.utc)

NIGHTLY_ORDERS = TaskRef("nightly", "scheduled__2026-11-21", "load_orders")
FOURTH_SHARD = TaskRef("shards", "manual__1", "work", 3)

vendor_was_down = Occurrence(
    ref=NIGHTLY_ORDERS,
    seen_by="listener",
    happened_at=MIDNIGHT,
    try_number=1,
    fingerprint="vendor-503",
    evidence=Evidence(
        exception_chain=("httpx.HTTPStatusError",),
        message="Server error '503 Service Unavailable' for url 'http://vendor/orders'",
        traceback="Traceback (most recent call last):\nhttpx.HTTPStatusError: Server error '503 Service Unavailable'",
        operator="PythonOperator",
        max_tries=0,
    ),
)
"""The last try of a task; Airflow will not run it again."""

seen_by_the_sweep = replace(vendor_was_down, seen_by="sweep", fingerprint="", evidence=Evidence(hostname="worker-7"))
"""The same try, noticed without its exception."""

first_of_two_tries = replace(vendor_was_down, will_retry=True)
"""Airflow itself runs it again."""

broken_dag_file = Occurrence(
    ref=TaskRef("team/broken.py"),
    seen_by="listener",
    happened_at=MIDNIGHT,
    kind=Kind.DAG_IMPORT,
    mark="no-module",
    fingerprint="no-module",
    evidence=Evidence(exception_chain=("ModuleNotFoundError",), message="No module named 'warehouse'"),
)
"""A DAG file that Airflow cannot import."""


def next_try(occurrence: Occurrence, **changes: object) -> Occurrence:
    """The task instance failed once more."""
    later = {"try_number": occurrence.try_number + 1, "happened_at": occurrence.happened_at + timedelta(minutes=1)}
    return replace(occurrence, **(later | changes))  # type: ignore[arg-type]
