"""What a page waits for with 100,000 incidents in the store: 95th percentile of each kind of request, over HTTP, signed in.

The history is like that of a busy deployment: a thousand DAGs, most incidents closed, each with its rows in every table. The
peer is the same request over a store with 1,000 incidents. Airflow's auth manager is asked as always; it knows the thousand DAGs.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from functools import partial
from math import ceil
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.claims import postgres, url_of
from benchmarks.measuring import Result, result

ROOT = Path(__file__).resolve().parents[1]
SMALL, LARGE, ROUNDS, CHUNK = 1_000, 100_000, 40, 5_000
DAGS = [f"dag_{number:04}" for number in range(1_000)]
SPAN = timedelta(days=60)
OPEN_SHARE = 0.02
PAGES = {
    "list": "/incidents",
    "list_open": "/incidents?open=true",
    "list_rare": "/incidents?category=data_quality&severity=critical&source=nowhere",
    "list_dag": "/incidents?dag_id=dag_0007",
    "list_text": "/incidents?q=no%20such%20words",
    "list_later": "/incidents?cursor={middle}",
    "detail": "/incidents/{middle}",
    "statistics": "/statistics?days=30",
    "statistics_dag": "/statistics?days=30&dag_id=dag_0007",
    "storms": "/storms",
    "decisions": "/decisions",
    "actions": "/actions",
    "me": "/me",
}
FIRST = {"statistics_first": "/statistics?days={days}"}
"""Counted anew every time; on a page it is so for one reader in half a minute."""
CATEGORIES = ("network_timeout", "database_connectivity", "memory_exhaustion", "code_error", "missing_data", "data_quality")
SEVERITIES = ("low", "medium", "high", "critical")
TEXT = "\n".join(f"2026-11-21 03:{number:02}:00 INFO step {number} of the job read 4096 rows of the table" for number in range(60))


_IMPORTED = """
import sys, time
import airflow.sdk
from airflow.sdk import DAG, task
started = time.process_time()
import airflow.plugins_manager
between = time.process_time()
import airflow_oncall.show.plugin
print(f"{(between - started) * 1000} {(time.process_time() - between) * 1000}")
"""
IMPORTS = 7


def measure(home: Path) -> dict[str, Result]:
    """Milliseconds of a request (``page_p95_ms``: the slowest kind of page), and of what every Airflow process imports of ours."""
    from simulator.home import settle

    settle()
    os.environ["AIRFLOW__CORE__PLUGINS_FOLDER"] = str(ROOT / "plugins")  # read when Airflow is imported
    from airflow.utils.db import initdb
    from tests.show.api.client import airflow_server, know_dags

    initdb()
    know_dags([*DAGS, "oncall_triage"])
    found = {"plugin_import_ms": _plugin_import()}
    with postgres(home) as uri, airflow_server(Path(os.environ["AIRFLOW_HOME"])) as api:
        for suffix, url in (("", url_of(uri)), ("_sqlite", f"sqlite:///{home}/pages.db")):
            found |= _both(api, url, suffix)
    return found


def _plugin_import() -> Result:
    """Processor time; the peer is Airflow's own part that knows what a plugin is."""
    measured = [_imported() for _ in range(IMPORTS)]
    return result(median(ours for _, ours in measured), median(theirs for theirs, _ in measured), "ms")


def _imported() -> tuple[float, float]:
    done = subprocess.run([sys.executable, "-c", _IMPORTED], capture_output=True, text=True, check=True, cwd=ROOT / "plugins")
    theirs, ours = done.stdout.splitlines()[-1].split()
    return float(theirs), float(ours)


def _both(api: Any, url: Any, suffix: str) -> dict[str, Result]:
    from sqlalchemy import make_url

    from airflow_oncall.store.engine import engine_for
    from airflow_oncall.store.schema import upgrade
    from airflow_oncall.store.sql import Store

    engine = engine_for(make_url(url), 30.0)
    upgrade(engine)
    api.use(Store.over(engine, "bench"))
    fill(engine, 0, SMALL)
    small = _requests(api, SMALL)
    fill(engine, SMALL, LARGE)
    large = _requests(api, LARGE)
    engine.dispose()
    worst = max(PAGES, key=lambda name: large[name])
    pages = {f"page_{name}_p95_ms{suffix}": result(large[name], small[name], "ms") for name in large}
    return {f"page_p95_ms{suffix}": result(large[worst], small[worst], "ms"), **pages}


