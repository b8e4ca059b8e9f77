"""Identifiers that a message names. Anybody can write a message: they are shown to people and never choose what is acted on."""

from __future__ import annotations

import re
from collections.abc import Mapping

_LIMIT = 200
_PATTERNS: Mapping[str, re.Pattern[str]] = {
    name: re.compile(pattern)
    for name, pattern in {
        "dag_id": r"\bdag_id['\"]?[=:] ?['\"]?([\w.\-]{1,200})",
        "run_id": r"\brun_id['\"]?[=:] ?['\"]?([\w.\-:+~]{1,200})",
        "task_id": r"\btask_id['\"]?[=:] ?['\"]?([\w.\-]{1,200})",
        "application_id": r"\b(application_\d{10,}_\d{3,}|app-\d{14}-\d{4}|spark-[0-9a-f]{32}|local-\d{10,})\b",
        "executor_id": r"\bexecutor (\d{1,6}|driver)\b",
        "stage_id": r"\bstage (\d{1,6})\.\d",
        "sqlstate": r"\bSQL ?STATE\W{1,4}([0-9A-Z]{5})\b",
    }.items()
}


def claims(text: str) -> dict[str, str]:
    """Identifier -> the first value that ``text`` names for it."""
    found = {name: pattern.search(text) for name, pattern in _PATTERNS.items()}
    return {name: match[1][:_LIMIT] for name, match in found.items() if match}
