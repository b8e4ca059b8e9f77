"""Reads what is known about a failed try from whatever Airflow hands over.

A worker gives a ``RuntimeTaskInstance`` and the exception, the scheduler and the API server an ORM ``TaskInstance`` and
a sentence, the DAG processor a task instance without times and state: every attribute may be missing.
"""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from datetime import datetime, timezone
from typing import Any

from airflow_oncall.capture.redact import redact
from airflow_oncall.incident import Evidence

MESSAGE_LIMIT = 8_000
TRACEBACK_LIMIT = 16_000
NAME_LIMIT = 200
"""With the mark of what is left out, a name still fits the 250 characters of its column."""
CHAIN_LIMIT = 16
FRAMES = 12


def gather(ti: Any, error: BaseException | str | None, task: Any = None) -> Evidence:
    """Evidence of one failed try. ``error`` is what Airflow passed on; ``task`` is the operator if it is at hand."""
    raised = error if isinstance(error, BaseException) else None
    message = describe(raised) if raised else redact(str(error or ""), MESSAGE_LIMIT)
    return Evidence(
        exception_chain=tuple(_class_name(one) for one in chain(raised)) if raised else (),
        message=message,
        traceback=_traceback(raised) if raised and raised.__traceback__ else "",
        operator=_operator(ti, task),
        hostname=_text(getattr(ti, "hostname", None)),
        duration=_duration(ti),
        max_tries=_whole(getattr(ti, "max_tries", None)),
    )


def describe(error: BaseException, limit: int = MESSAGE_LIMIT) -> str:
    """``Class: text`` of an exception, redacted; also of one whose ``__str__`` raises."""
    return redact("".join(_alone(error).format_exception_only()).strip(), limit)


def chain(error: BaseException) -> list[BaseException]:
    """The exception, then its causes and the members of groups, outermost first; cycles are walked once."""
    found: list[BaseException] = []
    waiting = [error]
    while waiting and len(found) < CHAIN_LIMIT:
        one = waiting.pop()
        if all(one is not other for other in found):
            found.append(one)
            waiting.extend(reversed(list(_behind(one))))
    return found


def _operator(ti: Any, task: Any) -> str | None:
    # The task knows it by name, an ORM task instance has a column for it.
    task = task if task is not None else getattr(ti, "task", None)
    return _text(getattr(task, "operator_name", None) or getattr(ti, "operator", None))


def _behind(error: BaseException) -> Iterator[BaseException]:
    members = getattr(error, "exceptions", None)
    if isinstance(members, (list, tuple)):
        yield from (member for member in members[:CHAIN_LIMIT] if isinstance(member, BaseException))
    if error.__cause__ is not None:
        yield error.__cause__
    elif error.__context__ is not None and not error.__suppress_context__:
        yield error.__context__


def _class_name(error: BaseException) -> str:
    kind = type(error)
    name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    return redact(name, NAME_LIMIT)


def _alone(error: BaseException) -> traceback.TracebackException:
    return traceback.TracebackException(type(error), error, None, compact=True)


def _traceback(error: BaseException) -> str:
    whole = traceback.TracebackException(type(error), error, error.__traceback__, limit=-FRAMES, compact=True)
    return redact("".join(whole.format()).strip(), TRACEBACK_LIMIT)


def _duration(ti: Any) -> float | None:
    start, end = getattr(ti, "start_date", None), getattr(ti, "end_date", None)
    if not isinstance(start, datetime) or start.tzinfo is None:
        return None
    if not isinstance(end, datetime) or end.tzinfo is None or end < start:
        end = datetime.now(timezone.utc)
    return max(0.0, (end - start).total_seconds())


def _text(value: object) -> str | None:
    return redact(value, NAME_LIMIT) if isinstance(value, str) and value else None


def _whole(value: object) -> int | None:
    return value if isinstance(value, int) else None
