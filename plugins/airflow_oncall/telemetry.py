"""What this process tells Airflow's own Stats (StatsD, OpenTelemetry, Datadog), and its spans; nothing where none is configured.

Airflow sets both up in the process of a running task, which is where triage runs. A command on a terminal tells nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

PREFIX = "oncall."


def count(name: str, number: int = 1, /, **tags: str) -> None:
    """Something happened so many times."""
    from airflow.sdk.observability import stats

    if number:
        stats.incr(PREFIX + name, number, tags=tags)


def gauge(name: str, value: float) -> None:
    """Something is so much now."""
    from airflow.sdk.observability import stats

    stats.gauge(PREFIX + name, value)


def took(name: str, seconds: float) -> None:
    """Something took so long."""
    from airflow.sdk.observability import stats

    stats.timing(PREFIX + name, timedelta(seconds=seconds))


@contextmanager
def span(name: str) -> Iterator[None]:
    """A span inside that of the running task, which Airflow begins where traces are on."""
    from opentelemetry import trace

    with trace.get_tracer("airflow_oncall").start_as_current_span(PREFIX + name):
        yield
