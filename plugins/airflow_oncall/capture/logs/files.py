"""Log files as a source: a path or a glob, read on from where the last poll stopped, whatever rotates them.

A record whose lines may still be arriving is left for the next poll: the last one of a file waits until a newer one begins, until the
file was quiet for ``settle_seconds``, or until nobody writes to the file any more.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BaseModel, ConfigDict, Field, field_validator

from airflow_oncall.capture.logs.chunks import Chunk, chunks, line_end_before
from airflow_oncall.capture.logs.decode import decode
from airflow_oncall.capture.logs.records import Span, cut, spans
from airflow_oncall.capture.logs.rotation import BROKEN_ARCHIVE, Place, Progress, Seen, find, match, progress
from airflow_oncall.capture.logs.scanner import Engine, Scanner
from airflow_oncall.capture.logs.source import Batch, Cursor, Record, SourceFailed
from airflow_oncall.capture.logs.stamps import happened_at
from airflow_oncall.capture.logs.tries import unresolved, written_for

BATCH = 1_000
"""Records of one batch."""
STRETCH = 16 << 20
"""Bytes after which a batch is handed on, however few records they had."""
COMPARED = 1 << 20
"""Last bytes of what is left out at the start that a copy must share."""


class FilesSettings(BaseModel):
    """Settings of a source of kind ``files``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["files"] = "files"
    path: str = Field(min_length=1)
    """A path or a glob (``**`` too), e.g. ``/var/log/etl/*.log``. Rotated files beside it are found by themselves."""
    start: Literal["end", "start"] = "end"
    """Where files begin that are there at the first poll; ``start`` reads all of them. Later ones are read from their start."""
    settle_seconds: float = Field(default=10, ge=0, le=3_600)
    """How long a file must be quiet until its last record counts as complete."""
    engine: Engine = "re2"
    """``fast`` scans several times as fast, and needs the extra ``fast``."""
    timezone: str = "UTC"
    """Zone of times that tell none, e.g. ``Europe/Vienna``."""

    @field_validator("timezone")
    @classmethod
    def _is_known(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError) as error:
            raise ValueError(f"{name!r} is no time zone; write one like Europe/Vienna") from error
        return name

    def source(self, name: str) -> FileSource:
        """The source, with the signatures in force now."""
        from airflow_oncall import conf
        from airflow_oncall.capture.logs.signatures import read_signatures
        from airflow_oncall.store.operator_files import OperatorFiles

        scanner = Scanner(read_signatures(OperatorFiles(conf.include_paths())), self.engine)
        return FileSource(name, self.path, scanner, self.start, self.settle_seconds, ZoneInfo(self.timezone))


@dataclass
class _Reading:
    """What one poll carries from file to file."""

    before: Progress
    begun: int
    places: dict[str, Place]
    problems: list[str]
    records: list[Record] = field(default_factory=list)
    """Those in front of the places that are in no batch yet."""
    passed: int = 0
    """Bytes since the last batch."""
    lasting: list[str] = field(default_factory=list)
    dumps: dict[str, tuple[Place, dict[str, Any]]] = field(default_factory=dict)

    @property
    def is_full(self) -> bool:
        """Whether a batch should be handed on."""
        return len(self.records) >= BATCH or self.passed >= STRETCH

    def batch(self) -> Batch:
        """What was read since the last batch."""
        records, self.records, self.passed = self.records, [], 0
        fresh = [problem for problem in self.problems if problem not in self.before.told and problem not in self.lasting]
        self.lasting += [problem for problem in self.problems if problem not in self.lasting]
        self.problems.clear()
        cursor = Progress(begun=self.begun, told=tuple(self.lasting)).model_dump(mode="json")
        return Batch(records, cursor | {"files": [self._dumped(place) for place in self.places.values()]}, fresh)

    def _dumped(self, place: Place) -> dict[str, Any]:
        """The place as JSON; most of many files are as they were one batch before."""
        before = self.dumps.get(place.key)
        if before is None or before[0] is not place:
            before = self.dumps[place.key] = place, place.model_dump(mode="json")
        return before[1]


