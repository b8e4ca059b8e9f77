"""The linear models of :mod:`.models` as a small JSON file that the standard library alone loads and scores.

A worker that classifies at failure time cannot wait the seconds that scikit-learn takes to load; this takes milliseconds and
gives the same probabilities. ``learn/table_export.py`` writes the file and proves the equality.

    {"format": 1, "version": "0.3.0", "vocabulary": {"tokens": [...], "idf": NUMBERS},
     "category": {"classes": [...], "weights": [NUMBERS, one for each class], "intercepts": [...]},
     "transient": {"weights": NUMBERS, "offsets": {category: log odds}, "intercept": ...}}

``NUMBERS`` is ``{"step": float, "int16": base64}``: little-endian integers, each times ``step``. Temperatures are folded into
weights, offsets and intercepts.
"""

from __future__ import annotations

import base64
import json
import math
import sys
from array import array
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain, islice
from operator import itemgetter, mul
from typing import Any

from airflow_oncall.errors import BadDataFile

MODEL, POINTER, TABLE = "triage", "champion.json", "table.json"
"""The model's name, the file that names its reigning version, and the file of each version that this module reads."""
FORMAT = 1
BATCH = 64
"""From this many documents on, NumPy pays for itself."""
CHUNK = 1_000
"""Documents that NumPy scores at once; bounds its memory."""


@dataclass(frozen=True)
class Numbers:
    """Quantised numbers: ``raw`` times ``step``."""

    raw: array[int]
    step: float

    @classmethod
    def parse(cls, value: Mapping[str, Any], length: int) -> Numbers:
        """Raises ``ValueError``, ``KeyError`` or ``TypeError`` where ``value`` is no such thing, or of another length."""
        raw, step = array("h"), float(value["step"])
        raw.frombytes(base64.b64decode(value["int16"], validate=True))
        if sys.byteorder == "big":
            raw.byteswap()
        if len(raw) != length or not math.isfinite(step):
            raise ValueError(f"{len(raw)} numbers of step {step}, expected {length}")
        return cls(raw, step)