def _requests(api: Any, incidents: int) -> dict[str, float]:
    return {name: _p95(partial(_get, api, path, incidents // 2)) for name, path in (PAGES | FIRST).items()}


def _get(api: Any, path: str, middle: int, number: int) -> Any:
    return api.get(path.format(middle=middle, days=30 + number))


def _p95(request: Callable[[int], Any]) -> float:
    taken = []
    for number in range(ROUNDS + 3):
        started = time.perf_counter()
        answer = request(number)
        taken.append((time.perf_counter() - started) * 1000)
        assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json"), answer.text
    return sorted(taken[3:])[ceil(0.95 * ROUNDS) - 1]


def fill(engine: Any, first: int, last: int) -> None:
    """Give the store the incidents ``first + 1`` to ``last``, the newest last; what is settled is counted in, as triage does."""
    from sqlalchemy import insert, text

    from airflow_oncall.store import tables
    from airflow_oncall.store.rollups import Rollups

    dice = random.Random(first)
    for start in range(first, last, CHUNK):
        rows: dict[str, list[dict[str, Any]]] = {}
        for number in range(start + 1, min(start + CHUNK, last) + 1):
            for table, row in _rows(number, dice):
                rows.setdefault(table, []).append(row)
        with engine.begin() as connection:
            for table, some in rows.items():
                connection.execute(insert(getattr(tables, table)), some)
    Rollups(engine).catch_up()
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("VACUUM ANALYZE" if engine.dialect.name == "postgresql" else "ANALYZE"))


def _rows(number: int, dice: random.Random) -> Iterator[tuple[str, dict[str, Any]]]:
    """One incident's rows, table by table."""
    opened = datetime.now(timezone.utc) - SPAN * (1 - number / LARGE)
    is_open = dice.random() < OPEN_SHARE
    category, helped = dice.choice(CATEGORIES), dice.random() < 0.8
    state = dice.choice(("asked", "escalated", "verifying")) if is_open else dice.choice(("resolved", "resolved", "self_healed", "closed"))
    ref = {"dag_id": dice.choice(DAGS), "run_id": f"scheduled__{number}", "task_id": "load", "map_index": -1}
    closed = None if is_open else opened + timedelta(minutes=dice.randint(1, 90))
    at, fingerprint = {"incident_id": number}, f"{dice.randrange(500):016x}"
    yield (
        "incidents",
        {
            **ref,
            "id": number,
            "key": f"{number:064}",
            "kind": "task",
            "state": state,
            "fingerprint": fingerprint,
            "category": category,
            "try_number": 1,
            "opened_at": opened,
            "updated_at": closed or opened,
            "closed_at": closed,
            "decisions": 1,
            "due_at": opened if is_open else None,
            "detail": "0.70 is below the bar of 0.85",
            "severity": dice.choice(SEVERITIES),
        },
    )
    said = {"message": "Server error", "traceback": "", "log_tail": TEXT, "exception_chain": ["httpx.HTTPStatusError"], "max_tries": 2}
    seen = {"seen_by": "listener", "seen_at": opened, "happened_at": opened, "will_retry": False, "by_hand": False}
    yield "occurrences", {**at, **said, **seen, "key": f"o{number:063}", "try_number": 1, "fingerprint": fingerprint, "operator": "Python"}
    thought = {"probability": 0.9, "transient": True, "transient_probability": 0.8, "anomaly": False, "decided_by": "rules"}
    evidence = {"identifiers": {}, "evidence": ["rule http_5xx (0.91): INFO step 7 of the job read 4096 rows"], "made_at": opened}
    yield "diagnoses", {**at, **thought, **evidence, "try_number": 1, "category": category}
    decision = {"number": 1, "verdict": "ask" if helped else "escalate", "action": "clear_task", "answers_try": 1, "wait_seconds": 0}
    basis = {"mode": "ask", "reasons": ["0.70 is below the bar of 0.85"] * 6, "basis": {"bar": 0.85, "auto": 0.85}, "made_at": opened}
    yield "decisions", {**at, **decision, **basis, "probability": dice.random()}
    if state in ("resolved", "verifying", "escalated"):
        done = {"kind": "clear_task", "answers_try": 1, "attempts": 2, "state": "done", "planned_at": opened, "done_at": opened}
        yield "actions", {**at, **ref, **done, "id": number, "decision_number": 1, "category": category}
        ended = {"kind": "success" if helped else "failed_same", "try_number": 2, "seen_at": closed or opened, "detail": ""}
        yield "outcomes", {**at, **ended, "action_id": number}
    for what in ("noticed", "diagnosed", "decided ask", "approval", "success"):
        yield "audit", {**at, "at": opened, "actor": "triage", "what": what, "detail": {"detail": "as it was", "state": state}}
