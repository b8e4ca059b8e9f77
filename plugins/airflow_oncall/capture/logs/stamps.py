"""The time that a log record says it was written at."""

from __future__ import annotations

import re
from datetime import datetime, timezone, tzinfo
from functools import lru_cache

_LOOKED_AT = 160
_STAMP = re.compile(
    r"(?<!\d)(?:(?P<year>\d{4})-(?P<month>\d\d)-(?P<day>\d\d)|(?P<y>\d\d)/(?P<m>\d\d)/(?P<d>\d\d))[T ,]{1,2}"
    r"(?P<hour>\d\d):(?P<minute>\d\d):(?P<second>\d\d)(?:[.,](?P<fraction>\d{1,9}))? ?"
    r"(?P<zone>Z\b|UTC\b|GMT\b|[+-]\d\d:?\d\d\b|(?!ERROR|FATAL|WARN|INFO|DEBUG|TRACE|PANIC)[A-Z]{3,5}\b(?= *[\[\]|,]))?"
)
"""Airflow, log4j, Python's logging, PostgreSQL, JSON lines and whatever else writes ISO 8601."""
_UNIVERSAL = frozenset({"Z", "UTC", "GMT"})


def happened_at(text: str, zone: tzinfo = timezone.utc) -> datetime | None:
    """When the first line of ``text`` says it was written, in UTC.

    A time without a zone is one of ``zone``. ``None`` where the line tells none, or one by an abbreviation that has several meanings.
    """
    found = _STAMP.search(text, 0, _LOOKED_AT)
    if not found:
        return None
    year, month, day = (found["year"] or f"20{found['y']}", found["month"] or found["m"], found["day"] or found["d"])
    hour, minute, second = map(int, found.group("hour", "minute", "second"))
    fraction = int((found["fraction"] or "0")[:6].ljust(6, "0"))
    try:
        told = datetime(int(year), int(month), int(day), hour, minute, second, fraction, _zone(found["zone"], zone))
        return told.astimezone(timezone.utc)
    except (ValueError, OverflowError):
        return None


@lru_cache(maxsize=64)
def _zone(word: str | None, default: tzinfo) -> tzinfo:
    if not word:
        return default
    if word in _UNIVERSAL:
        return timezone.utc
    offset = datetime.strptime(word, "%z").tzinfo  # raises ValueError for an abbreviation
    return offset or default
