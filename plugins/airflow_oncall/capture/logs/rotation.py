"""Which file is which: files that are renamed, truncated, copied, compressed and made anew under their old names.

A file is known by device and inode as long as its first bytes stay the same. When they do not, or it became shorter, it is another
file; what was left unread of the one before is then looked for under names like ``app.log.1`` and ``app.log.2.gz``.
"""

from __future__ import annotations

import glob
import gzip
import hashlib
import os
import stat
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from io import FileIO

from pydantic import BaseModel, ConfigDict, ValidationError

from airflow_oncall.capture.logs.source import Cursor, SourceFailed

HEAD = 1024
"""First bytes of a file that tell it from others."""
BROKEN_ARCHIVE = (EOFError, gzip.BadGzipFile, zlib.error)


class Place(BaseModel):
    """One file and how far it was read."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    key: str
    """Stands in positions, and stays when the file gets another name or is compressed."""
    path: str
    device: int
    inode: int
    offset: int = 0
    """Bytes read; of a compressed file, of what is inside."""
    head: str
    """Digest of its first ``head_size`` bytes."""
    head_size: int
    stamp: str = ""
    """Size and time of change when it had been read to its end; such a file is not opened again."""
    changed: int = 0
    """Nanoseconds: when it had been changed last as it was read."""


class Progress(BaseModel):
    """The cursor of a file source."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: int = 1
    replaced: int = 0
    """How many files were truncated or replaced in place so far; it keeps positions in them apart."""
    files: tuple[Place, ...] = ()
    told: tuple[str, ...] = ()
    """Problems that lasted when last read; they are told once."""


@dataclass(frozen=True)
class Seen:
    """A file as it is found now."""

    path: str
    device: int
    inode: int
    size: int
    changed: int
    """Nanoseconds."""
    is_wanted: bool
    """The source's path names it; else it is what such a file may have been renamed to."""

    @property
    def is_compressed(self) -> bool:
        """Whether it is read through gzip."""
        return self.path.endswith(".gz")

    @property
    def stamp(self) -> str:
        """Changes when the file does."""
        return f"{self.size}:{self.changed}"

    def open(self) -> FileIO | gzip.GzipFile:
        """Its bytes, unpacked."""
        return gzip.open(self.path, "rb") if self.is_compressed else FileIO(self.path)

    def first(self, count: int) -> bytes:
        """Its first bytes. Raises ``OSError`` or one of :data:`BROKEN_ARCHIVE`."""
        with self.open() as file:
            return file.read(count)


@dataclass
class Work:
    """What there is to read, oldest first, and what was noticed on the way."""

    todo: list[tuple[Seen, Place, bool]] = field(default_factory=list)
    """File, place, and whether nobody writes to it any more."""
    kept: list[Place] = field(default_factory=list)
    """Places of files that need no reading now."""
    problems: list[str] = field(default_factory=list)
    replaced: int = 0


def progress(source: str, cursor: Cursor) -> Progress:
    """The cursor as it is used here. Raises :class:`SourceFailed` for one of another shape."""
    try:
        read = Progress.model_validate(dict(cursor))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise SourceFailed(f"source {source!r}: its cursor is not one of a file source ({where}: {first['msg']}); remove it") from error
    if read.version != 1:
        raise SourceFailed(f"source {source!r}: its cursor has version {read.version}, this code knows version 1; upgrade, or remove it")
    return read


def find(pattern: str, problems: list[str]) -> list[Seen]:
    """Every regular file that ``pattern`` names, and what may be left of such files after a rotation; the oldest first."""
    wanted = set(glob.glob(pattern, recursive=True))
    rotated = {name for path in wanted for sign in (".", "-") for name in glob.glob(f"{glob.escape(path)}{sign}*")}
    if not glob.has_magic(pattern):
        rotated |= {name for sign in (".", "-") for name in glob.glob(f"{glob.escape(pattern)}{sign}*")}
    found: dict[tuple[int, int], Seen] = {}
    for path in sorted(wanted | rotated, key=lambda name: (name not in wanted, name)):
        try:
            status = os.stat(path)
        except FileNotFoundError:
            continue  # between the listing and now
        except OSError as error:
            problems.append(f"{path} cannot be read: {error.strerror}")
            continue
        if stat.S_ISREG(status.st_mode):
            one = Seen(path, status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, path in wanted)
            found.setdefault((one.device, one.inode), one)
    return sorted(found.values(), key=lambda one: (one.changed, one.path))


