"""The time that a log record says it was written at."""

from __future__ import annotations

import re
from datetime import datetime, timezone, tzinfo
from functools import lru_cache

_LOOKED_AT = 160
_STAMP = re.compile(
    r"(?<!\d)(?:(\d{4}-\d\d-\d\d)|(\d\d)/(\d\d)/(\d\d))[T ,]{1,2}(\d\d:\d\d:\d\d)(?:[.,](\d{1,9}))? ?"
    r"(Z\b|UTC\b|GMT\b|[+-]\d\d:?\d\d\b|(?!ERROR|FATAL|WARN|INFO|DEBUG|TRACE|PANIC)[A-Z]{3,5}\b(?= *[\[\]|,]))?"
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
    date, year, month, day, clock, fraction, word = found.groups()
    moment = f"{date or f'20{year}-{month}-{day}'} {clock}.{(fraction or '')[:6]:0<6}+00:00"
    try:
        told, own = datetime.fromisoformat(moment), _zone(word, zone)
        return told if own is timezone.utc else told.replace(tzinfo=own).astimezone(timezone.utc)
    except (ValueError, OverflowError):
        return None


@lru_cache(maxsize=64)
def _zone(word: str | None, default: tzinfo) -> tzinfo:
    if not word:
        return timezone.utc if str(default) == "UTC" else default  # a ZoneInfo converts slowly
    if word in _UNIVERSAL:
        return timezone.utc
    offset = datetime.strptime(word, "%z").tzinfo  # raises ValueError for an abbreviation
    return offset or default
