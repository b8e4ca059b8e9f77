"""Spark's event logs as a log source: plain, zstd and rolling ones, finished or still being written.

Cursor: ``{"version": 1, "first": bool, "done": {log: bytes}, "open": {log: {"part", "offset", "lines", "size", "application"}}}``. ``open``
holds logs that can still grow, each with what its application is doing; ``done`` the others of the folder, which are not read again.
"""

from __future__ import annotations

import copy
import json
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from airflow_oncall.capture.logs import spark_files
from airflow_oncall.capture.logs.source import Batch, Cursor, LogSource, Record, unknown_cursor
from airflow_oncall.capture.logs.spark_application import Application
from airflow_oncall.capture.logs.spark_files import EventLog, LogPart, Place
from airflow_oncall.capture.redact import redact

_VERSION = 1
_BATCH_BYTES, _BATCH_RECORDS = 4 * 1024 * 1024, 1000
_UNFIT = (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)
"""What a line raises that is no JSON, is nested too deep, or whose fields have other types than those of the Spark that we know."""
_SUCCESS = b'"Task End Reason":{"Reason":"Success"}'


class SparkEventsSettings(BaseModel):
    """``kind: spark_events`` in ``sources.yaml``."""

    model_config = ConfigDict(extra="forbid")

    kind: Literal["spark_events"] = "spark_events"
    path: str
    """Spark's ``spark.eventLog.dir``: a local folder or any URI of Airflow's ObjectStoragePath, or one log in it."""
    start: Literal["end", "start"] = "end"
    """Where the first poll begins: at the end of what is there, or with all logs of the last ``max_age_days``."""
    max_age_days: float = Field(default=7, gt=0)
    """Logs that were not written to for longer are not looked at any more."""

    def source(self, name: str) -> LogSource:
        """Build it."""
        return EventLogSource(name, self.path, self.start, self.max_age_days)


@dataclass
class EventLogSource:
    """Troubles of all applications that log to one folder. Compressed logs need ``zstandard`` (extra ``spark``)."""

    name: str
    path: str
    start: Literal["end", "start"] = "end"
    max_age_days: float = 7

    def read(self, cursor: Cursor) -> Iterator[Batch]:
        """Batches of at most 4 MiB of events or about 1,000 records, log by log."""
        progress = self._progress(cursor)
        batch = _Gathered()
        present = [log for log in spark_files.find_logs(self.path, self.name) if log.parts or log.problem]
        oldest = time.time() - self.max_age_days * 86400
        for log in present:
            if log.problem and log.name not in progress["done"]:
                batch.problems.append(log.problem)
                progress["done"][log.name] = log.size
            if log.changed_at < oldest or progress["done"].get(log.name) == log.size:
                continue
            if progress["first"] and not log.growing:
                progress["done"][log.name] = log.size
                continue
            for _ in _follow(log, progress, batch):
                yield batch.take(progress)
        _forget(progress, {log.name for log in present if log.changed_at >= oldest or log.problem}, batch)
        progress["first"] = False
        yield batch.take(progress)

    def _progress(self, cursor: Cursor) -> dict[str, Any]:
        if not cursor:
            return {"version": _VERSION, "first": self.start == "end", "done": {}, "open": {}}
        known = set(cursor) == {"version", "first", "done", "open"} and cursor["version"] == _VERSION
        if not known:
            raise unknown_cursor(self.name, cursor)
        return copy.deepcopy(dict(cursor))


@dataclass
class _Gathered:
    """What goes into the next batch."""

    records: list[Record] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    no_events: dict[str, tuple[int, str]] = field(default_factory=dict)
    """Of every file, how many of its lines were none, and the first of them."""
    size: int = 0

    @property
    def is_full(self) -> bool:
        return self.size >= _BATCH_BYTES or len(self.records) >= _BATCH_RECORDS

    def skip(self, part: LogPart, number: int, line: bytes) -> None:
        """Count a line that is no event: one problem for all of a file."""
        first = f"line {number}: {redact(line[:400].decode('utf-8', 'replace'), 80)!r}"
        count, first = self.no_events.get(str(part.path), (0, first))
        self.no_events[str(part.path)] = count + 1, first

    def take(self, progress: dict[str, Any]) -> Batch:
        """Hand it out; the next one begins empty."""
        skipped = [
            f"{path}: {count} line(s) are no events, skipped, the first is {first}." for path, (count, first) in self.no_events.items()
        ]
        batch = Batch(tuple(self.records), copy.deepcopy(progress), (*self.problems, *skipped))
        self.records, self.problems, self.no_events, self.size = [], [], {}, 0
        return batch


