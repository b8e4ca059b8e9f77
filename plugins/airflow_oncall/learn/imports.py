"""Incidents that another tool kept, as rows of a corpus file that the next training learns from.

A person's category makes a row a ``human`` example. Where the file has none, the rules' word is taken with little weight: it
teaches the models this site's words, not a new truth. Whether a re-run helps is taken from ``transient``, a tag
``transient:yes``, or a solution that speaks of a re-run together with its success.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from airflow_oncall.incident import NO_INCIDENT
from airflow_oncall.learn.corpus import FOLDER
from airflow_oncall.learn.datafiles import Mask, Reader, fingerprint, normal
from airflow_oncall.learn.labels import JUDGED, NAMED
from airflow_oncall.learn.rows import Problem, Row, read_rows, write_whole
from airflow_oncall.learn.values import category_of, flag_of, is_missing, time_of
from airflow_oncall.triage.memory import CORPUS, HUMAN

REQUIRED = ("timestamp", "title", "description")
KEPT = ("service", "severity", "resolution_time", "solution", "tags", "success")
"""What stands beside the text; ``category`` and ``transient`` are read too."""
GUESSED = 0.3
"""Weight of a row whose category is the rules' word."""
SEVERITIES = ("critical", "high", "medium", "low")
_RERUN = re.compile(r"(?i)\bre-?(?:ran|run|runs|running|try|tried|tries|trying|triggered|queued)\b|\bclear(?:ed|ing)? (?:the )?task")
_DURATION = TypeAdapter(timedelta)
Judge = Callable[[str], "str | None"]
"""The rules' category of a text, ``None`` where no rule fires."""


@dataclass(frozen=True)
class Imported:
    """What came of a file."""

    rows: tuple[dict[str, Any], ...]
    """Rows of a corpus file."""
    problems: tuple[Problem, ...]
    guessed: int
    """Rows whose category is the rules' word."""


def read_incidents(path: Path, judge: Judge, mask: Mask, track: Callable[[Sequence[Row]], Iterable[Row]] = lambda rows: rows) -> Imported:
    """Read and check a CSV of incidents. Raises :class:`BadDataFile` where a required column is missing."""
    file = read_rows(path, REQUIRED)
    problems = list(file.problems)
    known: dict[str, tuple[int, dict[str, Any]]] = {}
    for row in track(file.rows):
        found, wrong = _corpus_row(row, judge, mask)
        problems += wrong
        if found:
            _remember(known, row.number, found, problems)
    rows = tuple(found for _, found in known.values())
    guessed = sum(found["origin"] == CORPUS for found in rows)
    return Imported(rows, tuple(sorted(problems, key=lambda problem: (problem.row, problem.field))), guessed)


