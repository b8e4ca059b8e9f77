"""Bytes of a log -> text, whatever wrote them. UTF-8 if it is that, else what a byte order mark says, else Windows' and Latin 1."""

from __future__ import annotations

import codecs

SAMPLE = 8 * 1024
"""Bytes of a block that tell whether it is text."""
_STRANGE = bytes(set(range(32)) - set(b"\a\b\t\n\v\f\r\x1b")) + b"\x7f"
_BINARY_SHARE = 0.05


def decode(raw: bytes) -> str:
    """``raw`` as text; one record at a time, because one file may hold what several programs wrote in their own encodings."""
    for encoding in ("utf-8", "cp1252"):
        try:
            return raw.decode(encoding)
        except UnicodeDecodeError:
            continue
    return raw.decode("latin-1")  # takes every byte


def wide(head: bytes) -> str | None:
    """The encoding of two bytes a letter that the first bytes of a file announce: ``utf-16-le`` or ``utf-16-be``."""
    if head.startswith(codecs.BOM_UTF16_LE):
        return "utf-16-le"
    return "utf-16-be" if head.startswith(codecs.BOM_UTF16_BE) else None


def is_binary(block: bytes | bytearray, start: int = 0, end: int | None = None) -> bool:
    """Whether a block is no text: more than a twentieth of its first bytes are control characters that no log has."""
    sample = bytes(block[start : min(start + SAMPLE, len(block) if end is None else end)])
    sample = sample.lstrip(b"\0")  # a truncated file that a program goes on writing at its old place
    return bool(sample) and len(sample) - len(sample.translate(None, _STRANGE)) > len(sample) * _BINARY_SHARE
