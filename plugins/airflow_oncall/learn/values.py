"""Single values of such rows: what is meant by a cell that a person filled in."""

from __future__ import annotations

import re
from datetime import datetime, timezone
from difflib import get_close_matches

from pydantic import TypeAdapter, ValidationError

from airflow_oncall.incident import NO_INCIDENT
from airflow_oncall.learn.corpus import LABELS

_MISSING = frozenset({"", "nan", "null", "n/a", "na"})
"""Not ``none``: that is a label."""
_HEALTHY = frozenset({"no_incident", "healthy", "benign", "false_positive"})
_FLAG, _TIME = TypeAdapter(bool), TypeAdapter(datetime)


def is_missing(value: object) -> bool:
    """Whether a cell says nothing: empty, null, NaN."""
    return value is None or value != value or (isinstance(value, str) and value.strip().lower() in _MISSING)


def category_of(value: object) -> str:
    """The category that is meant. Raises ``ValueError``."""
    plain = re.sub(r"[^a-z0-9]+", "_", str(value).strip().lower()).strip("_")
    plain = NO_INCIDENT if plain in _HEALTHY else plain
    if plain in LABELS:
        return plain
    close = get_close_matches(plain, LABELS, 1)
    hint = f"did you mean {close[0]}?" if close else f"it must be one of {', '.join(LABELS)}"
    raise ValueError(f"is {value!r:.60}; {hint}")


def flag_of(value: object) -> bool:
    """Yes or no. Raises ``ValueError``."""
    try:
        return _FLAG.validate_python(value.strip() if isinstance(value, str) else value)
    except ValidationError as error:
        raise ValueError(f"is {value!r:.60}; it must be yes, no or empty") from error


def time_of(value: object) -> datetime:
    """A moment in UTC; without a zone UTC is meant. Raises ``ValueError``."""
    try:
        found = _TIME.validate_python(value.strip() if isinstance(value, str) else value)
        return found.astimezone(timezone.utc) if found.tzinfo else found.replace(tzinfo=timezone.utc)
    except (ValidationError, OverflowError) as error:
        raise ValueError(f"is {value!r:.60}; it must be like 2026-11-21T04:05:06+00:00") from error


def text_of(value: object) -> str:
    """The text. Raises ``TypeError``."""
    if not isinstance(value, str):
        raise TypeError(f"is {value!r:.60}, not text")
    return value


def categories_of(value: object) -> list[str]:
    """Several categories, as a list or in one cell. Raises ``ValueError``."""
    named = value if isinstance(value, list) else re.split(r"[;,|]", str(value))
    return [category_of(one) for one in named if not is_missing(one)]
