"""Trained models -> the JSON table of :mod:`airflow_oncall.triage.table`, proved equal before it is handed out."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from airflow_oncall.errors import OnCallError
from airflow_oncall.triage.features import Features, tokens
from airflow_oncall.triage.models import TriageModels
from airflow_oncall.triage.table import BATCH, FORMAT, Table

TOLERANCE = 1e-3
"""Most that any probability may differ from the models' own."""
SIZE_LIMIT = 1_000_000
CHECKED = 100
"""Texts compared at export, spread evenly over those given."""
_LARGEST = 32_767


class NoTable(OnCallError):
    """These models cannot become a table that is small and equal; workers then leave retries to Airflow."""


def export(models: TriageModels, texts: Sequence[str | Features]) -> str:
    """The content of ``table.json``.

    On up to :data:`CHECKED` of ``texts`` (the training texts) all answers are compared with those of ``models``. Raises
    :class:`NoTable` where they differ (as they do when the vectoriser weighs otherwise than a table), or the file would be too large.
    """
    vocabulary = models.vectoriser.vocabulary_
    category, transient = models.category, models.transient
    content = {
        "format": FORMAT,
        "version": models.version,
        "vocabulary": {"tokens": sorted(vocabulary, key=vocabulary.__getitem__), "idf": _numbers(models.vectoriser.idf_)},
        "category": {
            "classes": list(category.classes),
            "weights": [_numbers(row / category.temperature) for row in np.asarray(category.coef)],
            "intercepts": [_short(number / category.temperature) for number in category.intercept],
        },
        "transient": {
            "weights": _numbers(np.ravel(transient.coef) / transient.temperature),
            "offsets": {name: _short(offset / transient.temperature) for name, offset in transient.offsets.items()},
            "intercept": _short(transient.intercept / transient.temperature),
        },
    }
    text = json.dumps(content, ensure_ascii=False, separators=(",", ":"))
    size = len(text.encode())
    if size > SIZE_LIMIT:
        raise NoTable(f"the table would have {size} bytes, the limit is {SIZE_LIMIT}; give the vectoriser fewer max_features")
    _prove(Table.load(text), models, texts)
    return text


def difference(table: Table, models: TriageModels, texts: Sequence[str | Features]) -> float:
    """Largest difference of any probability between table and models, scored alone and in a batch."""
    found = [tokens(text) for text in texts]
    together = table.probabilities_many(found * (BATCH // len(found) + 1))
    return max(max(_differences(table, models, *one)) for one in zip(texts, found, together, strict=False))


def _differences(table: Table, models: TriageModels, text: str | Features, found: list[str], batched: dict[str, float]) -> Iterator[float]:
    vector = models.vectoriser.transform([text])
    alone = table.probabilities(found)
    for name, expected in models.category.probabilities(vector).items():
        yield abs(alone[name] - expected)
        yield abs(batched[name] - expected)
    for name in models.category.classes:
        yield abs(table.transient_probability(found, name) - models.transient.probability(vector, name))
    yield abs(table.known_share(found) - models.memory.known_share(found))


def _prove(table: Table, models: TriageModels, texts: Sequence[str | Features]) -> None:
    if not texts:
        raise NoTable("there are no texts to compare table and models on; give some of the training texts")
    found = difference(table, models, texts[:: -(-len(texts) // CHECKED)])
    if not found <= TOLERANCE:
        raise NoTable(f"the table's probabilities differ from the models' by {found:.2g}, at most {TOLERANCE} is allowed")


def _numbers(values: ArrayLike) -> dict[str, Any]:
    """Sixteen bits each: steps of 3e-5 of the largest value."""
    exact = np.asarray(values, dtype=np.float64)
    largest = _short(np.max(np.abs(exact), initial=0.0))
    step = largest / _LARGEST or 1.0
    raw = np.clip(np.rint(exact / step), -_LARGEST, _LARGEST).astype("<i2")
    return {"step": step, "int16": base64.b64encode(raw.tobytes()).decode("ascii")}


def _short(number: float) -> float:
    if not np.isfinite(number):
        raise NoTable(f"the models hold {number} where a number belongs; train them again")
    return float(f"{number:.7g}")
