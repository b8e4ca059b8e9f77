"""A file as chunks that end where a record ends, each at most a few megabytes, whatever encoding it is in."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from gzip import GzipFile
from io import FileIO

from airflow_oncall.capture.logs.decode import is_binary, wide
from airflow_oncall.capture.logs.records import last_start

BLOCK = 4 << 20
"""Bytes that are read and scanned at once."""
LONGEST_LINE = 16 << 20
"""A longer line is read in pieces."""
Readable = FileIO | GzipFile
HALF_LINE_SECONDS = 3_600
"""Programs write in pieces, so a line without its end is waited for; after this long nobody will end it."""


@dataclass
class Chunk:
    """Lines of a file, as bytes that the scanner can take. ``block`` is used again for the next chunk."""

    block: bytearray
    end: int
    """Behind the last byte of ``block`` that counts."""
    read: int
    """Behind the last byte of ``block`` that was read; a record between ``end`` and here is not complete."""
    base: int
    """Bytes of the file in front of the block."""
    encoding: str | None = None
    """That of the file where it has two bytes a letter; the block is UTF-8 then."""
    problem: str = ""
    """What is wrong with it, for behind the file's name."""
    is_text: bool = True

    def raw(self, start: int, end: int) -> bytes | memoryview:
        """The bytes of the file between these places of the block; a view of them must be gone before the next chunk is asked for."""
        part = memoryview(self.block)[start:end]
        return str(part, "utf-8").encode(self.encoding) if self.encoding else part

    def offset(self, at: int) -> int:
        """Bytes of the file in front of this place of the block."""
        return self.base + (len(self.raw(0, at)) if self.encoding else at)


def chunks(file: Readable, offset: int, is_sealed: bool, settle_seconds: float) -> Iterator[Chunk]:
    """What a file opened for bytes holds from ``offset`` up to the last record that is complete.

    The last record is complete when the file was quiet for ``settle_seconds``; a line without its end only in a file that is sealed,
    which means that its program is told to write elsewhere.
    """
    encoding = wide(file.read(2))
    file.seek(offset)
    raw, filled, is_at_end = bytearray(BLOCK), 0, False
    while not is_at_end:
        filled = _fill(file, raw, filled)
        is_at_end = filled < len(raw)
        chunk = _chunk(raw, filled, offset, encoding)
        if is_at_end:
            chunk.end = _complete(chunk, file, is_sealed, settle_seconds)
        elif not _end_at_a_record(chunk):
            raw.extend(bytes(BLOCK))
            continue
        if chunk.end:
            _judge(chunk)
            yield chunk
            used = chunk.offset(chunk.end) - offset
            offset += used
            raw[: filled - used] = raw[used:filled]
            filled -= used
            del raw[max(BLOCK, filled) :]


def line_end_before(file: Readable) -> int:
    """Behind the last whole line of a file opened for bytes: where reading begins that leaves out what is there already."""
    step = 2 if wide(file.read(2)) else 1
    size: int = file.seek(0, 2) // step * step
    file.seek(max(0, size - LONGEST_LINE // 16))
    tail = file.read()
    return size - (len(tail) - tail.rfind(b"\n") - 1 if b"\n" in tail and step == 1 else 0)


def _fill(file: Readable, raw: bytearray, filled: int) -> int:
    """Read until ``raw`` is full or the file ends; how much of ``raw`` is used then."""
    with memoryview(raw) as view:
        while filled < len(raw) and (count := file.readinto(view[filled:])):
            filled += count
    return filled


def _chunk(raw: bytearray, filled: int, offset: int, encoding: str | None) -> Chunk:
    if encoding is None:
        return Chunk(raw, filled, filled, offset)
    block = bytearray(bytes(raw[: filled // 2 * 2]).decode(encoding, "replace").encode("utf-8"))
    return Chunk(block, len(block), len(block), offset, encoding)


def _complete(chunk: Chunk, file: Readable, is_sealed: bool, settle_seconds: float) -> int:
    """End of what is complete in the last chunk of a file."""
    quiet = abs(time.time() - os.fstat(file.fileno()).st_mtime)  # a clock that was set back must not stop a source
    if quiet > HALF_LINE_SECONDS or (is_sealed and quiet >= settle_seconds):
        return chunk.end
    line_end = chunk.block.rfind(b"\n", 0, chunk.end) + 1
    return line_end if quiet >= settle_seconds else last_start(chunk.block, 0, line_end)


def _end_at_a_record(chunk: Chunk) -> bool:
    """End a full chunk behind a whole record, else behind a line; ``False`` where more must be read to find the end of a line."""
    line_end = chunk.block.rfind(b"\n", 0, chunk.end) + 1
    if line_end:
        chunk.end = last_start(chunk.block, 0, line_end) or line_end
        return True
    if chunk.end < LONGEST_LINE:
        return False
    chunk.problem = f"has a line of more than {LONGEST_LINE >> 20} MiB; it is read in pieces"
    return True


def _judge(chunk: Chunk) -> None:
    if is_binary(chunk.block, 0, chunk.end):
        chunk.is_text = False
        chunk.problem = f"is no text at byte {chunk.base}; {chunk.end} bytes are left out"
