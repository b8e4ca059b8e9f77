"""Reads PostgreSQL's ``log_line_prefix``: the setting becomes an expression that takes the fields out of a line of the stderr log.

A field that anybody may fill (user, database, application name) ends at the first place where the rest of the prefix and a severity
fit, so that no message passes for a field. A session can still lie about itself with a name that looks like the rest of the prefix;
csvlog and jsonlog leave no such doubt.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

DEFAULT_PREFIX = "%m [%p] "
"""What a server has that was not told otherwise."""
PARTS = ("DETAIL", "HINT", "QUERY", "CONTEXT", "LOCATION", "BACKTRACE", "STATEMENT")
"""What belongs to the message before it."""
SEVERITIES = ("DEBUG", "INFO", "NOTICE", "WARNING", "ERROR", "LOG", "FATAL", "PANIC")
SEVERITY = rf"(?P<severity>{'|'.join(SEVERITIES + PARTS)}):  "
_LONGEST = 1_024
"""Characters of a line that are looked at: names end at 63 bytes."""
_FEW_NAMES = 3
_SECOND, _ZONE, _NAME = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", r"[A-Za-z+-][A-Za-z0-9+-]{0,15}", r".{0,96}?"
_ESCAPES = {
    "a": f"(?P<application_name>{_NAME})",
    "b": f"(?P<backend_type>{_NAME})",
    "c": r"(?P<session_id>[0-9a-f]*\.?[0-9a-f]*)",
    "d": f"(?P<database>{_NAME})",
    "e": r"(?P<sqlstate>[0-9A-Z]{5})",
    "h": r"(?P<host>\S*?)",
    "i": _NAME,
    "l": r"\d+",
    "L": r"\S*?",
    "m": rf"(?P<time>{_SECOND}\.\d{{3}} {_ZONE})",
    "n": r"(?P<epoch>\d+\.\d{3})",
    "p": r"(?P<pid>\d+)",
    "P": r"\d*",
    "Q": r"(?P<query_id>-?\d+)",
    "r": r"(?P<host>\S*?)(?:\((?P<port>\d*)\))?",
    "s": f"(?:{_SECOND} {_ZONE})?",
    "t": f"(?P<time>{_SECOND} {_ZONE})",
    "u": f"(?P<user>{_NAME})",
    "v": r"(?:-?\d+/\d+)?",
    "x": r"\d*",
}
_STAMP = re.compile(rf"({_SECOND})(?:\.(\d{{1,6}}))?\s*({_ZONE})?")
_OFFSET = re.compile(r"([+-])(\d\d):?(\d\d)?")


@dataclass(frozen=True)
class Head:
    """What stands before a message."""

    severity: str
    """Also one of :data:`PARTS`."""
    fields: dict[str, str]
    """Identifiers that have a value."""
    time: str
    """As logged; seconds since 1970 where the prefix has ``%n``; may be empty."""
    length: int
    """Characters up to the message."""


class LinePrefix:
    """One value of ``log_line_prefix``; escapes that PostgreSQL does not know stand for nothing, as on the server."""

    def __init__(self, setting: str) -> None:
        self.setting = setting
        self._line: Any = _compiled(_expression(setting))

    def read(self, line: str) -> Head | None:
        """The head of a line; ``None`` where the line does not begin with this prefix and a severity."""
        found = self._line.match(line[:_LONGEST])
        if found is None:
            return None
        fields = {name: value for name, value in found.groupdict().items() if value}
        severity, time, epoch = fields.pop("severity"), fields.pop("time", ""), fields.pop("epoch", "")
        return Head(severity, identifiers(fields), time or epoch, found.end())


def identifiers(fields: dict[str, str]) -> dict[str, str]:
    """Without what PostgreSQL writes where it does not know, and an SQLSTATE only where it is not success."""
    nothing = {"sqlstate": "00000", "query_id": "0"}
    return {name: value for name, value in fields.items() if value and value not in ("[unknown]", nothing.get(name))}


def moment(text: str, zone: str) -> datetime | None:
    """UTC of a logged time. ``zone``: the server's ``log_timezone``; without it only UTC and plain offsets are certain."""
    found = _STAMP.fullmatch(text)
    if found is None:
        return _from_epoch(text)
    try:
        local = datetime.fromisoformat(found[1]) + timedelta(microseconds=int((found[2] or "0").ljust(6, "0")))
    except ValueError:
        return None
    return _in_zone(local, found[3] or "", zone)


def _from_epoch(text: str) -> datetime | None:
    return datetime.fromtimestamp(float(text), timezone.utc) if re.fullmatch(r"\d{1,11}\.\d{3}", text) else None


def _in_zone(local: datetime, shown: str, zone: str) -> datetime | None:
    if shown.upper() in {"UTC", "GMT", "Z"}:
        return local.replace(tzinfo=timezone.utc)
    if offset := _OFFSET.fullmatch(shown):
        ahead = timedelta(hours=int(offset[2]), minutes=int(offset[3] or 0))
        return (local - ahead if offset[1] == "+" else local + ahead).replace(tzinfo=timezone.utc)
    try:
        there = ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return None
    # The hour that the end of summer time repeats is told apart by its abbreviation.
    twice = (local.replace(tzinfo=there, fold=fold) for fold in (0, 1))
    return next((one for one in twice if one.tzname() == shown), local.replace(tzinfo=there)).astimezone(timezone.utc)


def _compiled(expression: str) -> Any:
    """Python's engine is ten times faster on short lines, but with many names next to each other it could try splits without end."""
    if expression.count(_NAME) <= _FEW_NAMES:
        return re.compile(expression)
    import re2

    return re2.compile(expression)


def _expression(setting: str) -> str:
    pieces = re.findall(r"%%|%-?\d*[^\d-]|[^%]+", setting)
    stop = next((place for place, piece in enumerate(pieces) if re.fullmatch(r"%-?\d*q", piece)), len(pieces))
    seen: set[str] = set()
    always, in_sessions = _translated(pieces[:stop], seen), _translated(pieces[stop + 1 :], seen)
    # Lazy: a server process stops at %q, and its message must not be searched for a session's fields.
    return always + (f"(?:{in_sessions})??" if in_sessions else "") + SEVERITY


def _translated(pieces: list[str], seen: set[str]) -> str:
    return "".join(_pattern(piece, seen) for piece in pieces)


def _pattern(piece: str, seen: set[str]) -> str:
    if not piece.startswith("%"):
        return re.escape(piece)
    if piece == "%%":
        return "%"
    pattern = _ESCAPES.get(piece[-1], "")
    for name in re.findall(r"\(\?P<(\w+)>", pattern):
        if name in seen:  # the same escape twice: the first place is read
            pattern = pattern.replace(f"(?P<{name}>", "(?:")
        seen.add(name)
    if pattern and len(piece) > 2:
        return f"{pattern} *" if piece[1] == "-" else f" *{pattern}"
    return pattern
