"""Labelled failures in files of other people: checked row by row and against each other, mended where that is safe.

Every message names its row. What cannot be mended is left out, never guessed.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from airflow_oncall.learn.dataset import Example
from airflow_oncall.learn.rows import DataFile, Problem, Row
from airflow_oncall.learn.values import categories_of, category_of, flag_of, is_missing, text_of, time_of
from airflow_oncall.triage.features import normalise

Mask = Callable[[str], str]
"""Takes secrets out of a text."""
Reader = Callable[[object], Any]
"""Value of a cell -> its normal form; raises ``ValueError`` or ``TypeError`` that says what is wrong with it."""
REQUIRED = ("text", "category")


@dataclass(frozen=True)
class Checked:
    """The rows that can be learned from, in their normal form, and everything that was wrong."""

    rows: tuple[Row, ...]
    problems: tuple[Problem, ...]

    @property
    def left_out(self) -> int:
        """Rows that cannot be used."""
        return len({problem.row for problem in self.problems if problem.left_out})

    @property
    def notes(self) -> tuple[str, ...]:
        """What is wrong with the file as a whole."""
        groups: dict[str, set[str]] = defaultdict(set)
        for row in self.rows:
            groups[row.values["category"]].add(group_of(row.values))
        if len(groups) == 1:
            return (f"every row is of category {next(iter(groups))}; a training needs at least two",)
        return tuple(f"category {name} has one kind of failure only; how well it is learned cannot be measured" for name in _alone(groups))


def _alone(groups: Mapping[str, set[str]]) -> list[str]:
    return sorted(name for name, found in groups.items() if len(found) == 1)


READERS: dict[str, Reader] = {
    "text": text_of,
    "category": category_of,
    "transient": flag_of,
    "also": categories_of,
    "timestamp": lambda value: time_of(value).isoformat(),
}


def normal(row: Row, mask: Mask, readers: Mapping[str, Reader] = READERS, required: Sequence[str] = REQUIRED) -> tuple[Row, list[Problem]]:
    """The row with its values in normal form and secrets masked, and what was wrong with it.

    A value that cannot be read is left empty; without a required one the row cannot be used.
    """
    values: dict[str, Any] = {name: mask(value) if isinstance(value, str) else value for name, value in row.values.items()}
    problems = []
    for name, read in readers.items():
        value, needed = values.get(name), name in required
        if is_missing(value):
            problems += [Problem(row.number, "is missing" if value in (None, "") else f"is {value!r}", name)] if needed else []
            values.update({name: None} if name in values else {})
            continue
        try:
            values[name] = read(value)
        except (ValueError, TypeError) as error:
            values[name] = None
            problems.append(Problem(row.number, f"{error}" if needed else f"{error}; left empty", name, left_out=needed))
    return Row(row.number, values), problems


def check(file: DataFile, mask: Mask, track: Callable[[Sequence[Row]], Iterable[Row]] = lambda rows: rows) -> Checked:
    """Check every row, then the rows against each other; ``track`` hears how far it is."""
    rows, problems = [], list(file.problems)
    for row in track(file.rows):
        mended, wrong = normal(row, mask)
        problems += wrong
        rows += [] if any(problem.left_out for problem in wrong) else [mended]
    rows = _with_unique_ids(_without_repetitions(rows, problems), problems)
    return Checked(tuple(rows), tuple(sorted(problems, key=lambda problem: (problem.row, problem.field))))


def _with_unique_ids(rows: Sequence[Row], problems: list[Problem]) -> list[Row]:
    first: dict[str, int] = {}
    found = []
    for row in rows:
        number = first.setdefault(str(row.values["id"]), row.number) if not is_missing(row.values.get("id")) else row.number
        if number != row.number:
            text = f"{row.values['id']!r:.60} is the id of row {number} too; the row goes on without one"
            problems.append(Problem(row.number, text, "id", left_out=False))
            row = row._replace(values={**row.values, "id": None})
        found.append(row)
    return found


def _without_repetitions(rows: Sequence[Row], problems: list[Problem]) -> list[Row]:
    """One row a text; none where its labels contradict each other."""
    same: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        same[" ".join(row.values["text"].split())].append(row)
    kept = []
    for first, *others in same.values():
        against = next((row for row in others if not _agree(first, row)), None)
        if against:
            numbers = ", ".join(f"{row.number} ({row.values['category']})" for row in (first, *others))
            text = f"the same text has different categories in rows {numbers}; decide which is right"
            problems += [Problem(row.number, text, "category") for row in (first, *others)]
            continue
        problems += [Problem(row.number, f"the same as row {first.number}", "text") for row in others]
        transient = {row.values.get("transient") for row in (first, *others)}
        kept.append(first)
        if len(transient) > 1:
            kept[-1] = first._replace(values={**first.values, "transient": None})
            text = f"the same text says otherwise in {', '.join(f'row {row.number}' for row in others)}; left empty"
            problems.append(Problem(first.number, text, "transient", left_out=False))
    return sorted(kept)


def _agree(one: Row, other: Row) -> bool:
    return one.values["category"] in (other.values["category"], *(other.values.get("also") or ())) or (
        other.values["category"] in (one.values.get("also") or ())
    )


def group_of(values: Mapping[str, Any]) -> str:
    """Rows of one group are one kind of failure: as the file says, else the same text up to names and numbers."""
    provenance = values.get("provenance")
    if isinstance(provenance, dict) and {"engine", "scenario"} <= set(provenance):
        return f"{provenance['engine']}:{provenance['scenario']}"
    return str(values.get("group") or fingerprint(values["text"]))


def fingerprint(text: str) -> str:
    """The same for texts that differ in masked parts only."""
    return hashlib.sha256(normalise(text).lower().encode("utf-8", "replace")).hexdigest()[:16]


def examples(rows: Iterable[Row]) -> Iterator[Example]:
    """What an evaluation measures on."""
    for _, values in rows:
        given_at = time_of(values["timestamp"]) if values.get("timestamp") else None
        also = tuple(values.get("also") or ())
        yield Example(values["text"], values["category"], values.get("transient"), group_of(values), also=also, given_at=given_at)
