"""The learned half of the ladder: a scikit-learn pipeline behind one small interface. It reads :attr:`Features.document`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from airflow_oncall.triage.features import Features


@dataclass(frozen=True)
class Classifier:
    """A loaded pipeline with ``predict_proba`` and ``classes_`` (categories and ``none``)."""

    pipeline: Any
    version: str
    """What a diagnosis names as its model, e.g. ``category 1.0.0``."""

    def probabilities(self, features: Features) -> dict[str, float]:
        """Category -> probability, the most probable first."""
        row = self.pipeline.predict_proba([features.document])[0]
        pairs = zip(map(str, self.pipeline.classes_), map(float, row), strict=True)
        return dict(sorted(pairs, key=lambda pair: -pair[1]))
