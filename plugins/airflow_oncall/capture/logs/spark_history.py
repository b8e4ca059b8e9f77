"""Spark's History Server as a log source, for where its event logs are out of reach.

Cursor: ``{"version": 1, "since": ms, "attempts": {attempt: {"updated": ms, "seen": [...], "refused": polls}}}``. ``attempts`` holds those
that run or ended up to ``late_hours`` before ``since``, the latest end known: the server lists an application only some time after its
end. ``since`` stays while one is refused, so that it stays listed; ``updated`` is what was read, not what was refused.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator
from typing_extensions import Self

from airflow_oncall.capture.logs.source import Batch, Cursor, LogSource, unknown_cursor
from airflow_oncall.capture.logs.spark_attempt import Attempt
from airflow_oncall.capture.logs.spark_server import ApplicationUnreadable, HistoryServer

_VERSION = 1
_HOUR = 3_600_000
_TRIES = 5
"""Polls that ask for an application that the server lists but does not show."""


class SparkHistorySettings(BaseModel):
    """``kind: spark_history`` in ``sources.yaml``. Either ``url`` or ``conn_id``."""

    model_config = ConfigDict(extra="forbid")

    kind: Literal["spark_history"] = "spark_history"
    url: str = ""
    """Root of the server, e.g. ``http://history:18080``."""
    conn_id: str = ""
    """Airflow connection of type http instead: host, port, schema, login, password, and ``headers`` in its extra."""
    start: Literal["end", "start"] = "end"
    """Whether the first poll leaves out what happened before it, or looks back ``lookback_hours``."""
    lookback_hours: float = Field(default=24, gt=0)
    """How long ago an application may have ended to be read by a first poll from the start."""
    late_hours: float = Field(default=1, gt=0)
    """How much later than another one's an application's end may become known: upload to object storage, clocks that differ."""
    timeout: float = Field(default=60, gt=0)
    """Seconds that an answer may take; the server reads a whole log when asked for it first."""

    @model_validator(mode="after")
    def _one_address(self) -> Self:
        if bool(self.url) == bool(self.conn_id):
            raise ValueError("set either url or conn_id")
        return self

    def source(self, name: str) -> LogSource:
        """Build it."""
        return HistoryServerSource(name, **self.model_dump(exclude={"kind"}))


@dataclass
class HistoryServerSource:
    """Troubles of all applications that a History Server shows."""

    name: str
    url: str = ""
    conn_id: str = ""
    start: Literal["end", "start"] = "end"
    lookback_hours: float = 24
    late_hours: float = 1
    timeout: float = 60

    def read(self, cursor: Cursor) -> Iterator[Batch]:
        """One batch for every application attempt with something new, then one that moves ``since`` on."""
        progress = self._progress(cursor)
        first = not cursor and self.start == "end"
        late = int(self.late_hours * _HOUR)
        with HistoryServer(self.name, self.url, self.conn_id, self.timeout) as server:
            attempts = _attempts(server.applications(progress["since"] - late))
            if first:
                yield self._skip(server, attempts, progress)
                return
            for attempt in attempts:
                known = progress["attempts"].get(attempt.key, {})
                if known.get("updated") != attempt.updated:
                    yield _read(server, attempt, progress)
        listed = {attempt.key for attempt in attempts}
        progress["attempts"] = {key: known for key, known in progress["attempts"].items() if key in listed}
        if not any("refused" in known for known in progress["attempts"].values()):
            progress["since"] = max([progress["since"], *(attempt.ended for attempt in attempts)])
        yield Batch((), copy.deepcopy(progress))

    def _skip(self, server: HistoryServer, attempts: list[Attempt], progress: dict[str, Any]) -> Batch:
        """What is there is left out; of what runs, what it showed so far."""
        problems: list[str] = []
        progress["since"] = max((attempt.ended for attempt in attempts), default=0)
        for attempt in attempts:
            if attempt.completed and attempt.ended >= progress["since"] - self.late_hours * _HOUR:
                progress["attempts"][attempt.key] = {"updated": attempt.updated, "seen": []}
            elif not attempt.completed:
                problems += _read(server, attempt, progress).problems
        return Batch((), copy.deepcopy(progress), problems)

    def _progress(self, cursor: Cursor) -> dict[str, Any]:
        if not cursor:
            # From the end, the server itself says how far it is: our clock may be another one.
            since = 0 if self.start == "end" else int(time.time() * 1000 - self.lookback_hours * _HOUR)
            return {"version": _VERSION, "since": since, "attempts": {}}
        if set(cursor) != {"version", "since", "attempts"} or cursor["version"] != _VERSION:
            raise unknown_cursor(self.name, cursor)
        return copy.deepcopy(dict(cursor))


def _attempts(applications: list[dict[str, Any]]) -> list[Attempt]:
    return [Attempt(one, attempt) for one in applications for attempt in one.get("attempts") or ()]


def _read(server: HistoryServer, attempt: Attempt, progress: dict[str, Any]) -> Batch:
    known = progress["attempts"].setdefault(attempt.key, {"updated": 0, "seen": []})
    try:
        records = attempt.troubles(server, known["seen"])
    except ApplicationUnreadable as error:
        return Batch((), *_refused(attempt, known, progress, error))
    progress["attempts"][attempt.key] = {
        "updated": attempt.updated,
        "seen": [*known["seen"], *(record.position.rpartition("/")[2] for record in records)],
    }
    return Batch(tuple(records), copy.deepcopy(progress))


def _refused(attempt: Attempt, known: dict[str, Any], progress: dict[str, Any], error: Exception) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Cursor and problems: the server may just be replacing a log, so it is asked again before this is told."""
    refused = known.get("refused", 0) + 1
    if refused < _TRIES:
        progress["attempts"][attempt.key] = {**known, "refused": refused}
        return copy.deepcopy(progress), ()
    progress["attempts"][attempt.key] = {"updated": attempt.updated, "seen": known["seen"]}
    said = f"The History Server lists application {attempt.key} but did not show it to {refused} polls; it is left out: {error}"
    return copy.deepcopy(progress), (said,)