def match(found: Iterable[Seen], before: Progress) -> Work:
    """Tie the files found to the places known; see the top of this file for the rules."""
    work = Work(replaced=before.replaced)
    places = {(place.device, place.inode): place for place in before.files}
    strangers: list[Seen] = []
    orphans: list[Place] = []
    for one in found:
        place = places.pop((one.device, one.inode), None)
        if place is None:
            strangers.append(one)
        elif place.stamp == one.stamp:
            work.kept.append(place.model_copy(update={"path": one.path}))
        elif (head := _head(one, HEAD, work.problems)) is None:
            work.kept.append(place)
        elif _holds(one, head, place):
            update = {"path": one.path, "head": _digest(head), "head_size": len(head)}
            work.todo.append((one, place.model_copy(update=update), not one.is_wanted))
        else:
            work.replaced += 1
            orphans.append(place)
            strangers.append(one)
    lost = [*orphans, *places.values()]
    for one in strangers:
        work.todo += _adopted(one, lost, before, work)
    for place in lost:
        if place not in orphans and not place.stamp:
            work.problems.append(f"{place.path} vanished; what was written to it behind byte {place.offset} is lost")
    work.todo.sort(key=lambda item: (item[0].changed, item[0].path))
    return work


def _holds(one: Seen, head: bytes, place: Place) -> bool:
    """Whether the file with these first bytes is what was read up to ``place``."""
    return (one.is_compressed or one.size >= place.offset) and _digest(head[: place.head_size]) == place.head


def _adopted(one: Seen, lost: list[Place], before: Progress, work: Work) -> Iterator[tuple[Seen, Place, bool]]:
    """What to read of a file not known by its inode: the rest of a lost one, all of a new one, or nothing of a copy."""
    head = _head(one, HEAD, work.problems)
    if head is None or (b"\n" not in head and len(head) < HEAD and not one.is_compressed):
        return  # unreadable, or not one line yet
    for place in lost:
        if one.path.startswith(_stem(place.path)) and _holds(one, head, place):
            lost.remove(place)
            update = {"path": one.path, "device": one.device, "inode": one.inode, "stamp": ""}
            yield one, place.model_copy(update=update), one.path != place.path
            return
    family = [place for place in before.files if one.path != place.path and one.path.startswith(_stem(place.path))]
    if any(_holds(one, head, place) for place in family):
        return  # a copy of a file that is still there, e.g. one that is just being compressed
    newest = max((place.changed for place in family), default=0)
    if one.is_wanted or (family and one.changed > newest):
        yield one, _new(one, head, work), not one.is_wanted


def _new(one: Seen, head: bytes, work: Work) -> Place:
    """The place of a file that was never read. Its key comes from its first line, so it is the same whenever it is looked at."""
    again = f"-{work.replaced}" if work.replaced else ""
    first_line = _digest(head.partition(b"\n")[0])[:8]
    return Place(
        key=f"{one.inode}-{first_line}{again}", path=one.path, device=one.device, inode=one.inode, head=_digest(head), head_size=len(head)
    )


def _stem(path: str) -> str:
    """What the names begin with that a rotation gives a file: ``app.log`` for ``app.log``, ``app.log.1`` and ``app.log.2.gz``."""
    stem = path.removesuffix(".gz")
    base, _, ending = stem.rpartition(".")
    return base if ending.isdigit() and base else stem


def _head(one: Seen, count: int, problems: list[str]) -> bytes | None:
    try:
        return one.first(count)
    except (OSError, *BROKEN_ARCHIVE) as error:
        problems.append(f"{one.path} cannot be read: {getattr(error, 'strerror', None) or error}")
        return None


def _digest(head: bytes) -> str:
    return hashlib.sha256(head).hexdigest()[:16]
