"""The stage, see :mod:`tests.tick.scene`, here on both databases."""

from __future__ import annotations

import pytest
from tests.simulated_airflow import SimulatedAirflow
from tests.tick.scene import Scene, airflow, asked, failed

from airflow_oncall.store.sql import Store

__all__ = ["airflow", "asked", "failed", "scene"]


@pytest.fixture
def scene(store: Store, airflow: SimulatedAirflow) -> Scene:
    """An empty stage in mode auto, on each of the two databases."""
    return Scene(store, airflow)
