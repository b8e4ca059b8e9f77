"""The stage, see :mod:`tests.tick.scene`, here on both databases."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.simulated_airflow import SimulatedAirflow
from tests.tick.scene import Scene, airflow, asked, failed
from tests.tick.storm_scene import StormPager, StormScene

from airflow_oncall.incident import StormState
from airflow_oncall.store.sql import Store

__all__ = ["airflow", "asked", "failed", "scene"]


@pytest.fixture
def scene(store: Store, airflow: SimulatedAirflow) -> Scene:
    """An empty stage in mode auto, on each of the two databases."""
    return Scene(store, airflow)


@pytest.fixture
def storm(store: Store, airflow: SimulatedAirflow) -> StormScene:
    """An empty stage in mode auto, on each of the two databases."""
    return StormScene(store, airflow)


@pytest.fixture
def struck(storm: StormScene) -> StormScene:
    """Twelve task instances failed with one cause, and the probe was cleared."""
    storm.strike(12)
    storm.tick()
    return storm


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Every message to people."""
    StormPager.told.clear()
    specs = [{"classpath": f"{StormPager.__module__}.StormPager"}]
    monkeypatch.setenv("AIRFLOW__ONCALL__ESCALATION_NOTIFIERS", json.dumps(specs))
    return StormPager.told


@pytest.fixture
def handed_over(storm: StormScene) -> StormScene:
    """Two probes failed, and people were asked about a last one."""
    storm.strike(8)
    storm.tick()
    for _ in range(2):
        storm.run_what_waits(fails="connection reset")
        storm.ticks(2)
    assert (storm.storm.state, len(storm.questions)) == (StormState.ESCALATED, 1)
    return storm
