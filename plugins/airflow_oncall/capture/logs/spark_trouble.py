"""What Spark itself calls trouble, in the words that event logs and the History Server share."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime, timezone

from airflow_oncall.capture.logs.source import Record

MESSAGE_LIMIT = 16 * 1024
"""Characters of one failure's message; driver and executor stacks fit in."""
DESCRIPTION_LIMIT = 300

JOB_FAILED, STAGE_FAILED, SQL_FAILED = "spark-job-failed", "spark-stage-failed", "spark-sql-failed"
APPLICATION_FAILED, EXECUTOR_LOST, OUT_OF_MEMORY = "spark-application-failed", "spark-executor-lost", "spark-out-of-memory"

_NORMAL_END = re.compile(
    r"decommission|killed by driver|driver commanded a shutdown|exited with code 0\b|idle|excess executor|worker shutting down",
    re.IGNORECASE,
)
_OUT_OF_MEMORY = re.compile(
    r"OutOfMemoryError|OOMKilled|UNABLE_TO_ACQUIRE_MEMORY|exceed\w* (?:physical|virtual|the)? ?memory|(?:code|status):? 52\b|running beyond"
)
_EXIT_CODE = re.compile(r"exit(?:ed)?(?: with)?(?: code| status)?:? (\d{1,3})\b", re.IGNORECASE)
_MEANINGS = {
    "50": "uncaught exception in the executor",
    "51": "uncaught exception in the executor, which could not be logged",
    "52": "out of memory in the executor's JVM",
    "53": "the executor could not create its local directories",
    "56": "the executor could not send heartbeats to the driver",
}
"""Spark's own exit codes of executors."""


def is_loss(reason: str) -> bool:
    """Whether an executor ended otherwise than Spark wanted."""
    return not _NORMAL_END.search(reason)


def lost_executor(reason: str, position: str, happened_at: datetime | None, identifiers: Mapping[str, str]) -> Record:
    """An executor that ended otherwise than Spark wanted."""
    found = _EXIT_CODE.search(reason)
    code = found[1] if found else ""
    meaning = f" ({_MEANINGS[code]})" if code in _MEANINGS else ""
    who = f"executor {identifiers.get('executor_id', '?')} on {identifiers.get('host', 'an unknown host')}"
    known = {**identifiers, **({"exit_code": code} if code else {})}
    return failure(EXECUTOR_LOST, f"Spark lost {who}: {reason}{meaning}", position, happened_at, known)


def failure(
    signature: str, text: str, position: str, happened_at: datetime | None, identifiers: Mapping[str, str], severity: str = "ERROR"
) -> Record:
    """A record of a failure, which is called out of memory where its text says so."""
    word = OUT_OF_MEMORY if _OUT_OF_MEMORY.search(text) else signature
    return Record(position, shorten(text), happened_at, word, severity, {key: value for key, value in identifiers.items() if value})


def shorten(text: str, limit: int = MESSAGE_LIMIT) -> str:
    """At most ``limit`` characters; the middle is what goes."""
    if len(text) <= limit:
        return text
    half = (limit - 20) // 2
    return f"{text[:half]}\n[...]\n{text[-half:]}"


def about(description: str) -> str:
    """A description in brackets, or nothing."""
    line = " ".join(description.split())
    return f" ({line[:DESCRIPTION_LIMIT]})" if line else ""


def at(milliseconds: object) -> datetime | None:
    """Spark's epoch milliseconds as UTC; ``None`` where it gives none or nonsense."""
    if not isinstance(milliseconds, int) or not 0 < milliseconds < 2**43:
        return None
    return datetime.fromtimestamp(milliseconds / 1000, timezone.utc)


def seconds(begin: object, end: object) -> str:
    """Duration between two of Spark's times; empty where one is missing."""
    return f"{(end - begin) / 1000:.3f}" if isinstance(begin, int) and isinstance(end, int) and 0 < begin <= end else ""
