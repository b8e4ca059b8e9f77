"""The demo's cast: one fault that is repaired, and the incident as the store's report gives it."""

from __future__ import annotations

from typing import Any

import pytest
from demo.expectations import EXPECTATIONS, Expectation


@pytest.fixture
def reset_connection() -> Expectation:
    """One of five mapped task instances, repaired by a clear."""
    return next(expectation for expectation in EXPECTATIONS if expectation.dag_id == "demo_reset_connection")


@pytest.fixture
def repaired() -> dict[str, Any]:
    """The incident of that task instance, as it ought to end."""
    return {
        "dag_id": "demo_reset_connection",
        "run_id": "manual__1",
        "task_id": "load_prices",
        "map_index": 3,
        "try_number": 1,
        "state": "resolved",
        "category": "network_connectivity",
        "confidence": 0.94,
        "decision": "auto",
        "action": "clear_task",
        "outcome": "success",
        "seconds_to_action": 3.1,
    }
