"""The stage of :mod:`tests.tick.scene`, with people who have phones."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from tests.act.notify.chat import chat
from tests.act.notify.mailbox import mailbox
from tests.act.notify.stage import phone, phones, policy_with
from tests.clocks import MovedClock
from tests.simulated_airflow import SimulatedAirflow
from tests.tick.scene import BUG, Scene, airflow, asked, failed, scene
from tests.tick.storm_scene import STORMY, StormScene

from airflow_oncall.store.sql import Store

__all__ = ["airflow", "asked", "chat", "failed", "mailbox", "scene"]


@pytest.fixture
def heard() -> Iterator[list[tuple[str, dict[str, Any]]]]:
    """Everything that people heard: whose phone, and what ``oncall`` was."""
    with phones() as heard:
        yield heard


@pytest.fixture
def bug(failed: Scene, heard: list[Any], clock: MovedClock) -> Scene:
    """The nightly orders have a bug, and Ann is to be told."""
    failed.brain.says = BUG
    failed.policy = policy_with(phone("ann"))
    return failed


@pytest.fixture
def question(failed: Scene, heard: list[Any], clock: MovedClock) -> Scene:
    """A person was asked about the nightly orders, and Ann is to be told."""
    failed.mode, failed.policy = "ask", policy_with(phone("ann"))
    failed.tick()
    return failed


@pytest.fixture
def storm(sqlite_store: Store, airflow: SimulatedAirflow, heard: list[Any], clock: MovedClock) -> StormScene:
    """An empty stage for storms, with Ann to be told."""
    routes = {"routes": {"default": [phone("ann")]}}
    return StormScene(sqlite_store, airflow, policy=STORMY.model_validate(STORMY.model_dump() | routes))