def write_incidents(folder: Path, source: Path, rows: Sequence[Mapping[str, Any]]) -> Path:
    """Write ``corpus/imported-<source>.jsonl`` of an include folder, over an earlier import of a file of this name."""
    path = folder / FOLDER / f"imported-{re.sub(r'[^A-Za-z0-9._-]', '_', source.stem)}.jsonl"
    write_whole(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    return path


def answer_row(text: str, category: str, transient: bool | None, *, by: str, at: datetime, said: str) -> dict[str, Any]:
    """A person's answer to one text as a row of a corpus file; ``said``: what the system thought."""
    return _row(text, category, transient, "answered", (HUMAN, NAMED), at.isoformat(), {"by": by, "said": said})


def _row(
    text: str, category: str, transient: bool | None, made: str, trust: tuple[str, float], given_at: str, about: Mapping[str, Any]
) -> dict[str, Any]:
    return {
        "text": text,
        "category": category,
        "transient": None if category == NO_INCIDENT else transient,
        "provenance": {"made": made, "engine": made, "scenario": fingerprint(text)},
        "origin": trust[0],
        "weight": trust[1],
        "given_at": given_at,
        "about": dict(about),
    }


def _corpus_row(row: Row, judge: Judge, mask: Mask) -> tuple[dict[str, Any] | None, list[Problem]]:
    mended, problems = normal(row, mask, _READERS, ("timestamp", "title"))
    values = mended.values
    if any(problem.left_out for problem in problems):
        return None, problems
    text = "\n".join(values[name] for name in ("title", "description") if not is_missing(values.get(name)))
    tags, wrong = _tags(row.number, values.get("tags"))
    problems += wrong
    named = values.get("category") or tags.get("category")
    category = named or judge(text)
    if category is None:
        text = "is not given, and no rule knows it; fill it in or tag the row category:NAME"
        return None, [*problems, Problem(row.number, text, "category")]
    said = (values.get("transient"), tags.get("transient"), _seen(values))
    transient = next((one for one in said if one is not None), None)
    about = {name: values[name] for name in KEPT if values.get(name) not in (None, "")}
    trust = (HUMAN, JUDGED) if named else (CORPUS, GUESSED)
    return _row(text, category, transient, "imported", trust, values["timestamp"], about), problems


def _remember(known: dict[str, tuple[int, dict[str, Any]]], number: int, found: dict[str, Any], problems: list[Problem]) -> None:
    """One row a fingerprint: a person's word before the rules', else the newest."""
    key = found["provenance"]["scenario"]
    if key not in known:
        known[key] = number, found
        return
    before, other = known[key]
    better, worse = (number, found), (before, other)
    if (other["origin"] == HUMAN, other["given_at"]) > (found["origin"] == HUMAN, found["given_at"]):
        better, worse = worse, better
    known[key] = better
    if found["origin"] == other["origin"] and found["category"] != other["category"]:
        text = f"row {better[0]} says {better[1]['category']} of the same text up to its numbers; the newer one counts"
        problems.append(Problem(worse[0], text, "category"))
    else:
        problems.append(Problem(worse[0], f"the same as row {better[0]} up to its numbers", "title"))


def _seen(values: Mapping[str, Any]) -> bool | None:
    """Whether a re-run helped, where the solution was one."""
    return values.get("success") if _RERUN.search(str(values.get("solution") or "")) else None


def _tags(number: int, value: Any) -> tuple[dict[str, Any], list[Problem]]:
    """``category:x`` and ``transient:yes`` among the tags."""
    found: dict[str, Any] = {}
    problems = []
    for tag in re.split(r"[;,|\s]+", str(value or "")):
        name, _, said = tag.partition(":")
        reader = {"category": category_of, "transient": flag_of}.get(name.lower())
        if reader and said:
            try:
                found[name.lower()] = reader(said)
            except ValueError as error:
                problems.append(Problem(number, f"{name} {error}; the tag is ignored", "tags", left_out=False))
    return found, problems


def _severity(value: object) -> str:
    plain = str(value).strip().lower()
    numbered = re.fullmatch(r"(?:p|sev|s|severity)[\s-]?([1-4])", plain)
    plain = SEVERITIES[int(numbered[1]) - 1] if numbered else plain
    if plain not in SEVERITIES:
        raise ValueError(f"is {value!r:.60}; it must be one of {', '.join(SEVERITIES)}, or P1 to P4")
    return plain


def _seconds(value: object) -> float:
    try:
        return float(str(value)) if re.fullmatch(r"\s*\d+(?:\.\d+)?\s*", str(value)) else _DURATION.validate_python(value).total_seconds()
    except ValidationError as error:
        raise ValueError(f"is {value!r:.60}; it must be seconds, HH:MM:SS or like PT1H30M") from error


_READERS: dict[str, Reader] = {
    "timestamp": lambda value: time_of(value).isoformat(),
    "title": str,
    "description": str,
    "category": category_of,
    "transient": flag_of,
    "severity": _severity,
    "resolution_time": _seconds,
    "success": flag_of,
}