def _follow(log: EventLog, progress: dict[str, Any], batch: _Gathered) -> Iterator[None]:
    """Read a log on, yielding whenever the batch is full and ``progress`` tells how far it is."""
    unreadable = next((part for part in log.parts if part.plain_name.endswith(spark_files.UNREADABLE)), None)
    if unreadable:
        batch.problems.append(
            f"{unreadable.path}: this compression cannot be read; let Spark write spark.eventLog.compression.codec=zstd, its default."
        )
        progress["done"][log.name] = log.size
        return
    at = progress["open"].setdefault(log.name, {"part": "", "offset": 0, "lines": 0, "size": -1, "application": {}})
    if at["size"] != log.size or not log.growing:
        application = Application(at["application"])
        for part in _unread(log, at, batch):
            yield from _read_part(part, at, application, progress, batch)
        if progress["first"]:
            application.state["held"] = []
        at["size"], at["application"] = log.size, application.state
        if not log.growing:
            _finish(log, at, application, progress, batch)
    elif at["application"].get("held"):
        # Nothing followed what was held since the last poll.
        application = Application(at["application"])
        batch.records += application.flush()
        at["application"] = application.state


def _unread(log: EventLog, at: dict[str, Any], batch: _Gathered) -> list[LogPart]:
    """The part that reading stopped in and those behind it; a log that became shorter is another one."""
    if not at["part"]:
        return list(log.parts)
    names = [part.name for part in log.parts]
    if at["part"] in names:
        behind = list(log.parts[names.index(at["part"]) :])
        if behind[0].is_zstd or behind[0].size >= at["offset"]:
            return behind
        batch.problems.append(f"{behind[0].path} is shorter than what was read of it; it is read from its beginning.")
        at.update(part="", offset=0, lines=0, application={})
        return list(log.parts)
    # Compaction merges parts that were read into one; what is newer than they are is unread.
    last = spark_files.part_number(at["part"])
    return [part for part in log.parts if spark_files.part_number(part.name) > last]


def _read_part(part: LogPart, at: dict[str, Any], application: Application, progress: dict[str, Any], batch: _Gathered) -> Iterator[None]:
    place = Place(at["offset"], at["lines"]) if at["part"] == part.name else Place()
    at.update(part=part.name, **asdict(place))
    try:
        for line in spark_files.read_lines(part, place):
            batch.size += len(line) + 1 if line is not None else spark_files.LINE_LIMIT
            records = _hear(line, part, place, application, batch)
            if not progress["first"]:
                batch.records += records
            if batch.is_full:
                at.update(asdict(place), application=application.state)
                yield
    except (OSError, EOFError, spark_files.damage()) as error:
        batch.problems.append(f"{part.path} cannot be read behind line {place.lines}: {type(error).__name__}: {error}.")
        application.state["broken"] = True
    at.update(asdict(place))


def _hear(line: bytes | None, part: LogPart, place: Place, application: Application, batch: _Gathered) -> list[Record]:
    if line is None:
        batch.problems.append(f"{part.path}, line {place.lines}: longer than {spark_files.LINE_LIMIT} bytes, skipped.")
        return []
    if not Application.TELLING.match(line) and line.startswith(b'{"Event":"') and line.rstrip().endswith(b"}"):
        return []
    if _SUCCESS in line[:1000]:
        return []
    with suppress(*_UNFIT):
        event = json.loads(line)
        if isinstance(event, dict):
            return application.hear(event, f"{part.name}:{place.lines}")
    batch.skip(part, place.lines, line)
    return []


def _finish(log: EventLog, at: dict[str, Any], application: Application, progress: dict[str, Any], batch: _Gathered) -> None:
    """A log that Spark closed is read once."""
    batch.records += application.flush()
    broken = application.state.get("broken")
    if not application.state["version"] and not broken:
        batch.problems.append(f"{log.parts[0].path}: no Spark version in it; what could be read as events of Spark was.")
    if not application.ended and not broken:
        batch.problems.append(f"{log.parts[-1].path} ends behind line {at['lines']} without the end of the application; it was cut off.")
    progress["open"].pop(log.name, None)
    progress["done"][log.name] = log.size


def _forget(progress: dict[str, Any], present: set[str], batch: _Gathered) -> None:
    """Logs that were deleted or are old leave the cursor."""
    for name in [name for name in progress["open"] if name not in present]:
        batch.records += Application(progress["open"].pop(name)["application"]).flush()
        batch.problems.append(f"Event log {name} was deleted, or not written to for long, before its end was read.")
    progress["done"] = {name: size for name, size in progress["done"].items() if name in present}
