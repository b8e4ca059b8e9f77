"""What capture adds to a failing task: one report from the listener's side of the border until it is back.

The peer is the least that could be done instead: a bare SQLite insert, committed, in the same run on the same disk.
"""

from __future__ import annotations

import os
import sqlite3
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path
from types import SimpleNamespace
from typing import Any

WARM_UP = 20
CALLS = 300
DOWN_CALLS = 60

Result = dict[str, float | str]


def measure(home: Path) -> dict[str, Result]:
    """p99 and median of one report: store up, store refusing at once, store locked by somebody else."""
    os.environ |= {"AIRFLOW_HOME": str(home), "AIRFLOW_CONN_ONCALL_DB": f"sqlite:///{home}/oncall.db"}
    from airflow_oncall.capture import record
    from airflow_oncall.store import open_store

    open_store()
    insert = _bare_insert(home / "peer.db")
    peer = _times(lambda number: insert(number), CALLS)
    up = _times(lambda number: _report(record, number), CALLS)
    stored = open_store().reading.count_by("state")
    if sum(stored.values()) != WARM_UP + CALLS:
        raise SystemExit(f"{sum(stored.values())} incidents stored instead of {WARM_UP + CALLS}; the figures would mean nothing")
    with _locked(home / "oncall.db"):
        locked = _times(lambda number: _report(record, 10_000 + number), DOWN_CALLS, warm_up=0)
    (home / "oncall.db").rename(home / "gone.db")
    record._paused_until = 0.0  # each case starts as a fresh process would
    gone = _times(lambda number: _report(record, 20_000 + number), DOWN_CALLS, warm_up=0)
    return {
        "capture_p99_ms": _result(_p99(up), _p99(peer)),
        "capture_median_ms": _result(statistics.median(up), statistics.median(peer)),
        "capture_store_locked_worst_ms": _result(max(locked), _p99(peer)),
        "capture_store_gone_worst_ms": _result(max(gone), _p99(peer)),
    }


def _report(record: Any, number: int) -> None:
    ti = SimpleNamespace(
        dag_id="nightly_orders",
        run_id=f"run-{number}",
        task_id="load",
        map_index=-1,
        try_number=1,
        max_tries=0,
        state="failed",
        hostname="worker-1",
        start_date=datetime.now(timezone.utc),
        end_date=None,
    )
    try:
        raise ConnectionError(f"could not connect to warehouse-{number}: connection refused")
    except ConnectionError as error:
        if not record.report(ti, error, seen_by="listener"):
            raise SystemExit("a report was neither stored nor spooled; the figures would mean nothing") from error


def _bare_insert(path: Path) -> Callable[[int], None]:
    """One committed insert, on a connection of its own, with the store's own promises about the disk."""
    with sqlite3.connect(path) as first:
        first.execute("PRAGMA journal_mode = WAL")
        first.execute("CREATE TABLE failures (id INTEGER PRIMARY KEY, run_id TEXT, message TEXT)")
    first.close()

    def insert(number: int) -> None:
        connection = sqlite3.connect(path)
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("INSERT INTO failures (run_id, message) VALUES (?, ?)", (f"run-{number}", "connection refused"))
        connection.commit()
        connection.close()

    return insert


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        holder.execute("ROLLBACK")
        holder.close()


def _times(call: Callable[[int], None], calls: int, warm_up: int = WARM_UP) -> list[float]:
    """Milliseconds of each call, after the warm-up."""
    taken = []
    for number in range(warm_up + calls):
        started = time.perf_counter()
        call(number)
        taken.append((time.perf_counter() - started) * 1000)
    return taken[warm_up:]


def _p99(taken: list[float]) -> float:
    return statistics.quantiles(taken, n=100)[98]


def _result(value: float, peer: float) -> Result:
    return {"value": round(value, 3), "unit": "ms", "peer": round(peer, 3), "ratio": round(value / peer, 2)}
