"""The stage, see :mod:`tests.tick.scene`, with what stands around Airflow."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.act.actions.plant import Plant
from tests.tick.scene import airflow, failed, scene

__all__ = ["airflow", "failed", "plant", "scene"]


@pytest.fixture
def plant(monkeypatch: pytest.MonkeyPatch) -> Iterator[Plant]:
    """A Spark master, YARN and Kubernetes, with connections to them."""
    with Plant() as plant:
        for name, value in plant.connections.items():
            monkeypatch.setenv(name, value)
        yield plant
