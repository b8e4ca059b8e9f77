"""Log files that a test writes, rotates and polls."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from airflow_oncall.capture.logs.files import FileSource
from airflow_oncall.capture.logs.scanner import Scanner
from airflow_oncall.capture.logs.signatures import Signature, read_signatures
from airflow_oncall.capture.logs.source import Batch
from airflow_oncall.store.operator_files import OperatorFiles

INCLUDE = Path(__file__).parents[2] / "include" / "oncall"
HEALTHY = "2026-11-20 04:05:00,000 INFO [main] shop.Loader - all is well\n"


def shipped() -> tuple[Signature, ...]:
    """The shipped signatures."""
    return read_signatures(OperatorFiles([INCLUDE]))


def trouble(number: int) -> str:
    """One line of trouble that no other number shares."""
    return f"2026-11-20 04:05:06,000 ERROR [main] shop.Loader - cannot load order {number}\n"


def quiet(path: Path) -> Path:
    """Make a file look as if nobody had written to it for a minute."""
    before = time.time() - 60
    os.utime(path, (before, before))
    return path


@dataclass
class Poller:
    """Polls as the DAG does: every batch's cursor is kept, and the next poll begins there."""

    source: FileSource
    cursor: dict[str, Any] = field(default_factory=dict)
    positions: list[str] = field(default_factory=list)

    def poll(self) -> list[Batch]:
        """All batches of one poll."""
        batches = list(self.source.read(self.cursor))
        for batch in batches:
            self.cursor = dict(batch.cursor)
            self.positions += [record.position for record in batch.records]
        return batches

    def texts(self) -> list[str]:
        """Texts of the records of one poll."""
        return [record.text for batch in self.poll() for record in batch.records]

    def problems(self) -> list[str]:
        """Problems of one poll."""
        return [problem for batch in self.poll() for problem in batch.problems]


def poller(path: Path | str, **settings: Any) -> Poller:
    """A poller of this path with the shipped signatures, which reads what is there already."""
    return Poller(FileSource("shop", str(path), Scanner(shipped()), **{"start": "start", **settings}))
