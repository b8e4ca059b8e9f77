"""The shipped corpus: failures recorded by the fault lab or rendered from the engines' own catalogues, and healthy texts.

A row is one JSON object a line: ``text``, ``category``, ``transient``, ``provenance`` and optionally ``also``.
Rows that people of this site gave (imported incidents, answers) also say their ``origin``, ``weight`` and ``given_at``.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from airflow_oncall import conf
from airflow_oncall.errors import BadDataFile
from airflow_oncall.incident import CATEGORIES, NO_INCIDENT
from airflow_oncall.learn.dataset import Example
from airflow_oncall.triage.memory import CORPUS, ORIGINS

FOLDER = "corpus"
LABELS = (*CATEGORIES, NO_INCIDENT)
REQUIRED = ("text", "category", "transient", "provenance")
RENDERED_WEIGHT = 0.5
"""What a row rendered from a catalogue weighs against one that a real program wrote."""


def read_corpus(folders: Sequence[Path] | None = None) -> list[Example]:
    """Every row of every file (default: of ``[oncall] include_path`` and the shipped ones).

    A file of an earlier folder takes the place of one of the same name in a later folder; others stand beside each other.
    Raises :class:`BadDataFile` naming file, line and field of the first wrong row.
    """
    paths: dict[str, Path] = {}
    for folder in folders if folders is not None else conf.include_paths():
        for path in sorted((folder / FOLDER).glob("*.jsonl")):
            paths.setdefault(path.name, path)
    if not paths:
        raise BadDataFile(f"{FOLDER}/*.jsonl", "in none of the include folders; install the package again or set [oncall] include_path")
    return [example for path in paths.values() for example in parse_corpus(str(path), path.read_bytes())]


def parse_corpus(path: str, content: bytes | str) -> list[Example]:
    """Rows of one corpus file."""
    lines = content.splitlines() if isinstance(content, bytes) else content.encode().splitlines()
    return [_example(path, number, line) for number, line in enumerate(lines, 1) if line.strip()]


def _example(path: str, number: int, line: bytes) -> Example:
    try:
        row = json.loads(line.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise BadDataFile(path, f"byte {error.start + 1} is not UTF-8; save the file as UTF-8", line=number) from error
    except ValueError as error:
        raise BadDataFile(path, f"not JSON: {error}", line=number) from error
    missing = [name for name in REQUIRED if not isinstance(row, dict) or name not in row]
    if missing:
        raise BadDataFile(path, f"missing; a row has {', '.join(REQUIRED)}", line=number, field=missing[0])
    for name, (fits, wanted) in _CHECKS.items():
        if name in row and not fits(row[name]):
            raise BadDataFile(path, f"is {row[name]!r:.80}; it must be {wanted}", line=number, field=name)
    rendered, group = _provenance(row["provenance"])
    weight = row.get("weight", RENDERED_WEIGHT if rendered else 1.0)
    given_at = datetime.fromisoformat(row["given_at"]) if "given_at" in row else None
    also, origin = tuple(row.get("also", ())), row.get("origin", CORPUS)
    return Example(row["text"], row["category"], row["transient"], group, origin, weight, also, given_at)


def _provenance(value: Mapping[str, Any]) -> tuple[bool, str]:
    return value.get("made") == "rendered", f"{value['engine']}:{value['scenario']}"


def _is_moment(value: object) -> bool:
    try:
        return datetime.fromisoformat(str(value)).tzinfo is not None
    except ValueError:
        return False


def _is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip())


_CHECKS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "text": (_is_text, "text"),
    "category": (lambda value: value in LABELS, f"one of {', '.join(CATEGORIES)} or {NO_INCIDENT}"),
    "transient": (lambda value: value is None or isinstance(value, bool), "true, false or null"),
    "also": (lambda value: isinstance(value, list) and set(value) <= set(LABELS), "a list of categories"),
    "origin": (lambda value: value in ORIGINS, f"one of {', '.join(ORIGINS)}"),
    "weight": (lambda value: isinstance(value, (int, float)) and value > 0, "a number above 0"),
    "given_at": (_is_moment, "a time with its zone, like 2026-11-21T04:05:06+00:00"),
    "provenance": (
        lambda value: isinstance(value, dict) and all(_is_text(value.get(name)) for name in ("engine", "scenario")),
        "an object with engine and scenario",
    ),
}
