"""Spark's event log, as people are shown it: which tasks, stages, jobs, queries and executors were lost, and why."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from lab.engines.spark_log import shorten

SETTINGS = """
spark.eventLog.enabled              true
spark.eventLog.dir                  file:{folder}
spark.eventLog.rolling.enabled      false
spark.eventLog.compress             false
"""
MOST = 5
"""Events shown: the last ones, as those before them are tries of the same."""
_OPEN = ".inprogress"

Event = dict[str, Any]


def sizes(folder: Path) -> dict[str, int]:
    """How much is logged so far, by application."""
    return {path.name.removesuffix(_OPEN): path.stat().st_size for path in folder.glob("*")}


def since(folder: Path, before: dict[str, int]) -> str:
    """What is logged in addition to :func:`sizes` of an earlier moment."""
    parts = []
    for path in sorted(folder.glob("*")):
        with path.open("rb") as file:
            file.seek(before.get(path.name.removesuffix(_OPEN), 0))
            parts.append(file.read().decode("utf-8", "replace"))
    return "".join(parts)


def failures(log: str) -> str:
    """The events that tell of a failure, each with the reason it gives; empty where all went well."""
    found = [text for text in map(_told, _events(log.splitlines())) if text]
    return "\n".join(list(dict.fromkeys(found))[-MOST:])


def _events(lines: Iterable[str]) -> Iterator[Event]:
    for line in lines:
        if line.startswith("{") and line.endswith("}"):
            yield json.loads(line)


def _told(event: Event) -> str:
    name = str(event["Event"]).rpartition(".")[2]
    place, reason = _READERS[name](event) if name in _READERS else ("", "")
    return f"{name} {place}: {shorten(reason).strip()}" if reason else ""


def _task(event: Event) -> tuple[str, str]:
    end, info = event["Task End Reason"], event["Task Info"]
    kind = end["Reason"]
    said = end.get("Full Stack Trace") or end.get("Loss Reason") or end.get("Message") or end.get("Kill Reason") or end.get("Description")
    place = (
        f"task {info['Index']}.{info['Attempt']} in stage {event['Stage ID']}.{event['Stage Attempt ID']} (executor {info['Executor ID']})"
    )
    return place, "" if kind == "Success" else f"{kind}: {said or 'no reason given'}"


def _stage(event: Event) -> tuple[str, str]:
    info = event["Stage Info"]
    return f"stage {info['Stage ID']}.{info['Stage Attempt ID']}", _first(info.get("Failure Reason"))


def _job(event: Event) -> tuple[str, str]:
    result = event["Job Result"]
    failed = result["Result"] == "JobFailed"
    return f"job {event['Job ID']}", f"JobFailed: {_first(result['Exception']['Message'])}" if failed else ""


def _executor(event: Event) -> tuple[str, str]:
    return f"executor {event['Executor ID']}", _first(event.get("Removed Reason"))


def _query(event: Event) -> tuple[str, str]:
    return f"query {event['executionId']}", event.get("errorMessage") or ""


def _first(text: str | None) -> str:
    """Before the stack that the task's own event gives in full."""
    return (text or "").split("\n\tat ")[0].removesuffix("\nDriver stacktrace:")


_READERS = {
    "SparkListenerTaskEnd": _task,
    "SparkListenerStageCompleted": _stage,
    "SparkListenerJobEnd": _job,
    "SparkListenerExecutorRemoved": _executor,
    "SparkListenerSQLExecutionEnd": _query,
}
