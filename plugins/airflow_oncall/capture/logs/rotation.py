"""Which file is which: files that are renamed, truncated, copied, compressed and made anew under their old names.

A file is known by device and inode as long as what was read of it is still in it. When it is not, or it became shorter, it is another
file; what was left unread of the one before is then looked for under names like ``app.log.1`` and ``app.log.2.gz``. Files may begin
alike for long, so one is taken for another only when all that was read is equal; in doubt it is read as a new one.
"""

from __future__ import annotations

import glob
import gzip
import hashlib
import os
import stat
import zlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from io import FileIO

from pydantic import BaseModel, ConfigDict, ValidationError

from airflow_oncall.capture.logs.source import Cursor, unknown_cursor

HEAD = 1024
"""First bytes of a file that tell it from others."""
TAIL = 1024
"""Last bytes that were read, which tell a file from one written anew under its name."""
BLOCK = 1 << 20
"""Bytes that are compared at once."""
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
    tail: str = ""
    """Digest of the last ``tail_size`` bytes in front of ``offset``."""
    tail_size: int = 0
    checksum: int = 0
    """CRC-32 of the last ``summed`` bytes in front of ``offset``: all that were read, or some where reading began at the end."""
    summed: int = 0
    stamp: str = ""
    """Size and time of change when it had been read to its end; such a file is not opened again."""
    changed: int = 0
    """Nanoseconds: when it had been changed last as it was read."""

    def behind(self, part: bytes | memoryview) -> Place:
        """The place behind these bytes, which are the next ones of the file."""
        tail = part[-TAIL:]
        update = {
            "offset": self.offset + len(part),
            "tail": _digest(tail),
            "tail_size": len(tail),
            "checksum": zlib.crc32(part, self.checksum),
            "summed": self.summed + len(part),
            "stamp": "",
        }
        return self.model_copy(update=update) if part else self


