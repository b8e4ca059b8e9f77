"""How right a predictor is: any callable that answers a text with category, confidence and whether a re-run can help."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from airflow_oncall.incident import NO_INCIDENT
from airflow_oncall.learn.dataset import Example
from airflow_oncall.triage.memory import CORPUS

BINS = 10
RESAMPLES = 300
_SEED = 7


class Answer(NamedTuple):
    """What a predictor says about one text."""

    category: str
    confidence: float
    transient: bool | None


Predictor = Callable[[str], Answer]


def evaluate(predict: Predictor, examples: Sequence[Example]) -> dict[str, Any]:
    """:func:`measure` what ``predict`` says about each example."""
    return measure(examples, [predict(example.text) for example in examples])


def measure(examples: Sequence[Example], answers: Sequence[Answer]) -> dict[str, Any]:
    """Every figure of a report, with 95 % intervals by resampling groups; plain values that JSON can hold.

    ``strict`` counts the label alone, ``lenient`` also the other categories that are as right.
    """
    if not examples:
        return {"rows": 0}
    scored = _Scored(examples, answers)
    return {
        **scored.figures(),
        "rows": len(examples),
        "groups": len({example.group for example in examples}),
        "reliability": scored.reliability(),
        "confusion": _confusion(examples, answers),
        "intervals": _intervals(scored, [example.group for example in examples]),
        "by_provenance": {
            name: _Scored([examples[row] for row in rows], [answers[row] for row in rows]).figures() | {"rows": len(rows)}
            for name, rows in sorted(_by_provenance(examples).items())
        },
    }


class _Scored:
    """Examples and answers as arrays, so that every figure is a weighted sum and a resample is a vector of weights."""

    def __init__(self, examples: Sequence[Example], answers: Sequence[Answer]) -> None:
        names = sorted({example.category for example in examples} | {answer.category for answer in answers})
        self.size = len(names)
        self.truth = np.array([names.index(example.category) for example in examples])
        self.said = np.array([names.index(answer.category) for answer in answers])
        self.strict = self.truth == self.said
        self.right = self.strict | np.array([answer.category in example.also for example, answer in zip(examples, answers, strict=True)])
        self.confidence = np.array([answer.confidence for answer in answers], dtype=float)
        self.bins = np.minimum((self.confidence * BINS).astype(int), BINS - 1)
        self.known = np.array([example.transient is not None for example in examples])
        self.helps = np.array([example.transient is True for example in examples])
        self.says_helps = np.array([answer.transient is True for answer in answers])
        self.healthy = np.array([example.category == NO_INCIDENT for example in examples])
        self.says_healthy = np.array([answer.category == NO_INCIDENT for answer in answers])

    def figures(self, weights: Any = None) -> dict[str, float]:
        """All figures; those about rows that are not there are left out."""
        weights = np.ones(len(self.truth)) if weights is None else weights
        shares = {
            "accuracy_strict": (self.strict, weights),
            "accuracy_lenient": (self.right, weights),
            "brier": ((self.confidence - self.right) ** 2, weights),
            "transient_precision": (self.helps, weights * (self.known & self.says_helps)),
            "transient_recall": (self.says_helps, weights * (self.known & self.helps)),
            "false_alarms": (~self.says_healthy, weights * self.healthy),
            "missed": (self.says_healthy, weights * ~self.healthy),
        }
        figures = {name: float(values @ over / over.sum()) for name, (values, over) in shares.items() if over.sum()}
        figures["macro_f1_strict"] = self._macro_f1(self.truth, weights)
        figures["macro_f1_lenient"] = self._macro_f1(np.where(self.right, self.said, self.truth), weights)
        gaps = np.bincount(self.bins, weights * (self.confidence - self.right), BINS)
        figures["ece"] = float(np.abs(gaps).sum() / weights.sum())
        return {name: round(value, 4) for name, value in figures.items()}

    def _macro_f1(self, truth: Any, weights: Any) -> float:
        """Mean F1 over the categories that are there; an answer outside them is a miss."""
        true, said = (np.bincount(column, weights, self.size) for column in (truth, self.said))
        hits = np.bincount(truth, weights * (truth == self.said), self.size)
        there = true > 0
        return float(np.mean(2 * hits[there] / (true + said)[there]))

    def reliability(self) -> list[dict[str, float]]:
        """The reliability curve: per bin of confidence its rows, mean confidence and share of right answers."""
        return [
            {
                "from": number / BINS,
                "rows": int(inside.sum()),
                "confidence": round(float(self.confidence[inside].mean()), 4),
                "accuracy": round(float(self.right[inside].mean()), 4),
            }
            for number in range(BINS)
            if (inside := self.bins == number).any()
        ]


def _confusion(examples: Sequence[Example], answers: Sequence[Answer]) -> dict[str, dict[str, int]]:
    """Label -> answer -> rows."""
    table: dict[str, Counter[str]] = defaultdict(Counter)
    for example, answer in zip(examples, answers, strict=True):
        table[example.category][answer.category] += 1
    return {label: dict(counts.most_common()) for label, counts in sorted(table.items())}


def _by_provenance(examples: Sequence[Example]) -> Mapping[str, list[int]]:
    """Row numbers by where the label comes from: the engine for the corpus, else ``human`` or ``outcome``."""
    rows: dict[str, list[int]] = defaultdict(list)
    for number, example in enumerate(examples):
        rows[example.group.split(":")[0] if example.origin == CORPUS else example.origin].append(number)
    return rows


def _intervals(scored: _Scored, groups: Sequence[str]) -> dict[str, list[float]]:
    """95 % intervals; whole groups are drawn, because the rows of one scenario stand or fall together."""
    names, group_of = np.unique(groups, return_inverse=True)
    rng = np.random.default_rng(_SEED)
    drawn: dict[str, list[float]] = defaultdict(list)
    for _ in range(RESAMPLES):
        times = np.bincount(rng.integers(len(names), size=len(names)), minlength=len(names))
        for name, value in scored.figures(times[group_of].astype(float)).items():
            drawn[name].append(value)
    return {name: [round(float(edge), 4) for edge in np.quantile(values, (0.025, 0.975))] for name, values in drawn.items()}
