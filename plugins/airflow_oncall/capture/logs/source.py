"""What a log source is: it is read on from a cursor, in batches, each of which is committed before the next is read.

    source.read(cursor) -> Batch(records, cursor, problems) -> redact, fingerprint, correlate, collapse -> one transaction of the store

A cursor is JSON and belongs to its source alone. The store writes a batch's records and its cursor in one transaction, so a
poller that is killed anywhere reads the same batch again and nothing is lost or doubled.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from airflow_oncall.errors import OnCallError

RECORD_LIMIT = 64 * 1024
"""Characters of one record that are handed on; what is longer is cut in its middle."""

Cursor = Mapping[str, Any]


class SourceFailed(OnCallError):
    """A source cannot be read. The message names the source, quotes what it answered and tells the way out.

    It becomes an incident of its own, once, until the source can be read again; other sources are read all the same.
    """


def unknown_cursor(name: str, cursor: Cursor) -> SourceFailed:
    """What to raise for a cursor that cannot be read, e.g. that of a later release."""
    return SourceFailed(
        f"source {name!r}: its cursor has a shape that this version does not know ({dict(cursor)!r:.200}); "
        "update airflow-oncall, or give the source a new name to start anew"
    )


@dataclass(frozen=True, slots=True)
class Record:
    """One trouble as a source shows it: a log record with the lines that belong to it, or an engine's own report."""

    position: str
    """Its place in the source, e.g. ``inode:offset``: the same record has the same position whenever it is read."""
    text: str
    """As read, not yet redacted; at most :data:`RECORD_LIMIT` characters."""
    happened_at: datetime | None = None
    """UTC; ``None`` where the record does not say, the time of reading is taken then."""
    signature: str = ""
    """Id of the signature that matched, or the source's own word for it, e.g. ``spark-job-failed``."""
    severity: str = "ERROR"
    identifiers: Mapping[str, str] = field(default_factory=dict)
    """What the engine itself wrote into fields: application_id, executor_id, sqlstate, database, host, pid.. These can be trusted.

    ``dag_id``, ``run_id``, ``task_id``, ``map_index``, ``try_number`` stand here only when they come from such a field (a Spark
    property, ``application_name``, a container's label), never from a message.
    """


@dataclass(frozen=True)
class Batch:
    """What was read up to ``cursor``. A batch without records moves the cursor on."""

    records: Sequence[Record]
    cursor: Cursor
    problems: Sequence[str] = ()
    """What in between could not be read (a broken row, a vanished file), one sentence each; reading went on behind it."""


class LogSource(Protocol):
    """One place where engines write what happens to them."""

    @property
    def name(self) -> str:
        """As configured; unique among all sources. Its cursor is kept under this name."""

    def read(self, cursor: Cursor) -> Iterator[Batch]:
        """Batches from ``cursor`` up to now. An empty cursor begins where the configuration says: at the end, or at the start.

        Raises :class:`SourceFailed`.
        """
