"""What people and verified outcomes have said of earlier failures, found again by likeness. Pure and without libraries."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from airflow_oncall.triage.features import Features, tokens

CORPUS, OUTCOME, HUMAN = ORIGINS = ("corpus", "outcome", "human")
"""Origins of a label, in the order of rising trust. Only a person names a category; an outcome says whether a re-run helped."""


@dataclass(frozen=True)
class Remembered:
    """One labelled failure."""

    name: str
    """What evidence calls it, e.g. its fingerprint."""
    category: str
    transient: bool | None
    origin: str
    """``human`` or ``outcome``."""
    weights: Mapping[str, float]
    """Token -> weight, of length 1."""


@dataclass(frozen=True)
class Likeness:
    """The most similar remembered failure."""

    remembered: Remembered
    cosine: float
    trust: float
    """Probability that its category is right here too."""
    shared: tuple[tuple[str, float], ...]
    """The tokens both have and what each adds to the cosine, heaviest first."""


@dataclass
class Memory:
    """Labelled failures and the cosine from which two count as the same trouble."""

    entries: Sequence[Remembered] = ()
    rarity: Mapping[str, float] = field(default_factory=dict)
    """Token -> weight by how rarely it is seen; a token that is not there was never seen."""
    rarest: float = 1.0
    threshold: float = 0.6
    trust: float = 0.9
    """Share of right answers among likenesses above the threshold, as measured when it was chosen."""

    def __post_init__(self) -> None:
        self._holders: dict[str, list[int]] = {}
        for number, entry in enumerate(self.entries):
            for token in entry.weights:
                self._holders.setdefault(token, []).append(number)

    def weigh(self, found: Sequence[str]) -> dict[str, float]:
        """Weights of a text's single tokens (pairs of words differ too much between two wordings), of length 1."""
        counts = Counter(token for token in found if " " not in token)
        weights = {token: (1 + math.log(count)) * self.rarity.get(token, self.rarest) for token, count in counts.items()}
        length = math.sqrt(sum(weight * weight for weight in weights.values())) or 1.0
        return {token: weight / length for token, weight in weights.items()}

    def known_share(self, found: Sequence[str]) -> float:
        """Share of a text's weight that lies in tokens seen before; a token never seen weighs as much as the rarest."""
        weights = self.weigh(found)
        return sum(weight * weight for token, weight in weights.items() if token in self.rarity) if weights else 1.0

    def nearest(self, features: Features, origins: Sequence[str] = (HUMAN,)) -> Likeness | None:
        """The labelled failure that a text is the like of, ``None`` where none reaches the threshold."""
        found = self.most_similar(self.weigh(tokens(features)), origins) if self.entries else None
        return found if found and found.cosine >= self.threshold else None

    def most_similar(
        self, weights: Mapping[str, float], origins: Sequence[str] = (HUMAN, OUTCOME), skip: int | None = None
    ) -> Likeness | None:
        """The most similar entry of these origins, of equals the newest; ``skip`` leaves one entry out."""
        scores: dict[int, float] = {}
        for token, weight in weights.items():
            for number in self._holders.get(token, ()):
                scores[number] = scores.get(number, 0.0) + weight * self.entries[number].weights[token]
        fitting = [(score, number) for number, score in scores.items() if self.entries[number].origin in origins and number != skip]
        if not fitting:
            return None
        score, number = max(fitting)
        entry = self.entries[number]
        shared = [(token, weight * entry.weights[token]) for token, weight in weights.items() if token in entry.weights]
        return Likeness(entry, min(1.0, score), self.trust, tuple(sorted(shared, key=lambda pair: -pair[1])))
