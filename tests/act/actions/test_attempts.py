"""What counts as an attempt of an action that is limited to some: looks at its target, and nothing that stood before it."""

from __future__ import annotations

import pytest
from tests.act.actions.bench import decided, step
from tests.act.actions.plant import Plant
from tests.tick.scene import ORDERS, Scene

from airflow_oncall.act.actions import restart_pod
from airflow_oncall.incident import ActionState, State

MOST = 3


@pytest.fixture
def broker(failed: Scene, plant: Plant, monkeypatch: pytest.MonkeyPatch) -> Scene:
    """The broker's pod is to be restarted, in a few attempts."""
    monkeypatch.setattr(restart_pod, "MOST_LOOKS", MOST)
    plant.pod("broker-1", "first")
    decided(failed, "restart_pod", conn_id="cluster", namespace="shop", selector="app=broker")
    return failed


def test_while_the_kill_switch_is_on_no_attempt_is_used_up(broker: Scene, plant: Plant) -> None:
    broker.store.switch.pause("ann", "")
    for _ in range(MOST + 1):
        step(broker)
    assert broker.incident.detail.startswith("Repairs are paused by ann")
    broker.store.switch.resume("ann")
    assert step(broker).state is ActionState.PLANNED
    assert plant.changes == ["delete first"]


def test_while_airflow_is_busy_no_attempt_is_used_up(broker: Scene, plant: Plant) -> None:
    step(broker)
    plant.pods.clear()
    plant.pod("broker-2", "second")
    broker.airflow.answer_with(503, times=MOST + 1, on="clearTaskInstances")
    for _ in range(MOST + 1):
        assert step(broker).state is ActionState.PLANNED
    assert step(broker).state is ActionState.DONE
    assert broker.airflow.clears == [(ORDERS,)]


def test_a_wait_that_is_no_attempt_is_told_once(broker: Scene) -> None:
    broker.store.switch.pause("ann", "")
    for _ in range(MOST):
        step(broker)
    told = [row["what"] for row in broker.store.reading.history(broker.incident.id)]
    assert told.count("action delayed") == 1


def test_looks_at_a_pod_that_never_becomes_ready_are_counted(broker: Scene, plant: Plant) -> None:
    step(broker)
    plant.pods.clear()
    for _ in range(MOST - 1):
        assert step(broker).state is ActionState.PLANNED
    assert step(broker).state is ActionState.REFUSED
    assert broker.state == State.ESCALATED
