"""A whole training, calibration included, of 10,000 examples against one of 1,000: how it grows.

``train_10k_vs_recipe`` sets the larger one beside the usual recipe on the same texts: words, and 50 trees calibrated in 3 folds.
"""

from __future__ import annotations

from pathlib import Path

from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import RandomForestClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.pipeline import make_pipeline

from airflow_oncall.learn.dataset import Example
from airflow_oncall.learn.fitting import fit_models
from benchmarks.measuring import Result, medians_in_turn, result
from benchmarks.texts import SEED, corpus, varied

SMALL, LARGE = 1_000, 10_000
ROUNDS = 3


def measure(home: Path) -> dict[str, Result]:
    """Seconds of both sizes and of the recipe."""
    examples = corpus()
    small, large = varied(examples, SMALL), varied(examples, LARGE)
    (quick,) = medians_in_turn([lambda _: fit_models(small)], ROUNDS)
    slow, recipe = medians_in_turn([lambda _: fit_models(large), lambda _: _recipe(large)], 1, warm_up=0)
    return {"train_10k_vs_1k": result(slow, quick, "s"), "train_10k_vs_recipe": result(slow, recipe, "s")}


def _recipe(examples: list[Example]) -> object:
    trees = CalibratedClassifierCV(RandomForestClassifier(50, random_state=SEED), method="isotonic", cv=3)
    return make_pipeline(TfidfVectorizer(ngram_range=(1, 2), max_features=5_000), trees).fit(
        [example.text for example in examples], [example.category for example in examples]
    )
