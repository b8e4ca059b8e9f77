"""What Airflow's own Stats and traces are told while triage works."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from airflow.sdk.observability import stats
from tests.cast import vendor_was_down
from tests.tick.scene import ORDERS, Scene
from tests.tick.storm_scene import StormScene

from airflow_oncall import telemetry
from airflow_oncall.measures import METRICS, after_tick


class Receiver:
    """A Stats backend that keeps what it is told."""

    def __init__(self) -> None:
        self.counted: list[tuple[str, dict[str, str]]] = []
        self.numbers: Counter[tuple[str, str]] = Counter()
        """By name and the values of the tags."""
        self.gauges: dict[str, float] = {}
        self.timed: dict[str, Any] = {}

    def incr(self, stat: str, count: int = 1, rate: float = 1, *, tags: dict[str, str] | None = None) -> None:
        self.counted.append((stat, tags or {}))
        self.numbers[stat, " ".join((tags or {}).values())] += count

    def gauge(self, stat: str, value: float, rate: float = 1, delta: bool = False, *, tags: dict[str, str] | None = None) -> None:
        self.gauges[stat] = value

    def timing(self, stat: str, dt: Any, *, tags: dict[str, str] | None = None) -> None:
        self.timed[stat] = dt


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Receiver:
    """Airflow's Stats, as they are set up in a running task."""
    receiver = Receiver()
    monkeypatch.setattr("airflow.sdk._shared.observability.metrics.stats._backend", receiver)
    assert stats.incr.__module__ == "airflow.sdk._shared.observability.metrics.stats"
    return receiver


def test_a_repair_is_counted_at_each_of_its_steps(failed: Scene, told: Receiver) -> None:
    failed.tick()
    failed.airflow.schedule()
    failed.airflow.succeed(ORDERS)
    failed.ticks()
    counted = [one for one in told.counted if one[0].startswith("oncall.")]
    assert counted[0] == ("oncall.incidents", {"source": "airflow", "category": "network_connectivity"})
    assert ("oncall.decisions", {"verdict": "auto"}) in counted
    assert ("oncall.actions", {"kind": "clear_task", "state": "done"}) in counted
    assert ("oncall.outcomes", {"kind": "success"}) in counted


def test_an_incident_that_fails_again_is_counted_once(failed: Scene, told: Receiver) -> None:
    failed.tick()
    failed.airflow.schedule()
    failed.airflow.fail(ORDERS)
    failed.notice(replace(vendor_was_down, ref=ORDERS, try_number=2))
    failed.ticks(2)
    assert len(failed.store.reading.diagnoses(failed.incident.id)) == 2
    assert len([name for name, _ in told.counted if name == "oncall.incidents"]) == 1


def test_members_of_a_storm_are_counted_and_that_they_are_held(storm: StormScene, told: Receiver) -> None:
    storm.strike(12)
    storm.tick()
    assert told.numbers["oncall.incidents", "airflow network_connectivity"] == 12
    assert told.numbers["oncall.decisions", "wait"] == 12
    after_tick(storm.store, 1.0)
    assert told.gauges["oncall.storms_last_day.probing"] == 1


def test_after_a_tick_all_metrics_are_told(scene: Scene, told: Receiver) -> None:
    after_tick(scene.store, 2.5)
    assert told.timed == {"oncall.tick": timedelta(seconds=2.5)}
    always = {metric.name for metric in METRICS if not metric.labels}
    assert always <= {name.removeprefix("oncall.") for name in told.gauges}
    assert told.gauges["oncall.tick_duration_seconds"] == 2.5


def test_each_label_has_a_gauge_of_its_own_and_falls_to_zero_when_it_is_gone(failed: Scene, told: Receiver) -> None:
    failed.mode = "ask"
    failed.tick()
    after_tick(failed.store, 1.0)
    (asked,) = [name for name, value in told.gauges.items() if name.startswith("oncall.incidents_open.asked.") and value]
    failed.airflow.delete_dag("nightly")
    failed.ticks(2)
    after_tick(failed.store, 1.0)
    assert told.gauges[asked] == 0
    assert all(re.fullmatch(r"[\w.-]+", name) for name in told.gauges)


def test_nothing_is_counted_when_nothing_happened(told: Receiver) -> None:
    telemetry.count("decisions", 0, verdict="auto")
    assert told.counted == []
