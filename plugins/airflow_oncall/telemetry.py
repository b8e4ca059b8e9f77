"""What this process tells Airflow's own Stats (StatsD, OpenTelemetry, Datadog), and its spans; nothing where none is configured.

Airflow sets both up in the process of a running task, which is where triage runs. A command on a terminal tells nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from opentelemetry.trace import Span

PREFIX = "oncall."
_NOT_IN_A_STAT = re.compile(r"[^A-Za-z0-9_-]")


def word(label: str) -> str:
    """A label as part of a name or as a tag: with any other character in it, Airflow logs an error and tells nothing."""
    return _NOT_IN_A_STAT.sub("_", label)


def count(name: str, number: int = 1, /, **tags: str) -> None:
    """Something happened so many times."""
    from airflow.sdk.observability import stats

    if number:
        stats.incr(PREFIX + name, number, tags={tag: word(label) for tag, label in tags.items()})


def gauge(name: str, value: float) -> None:
    """Something is so much now."""
    from airflow.sdk.observability import stats

    stats.gauge(PREFIX + name, value)


def took(name: str, seconds: float) -> None:
    """Something took so long."""
    from airflow.sdk.observability import stats

    stats.timing(PREFIX + name, timedelta(seconds=seconds))


@contextmanager
def span(name: str) -> Iterator[Span]:
    """A span inside that of the running task, which Airflow begins where traces are on; else one that nobody keeps."""
    from opentelemetry import trace

    with trace.get_tracer("airflow_oncall").start_as_current_span(PREFIX + name) as begun:
        yield begun


def describe(begun: Span, **numbers: int) -> None:
    """Tell a span what came of it."""
    begun.set_attributes({PREFIX + name: number for name, number in numbers.items()})
