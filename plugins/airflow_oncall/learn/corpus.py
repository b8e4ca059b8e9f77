"""The starter corpus: short honest failure texts, rendered from knowledge of the field, and lines that are no failure.

``python -m airflow_oncall.learn.corpus`` writes ``include/oncall/corpus/starter.jsonl`` anew; a test keeps it current.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from itertools import cycle
from pathlib import Path

from airflow_oncall import conf
from airflow_oncall.errors import BadDataFile
from airflow_oncall.incident import CATEGORIES, NO_INCIDENT
from airflow_oncall.learn.scenarios import FRAMES, HEALTHY_FRAMES, SCENARIOS

FILE = Path("corpus") / "starter.jsonl"
FIELDS = ("text", "category", "transient", "provenance")

Row = dict[str, str | bool | None]


def rows() -> Iterator[Row]:
    """Every scenario in two surroundings, so that a model cannot lean on the noise around the cause."""
    failing, healthy = cycle(FRAMES), cycle(HEALTHY_FRAMES)
    for scenario in SCENARIOS:
        frames = healthy if scenario.category == NO_INCIDENT else failing
        for number, message in enumerate(scenario.messages):
            for _ in range(2):
                yield {
                    "text": next(frames).format(message=message),
                    "category": scenario.category,
                    "transient": scenario.transient,
                    "provenance": f"rendered:{scenario.name}:{number}",
                }


def render() -> str:
    """The corpus file's text."""
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows())


def parse_corpus(path: str, text: str) -> list[Row]:
    """Rows of a corpus file. Raises :class:`BadDataFile` naming the line."""
    return [_row(path, number, line) for number, line in enumerate(text.splitlines(), 1) if line.strip()]


def _row(path: str, number: int, line: str) -> Row:
    try:
        row = json.loads(line)
    except ValueError as error:
        raise BadDataFile(path, f"not JSON: {error}", line=number) from error
    for field in FIELDS:
        if not isinstance(row, dict) or field not in row:
            raise BadDataFile(path, f"missing; a row has {', '.join(FIELDS)}", line=number, field=field)
    if row["category"] not in (*CATEGORIES, NO_INCIDENT):
        raise BadDataFile(path, f"is {row['category']!r}; it must be one of {', '.join(CATEGORIES)} or none", line=number, field="category")
    return {field: row[field] for field in FIELDS}


def read_corpus(folders: Sequence[Path] | None = None) -> list[Row]:
    """The starter corpus of the first folder that has one (default: ``[oncall] include_path``, then the shipped one)."""
    for folder in folders if folders is not None else conf.include_paths():
        path = folder / FILE
        if path.is_file():
            return parse_corpus(str(path), path.read_text(encoding="utf-8"))
    raise BadDataFile(FILE, "in none of the include folders; install the package again or set [oncall] include_path")


def main() -> None:
    """Write the shipped corpus file anew."""
    path = conf.shipped_include() / FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(render(), encoding="utf-8")


if __name__ == "__main__":
    main()