class Progress(BaseModel):
    """The cursor of a file source."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: int = 1
    begun: int = 0
    """How many files were begun so far; it keeps positions apart where inodes are used again."""
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
    begun: int = 0
    """As in :class:`Progress`."""
    there: dict[str, tuple[Seen, Place]] = field(default_factory=dict)
    """The files of ``todo`` and ``kept`` by their paths of now."""

    def read(self, one: Seen, place: Place, is_sealed: bool) -> None:
        """Have a file read on from this place."""
        self.todo.append((one, place, is_sealed))
        self.there[one.path] = one, place


def progress(source: str, cursor: Cursor) -> Progress:
    """The cursor as it is used here. Raises :class:`SourceFailed` for one of another shape."""
    try:
        read = Progress.model_validate(dict(cursor))
    except ValidationError as error:
        raise unknown_cursor(source, cursor) from error
    if read.version != 1:
        raise unknown_cursor(source, cursor)
    return read


def find(pattern: str, known: Iterable[Place], problems: list[str]) -> list[Seen]:
    """Every regular file that ``pattern`` names, and what may be left of such and of ``known`` ones after a rotation; oldest first."""
    wanted = set(glob.glob(pattern, recursive=True))
    bases = wanted | {place.path for place in known} | (set() if glob.has_magic(pattern) else {pattern})
    found: dict[tuple[int, int], Seen] = {}
    for path in sorted(wanted | _rotated(bases, problems), key=lambda name: (name not in wanted, name)):
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


def _rotated(bases: set[str], problems: list[str]) -> set[str]:
    """Paths that a rotation may have given to files of these paths. Each folder is listed once."""
    rotated: set[str] = set()
    for folder in sorted({os.path.dirname(path) for path in bases}):
        try:
            with os.scandir(folder or ".") as entries:
                paths = [os.path.join(folder, entry.name) for entry in entries]
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            problems.append(f"{folder} cannot be listed, rotated files in it are not found: {error.strerror}")
            continue
        rotated.update(path for path in paths if any(base in bases for base in _bases(path)))
    return rotated


def _bases(path: str) -> list[str]:
    """What this path may have been before rotations and compressing, e.g. ``app.log.1`` and ``app.log`` for ``app.log.1.gz``."""
    return [path[:at] for at in range(len(path) - 1, 0, -1) if path[at] in ".-"]


def match(found: Iterable[Seen], before: Progress) -> Work:
    """Tie the files found to the places known; see the top of this file for the rules."""
    work = Work(begun=before.begun)
    places = {(place.device, place.inode): place for place in before.files}
    strangers: list[Seen] = []
    replaced: list[Place] = []
    for one in found:
        place = places.pop((one.device, one.inode), None)
        if place is None:
            strangers.append(one)
        elif not _known(one, place, work):
            replaced.append(place)
            strangers.append(one)
    lost = {place.key: place for place in [*replaced, *places.values()]}
    families: dict[str, list[Place]] = {}
    for place in before.files:
        families.setdefault(_stem(place.path), []).append(place)
    for one in strangers:
        _sort_out(one, lost, [place for base in [one.path, *_bases(one.path)] for place in families.get(base, ())], work)
    for place in lost.values():
        if not place.stamp:
            fate = "was truncated or replaced" if place in replaced else "vanished"
            work.problems.append(f"{place.path} {fate}; what was written to it behind byte {place.offset} is lost")
    work.todo.sort(key=lambda item: (item[0].changed, item[0].path))
    return work


def _known(one: Seen, place: Place, work: Work) -> bool:
    """Whether the file is still what was read under its inode; it is put where it belongs then."""
    if place.stamp == one.stamp:
        place = place.model_copy(update={"path": one.path})
    elif (head := _head(one, work.problems)) is not None:
        if not _holds(one, head, place, whole=one.path != place.path):
            return False
        place = place.model_copy(update={"path": one.path, "head": _digest(head), "head_size": len(head), "stamp": ""})
        work.read(one, place, not one.is_wanted)
        return True
    work.kept.append(place)
    work.there[one.path] = one, place
    return True


def _sort_out(one: Seen, lost: dict[str, Place], family: list[Place], work: Work) -> None:
    """What to read of a file not known by its inode: the rest of a lost one, all of a new one, or nothing of a copy."""
    head = _head(one, work.problems)
    if head is None or (b"\n" not in head and len(head) < HEAD and not one.is_compressed):
        return  # unreadable, or not one line yet
    for place in family:
        if place.key in lost and _holds(one, head, place):
            del lost[place.key]
            update = {"path": one.path, "device": one.device, "inode": one.inode, "stamp": ""}
            work.read(one, place.model_copy(update=update), one.path != place.path)
            return
    if any(_is_copy(one, head, *work.there[base]) for base in _bases(one.path) if base in work.there):
        return
    newest = max((place.changed for place in family), default=0)
    if one.is_wanted or (family and one.changed > newest):
        work.begun += 1
        work.read(one, _new(one, head, work.begun), not one.is_wanted)


def _holds(one: Seen, head: bytes, place: Place, whole: bool = True) -> bool:
    """Whether the file with these first bytes holds what was read up to ``place``; unless ``whole``, by its first and last bytes."""
    if _digest(head[: place.head_size]) != place.head or (one.size < place.offset and not one.is_compressed):
        return False
    try:
        with one.open() as file:
            if not one.is_compressed:
                file.seek(place.offset - place.tail_size)
                if place.tail_size and _digest(file.read(place.tail_size)) != place.tail:
                    return False
            return not (whole or one.is_compressed) or _checksum(file, place) == place.checksum
    except (OSError, *BROKEN_ARCHIVE):
        return False


def _checksum(file: FileIO | gzip.GzipFile, place: Place) -> int:
    """Of the bytes that the checksum of ``place`` is of."""
    file.seek(place.offset - place.summed)
    checksum, left = 0, place.summed
    while left and (part := file.read(min(left, BLOCK))):
        checksum, left = zlib.crc32(part, checksum), left - len(part)
    return checksum if not left else -1


def _is_copy(one: Seen, head: bytes, original: Seen, place: Place) -> bool:
    """Whether the file is a copy of one that is still there under the name it had, or an archive that is just being made of it."""
    try:
        with one.open() as file:
            file.seek(original.size)
            is_longer = bool(file.read(1))
    except EOFError:
        return _digest(head[: place.head_size]) == place.head
    except (OSError, *BROKEN_ARCHIVE):
        return False
    return bool(place.offset) and not is_longer and _holds(one, head, place)


def _new(one: Seen, head: bytes, number: int) -> Place:
    """The place of a file that was never read. Its inode and its first line may come again; its number does not."""
    first_line = _digest(head.partition(b"\n")[0])[:8]
    key = f"{one.inode}-{first_line}-{number}"
    return Place(key=key, path=one.path, device=one.device, inode=one.inode, head=_digest(head), head_size=len(head))


def _stem(path: str) -> str:
    """What the names begin with that a rotation gives a file: ``app.log`` for ``app.log``, ``app.log.1`` and ``app.log.2.gz``."""
    stem = path.removesuffix(".gz")
    base, _, ending = stem.rpartition(".")
    return base if ending.isdigit() and base else stem


def _head(one: Seen, problems: list[str]) -> bytes | None:
    try:
        return one.first(HEAD)
    except (OSError, *BROKEN_ARCHIVE) as error:
        problems.append(f"{one.path} cannot be read: {getattr(error, 'strerror', None) or error}")
        return None


def _digest(head: bytes | memoryview) -> str:
    return hashlib.sha256(head).hexdigest()[:16]