@dataclass(frozen=True)
class FileSource:
    """Files as a :class:`~airflow_oncall.capture.logs.source.LogSource`. Positions are ``<inode, first line and number>:<offset>``."""

    name: str
    path: str
    scanner: Scanner
    start: Literal["end", "start"] = "end"
    settle_seconds: float = 10
    zone: ZoneInfo = field(default_factory=lambda: ZoneInfo("UTC"))

    def read(self, cursor: Cursor) -> Iterator[Batch]:
        """Batches up to now. Raises :class:`SourceFailed` where there is no such file and never was."""
        before, problems = progress(self.name, cursor), list[str]()
        found = find(self.path, before.files, problems)
        if not found and not problems and not before.files:
            raise SourceFailed(f"source {self.name!r}: {_why_none(self.path)}")
        work = match(found, before)
        problems += work.problems
        places = {place.key: place for place in [*work.kept, *(place for _, place, _ in work.todo)]}
        reading = _Reading(before, work.begun, places, problems)
        if not cursor and self.start == "end":
            for seen, place, _ in work.todo:
                places[place.key] = self._at_end(seen, place, reading)
        else:
            for seen, place, is_sealed in work.todo:
                yield from self._file(seen, place, is_sealed, reading)
        last = reading.batch()
        if last.records or last.problems or last.cursor != before.model_dump(mode="json") or not cursor:
            yield last

    def _at_end(self, seen: Seen, place: Place, reading: _Reading) -> Place:
        """Behind the last line that is there now."""
        if seen.is_compressed:
            return place.model_copy(update={"stamp": seen.stamp, "changed": seen.changed})
        try:
            with seen.open() as file:
                end = line_end_before(file)
                start = file.seek(max(0, end - COMPARED))
                place = place.model_copy(update={"offset": start, "changed": seen.changed}).behind(file.read(end - start))
            return place.model_copy(update={"stamp": seen.stamp}) if place.offset >= seen.size else place
        except OSError as error:
            reading.problems.append(f"{seen.path} cannot be read: {error.strerror or error}")
            return place

    def _file(self, seen: Seen, place: Place, is_sealed: bool, reading: _Reading) -> Iterator[Batch]:
        """All batches of one file; what keeps it from being read is a problem, and the other files are read all the same."""
        place = place.model_copy(update={"changed": seen.changed})
        try:
            with seen.open() as file:
                for chunk in chunks(file, place.offset, is_sealed, 0 if seen.is_compressed else self.settle_seconds):
                    yield from self._batches(chunk, place, reading)
                    place = reading.places[place.key]
            is_read = seen.is_compressed or place.offset >= seen.size
            reading.places[place.key] = place.model_copy(update={"stamp": seen.stamp if is_read else ""})
        except FileNotFoundError:
            return  # the next poll finds it under its new name, or says that it vanished
        except BROKEN_ARCHIVE as error:
            reading.problems.append(f"{seen.path} is cut off or broken behind byte {place.offset} of its content: {error}")
            reading.places[place.key] = place.model_copy(update={"stamp": seen.stamp})
        except OSError as error:
            reading.problems.append(f"{seen.path} cannot be read: {error.strerror or error}")

    def _batches(self, chunk: Chunk, place: Place, reading: _Reading) -> Iterator[Batch]:
        """The records of a chunk that begins at ``place``; the cursor goes along with them."""
        if chunk.problem:
            reading.problems.append(f"{place.path} {chunk.problem}")
        hits = list(self.scanner.hits(chunk.block, 0, chunk.end, chunk.read)) if chunk.is_text else []
        if "try_number" in written_for(place.path):
            hits = unresolved(chunk.block, hits, chunk.end)
        found, reached = spans(chunk.block, hits, 0, chunk.end, chunk.read), 0
        while reached < chunk.end:
            few = list(islice(found, BATCH - len(reading.records)))
            reading.records += [self._record(place, chunk, span) for span in few]
            end = min(few[-1].end + 1, chunk.end) if len(reading.records) == BATCH else chunk.end
            place, reading.passed, reached = place.behind(chunk.raw(reached, end)), reading.passed + end - reached, end
            reading.places[place.key] = place
            if reading.is_full:
                yield reading.batch()

    def _record(self, place: Place, chunk: Chunk, span: Span) -> Record:
        start, end, signature, at = span
        text = decode(bytes(chunk.block[start:end])).lstrip("\ufeff\0").rstrip()
        return Record(
            position=f"{place.key}:{chunk.offset(start)}",
            text=cut(text, at - start),
            happened_at=happened_at(text, self.zone),
            signature=signature.id,
            severity=signature.severity,
            identifiers=written_for(place.path),
        )


def _why_none(path: str) -> str:
    if Path(path).is_dir():
        return f"{path!r} is a folder; name the files in it, e.g. {str(Path(path) / '*.log')!r}"
    return f"no file is called {path!r}; correct its path, or create the file"