@dataclass(frozen=True)
class Table:
    """Category and transient model. Their answers differ from the pickle's by ``learn.table_export.TOLERANCE`` at most."""

    version: str
    ids: Mapping[str, int]
    """Token -> its place in every list of numbers."""
    idf: Sequence[float]
    classes: tuple[str, ...]
    weights: tuple[Numbers, ...]
    intercepts: tuple[float, ...]
    transient_weights: Numbers
    transient_offsets: Mapping[str, float]
    transient_intercept: float

    @classmethod
    def load(cls, text: str | bytes, name: str = "table.json") -> Table:
        """The table of a file's content; ``name`` is the file as people know it. Raises :class:`BadDataFile`."""
        try:
            return _table(json.loads(text))
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise BadDataFile(name, f"is no table of this version's models ({type(error).__name__}: {error}); train again") from error

    def probabilities(self, tokens: Iterable[str]) -> dict[str, float]:
        """Category -> probability, the most probable first."""
        indexes, values = self._vector(tokens)
        # An itemgetter of one index would give no tuple.
        pick, values = itemgetter(*indexes, 0, 0), [*values, 0.0, 0.0]
        scores = [
            intercept + column.step * sum(map(mul, values, pick(column.raw)))
            for column, intercept in zip(self.weights, self.intercepts, strict=True)
        ]
        highest = max(scores)
        shares = [math.exp(score - highest) for score in scores]
        total = sum(shares)
        return self._named([share / total for share in shares])

    def probabilities_many(self, documents: Iterable[Iterable[str]]) -> list[dict[str, float]]:
        """As :meth:`probabilities`, for many token lists at once: with NumPy where it is installed, else one by one."""
        waiting = iter(documents)
        first = list(islice(waiting, BATCH))
        if len(first) < BATCH or not _has_numpy():
            return [self.probabilities(tokens) for tokens in chain(first, waiting)]
        everything = chain(first, waiting)
        chunks = iter(lambda: self._known(islice(everything, CHUNK)), [])
        return [self._named(row) for known in chunks for row in self._batch(known)]

    def transient_probability(self, tokens: Iterable[str], category: str) -> float:
        """Probability that a re-run can help a failure of ``category`` with this text."""
        indexes, values = self._vector(tokens)
        numbers = self.transient_weights
        score = numbers.step * sum(value * numbers.raw[index] for index, value in zip(indexes, values, strict=True))
        score += self.transient_offsets.get(category, 0.0) + self.transient_intercept
        return 1.0 / (1.0 + math.exp(-score)) if score > -700 else 0.0

    def known_share(self, tokens: Iterable[str]) -> float:
        """Share of a text's weight in single words that training saw; a word never seen weighs as much as the rarest."""
        known = total = 0.0
        for token, count in Counter(token for token in tokens if " " not in token).items():
            index = self.ids.get(token)
            weight = ((1.0 + math.log(count)) * (self._rarest if index is None else self.idf[index])) ** 2
            total += weight
            known += 0.0 if index is None else weight
        return known / total if total else 1.0

    @cached_property
    def _rarest(self) -> float:
        return max(self.idf)

    def _vector(self, tokens: Iterable[str]) -> tuple[list[int], list[float]]:
        """Indexes and TF-IDF values of the known tokens: sublinear counts, length 1."""
        counts = Counter(filter(self.ids.__contains__, tokens))
        indexes = list(map(self.ids.__getitem__, counts))
        values = [(1.0 + math.log(count)) * self.idf[index] for count, index in zip(counts.values(), indexes, strict=True)]
        length = math.hypot(*values) or 1.0
        return indexes, [value / length for value in values]

    def _named(self, shares: Iterable[float]) -> dict[str, float]:
        return dict(sorted(zip(self.classes, shares, strict=True), key=itemgetter(1), reverse=True))

    @cached_property
    def _matrix(self) -> Any:
        import numpy as np

        return np.column_stack([np.asarray(column.raw, np.float32) * np.float32(column.step) for column in self.weights])

    def _known(self, documents: Iterable[Iterable[str]]) -> list[list[int]]:
        return [[index for index in map(self.ids.get, tokens) if index is not None] for tokens in documents]

    def _batch(self, known: Sequence[Sequence[int]]) -> list[list[float]]:
        import numpy as np

        rows = np.repeat(np.arange(len(known)), list(map(len, known)))
        flat = np.fromiter(chain.from_iterable(known), np.int64, len(rows))
        cells, counts = np.unique(rows * len(self.ids) + flat, return_counts=True)
        row, column = np.divmod(cells, len(self.ids))
        values = (1.0 + np.log(counts)) * np.asarray(self.idf)[column]
        values /= np.sqrt(np.bincount(row, values * values, len(known)))[row]
        scores = np.tile(np.asarray(self.intercepts), (len(known), 1))
        filled, starts = np.unique(row, return_index=True)
        if len(filled):
            scores[filled] += np.add.reduceat(self._matrix[column] * values[:, None].astype(np.float32), starts, axis=0)
        shares = np.exp(scores - scores.max(axis=1, keepdims=True))
        answer: list[list[float]] = (shares / shares.sum(axis=1, keepdims=True)).tolist()
        return answer


def _has_numpy() -> bool:
    try:
        import numpy  # noqa: F401
    except ImportError:
        return False
    return True


def _table(content: Mapping[str, Any]) -> Table:
    if content["format"] != FORMAT:
        raise ValueError(f"format {content['format']!r}, expected {FORMAT}")
    tokens, category, transient = content["vocabulary"]["tokens"], content["category"], content["transient"]
    idf, classes = Numbers.parse(content["vocabulary"]["idf"], len(tokens)), tuple(map(str, category["classes"]))
    table = Table(
        version=str(content["version"]),
        ids=dict(zip(tokens, range(len(tokens)), strict=True)),
        idf=[number * idf.step for number in idf.raw],
        classes=classes,
        weights=tuple(Numbers.parse(one, len(tokens)) for one in category["weights"]),
        intercepts=tuple(map(_finite, category["intercepts"])),
        transient_weights=Numbers.parse(transient["weights"], len(tokens)),
        transient_offsets={str(name): _finite(offset) for name, offset in transient["offsets"].items()},
        transient_intercept=_finite(transient["intercept"]),
    )
    if not classes or not len(classes) == len(table.weights) == len(table.intercepts) or not len(table.ids) == len(tokens) > 0:
        raise ValueError("classes, weights, intercepts or tokens do not belong together")
    return table


def _finite(value: Any) -> float:
    number = float(value)
    if not math.isfinite(number):
        raise ValueError(f"{value!r} is no finite number")
    return number
