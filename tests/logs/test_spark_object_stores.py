"""Event logs in object stores, which tell the time of a change each in their own way, or not at all."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timezone
from typing import Any

import pytest
from airflow.sdk.io import attach, store
from fsspec.implementations.memory import MemoryFileSystem  # type: ignore[import-untyped]

from airflow_oncall.capture.logs import spark_files
from airflow_oncall.capture.logs.spark_events import EventLogSource
from tests.cast import MIDNIGHT

LOG = b"""\
{"Event":"SparkListenerLogStart","Spark Version":"4.0.0"}
{"Event":"SparkListenerJobStart","Job ID":0,"Stage IDs":[0]}
{"Event":"SparkListenerJobEnd","Job ID":0,"Job Result":{"Result":"JobFailed","Exception":{"Message":"no customer"}}}
{"Event":"SparkListenerApplicationEnd"}
"""

Bucket = Callable[..., None]


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Bucket:
    """``memory://bucket`` with one event log, of which the store tells what a test gives."""
    plain = MemoryFileSystem.info
    monkeypatch.setattr(MemoryFileSystem, "store", {})
    monkeypatch.setattr(store, "_STORE_CACHE", {})

    def filled(**told: Any) -> None:
        monkeypatch.setattr(MemoryFileSystem, "info", lambda self, path, **settings: {**plain(self, path, **settings), **told})
        files = MemoryFileSystem()
        files.pipe("/bucket/app-1", LOG)
        attach(protocol="memory", fs=files)

    return filled


def found() -> list[str]:
    batches = list(EventLogSource("spark", "memory://bucket", "start").read({}))
    assert [problem for batch in batches for problem in batch.problems] == []
    return [record.signature for batch in batches for record in batch.records]


@pytest.mark.parametrize("told", [{}, {"mtime": None}, {"mtime": "yesterday"}], ids=["no time", "none", "text"])
def test_a_log_whose_store_does_not_tell_when_it_was_changed_is_read(bucket: Bucket, told: dict[str, Any]) -> None:
    bucket(**told)
    assert found() == ["spark-job-failed"]


@pytest.mark.parametrize("changed", [MIDNIGHT, MIDNIGHT.replace(tzinfo=None), MIDNIGHT.timestamp()], ids=["UTC", "no zone", "seconds"])
def test_a_time_of_change_is_understood_as_a_datetime_and_as_seconds(bucket: Bucket, changed: object) -> None:
    bucket(mtime=changed)
    [log] = spark_files.find_logs("memory://bucket", "spark")
    assert datetime.fromtimestamp(log.changed_at, timezone.utc) == MIDNIGHT
