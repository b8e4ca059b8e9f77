"""What Prometheus would read."""

from __future__ import annotations

import re

from airflow_oncall.show import metrics
from airflow_oncall.store.sql import Store

SAMPLE = re.compile(r'([a-z_]+)(?:\{((?:[a-z]+="(?:[^"\\]|\\.)*",?)+)\})? (-?[0-9.e+-]+)')


def samples(text: str) -> dict[str, float]:
    """Values by name and labels; fails on a line that is not of the format."""
    found = {}
    for line in text.splitlines():
        if not line.startswith("#"):
            match = SAMPLE.fullmatch(line)
            assert match, line
            found[match[1] + (f"{{{match[2]}}}" if match[2] else "")] = float(match[3])
    return found


def scraped(store: Store) -> dict[str, float]:
    """Values of a store now, not those of some seconds ago."""
    metrics.exposition.cache.clear()
    return samples(metrics.exposition(store))


def of(name: str, store: Store) -> dict[str, float]:
    """Values of one metric now, by its labels."""
    prefix = f"oncall_{name}{{"
    return {key.removeprefix(prefix).rstrip("}"): value for key, value in scraped(store).items() if key.startswith(prefix)}
