"""A mixed log to scan: Spark, PostgreSQL, Airflow, web services and a program's own output, about 1 % of its lines trouble."""

from __future__ import annotations

import random
from pathlib import Path

SEED = 7
UNIT = 20 << 20
"""Bytes that differ from line to line; a longer log repeats them."""
TROUBLE = 0.007
"""Of the records; with the lines that follow, 1 % of all lines match a signature."""

_HEALTHY = (
    "26/11/20 {h}:{m}:{s} INFO TaskSetManager: Finished task {n}.0 in stage {k}.0 (TID {n}) in {ms} ms on 10.0.0.{k} (executor {k})",
    "26/11/20 {h}:{m}:{s} INFO BlockManagerInfo: Added broadcast_{n}_piece0 in memory on node-{k}:4{ms} (size: {ms}.4 KiB)",
    "26/11/20 {h}:{m}:{s} INFO CodeGenerator: Code generated in {ms}.{n} ms",
    "2026-11-20 {h}:{m}:{s}.{ms} UTC [{n}] etl@shop LOG:  duration: {ms}.{k} ms  statement: SELECT id FROM orders WHERE day = '{k}'",
    "2026-11-20 {h}:{m}:{s}.{ms} UTC [{n}] LOG:  checkpoint complete: wrote {n} buffers (0.{k}%); 0 WAL file(s) added, 1 removed",
    "[2026-11-20T{h}:{m}:{s}.{ms}+0000] {{load.py:{k}}} INFO - Loaded {n} rows of tenant {k} in {ms} ms, 0 errors",
    '{{"timestamp":"2026-11-20T{h}:{m}:{s}.{ms}Z","level":"info","event":"batch {n} written","logger":"task.stdout","rows":{n}}}',
    '10.0.{k}.{k} - - [20/Nov/2026:{h}:{m}:{s} +0000] "GET /api/v2/orders/{n}?page={k} HTTP/1.1" 200 {n} "-" "python-requests/2.32"',
    "2026-11-20 {h}:{m}:{s},{ms} INFO [main] shop.ledger.Importer - imported file part-{n}.parquet with {ms} row groups",
    "order {n} of customer {k}: {ms}.00 EUR, paid",
)
_TROUBLE = (
    "26/11/20 {h}:{m}:{s} WARN TaskSetManager: Lost task {n}.0 in stage {k}.0 (TID {n}) (node-{k} executor {k}): java.io.IOException: x\n"
    "\tat java.base/java.lang.Thread.run(Thread.java:{ms})",
    "26/11/20 {h}:{m}:{s} ERROR TaskSchedulerImpl: Lost executor {k} on 10.0.0.{k}: Remote RPC client disassociated.",
    "2026-11-20 {h}:{m}:{s}.{ms} UTC [{n}] etl@shop ERROR:  deadlock detected",
    '2026-11-20 {h}:{m}:{s}.{ms} UTC [{n}] etl@shop ERROR:  relation "orders_{k}" does not exist at character 15',
    "[2026-11-20T{h}:{m}:{s}.{ms}+0000] {{load.py:{k}}} ERROR - tenant {k}: Read timed out. (read timeout={k})",
    '{{"timestamp":"2026-11-20T{h}:{m}:{s}.{ms}Z","level":"error","event":"batch {n} refused","logger":"task.stdout","rows":{n}}}',
    "2026-11-20 {h}:{m}:{s},{ms} ERROR [main] shop.ledger.Importer - part-{n}.parquet: No space left on device",
    "[2026-11-20T{h}:{m}:{s}.{ms}+0000] {{load.py:{k}}} ERROR - Task failed with exception\nTraceback (most recent call last):\n"
    "  File \"/opt/shop/load.py\", line {k}, in load\n    post(order)\nKeyError: 'amount_{n}'",
)


def write_log(path: Path, size: int) -> None:
    """Write about ``size`` bytes."""
    dice = random.Random(SEED)
    lines: list[str] = []
    length = 0
    while length < min(UNIT, size):
        line = dice.choice(_TROUBLE if dice.random() < TROUBLE else _HEALTHY).format(
            h=f"{dice.randrange(24):02}",
            m=f"{dice.randrange(60):02}",
            s=f"{dice.randrange(60):02}",
            ms=f"{dice.randrange(1000):03}",
            n=dice.randrange(100_000),
            k=dice.randrange(1, 255),
        )
        lines.append(line)
        length += len(line) + 1
    text = ("\n".join(lines) + "\n").encode()
    with path.open("wb") as file:
        for _ in range(max(1, size // len(text))):
            file.write(text)
