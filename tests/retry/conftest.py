"""A champion whose table knows two kinds of trouble, and exceptions of each."""

from __future__ import annotations

import hashlib
import json
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.tables import table_text

from airflow_oncall.triage.features import tokens

REFUSED = ConnectionRefusedError(111, "Connection refused")
FORBIDDEN = PermissionError(13, "Permission denied")
TIMED_OUT = TimeoutError(110, "Connection timed out")


@dataclass
class Models:
    """A models folder as the registry leaves it."""

    root: Path

    @property
    def pointer(self) -> Path:
        """What names the champion."""
        return self.root / "triage" / "champion.json"

    def table(self, version: str = "0.1.0") -> Path:
        """The table of a version."""
        return self.root / "triage" / version / "table.json"

    def promote(self, text: str, version: str = "0.1.0") -> None:
        """Save a table and make it the champion's."""
        self.table(version).parent.mkdir(parents=True, exist_ok=True)
        self.table(version).write_text(text)
        digest = hashlib.sha256(text.encode()).hexdigest()
        self.pointer.write_text(json.dumps({"version": version, "files": {"table.json": digest}}))


def knowledge(helps: dict[str, float] | None = None) -> str:
    """Forbidden is permanent, refused passes, and of a time-out nobody knows."""
    seen: set[str] = set()
    for error in (REFUSED, FORBIDDEN, TIMED_OUT):
        seen |= set(tokens("".join(traceback.format_exception(error))))
    weights = {
        "authentication": {"class:PermissionError": 90},
        "network_connectivity": {"class:ConnectionRefusedError": 90},
        "workflow_timeout": {"class:TimeoutError": 90},
        "none": {"nothing": 90},
    }
    return table_text(sorted(seen | {"nothing"}), weights, helps=helps or {"authentication": -9, "network_connectivity": 9})


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Models:
    """The models folder in force, with a champion."""
    monkeypatch.setenv("AIRFLOW__ONCALL__MODELS_PATH", str(tmp_path / "models"))
    folder = Models(tmp_path / "models")
    folder.promote(knowledge())
    return folder


@pytest.fixture
def raised() -> Callable[[BaseException], BaseException]:
    """An exception as a task raises it, with its stack."""

    def throw(error: BaseException) -> BaseException:
        try:
            raise error
        except type(error) as caught:
            return caught

    return throw
