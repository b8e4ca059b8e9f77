"""Challenger, champion, rules alone and the majority on the same rows, none of which any of them was trained on.

Both models are whole by the time they are compared, so that they know every group. Each is therefore measured by its twin:
trained in the same way on the rows that it had, without the groups that are asked about. On the newest labels, which no
champion can have seen, the champion itself answers.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from airflow_oncall.learn.dataset import Example, newest
from airflow_oncall.learn.estimators import splits
from airflow_oncall.learn.evaluation import Answer, Predictor, measure

UNSEEN, NEWEST = "unseen groups", "newest labels"
CHALLENGER, CHAMPION, RULES, MAJORITY = "challenger", "champion", "rules", "majority"
Train = Callable[[Sequence[Example]], Predictor]
Reports = dict[str, dict[str, dict[str, Any]]]
"""Who -> which rows -> report."""


@dataclass(frozen=True)
class Reigning:
    """The champion, as far as a comparison needs it."""

    predict: Predictor
    had: Callable[[Example], bool]
    """Whether it was trained on this row."""
    train: Train | None = None
    """Trains its twin where its estimator is another one than the challenger's."""


def compare(examples: Sequence[Example], train: Train, rules: Predictor, champion: Reigning | None) -> Reports:
    """A report of everybody on the unseen groups and, where there are enough of them, on the newest labels."""
    reports: Reports = {}
    folds = splits([one.category for one in examples], [one.group for one in examples])
    for rows, parts in ((UNSEEN, folds), (NEWEST, _newest(examples, champion))):
        answers: dict[str, dict[int, Answer]] = {}
        for before, asked in parts:
            known = [examples[row] for row in before]
            for who, predict in _predictors(known, train, rules, champion, rows).items():
                answers.setdefault(who, {}).update((row, predict(examples[row].text)) for row in asked)
        for who, given in answers.items():
            order = sorted(given)
            reports.setdefault(who, {})[rows] = measure([examples[row] for row in order], [given[row] for row in order])
    return reports


def _newest(examples: Sequence[Example], champion: Reigning | None) -> list[tuple[Any, Any]]:
    chosen = {row for row in newest(examples) if champion is None or not champion.had(examples[row])}
    return [([row for row in range(len(examples)) if row not in chosen], sorted(chosen))] if chosen else []


def _predictors(known: Sequence[Example], train: Train, rules: Predictor, champion: Reigning | None, rows: str) -> dict[str, Predictor]:
    challenger = train(known)
    found = {CHALLENGER: challenger, RULES: rules, MAJORITY: majority(known)}
    if champion is None:
        return found
    had = [one for one in known if champion.had(one)]
    if rows == NEWEST:
        return {**found, CHAMPION: champion.predict}
    is_alike = champion.train is None and len(had) == len(known)
    return {**found, CHAMPION: challenger if is_alike else (champion.train or train)(had)}


def majority(known: Sequence[Example]) -> Predictor:
    """Always the most common category, and whether most failures go away by themselves."""
    counts = Counter(one.category for one in known)
    (category, count), *_ = counts.most_common(1)
    transient = Counter(one.transient for one in known if one.transient is not None).most_common(1)
    answer = Answer(category, count / len(known), transient[0][0] if transient else None)
    return lambda text: answer
