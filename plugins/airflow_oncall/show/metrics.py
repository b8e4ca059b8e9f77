"""The metrics in the text format of Prometheus.

The format is three lines of code; ``prometheus_client`` would be a dependency that Airflow does not bring, for a registry of
counters in this process, which has none: what is told is read from the store.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from threading import Lock

from cachetools import TTLCache, cached
from cachetools.keys import hashkey

from airflow_oncall.measures import METRICS, Value, measure
from airflow_oncall.store.sql import Store

PREFIX = "oncall_"
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
FRESH_SECONDS = 15.0
"""However many scrape, the store is asked once in so long."""


def _key(store: Store) -> Hashable:
    return hashkey(store.engine.url)


@cached(TTLCache(maxsize=4, ttl=FRESH_SECONDS), key=_key, lock=Lock())
def exposition(store: Store) -> str:
    """All metrics with their values; each is named, also where it has none."""
    values: dict[str, list[Value]] = {}
    for value in measure(store):
        values.setdefault(value.name, []).append(value)
    lines = []
    for metric in METRICS:
        name = PREFIX + metric.name
        lines += [f"# HELP {name} {metric.meaning}", f"# TYPE {name} gauge"]
        lines += [f"{name}{_labels(value.labels)} {value.value:.10g}" for value in values.get(metric.name, [])]
    return "\n".join(lines) + "\n"


def _labels(labels: Mapping[str, str]) -> str:
    return "{" + ",".join(f'{name}="{_escaped(text)}"' for name, text in labels.items()) + "}" if labels else ""


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
