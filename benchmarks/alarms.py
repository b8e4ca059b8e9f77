"""False alarms of log polling: healthy texts of the corpus that become incidents, and failures that log polling does not see.

Each row is a file of its own, those that a task's log shows under the path that Airflow gives such a log. Every record that the shipped
signatures find is judged by the shipped rules alone, as if nothing else was known of it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from itertools import cycle, islice
from pathlib import Path

from airflow_oncall import conf
from airflow_oncall.brain import read_rules
from airflow_oncall.capture.logs.correlation import NOBODY
from airflow_oncall.capture.logs.files import FileSource
from airflow_oncall.capture.logs.polling import capped, events_of
from airflow_oncall.capture.logs.records import spans
from airflow_oncall.capture.logs.scanner import Scanner
from airflow_oncall.capture.logs.signatures import read_signatures
from airflow_oncall.capture.logs.tries import unresolved
from airflow_oncall.incident import NO_INCIDENT
from airflow_oncall.store.operator_files import OperatorFiles
from airflow_oncall.triage.diagnose import diagnose
from benchmarks.measuring import Result, result

ALLOWED = 3.0
"""Per cent of the healthy texts."""
LINES = 10_000


@dataclass(frozen=True)
class Row:
    """A log, and whether it tells of a failure."""

    text: str
    is_healthy: bool
    is_task_log: bool
    """Whether it is the log of one try of a task."""


@dataclass(frozen=True)
class Told:
    """What log polling made of a row."""

    row: Row
    records: tuple[str, ...]
    """Texts of the records that it found."""
    categories: frozenset[str]
    """What the rules say of them; healthy ones are left out."""


def measure(home: Path) -> dict[str, Result]:
    """Shares in per cent; incidents of one healthy file of many lines."""
    told = list(judged(rows()))
    healthy = [one for one in told if one.row.is_healthy]
    failures = [one for one in told if not one.row.is_healthy]
    alarms = 100 * sum(bool(one.categories) for one in healthy) / len(healthy)
    unseen = 100 * sum(not one.records for one in failures) / len(failures)
    return {
        "alarms_healthy_reported": result(alarms, ALLOWED, "%"),
        "alarms_failures_unseen": result(unseen, 100, "%"),
        "alarms_of_10000_healthy_lines": result(_incidents(home, [one.row for one in healthy]), LINES, "alarms"),
    }


def rows() -> Iterator[Row]:
    """The shipped corpus."""
    for path in sorted((conf.shipped_include() / "corpus").glob("*.jsonl")):
        for line in path.read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            made = row["provenance"]
            is_task_log = made.get("surroundings", "").startswith("airflow") or made.get("view", "").startswith("task log")
            yield Row(row["text"], row["category"] == NO_INCIDENT, is_task_log)


def judged(logs: Iterator[Row]) -> Iterator[Told]:
    """What polling makes of each, record by record."""
    scanner, category = Scanner(read_signatures(_shipped())), _judge()
    for row in logs:
        block = row.text.encode("utf-8", "replace") + b"\n"
        hits = scanner.hits(block)
        found = spans(block, unresolved(block, hits, len(block)) if row.is_task_log else hits)
        records = tuple(block[span.start : span.end].decode("utf-8", "replace") for span in found)
        yield Told(row, records, frozenset(map(category, records)) - {NO_INCIDENT} if row.is_healthy else frozenset())


def _judge() -> Callable[[str], str]:
    rules = read_rules(_shipped())
    return lambda text: diagnose(text, exception_chain=(), operator=None, killed=False, rules=rules, models=None).category


def _shipped() -> OperatorFiles:
    return OperatorFiles([conf.shipped_include()])


def _incidents(home: Path, healthy: list[Row]) -> int:
    """What one file of healthy lines, all programs in one, comes to behind the files source, deduplication and the rules."""
    log, category, now = home / "healthy.log", _judge(), datetime.now(timezone.utc)
    lines = islice(cycle(line for row in healthy for line in row.text.splitlines()), LINES)
    log.write_text("\n".join(lines) + "\n", encoding="utf-8")
    kinds, incidents = set[str](), set[str]()
    for batch in FileSource("log", str(log), Scanner(read_signatures(_shipped())), "start", 0).read({}):
        events = events_of("log", batch.records, [now] * len(batch.records), [NOBODY] * len(batch.records))
        incidents |= {event.incident_key for event in capped("log", events, kinds) if category(event.text) != NO_INCIDENT}
    return len(incidents)
