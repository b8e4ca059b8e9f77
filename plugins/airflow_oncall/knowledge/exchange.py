"""The file in which people exchange knowledge: JSON of a fixed version, read with suspicion.

    {"format": "airflow-oncall-knowledge", "version": 1, "exported_at": "...", "entries": [{"name": ...}, ...]}

What is right of a file is taken, and everything else is named with its place; a file that is not one at all is refused.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import AwareDatetime, Field

from airflow_oncall.act.policy import ActionName
from airflow_oncall.errors import BadDataFile
from airflow_oncall.knowledge.entry import BadEntry, Entry, Part, Seen, read_entry
from airflow_oncall.store.knowledge import Tally

FORMAT, VERSION = "airflow-oncall-knowledge", 1
MOST_BYTES = 200 << 20
MOST_ENTRIES = 200_000


class Exchange(Part):
    """Knowledge of one site, for others."""

    format: Literal["airflow-oncall-knowledge"] = "airflow-oncall-knowledge"
    version: Literal[1] = 1
    exported_at: AwareDatetime
    entries: Annotated[tuple[Entry, ...], Field(max_length=MOST_ENTRIES)] = ()


class Read(NamedTuple):
    """What is right of a file, and what is wrong with the rest."""

    entries: list[Entry]
    problems: list[str]


def write_file(path: Path, entries: Sequence[Entry], tallies: Mapping[str, Mapping[str, Tally]], at: datetime) -> None:
    """Write entries, each with what was seen elsewhere and here; ``tallies`` by fingerprint."""
    kept = [_with_what_was_seen(one, tallies.get(one.fingerprint, {})).kept() for one in entries]
    content = {"format": FORMAT, "version": VERSION, "exported_at": at.isoformat(), "entries": kept}
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def read_file(path: Path, confidence_adjustment: float = 1.0) -> Read:
    """Entries of a file; what it believes and saw counts by this factor (0 to 1). Raises ``BadDataFile``."""
    content = _content(path)
    rows = content.get("entries")
    if not isinstance(rows, list) or len(rows) > MOST_ENTRIES:
        raise BadDataFile(path, f"it must be a list of at most {MOST_ENTRIES} entries", field="entries")
    read, problems = dict[str, Entry](), list[str]()
    for number, row in enumerate(rows):
        place = f"entries.{number}"
        try:
            entry = read_entry(row)
        except BadEntry as error:
            problems.append(f"{place}: {error}")
            continue
        if entry.name in read:
            problems.append(f"{place}: name {entry.name!r} stands twice; the first one counts")
            continue
        read[entry.name] = _trusted(entry, confidence_adjustment)
    return Read(list(read.values()), problems)


def schema() -> dict[str, Any]:
    """JSON schema of the file, for editors and other programs."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Knowledge of airflow-oncall",
        **Exchange.model_json_schema(),
    }


def _content(path: Path) -> Mapping[str, Any]:
    if path.stat().st_size > MOST_BYTES:
        raise BadDataFile(path, f"it has {path.stat().st_size >> 20} MiB, and {MOST_BYTES >> 20} are read; split it")
    try:
        content = json.loads(path.read_text(encoding="utf-8"), object_pairs_hook=_once, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:  # wrong JSON, wrong UTF-8, or nested without end
        raise BadDataFile(path, f"not JSON that can be used: {error}") from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise BadDataFile(path, f"no file of knowledge: format is not {FORMAT!r}")
    if content.get("version") != VERSION:
        problem = f"{content.get('version')!r:.40} is not read, only {VERSION}; export it with a package of this version"
        raise BadDataFile(path, problem, field="version")
    return content


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = next(name for number, (name, _) in enumerate(pairs) if name in dict(pairs[:number]))
        raise ValueError(f"key {twice[:60]!r} stands twice in one object")
    return found


def _no_number(word: str) -> float:
    raise ValueError(f"{word} is no number of JSON")


def _trusted(entry: Entry, factor: float) -> Entry:
    if factor == 1.0:
        return entry
    seen = {action: Seen(successes=one.successes * factor, failures=one.failures * factor) for action, one in entry.elsewhere.items()}
    return entry.model_copy(update={"confidence": round(entry.confidence * factor, 4), "elsewhere": seen})


def _with_what_was_seen(entry: Entry, here: Mapping[ActionName, Tally]) -> Entry:
    seen = dict(entry.elsewhere)
    for action, tally in here.items():
        before = seen.get(action, Seen())
        seen[action] = Seen(successes=before.successes + tally.successes, failures=before.failures + tally.failures)
    return entry.model_copy(update={"elsewhere": seen})
