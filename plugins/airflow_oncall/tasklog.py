"""A try's log as Airflow streams it: whole lines, and each of them as people read it."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

READ_BYTES = 64 * 1024 * 1024
READ_SECONDS = 20.0
LINE_BYTES = 1024 * 1024
TOO_LONG = b"(a line of this log is too long to be kept)"


def lines(response: Any) -> Iterator[bytes]:
    """Whole lines of a streamed answer, for :data:`READ_SECONDS` at most.

    One that is longer than :data:`LINE_BYTES` is left out, because half of it could hold half a secret.
    """
    until = time.monotonic() + READ_SECONDS
    rest, skipping, read = b"", False, 0
    for chunk in response.stream(65536):
        read += len(chunk)
        *whole, rest = (rest + chunk).split(b"\n")
        if whole and skipping:
            whole[0], skipping = TOO_LONG, False
        yield from whole
        if len(rest) > LINE_BYTES:
            rest, skipping = b"", True
        if read > READ_BYTES or time.monotonic() > until:
            break
    if rest or skipping:
        yield TOO_LONG if skipping else rest


def readable(raw: bytes) -> str:
    """One structured log line as people read it; what is not JSON stays as it is."""
    text = raw.decode("utf-8", "replace")
    try:
        record = json.loads(text)
    except ValueError:
        return text
    if not isinstance(record, dict):
        return text
    lead = " ".join(str(record[name]) for name in ("timestamp", "level") if record.get(name))
    event = record.get("event", record.get("content", ""))
    also = " ".join(f"{name}={record[name]}" for name in ("exit_code", "signal", "final_state") if record.get(name) is not None)
    return " ".join(filter(None, (lead, str(event), also, _errors(record.get("error_detail")))))


def _errors(detail: Any) -> str:
    """Airflow 3 logs a traceback as a list of exceptions, the one that was raised last first."""
    if not isinstance(detail, list):
        return ""
    named = [f"{one.get('exc_type')}: {one.get('exc_value')}" for one in reversed(detail) if isinstance(one, dict)]
    return "\n" + "\n".join(named) if named else ""
