"""Rows of JSON lines or CSV files that other people made, read and written; columns are known by their usual names.

Rows are numbered as an editor or a spreadsheet shows them, so that the header of a CSV is row 1.
"""

from __future__ import annotations

import csv
import io
import json
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from airflow_oncall.errors import BadDataFile
from airflow_oncall.learn.files import write

KINDS = (".csv", ".jsonl")
ALIASES = {
    "text": ("log", "log_text", "message", "error_message"),
    "category": ("label", "class", "root_cause"),
    "transient": ("is_transient", "retryable"),
    "timestamp": ("time", "date", "datetime", "created_at", "opened_at", "given_at"),
    "also": ("accepted",),
    "id": ("incident_id", "key"),
}
_USUAL = {alias: name for name, aliases in ALIASES.items() for alias in aliases}


class Row(NamedTuple):
    """One row, its columns by their usual names."""

    number: int
    values: Mapping[str, Any]


class Problem(NamedTuple):
    """What is wrong with a row, and what becomes of it."""

    row: int
    text: str
    field: str = ""
    left_out: bool = True
    """The row cannot be used; else it was mended."""

    def __str__(self) -> str:
        place = f"row {self.row}, {self.field}" if self.field else f"row {self.row}"
        return f"{place}: {self.text}" + ("; left out" if self.left_out else "")


@dataclass(frozen=True)
class DataFile:
    """The rows of a file that could be read at all, and what was wrong on the way."""

    path: Path
    rows: tuple[Row, ...]
    problems: tuple[Problem, ...]


def read_rows(path: Path, required: Sequence[str]) -> DataFile:
    """Read ``.jsonl`` or ``.csv``. Raises :class:`BadDataFile` where the file as a whole is no such thing, or a column is missing."""
    if path.suffix.lower() not in KINDS:
        raise BadDataFile(path, f"is neither {' nor '.join(KINDS)}; name the file by what it holds")
    try:
        content = path.read_bytes()
    except OSError as error:
        raise BadDataFile(path, f"cannot be read: {error.strerror or error}") from error
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise BadDataFile(path, "is UTF-16; save it as UTF-8")
    if not content.strip():
        raise BadDataFile(path, "is empty")
    lines = content.removeprefix(b"\xef\xbb\xbf").splitlines(keepends=True)
    rows, problems = _csv(path, lines, required) if path.suffix.lower() == ".csv" else _json_lines(lines)
    return DataFile(path, tuple(rows), tuple(problems))


def _decoded(line: bytes) -> tuple[str, str]:
    """The text of a line, and what was wrong with its bytes."""
    try:
        return line.decode("utf-8"), ""
    except UnicodeDecodeError as error:
        return line.decode("cp1252", "replace"), f"byte {error.start + 1} is not UTF-8; read as Windows-1252"


def _json_lines(lines: Sequence[bytes]) -> tuple[list[Row], list[Problem]]:
    rows, problems = [], []
    for number, line in enumerate(lines, 1):
        text, wrong = _decoded(line)
        problems += [Problem(number, wrong, left_out=False)] if wrong else []
        if not text.strip():
            continue
        try:
            values = json.loads(text)
        except (ValueError, RecursionError) as error:
            problems.append(Problem(number, f"not JSON: {error}"))
            continue
        if isinstance(values, dict):
            rows.append(Row(number, dict(zip(usual_names(values), values.values(), strict=True))))
        else:
            problems.append(Problem(number, f"is {text.strip()!r:.80}, not an object"))
    return rows, problems


def _csv(path: Path, lines: Sequence[bytes], required: Sequence[str]) -> tuple[list[Row], list[Problem]]:
    decoded = [_decoded(line) for line in lines]
    delimiter = max(",;\t", key=decoded[0][0].count)
    reader = csv.reader((text for text, _ in decoded), delimiter=delimiter, strict=True)
    rows, problems, columns, line = [], list[Problem](), list[str](), 0
    try:
        for number, cells in enumerate(reader, 1):
            wrong = next((problem for _, problem in decoded[line : reader.line_num] if problem), "")
            problems += [Problem(number, wrong, left_out=False)] if wrong else []
            line = reader.line_num
            if not columns:
                columns = _columns(path, cells, required)
            elif len(cells) > len(columns):
                text = f"has {len(cells)} cells, the header {len(columns)}; put quotes around text that has a comma"
                problems.append(Problem(number, text))
            elif any(cell.strip() for cell in cells):
                rows.append(Row(number, dict(zip(columns, cells, strict=False))))
    except csv.Error as error:
        raise BadDataFile(path, f"not CSV: {error}", line=reader.line_num) from error
    return rows, problems


def _columns(path: Path, header: Sequence[str], required: Sequence[str]) -> list[str]:
    columns = usual_names(header)
    twice = next((name for name in columns if name and columns.count(name) > 1), None)
    if twice:
        raise BadDataFile(path, f"named by two columns of {', '.join(header)}; rename one", line=1, field=twice)
    missing = [name for name in required if name not in columns]
    if missing:
        raise BadDataFile(path, f"the column is missing; there are {', '.join(header)}", line=1, field=", ".join(missing))
    return columns


def usual_names(names: Iterable[object]) -> list[str]:
    """Columns by their usual names; an alias counts only where nothing has the usual name itself."""
    plain = [re.sub(r"[^a-z0-9]+", "_", str(name).strip().lower()).strip("_") for name in names]
    found: list[str] = []
    for name in plain:
        usual = _USUAL.get(name, name)
        found.append(name if usual in plain or usual in found else usual)
    return found


def write_rows(path: Path, rows: Sequence[Row]) -> None:
    """Write the rows as CSV or JSON lines, by the name of the file; whole or not at all."""
    if path.suffix.lower() not in KINDS:
        raise BadDataFile(path, f"would be neither {' nor '.join(KINDS)}; give it one of these endings")
    if not rows:
        raise BadDataFile(path, "is not written: no row is fit to be kept")
    content = _as_csv(rows) if path.suffix.lower() == ".csv" else "".join(json.dumps(row.values, ensure_ascii=False) + "\n" for row in rows)
    write_whole(path, content)


def write_whole(path: Path, text: str) -> None:
    """Write a file, whole or not at all. Raises :class:`BadDataFile`."""
    try:
        write(path.parent, "", {path.name: text.encode("utf-8")})
    except OSError as error:
        raise BadDataFile(path, f"cannot be written: {error.strerror or error}; nothing was changed") from error


def append_row(path: Path, values: Mapping[str, Any]) -> None:
    """Append one row to a file of JSON lines, also while others do. Raises :class:`BadDataFile`."""
    line = (json.dumps(values, ensure_ascii=False) + "\n").encode("utf-8")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab", buffering=0) as file:
            file.write(line)
            os.fsync(file.fileno())
    except OSError as error:
        raise BadDataFile(path, f"cannot be written: {error.strerror or error}") from error


def _as_csv(rows: Sequence[Row]) -> str:
    columns = list(dict.fromkeys(name for row in rows for name in row.values))
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, columns, lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({name: _cell(value) for name, value in row.values.items()})
    return buffer.getvalue()


def _cell(value: Any) -> Any:
    if isinstance(value, list):
        return ";".join(map(str, value))
    return json.dumps(value) if isinstance(value, dict) else value
