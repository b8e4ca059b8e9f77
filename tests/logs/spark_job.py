"""The Spark applications behind the tests: ``python spark_job.py FOLDER`` writes their event logs to ``FOLDER/events``.

While each of them runs, its log as it then is goes to ``FOLDER/growing``.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pyspark import SparkConf
from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

FOLDER = Path(sys.argv[1])
EVENTS, GROWING, KILLED = FOLDER / "events", FOLDER / "growing", FOLDER / "killed"
QUICK_JAVA = "-XX:+UseSerialGC -XX:TieredStopAtLevel=1"


def session(master: str, name: str, **properties: str) -> SparkSession:
    """A session that logs its events."""
    conf = SparkConf().setMaster(master).setAppName(name)
    common = {
        "spark.ui.enabled": "false",
        "spark.eventLog.enabled": "true",
        "spark.eventLog.dir": EVENTS.as_uri(),
        "spark.executor.memory": "600m",
        "spark.executor.extraJavaOptions": QUICK_JAVA,
        "spark.task.maxFailures": "2",
        "spark.airflow.dag_id": "nightly_orders",
        "spark.airflow.run_id": "scheduled__2026-01-01",
        "spark.airflow.task_id": name,
        "spark.airflow.map_index": "-1",
        "spark.airflow.try_number": "2",
    }
    for key, value in {**common, **properties}.items():
        conf.set(key, value)
    return SparkSession.builder.config(conf=conf).getOrCreate()


def broken_row(number: int) -> int:
    """Fails on every row."""
    raise ValueError(f"order {number} has no customer")


def kill_executor_once(number: int) -> int:
    """Kills the JVM that runs it, the first time."""
    if not KILLED.exists():
        KILLED.touch()
        daemon = Path(f"/proc/{os.getppid()}/stat").read_text(encoding="utf-8")
        os.kill(int(daemon.rpartition(")")[2].split()[1]), signal.SIGKILL)
        time.sleep(60)
    return number


def attempt(action: Callable[[], object]) -> None:
    """Run a job that is meant to fail."""
    from py4j.protocol import Py4JJavaError  # type: ignore[import-untyped]

    try:
        action()
    except (PySparkException, Py4JJavaError):
        return
    raise AssertionError("it did not fail")


def keep_growing() -> None:
    """Keep the log as it is while its application runs."""
    for entry in EVENTS.iterdir():
        if entry.is_dir() and list(entry.glob("appstatus_*.inprogress")):
            shutil.copytree(entry, GROWING / entry.name)
        elif entry.name.endswith(".inprogress"):
            shutil.copy(entry, GROWING / entry.name)


def orders() -> None:
    """Loses an executor and goes on, fails on a row, runs out of memory, misses a table, loses nothing at its end."""
    spark = session("local-cluster[1,1,600]", "load_orders")
    context: Any = spark.sparkContext
    context.setJobDescription("count orders")
    context.parallelize(range(2), 1).map(kill_executor_once).collect()
    keep_growing()
    attempt(lambda: context.parallelize(range(2), 1).map(broken_row).collect())
    context.setJobDescription(None)
    attempt(lambda: spark.sql("select size(sequence(1, 200000000 + cast(id as int))) from range(1, 2, 1, 1)").collect())
    attempt(lambda: spark.sql("select * from nowhere").collect())
    spark.sql("select count(*) from range(3)").collect()
    spark.stop()


def customers(name: str, compress: str) -> None:
    """Fails twice, once before and once after its growing log is kept; in one file."""
    spark = session("local[1]", name, **{"spark.eventLog.rolling.enabled": "false", "spark.eventLog.compress": compress})
    attempt(lambda: spark.sql("select raise_error('no such customer') from range(1)").collect())
    keep_growing()
    attempt(lambda: spark.sql("select cast('x' || id as int) from range(1)").collect())
    spark.stop()


if __name__ == "__main__":
    for folder in (EVENTS, GROWING):
        folder.mkdir()
    orders()
    customers("plain_customers", "false")
    customers("zstd_customers", "true")
