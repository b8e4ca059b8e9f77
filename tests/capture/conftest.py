"""Fixtures of the capture border."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tests.capture.border import HangingIntake, MemoryIntake

from airflow_oncall import store
from airflow_oncall.capture import record


@pytest.fixture
def spool_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty spool of this test's own."""
    folder = tmp_path / "spool"
    monkeypatch.setenv("AIRFLOW__ONCALL__SPOOL_PATH", str(folder))
    return folder


@pytest.fixture
def use_intake(spool_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Any], Any]:
    """Puts an intake in the place of the real store, in a capture that remembers nothing of other tests."""
    monkeypatch.setattr(record, "_paused_until", 0.0)
    monkeypatch.setattr(record, "_import_errors", OrderedDict())

    def use(intake: Any) -> Any:
        monkeypatch.setattr(store, "open_store", lambda **_: SimpleNamespace(intake=intake))
        return intake

    return use


@pytest.fixture
def intake(use_intake: Callable[[Any], Any]) -> MemoryIntake:
    """A store that works."""
    working: MemoryIntake = use_intake(MemoryIntake())
    return working


@pytest.fixture
def hanging_store(use_intake: Callable[[Any], Any]) -> Iterator[HangingIntake]:
    """A store that answers only when the test is over."""
    hanging: HangingIntake = use_intake(HangingIntake())
    yield hanging
    hanging.released.set()
    hanging.answered.wait(10)
