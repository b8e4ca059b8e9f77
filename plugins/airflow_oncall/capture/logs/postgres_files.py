"""PostgreSQL's server log read from files: csvlog, jsonlog and stderr, over rotation and truncation.

    folder -> files with something new -> blocks -> rows -> records of trouble

A file is known by its inode and its first line, so it is read on under another name, and from its begin once it was written anew.
A copy that a rotation makes of one before it truncates it holds the rest of that one, and is read as that.
What reads a folder is behind :class:`LogFolder`; ``postgres_sql`` has one that needs no file access.
"""

from __future__ import annotations

import glob
import gzip
import hashlib
import os
import stat
import time
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Protocol

from pydantic import BaseModel, ConfigDict

from airflow_oncall.capture.logs.postgres_prefix import DEFAULT_PREFIX, LinePrefix
from airflow_oncall.capture.logs.postgres_rows import Dialect, Format, Parsed, format_of, parse
from airflow_oncall.capture.logs.source import Batch, Cursor, Record, SourceFailed, unknown_cursor
from airflow_oncall.errors import OnCallError

BLOCK = 4 << 20
LARGEST_ROW = 32 << 20
"""Bytes of one row that are read; what is longer is left out and told of."""
MOST_RECORDS = 1_000
HEAD = 1_024
SETTLING = 0.2
"""Seconds after which the last message of a stderr log is taken for whole: its DETAIL and STATEMENT are written with it."""
PACKED = (".gz", ".bz2", ".xz", ".zst", ".lz4")
"""Rotated files that were packed. What was not read before that is read from those of gzip."""
Start = Literal["end", "start"]


class Unreadable(OnCallError):
    """One file cannot be read now."""


@dataclass(frozen=True)
class LogFile:
    """One file as listed. ``identity`` stays when it is renamed, where that can be known."""

    name: str
    identity: str
    size: int
    modified: float = 0.0


class LogFolder(Protocol):
    """Where log files lie."""

    def files(self) -> Sequence[LogFile]:
        """What is there. Raises ``SourceFailed``."""

    def packed(self) -> Sequence[str]:
        """Names of files there that were packed and can be read, the newest first."""

    def read(self, file: LogFile, offset: int, length: int) -> bytes:
        """Bytes from an offset, unpacked, fewer at the end. Raises :class:`Unreadable`."""


class ServerSettings(BaseModel):
    """What a server says of its log."""

    log_line_prefix: str = DEFAULT_PREFIX
    log_timezone: str = ""


class _Place(BaseModel):
    """How far a file was read."""

    model_config = ConfigDict(extra="forbid")

    head: str
    offset: int
    generation: int = 0
    """How often it was written anew with the same first line."""
    name: str = ""
    size: int = 0
    """As last listed; what was not read of it is lost when the file is."""


class _Cursor(BaseModel):
    """Cursor of a log folder: places by file identity, and what the server said last."""

    model_config = ConfigDict(extra="forbid")

    files: dict[str, _Place] = {}
    asked: ServerSettings | None = None


