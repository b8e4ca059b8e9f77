"""Event log files: which there are in a folder, and their lines from where reading stopped."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timezone
from itertools import islice
from typing import IO, TYPE_CHECKING, cast

from airflow_oncall.capture.logs.source import SourceFailed

if TYPE_CHECKING:
    from airflow.sdk import ObjectStoragePath

LINE_LIMIT = 32 * 1024 * 1024
"""Bytes of one event; plans of generated queries are long, and what is longer still is no event."""
_BLOCK = 1024 * 1024
GROWING = ".inprogress"
ROLLING = "eventlog_v2_"
_ZSTD = (".zstd", ".zst")
UNREADABLE = (".lz4", ".lzf", ".snappy")
_PART = re.compile(r"events_(\d+)_")
_NEVER = (".", "_")


@dataclass(frozen=True)
class LogPart:
    """One file of an event log."""

    name: str
    path: ObjectStoragePath
    size: int
    changed_at: float

    @property
    def plain_name(self) -> str:
        """The name without compaction's and unfinished files' endings."""
        return self.path.name.removesuffix(GROWING).removesuffix(".compact")

    @property
    def is_zstd(self) -> bool:
        """Whether it has to be decompressed."""
        return self.plain_name.endswith(_ZSTD)


@dataclass(frozen=True)
class EventLog:
    """All files of one application attempt, in the order of writing."""

    name: str
    """Stays the same when the log is finished."""
    parts: tuple[LogPart, ...]
    growing: bool
    """Spark has not closed it; also that of a driver that was killed."""
    problem: str = ""
    """Why it has no parts."""

    @property
    def size(self) -> int:
        """Bytes of all its files."""
        return sum(part.size for part in self.parts)

    @property
    def changed_at(self) -> float:
        """When the newest of its files was written to, as the storage says, or now where it does not."""
        return max((part.changed_at for part in self.parts), default=0.0)


def find_logs(path: str, source: str) -> list[EventLog]:
    """Event logs in ``path``: a folder of logs, one rolling log's folder, or one file. Raises :class:`SourceFailed`."""
    from airflow.sdk import ObjectStoragePath

    try:
        root = ObjectStoragePath(path)
        root.fs.invalidate_cache()
        if root.name.startswith(ROLLING):
            return [_rolling(root)]
        if root.is_file():
            return [_single(root)]
        return [_log(entry) for entry in sorted(root.iterdir(), key=str) if not entry.name.startswith(_NEVER)]
    except FileNotFoundError as error:
        raise SourceFailed(f"Log source {source!r}: {path!r} does not exist ({error}). Name Spark's spark.eventLog.dir.") from error
    except (OSError, ImportError, ValueError) as error:
        raise SourceFailed(
            f"Log source {source!r}: {path!r} cannot be listed: {type(error).__name__}: {error}. Check the path, the rights of the "
            "worker's user, and for object storage the provider and the connection in the URI."
        ) from error


def _log(entry: ObjectStoragePath) -> EventLog:
    if not entry.name.startswith(ROLLING):
        return _single(entry)
    try:
        return _rolling(entry)
    except FileNotFoundError:
        # Deleted since the folder was listed.
        return EventLog(entry.name, (), growing=False)
    except OSError as error:
        return EventLog(entry.name, (), growing=False, problem=f"{entry} cannot be listed: {type(error).__name__}: {error}.")


def _single(path: ObjectStoragePath) -> EventLog:
    """A file; an entry that vanished since the listing has no parts."""
    name = path.name.removesuffix(GROWING)
    part = _part(name, path)
    return EventLog(name, (part,) if part else (), path.name.endswith(GROWING))


def _rolling(folder: ObjectStoragePath) -> EventLog:
    entries = list(folder.iterdir())
    found = {number: entry for entry in sorted(entries, key=lambda one: one.name) if (number := part_number(entry.name))}
    parts = (_part(f"{folder.name}/{entry.name.removesuffix(GROWING)}", entry) for _, entry in sorted(found.items()))
    growing = any(entry.name.startswith("appstatus_") and entry.name.endswith(GROWING) for entry in entries)
    return EventLog(folder.name, tuple(filter(None, parts)), growing)


def _part(name: str, path: ObjectStoragePath) -> LogPart | None:
    try:
        stat = path.stat()
    except FileNotFoundError:
        return None
    if path.is_dir():
        return None
    return LogPart(name, path, int(stat.st_size or 0), _seconds(stat.st_mtime))


def _seconds(changed_at: object) -> float:
    """A store's time of change; stores give seconds or a datetime. Where one tells none, now: no log may be too old unseen."""
    if isinstance(changed_at, datetime):
        return (changed_at if changed_at.tzinfo else changed_at.replace(tzinfo=timezone.utc)).timestamp()
    return float(changed_at) if isinstance(changed_at, (int, float)) and changed_at else time.time()


def part_number(name: str) -> int:
    """The number of a rolling log's part, which begins with 1; 0 for other files."""
    found = _PART.match(name.rpartition("/")[2])
    return int(found[1]) if found else 0


def damage() -> type[Exception]:
    """What a damaged zstd file raises; without the library none is ever raised."""
    try:
        import zstandard
    except ImportError:
        return EOFError
    return zstandard.ZstdError


@dataclass
class Place:
    """Where reading stands in a part. Only plain files can be entered in the middle; of others the lines read are skipped."""

    offset: int = 0
    lines: int = 0


def read_lines(part: LogPart, place: Place) -> Iterator[bytes | None]:
    """Whole lines behind ``place``, which moves with them; ``None`` for one that is too long. A last line without its end is left.

    Raises ``OSError`` and, for a compressed file that is damaged, ``zstandard.ZstdError``.
    """
    with _opened(part) as stream:
        if not part.is_zstd:
            stream.seek(place.offset)
        for text, length in islice(_lines(stream), place.lines if part.is_zstd else 0, None):
            place.offset += length
            place.lines += 1
            yield text


def _lines(stream: IO[bytes]) -> Iterator[tuple[bytes | None, int]]:
    """Lines without their end, and their lengths with it. In blocks, for object storage's files are slow line by line."""
    rest, dropped = b"", 0
    while block := stream.read(_BLOCK):
        *lines, rest = (rest + block).split(b"\n")
        for line in lines:
            length = dropped + len(line)
            yield (line if length < LINE_LIMIT else None), length + 1
            dropped = 0
        if len(rest) >= LINE_LIMIT:
            dropped, rest = dropped + len(rest), b""


@contextmanager
def _opened(part: LogPart) -> Iterator[IO[bytes]]:
    with part.path.open("rb") as file:  # type: ignore[no-untyped-call]
        if not part.is_zstd:
            yield cast("IO[bytes]", file)
            return
        try:
            import zstandard
        except ImportError as error:
            raise SourceFailed(f"{part.path} is compressed with zstd: pip install 'airflow-oncall[spark]'") from error
        # Spark closes a frame with every flush, so that a log still being written consists of many.
        raw = cast("IO[bytes]", file)
        with zstandard.ZstdDecompressor().stream_reader(raw, read_across_frames=True, closefd=False) as stream:
            yield cast("IO[bytes]", stream)
