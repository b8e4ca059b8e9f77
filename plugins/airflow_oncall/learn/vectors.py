"""From examples to a matrix: texts read once, a bounded vocabulary, TF-IDF weights."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer

from airflow_oncall.errors import TrainingSkipped
from airflow_oncall.learn.dataset import Example
from airflow_oncall.triage.features import Features, read_features, tokens
from airflow_oncall.triage.memory import CORPUS

VOCABULARY = 8_000
"""Most tokens a model knows; keeps artefact and table small."""


@dataclass(frozen=True)
class Prepared:
    """Examples with their texts read."""

    examples: tuple[Example, ...]
    features: tuple[Features, ...]
    documents: tuple[list[str], ...]
    """Their tokens."""

    @cached_property
    def labels(self) -> list[str]:
        """Category of each row."""
        return [example.category for example in self.examples]

    @cached_property
    def groups(self) -> list[str]:
        """Group of each row."""
        return [example.group for example in self.examples]

    @cached_property
    def weights(self) -> Any:
        """Weight of each row."""
        return np.array([example.weight for example in self.examples], dtype=float)

    def rows(self, numbers: Sequence[int]) -> Prepared:
        """Some of the rows."""
        return Prepared(
            tuple(self.examples[number] for number in numbers),
            tuple(self.features[number] for number in numbers),
            tuple(self.documents[number] for number in numbers),
        )


def prepare(examples: Sequence[Example]) -> Prepared:
    """Read the texts. Rows whose text is no text (``None``, ``NaN``, blank) teach nothing and are left out.

    Raises :class:`TrainingSkipped` where fewer than two categories are left.
    """
    usable = tuple(example for example in examples if isinstance(example.text, str) and example.text.strip())
    found = {example.category for example in usable}
    if len(found) < 2:
        said = ", ".join(sorted(found)) or "nothing"
        raise TrainingSkipped(
            f"{len(usable)} usable examples of {said}; a classifier needs at least two categories: add labels or the corpus"
        )
    features = tuple(read_features(example.text) for example in usable)
    return Prepared(usable, features, tuple(tokens(one) for one in features))


def fit_vectoriser(data: Prepared) -> TfidfVectorizer:
    """A vectoriser fitted on the tokens at hand, of token lists until :func:`serving` hands it texts."""
    return unfitted_vectoriser(_vocabulary(data)).fit(data.documents)


def serving(vectoriser: TfidfVectorizer) -> TfidfVectorizer:
    """The same vectoriser reading texts and features, through the tokenizer that training used."""
    return vectoriser.set_params(analyzer=tokens)


def unfitted_vectoriser(vocabulary: Sequence[str] | None = None) -> TfidfVectorizer:
    """A vectoriser of token lists."""
    return TfidfVectorizer(analyzer=list, lowercase=False, sublinear_tf=True, vocabulary=vocabulary, dtype=np.float32)


def _vocabulary(data: Prepared) -> list[str]:
    """Words that the corpus says twice at least and pairs of words of two groups at least, most widespread first.

    Every single word that a site's own examples say is there too, but for its package: that is in all its failures alike.
    """
    groups: dict[str, set[str]] = defaultdict(set)
    rows: Counter[str] = Counter()
    own: set[str] = set()
    for example, document in zip(data.examples, data.documents, strict=True):
        unique = set(document)
        if example.origin != CORPUS:
            own |= {token for token in unique if " " not in token and not token.startswith("from:")}
            continue
        rows.update(unique)
        for token in unique:
            groups[token].add(example.group)
    known = [token for token, count in rows.items() if token not in own and count > 1 and (" " not in token or len(groups[token]) > 1)]
    known.sort(key=lambda token: (-len(groups[token]), token))
    return sorted([*own, *known[: max(0, VOCABULARY - len(own))]]) or sorted(rows)
