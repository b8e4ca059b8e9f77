"""What models learn from: examples from the shipped corpus, from verified outcomes and from people."""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime

from airflow_oncall.errors import BadDataFile, TrainingSkipped
from airflow_oncall.incident import CATEGORIES, NO_INCIDENT
from airflow_oncall.triage.memory import CORPUS, ORIGINS

NEWEST_SHARE, NEWEST_LEAST = 0.2, 5


@dataclass(frozen=True)
class Example:
    """One failure (or one healthy text) whose truth is known."""

    text: str
    """Redacted evidence, as diagnosis sees it."""
    category: str
    """One of ``CATEGORIES`` or ``none``."""
    transient: bool | None
    """Whether a re-run can help; ``None`` when unclear."""
    group: str
    """Scenario or fingerprint: rows of one group never stand on both sides of a split."""
    origin: str = CORPUS
    """``corpus``, ``outcome`` or ``human``, in the order of rising trust."""
    weight: float = 1.0
    also: tuple[str, ...] = ()
    """Other categories that are as right."""
    given_at: datetime | None = None
    """When the label was given; ``None`` for the corpus."""


@dataclass(frozen=True)
class Dataset:
    """Examples fit for training, and what was done to make them so."""

    examples: tuple[Example, ...]
    notes: tuple[str, ...] = ()
    """What was left out or changed, in words."""

    @property
    def digest(self) -> str:
        """The same for the same examples in any order."""
        rows = sorted(hashlib.sha256(_line(one).encode("utf-8", "surrogatepass")).hexdigest() for one in self.examples)
        return hashlib.sha256("".join(rows).encode()).hexdigest()

    def counts(self) -> dict[str, dict[str, int]]:
        """Rows by origin and by category."""
        return {name: dict(sorted(Counter(getattr(one, name) for one in self.examples).items())) for name in ("origin", "category")}


def assemble(examples: Iterable[Example]) -> Dataset:
    """Leave out what cannot teach (no text, no such category, said twice, contradicted), and merge groups that share a text."""
    rows, notes = [], []
    seen: dict[str, list[Example]] = defaultdict(list)
    unusable: Counter[str] = Counter()
    for example in examples:
        problem = _problem(example)
        unusable.update([problem] if problem else [])
        if not problem:
            seen[" ".join(example.text.split())].append(example)
    twice = contradicted = 0
    for same in seen.values():
        kept = _merged(same)
        twice += len(same) - 1 if kept else 0
        contradicted += kept is None
        rows += [kept] if kept else []
    notes += [f"{count} rows left out: {problem}" for problem, count in sorted(unusable.items())]
    notes += [f"{twice} rows left out: said twice"] if twice else []
    notes += [f"{contradicted} texts left out: equally trusted labels contradict each other"] if contradicted else []
    merged, shared = _without_leaks(rows)
    notes += [f"{shared} groups merged: they share a text up to its numbers"] if shared else []
    return Dataset(tuple(merged), tuple(notes))


def require_trainable(dataset: Dataset, least: int) -> None:
    """Raise :class:`TrainingSkipped` with the reason where these examples are too few, or of one category."""
    count = len(dataset.examples)
    if count < least:
        raise TrainingSkipped(f"{count} examples are fewer than [oncall] train_min_rows = {least}")
    categories = {example.category for example in dataset.examples}
    if len(categories) < 2:
        raise TrainingSkipped(f"all {count} examples are of {', '.join(categories) or 'nothing'}; there is nothing to tell apart")


def newest(examples: Sequence[Example]) -> list[int]:
    """Row numbers of the newest labels, a fifth of those that have a time; empty while there are too few of them.

    Groups are whole: a group of which an older row stays behind is left out.
    """
    dated = sorted((one.given_at, number) for number, one in enumerate(examples) if one.given_at)
    count = int(len(dated) * NEWEST_SHARE)
    if count < NEWEST_LEAST:
        return []
    chosen = {number for _, number in dated[-count:]}
    behind = {one.group for number, one in enumerate(examples) if number not in chosen}
    return sorted(number for number in chosen if examples[number].group not in behind)


def leaks(examples: Sequence[Example], train: Iterable[int], test: Iterable[int]) -> int:
    """How many texts of ``test`` (row numbers) also stand in ``train``, up to their numbers."""
    known = {_masked(examples[row].text) for row in train}
    return sum(_masked(examples[row].text) in known for row in test)


def row_digest(example: Example) -> str:
    """A short name of what a row teaches, by which a later training knows whether a champion had it."""
    told = f"{example.category}\x1f{example.transient}\x1f{example.text}"
    return hashlib.sha256(told.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def dump_examples(examples: Iterable[Example]) -> bytes:
    """One JSON object a line."""
    return "".join(_line(example) + "\n" for example in examples).encode("utf-8", "surrogatepass")


def parse_examples(path: str, content: bytes) -> tuple[Example, ...]:
    """What :func:`dump_examples` wrote. Raises :class:`BadDataFile` naming the line."""
    found = []
    for number, line in enumerate(content.decode("utf-8", "surrogatepass").split("\n"), 1):
        if line:
            try:
                found.append(_example(line))
            except (ValueError, TypeError, KeyError) as error:
                raise BadDataFile(path, f"no example: {error}", line=number) from error
    return tuple(found)


def _line(example: Example) -> str:
    values = asdict(example) | {"given_at": example.given_at.isoformat() if example.given_at else None}
    return json.dumps(values, sort_keys=True)


def _example(line: str) -> Example:
    values = json.loads(line)
    given_at = values.pop("given_at")
    return Example(**values | {"also": tuple(values["also"]), "given_at": datetime.fromisoformat(given_at) if given_at else None})


def _problem(example: Example) -> str | None:
    if not isinstance(example.text, str) or not example.text.strip():
        return "the text is missing"
    if example.category not in (*CATEGORIES, NO_INCIDENT):
        return f"category {example.category!r} does not exist"
    if example.origin not in ORIGINS:
        return f"origin {example.origin!r} does not exist"
    return None if example.weight > 0 else "the weight is not positive"


def _merged(same: Sequence[Example]) -> Example | None:
    """The one example that rows of the same text amount to: the most trusted and newest; ``None`` where the most trusted disagree."""
    trust = max(ORIGINS.index(one.origin) for one in same)
    trusted = [one for one in same if ORIGINS.index(one.origin) == trust]
    last = max(trusted, key=lambda one: (one.given_at is not None, one.given_at))
    if any(one.category not in (last.category, *last.also) and one.given_at == last.given_at for one in trusted):
        return None
    agreed = {one.transient for one in trusted if one.given_at == last.given_at}
    return last if len(agreed) == 1 else replace(last, transient=None)


def _without_leaks(rows: Sequence[Example]) -> tuple[list[Example], int]:
    """Give groups that share a text, up to its numbers, one name: they would stand on both sides of a split."""
    leader: dict[str, str] = {}

    def find(group: str) -> str:
        while leader.setdefault(group, group) != group:
            group = leader[group]
        return group

    first: dict[str, str] = {}
    for row in rows:
        one, other = find(first.setdefault(_masked(row.text), row.group)), find(row.group)
        leader[max(one, other)] = min(one, other)
    merged = [replace(row, group=find(row.group)) for row in rows]
    return merged, len({row.group for row in rows}) - len({row.group for row in merged})


def _masked(text: str) -> str:
    return re.sub(r"\d+", "#", text.lower())
