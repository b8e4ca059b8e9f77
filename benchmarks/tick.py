"""One triage tick with much history in the store against the same tick with little: closed incidents must cost nothing.

The tick sweeps, takes in two failed task instances, diagnoses, decides, clears and verifies them: the real code over a simulated
Airflow. History is one such incident with all its rows, many times over, in the same DAGs: nine of ten, the newest, were members of
storms, which are no evidence. One of the two fails as those did, the other as hardly any did: both have to look for what was seen of
their like.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta
from itertools import count
from pathlib import Path
from typing import Any

from benchmarks.claims import postgres, url_of
from benchmarks.measuring import Result, medians_in_turn, result

SMALL, LARGE, ROUNDS = 1_000, 100_000, 25
COMMON = "requests.exceptions.ConnectionError: ('Connection aborted.', ConnectionResetError(104, 'Connection reset by peer'))"
RARE = "requests.exceptions.ReadTimeout: HTTPSConnectionPool(host='vendor.example', port=443): Read timed out. (read timeout=30)"
DAGS, STORM = 50, 1_000
"""DAGs of the site, and members of one storm."""
TABLES = ("incidents", "occurrences", "diagnoses", "decisions", "actions", "outcomes", "labels", "audit")
UNIQUE = {"occurrences": ("key",)}
REFERENCES = ("incident_id", "action_id")
APART = 1_000
"""Between the ids of one copy and the next: more than an incident has rows in a table."""
LATER = timedelta(days=2)
"""From the history to what is measured: no budget of an hour or a day counts it."""
EVERY = timedelta(minutes=2)


def measure(home: Path) -> dict[str, Result]:
    """Milliseconds of a tick, in wall time."""
    from simulator.home import settle

    settle()
    with postgres(home) as uri:
        url = url_of(uri)
        databases = {"": [_database(url, name) for name in ("small", "large")]}
        databases["_sqlite"] = [f"sqlite:///{home}/{name}.db" for name in ("small", "large")]
        return {f"tick_100k_vs_1k{suffix}": _compare(*pair) for suffix, pair in databases.items()}


def _compare(small: str, large: str) -> Result:
    little, much = medians_in_turn([_stage(small, SMALL), _stage(large, LARGE)], ROUNDS, warm_up=3, clock=time.perf_counter)
    return result(much * 1000, little * 1000, "ms")


def _database(url: Any, name: str) -> str:
    from sqlalchemy import create_engine, text

    admin = create_engine(url, isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    admin.dispose()
    return str(url.set(database=name).render_as_string(hide_password=False))


def _stage(database: str, history: int) -> Callable[[int], None]:
    """What does one round over a store with so much history."""
    from simulator.clock import START, SimulatedClock, running_on
    from simulator.course import SimulatedSite
    from simulator.triage import Triage, open_engine
    from simulator.wire import api_over, into
    from sqlalchemy import make_url

    from airflow_oncall.capture.fingerprint import fingerprint
    from airflow_oncall.incident import Evidence, Occurrence, State, TaskRef
    from airflow_oncall.store.schema import upgrade
    from airflow_oncall.store.sql import Store

    engine = open_engine(make_url(database))
    upgrade(engine)
    clock, numbers = SimulatedClock(START), count()
    store, airflow = Store.over(engine, "bench"), SimulatedSite(clock)
    triage = Triage(store, api_over(into(airflow)))

    def fail(text: str) -> TaskRef:
        number, chain = next(numbers), (text.partition(":")[0],)
        ref = TaskRef(f"dag_{number % DAGS}", f"run_{number}", "load")
        airflow.hold(airflow.add(ref))
        ended_at = airflow.fail(ref).ended_at or clock.at
        evidence = Evidence(chain, text, operator="PythonOperator")
        store.intake.record(Occurrence(ref, "listener", ended_at, 1, fingerprint=fingerprint(chain, text, None), evidence=evidence))
        return ref

    def play(*texts: str) -> None:
        failed = [fail(text) for text in texts]
        triage.tick()
        for ref in failed:
            airflow.start(ref)
            airflow.succeed(ref)
        clock.advance(EVERY)
        triage.tick()
        for ref in failed:
            airflow.forget_run(ref.dag_id, ref.run_id)
        assert {one.state for one in store.reading.incidents(limit=len(texts))} == {State.RESOLVED}

    def round_of(_: int, *texts: str) -> None:
        with running_on(clock):
            play(*(texts or (COMMON, RARE)))
        clock.advance(timedelta(hours=1))

    round_of(0, COMMON)
    _multiply(engine, history)
    clock.advance(LATER)
    return round_of


def _multiply(engine: Any, times: int) -> None:
    """The one incident's rows so many times, with ids, runs and keys of their own."""
    from sqlalchemy import inspect, text

    with engine.begin() as connection:
        _had_storms(connection, times // STORM + 1)
        columns = {name: [column["name"] for column in inspect(connection).get_columns(f"oncall_{name}")] for name in TABLES}
        for name in TABLES:
            values = ", ".join(_of_storms(column, times) or _value(name, column) for column in columns[name])
            numbers = f"WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < {times})"
            table = f"oncall_{name}"
            what = f"{numbers} SELECT {values} FROM numbers, {table} AS one"
            connection.execute(text(f"INSERT INTO {table} ({', '.join(columns[name])}) {what}"))
            if engine.dialect.name == "postgresql":
                connection.execute(text(f"SELECT setval(pg_get_serial_sequence('{table}', 'id'), (SELECT max(id) FROM {table}))"))
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("ANALYZE"))


def _had_storms(connection: Any, number: int) -> None:
    """Storms that are over, numbered from 1."""
    from sqlalchemy import insert

    from airflow_oncall.store.records import now
    from airflow_oncall.store.tables import storms

    over = {"cause": "network", "state": "closed", "opened_at": now(), "closed_at": now()}
    connection.execute(insert(storms), [over] * number)


def _value(table: str, column: str) -> str:
    if column == "id" or column in REFERENCES:
        return f"one.{column} + {APART} * n"
    if column in UNIQUE.get(table, ()):
        return f"substr(one.{column}, 1, 40) || n"
    return f"one.{column} || n" if column == "run_id" else f"one.{column}"


def _of_storms(column: str, times: int) -> str:
    """What tells which of the copies were members of a storm."""
    return {
        "dag_id": f"'dag_' || n % {DAGS}",
        "storm_id": f"CASE WHEN n > {times // 10} THEN 1 + n / {STORM} END",
        "is_evidence": f"n <= {times // 10} AND one.is_evidence",
    }.get(column, "")