@dataclass
class LogReader:
    """Reads a folder on from a cursor."""

    name: str
    folder: LogFolder
    settings: ServerSettings
    format: Format | Literal["auto"] = "auto"
    start: Start = "end"
    asked: ServerSettings | None = None
    """Kept in the cursor, for when the server cannot be asked."""
    problems: list[str] = field(default_factory=list)
    _places: dict[str, _Place] = field(default_factory=dict, init=False)
    _copies: list[LogFile] = field(default_factory=list, init=False)
    """Files that were not known and begin as one does that was."""
    _given: dict[str, Any] = field(default_factory=dict, init=False)
    """The cursor as last handed on."""

    def batches(self, cursor: Cursor) -> Iterator[Batch]:
        """What is new since the cursor."""
        before, self._given = parsed_cursor(self.name, cursor), dict(cursor)
        listed = sorted(self.folder.files(), key=lambda file: (file.modified, file.name))
        known = {file.identity for file in listed}
        self._places = {identity: place for identity, place in before.files.items() if identity in known}
        self._copies = [file for file in listed if file.identity not in before.files and self._is_copy(file, before.files.values())]
        for identity in before.files.keys() - known:
            yield from self._gone(identity, before.files[identity], "vanished")
        for file in self._followed([file for file in listed if file not in self._copies]):
            yield from self._file(file, from_end=not cursor and self.start == "end")
        if self._state() != self._given or self.problems:
            yield self._batch(())

    def _gone(self, identity: str, place: _Place, fate: str) -> Iterator[Batch]:
        """The rest of what is not there any more, from what it was copied or packed into; else what is lost of it is told."""
        copy = next((file for file in self._copies if self._is_of(file, place) and file.size >= place.offset), None)
        if copy:
            yield from self._rest(replace(copy, identity=identity), place)
            self._places[copy.identity] = place.model_copy(update={"name": copy.name, "offset": copy.size, "size": copy.size})
            return
        packed = next((file for name in self.folder.packed() if self._is_of(file := LogFile(name, identity, 0), place)), None)
        if packed is None:
            if place.offset < place.size:
                lost = f"{place.size - place.offset} bytes behind byte {place.offset} that were not read are lost"
                self.problems.append(f"{place.name} {fate}; {lost}")
            return
        yield from self._rest(packed, place)

    def _rest(self, file: LogFile, place: _Place) -> Iterator[Batch]:
        """What is left to read of a file that goes by another name now, under the identity that it had."""
        self._places[file.identity] = place  # a poll that is stopped in here goes on in here
        try:
            yield from self._blocks(file, place)
        except Unreadable as error:
            self.problems.append(str(error))
        self._places.pop(file.identity, None)

    def _is_copy(self, file: LogFile, places: Iterable[_Place]) -> bool:
        """Whether a rotation made it of a file that is known: it is named after that, and has its first line."""
        return any(
            place.name and file.name.startswith((f"{place.name}.", f"{place.name}-")) and self._is_of(file, place) for place in places
        )

    def _is_of(self, file: LogFile, place: _Place) -> bool:
        with suppress(Unreadable):
            return self._head(file) == place.head
        return False

    def _followed(self, listed: Sequence[LogFile]) -> list[LogFile]:
        """Files that grew. Of files that differ in their ending only, which hold the same messages, the best one is begun."""
        if self.format != "auto":
            return [file for file in listed if self._is_new(file)]
        best: dict[str, str] = {}
        for ending in (".csv", ".json"):
            best |= {file.name.removesuffix(ending): file.name for file in listed if file.name.endswith(ending)}
        chosen = {file.name for file in listed if best.get(os.path.splitext(file.name)[0], file.name) == file.name}
        return [file for file in listed if (file.name in chosen or file.identity in self._places) and self._is_new(file)]

    def _is_new(self, file: LogFile) -> bool:
        place = self._places.get(file.identity)
        return place is None or place.offset != file.size

    def _file(self, file: LogFile, *, from_end: bool) -> Iterator[Batch]:
        try:
            place = self._place(file)
            if place is None:
                return
            known = self._places.get(file.identity)
            if known and (known.head, known.generation) != (place.head, place.generation):
                yield from self._gone(file.identity, known, "was truncated or replaced")
            if from_end:
                self._places[file.identity] = place.model_copy(update={"offset": self._last_line_end(file)})
                return
            yield from self._blocks(file, place)
        except Unreadable as error:
            self.problems.append(str(error))

    def _place(self, file: LogFile) -> _Place | None:
        """Where to read on; ``None`` while the file has no whole first line."""
        head, known = self._head(file), self._places.get(file.identity)
        if head is None:
            return None
        if known and known.head == head and known.offset <= file.size:
            return known.model_copy(update={"name": file.name, "size": file.size})
        generation = known.generation + 1 if known and known.head == head else 0
        return _Place(head=head, offset=0, generation=generation, name=file.name, size=file.size)

    def _head(self, file: LogFile) -> str | None:
        """Digest of the first line, ``None`` while it is not whole."""
        start = self.folder.read(file, 0, HEAD)
        line, ended, _ = start.partition(b"\n")
        return hashlib.sha256(line).hexdigest()[:12] if ended or len(start) == HEAD else None

    def _last_line_end(self, file: LogFile) -> int:
        offset = max(0, file.size - BLOCK)
        return offset + self.folder.read(file, offset, file.size - offset).rfind(b"\n") + 1

    def _blocks(self, file: LogFile, place: _Place) -> Iterator[Batch]:
        dialect = self._dialect(file)
        name = f"{file.identity}-{place.head}" + (f"-{place.generation}" if place.generation else "")
        while True:
            parsed, more = self._block(file, place.offset, dialect)
            self.problems += (f"{file.name}, from byte {place.offset}: {problem}" for problem in parsed.problems)
            found = [(row, record) for row in parsed.rows if (record := row.record(name, place.offset))]
            for last in range(MOST_RECORDS, len(found), MOST_RECORDS):
                self._places[file.identity] = place.model_copy(update={"offset": place.offset + found[last - 1][0].end})
                yield self._batch([record for _, record in found[last - MOST_RECORDS : last]])
            place = place.model_copy(update={"offset": place.offset + parsed.end})
            self._places[file.identity] = place
            if parsed.end:
                yield self._batch([record for _, record in found[(max(len(found) - 1, 0) // MOST_RECORDS) * MOST_RECORDS :]])
            if not more:
                return

    def _dialect(self, file: LogFile) -> Dialect:
        format = format_of(file.name.removesuffix(".gz"), self.folder.read(file, 0, HEAD)) if self.format == "auto" else self.format
        return Dialect(format, LinePrefix(self.settings.log_line_prefix), self.settings.log_timezone)

    def _block(self, file: LogFile, offset: int, dialect: Dialect) -> tuple[Parsed, bool]:
        """What is read next, and whether more follows. A row longer than a block makes the block grow."""
        length = BLOCK
        while True:
            block = self.folder.read(file, offset, length)
            parsed, full = parse(block, dialect, settled=False), len(block) == length
            if not full:
                return self._settled(file, offset, block, dialect, parsed), False
            if parsed.end:
                return parsed, True
            if length >= LARGEST_ROW:
                before = parse(block, dialect, settled=True)
                return before if before.end else Parsed([], length, [f"a row of more than {length} bytes left out"]), True
            length *= 2

    def _settled(self, file: LogFile, offset: int, block: bytes, dialect: Dialect, parsed: Parsed) -> Parsed:
        if parsed.end > block.rfind(b"\n") or dialect.format != "stderr":
            return parsed
        time.sleep(SETTLING)
        again = self.folder.read(file, offset, max(BLOCK, len(block) + 1))
        return parse(again, dialect, settled=again == block)

    def _batch(self, records: Sequence[Record]) -> Batch:
        self._given, told, self.problems = self._state(), tuple(self.problems), []
        return Batch(records, self._given, told)

    def _state(self) -> dict[str, Any]:
        return _Cursor(files=self._places, asked=self.asked).model_dump()


def parsed_cursor(name: str, cursor: Cursor) -> _Cursor:
    """Raises ``SourceFailed`` for a cursor of another shape."""
    try:
        return _Cursor.model_validate(dict(cursor))
    except ValueError as error:
        raise unknown_cursor(name, cursor) from error


class LocalFolder:
    """A folder, one file, or a glob of the local file system."""

    def __init__(self, name: str, path: str) -> None:
        self._name, self._path = name, path

    def files(self) -> list[LogFile]:
        """Raises ``SourceFailed`` where there is nothing at all."""
        try:
            found = [one for path in self._paths() if not path.endswith(PACKED) and (one := _listed(path))]
        except OSError as error:
            raise SourceFailed(f"source {self._name!r} cannot list {self._path}: {error.strerror}") from error
        if not found:
            raise SourceFailed(
                f"source {self._name!r}: no log file at {self._path!r}; path takes a folder, a file or a glob such as /pg/log/*.csv"
            )
        return found

    def _paths(self) -> list[str]:
        if os.path.isdir(self._path):
            return [entry.path for entry in os.scandir(self._path)]
        return [self._path] if os.path.exists(self._path) else glob.glob(self._path, recursive=True)

    def packed(self) -> list[str]:
        """Those beside the files that the path names, also of names that a glob for unpacked ones leaves out."""
        folders = {self._path if os.path.isdir(self._path) else os.path.dirname(path) for path in self._paths() or [self._path]}
        found = [path for folder in folders for path in glob.glob(os.path.join(glob.escape(folder), "*.gz"))]
        return sorted(found, key=lambda path: -one.modified if (one := _listed(path)) else 0)

    def read(self, file: LogFile, offset: int, length: int) -> bytes:
        """See :class:`LogFolder`."""
        try:
            with gzip.open(file.name) if file.name.endswith(".gz") else open(file.name, "rb") as opened:
                opened.seek(offset)
                return opened.read(length)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise Unreadable(f"{file.name} is cut off or broken: {error}") from error
        except OSError as error:
            raise Unreadable(f"{file.name} cannot be read: {error.strerror}; the account that polls needs the right to read it") from error


def _listed(path: str) -> LogFile | None:
    with suppress(FileNotFoundError):  # rotated away since
        found = os.stat(path)
        if stat.S_ISREG(found.st_mode):
            return LogFile(path, f"{found.st_dev:x}-{found.st_ino:x}", found.st_size, found.st_mtime)
    return None


class PostgresFilesSettings(BaseModel):
    """Server log files that this machine can read."""

    model_config = ConfigDict(extra="forbid")

    kind: Literal["postgres_files"] = "postgres_files"
    path: str
    """Folder, file or glob, e.g. ``/var/lib/postgresql/18/main/log`` or ``/var/log/postgresql/*.log``."""
    format: Format | Literal["auto"] = "auto"
    """``auto``: by ending and first line; where the server writes several formats, one is read: jsonlog, else csvlog, else stderr."""
    log_line_prefix: str | None = None
    """Of the stderr format, as ``SHOW log_line_prefix`` says; empty: the server is asked over ``conn_id``, else PostgreSQL's default."""
    log_timezone: str | None = None
    """As ``SHOW log_timezone`` says, e.g. ``Europe/Berlin``; needed where the log is not in UTC."""
    conn_id: str = ""
    """Airflow connection of the server, to ask for the two settings above."""
    start: Start = "end"
    """Where files are begun that were there at the first poll; later ones are read from their start."""

    def source(self, name: str) -> PostgresFilesSource:
        """The source of this name."""
        return PostgresFilesSource(name, **self.model_dump(exclude={"kind"}))


@dataclass
class PostgresFilesSource:
    """See :class:`PostgresFilesSettings`."""

    name: str
    path: str
    format: Format | Literal["auto"] = "auto"
    log_line_prefix: str | None = None
    log_timezone: str | None = None
    conn_id: str = ""
    start: Start = "end"

    def read(self, cursor: Cursor) -> Iterator[Batch]:
        """See ``LogSource``."""
        before = parsed_cursor(self.name, cursor)
        asked, problems = self._asked(before.asked)
        configured = {"log_line_prefix": self.log_line_prefix, "log_timezone": self.log_timezone}
        settings = (asked or ServerSettings()).model_copy(update={key: value for key, value in configured.items() if value is not None})
        reader = LogReader(self.name, LocalFolder(self.name, self.path), settings, self.format, self.start, asked, problems)
        yield from reader.batches(cursor)

    def _asked(self, last: ServerSettings | None) -> tuple[ServerSettings | None, list[str]]:
        """A server that is down must not hide its log: then its last answer counts."""
        if not self.conn_id:
            return None, []
        from airflow_oncall.capture.logs.postgres_sql import server_settings, session

        try:
            with session(self.name, self.conn_id) as connection:
                return server_settings(connection), []
        except SourceFailed as error:
            return last, [f"{error}; read with {'its last' if last else 'the default'} log_line_prefix"]
