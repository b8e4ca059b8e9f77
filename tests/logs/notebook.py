"""A log source whose pages a test writes: each page is one batch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from airflow_oncall.capture.logs.source import Batch, Cursor, Record, SourceFailed


def noted(number: int, text: str, **fields: Any) -> Record:
    """A record at a position of its own."""
    return Record(f"line {number}", text, signature=fields.pop("signature", "trouble"), **fields)


@dataclass
class Notebook:
    """Pages of records; ``torn`` says why it cannot be read at all, ``surprise`` is raised behind the last page."""

    pages: list[list[Record]] = field(default_factory=list)
    name: str = "notebook"
    torn: str = ""
    surprise: Exception | None = None
    problems: Mapping[int, str] = field(default_factory=dict)

    def read(self, cursor: Cursor) -> Iterator[Batch]:
        if self.torn:
            raise SourceFailed(f"source {self.name!r}: {self.torn}")
        for number in range(int(cursor.get("page", 0)), len(self.pages)):
            problems = (self.problems[number],) if number in self.problems else ()
            yield Batch(self.pages[number], {"page": number + 1}, problems)
        if self.surprise:
            raise self.surprise
