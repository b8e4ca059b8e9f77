"""Triage wakes up when there is urgent work, and only then."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from airflow.triggers.base import TriggerEvent
from tests.cast import vendor_was_down
from tests.waiting import until

from airflow_oncall.capture.trigger import IncidentTrigger
from airflow_oncall.store import open_store


@pytest.fixture
def deployment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The store of a deployment: a file that is not there yet."""
    path = tmp_path / "oncall.db"
    monkeypatch.setenv("AIRFLOW_CONN_ONCALL_DB", f"sqlite:///{path}")
    return path


async def first_event(trigger: IncidentTrigger) -> TriggerEvent:
    async for event in trigger.run():
        return event
    raise AssertionError("a trigger of events never ends")


def next_event(trigger: IncidentTrigger, seconds: float) -> TriggerEvent | None:
    async def first() -> TriggerEvent | None:
        try:
            return await asyncio.wait_for(first_event(trigger), seconds)
        except asyncio.TimeoutError:
            return None

    return asyncio.run(first())


def test_a_failure_fires(deployment: Path) -> None:
    open_store().intake.record(vendor_was_down)
    assert next_event(IncidentTrigger(poll=0.01), 20) is not None


def test_nothing_to_do_does_not_fire(deployment: Path) -> None:
    open_store()
    assert next_event(IncidentTrigger(poll=0.01), 0.5) is None


def test_a_store_that_is_not_there_yet_is_waited_for(deployment: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def scene() -> TriggerEvent:
        waiting = asyncio.ensure_future(first_event(IncidentTrigger(poll=0.01)))
        await asyncio.to_thread(until, lambda: "triage runs at its next minute" in caplog.text)
        await asyncio.to_thread(lambda: open_store().intake.record(vendor_was_down))
        return await asyncio.wait_for(waiting, 20)

    assert isinstance(asyncio.run(scene()), TriggerEvent)
    assert caplog.text.count("triage runs at its next minute") == 1


def test_a_trigger_is_told_by_its_path_and_arguments() -> None:
    path, arguments = IncidentTrigger(poll=2, pause=3).serialize()
    assert path == "airflow_oncall.capture.trigger.IncidentTrigger"
    assert IncidentTrigger(**arguments).serialize() == (path, arguments)
