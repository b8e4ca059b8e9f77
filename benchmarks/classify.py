"""Text to category: the table in the standard library against scikit-learn, warm, in a batch, and from a cold process.

``.._vs_sklearn``: the peer is TF-IDF and logistic regression behind the same tokenizer, ``.._vs_sklearn_words`` the usual recipe
(scikit-learn's own words and pairs of words of the raw text). Both sides begin with the text and end with the category; our
tokenizer reads exceptions, codes and log prefixes, which costs more than splitting at spaces and is counted on our side.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from airflow_oncall.learn.dataset import Example
from airflow_oncall.learn.fitting import fit_models
from airflow_oncall.learn.table_export import TOLERANCE, difference, export
from airflow_oncall.triage.features import tokens
from airflow_oncall.triage.table import Table
from benchmarks.measuring import Result, medians_in_turn, result
from benchmarks.texts import corpus, varied

SINGLE, PROCESSES, BATCHES = 300, 15, 5
BATCH = 10_000
_BARE = "pass"
_READING = "import airflow_oncall.triage.features"
_COLD = """
import sys
from airflow_oncall.triage.features import tokens
from airflow_oncall.triage.table import Table
with open(sys.argv[1], "rb") as file:
    table = Table.load(file.read())
print(next(iter(table.probabilities(tokens(sys.argv[2])))))
heavy = {"sklearn", "numpy", "scipy", "pandas", "joblib"} & set(sys.modules)
sys.exit(f"{heavy} loaded; the figures would mean nothing" if heavy else 0)
"""


def measure(home: Path) -> dict[str, Result]:
    """Train on the shipped corpus, export, and time each way to a category."""
    examples = corpus()
    models = fit_models(examples).models
    text = export(models, [example.text for example in examples])
    (home / "table.json").write_text(text, encoding="utf-8")
    table = Table.load(text)
    apart = difference(table, models, [example.text for example in varied(examples, 200)])
    if apart > TOLERANCE:
        raise SystemExit(f"the table differs from its models by {apart:.2g}; the figures would mean nothing")
    return _warm(table, examples) | _cold(home, examples[0].text)


def _warm(table: Table, examples: list[Example]) -> dict[str, Result]:
    texts = [example.text for example in varied(examples, BATCH)]
    same, words = _peers(examples)
    ours, theirs, usual = medians_in_turn(
        [
            lambda number: _first(table.probabilities(tokens(texts[number]))),
            lambda number: same.predict([texts[number]]),
            lambda number: words.predict([texts[number]]),
        ],
        SINGLE,
        warm_up=20,
    )
    many, their_many, usual_many = medians_in_turn(
        [
            lambda _: [_first(one) for one in table.probabilities_many(map(tokens, texts))],
            lambda _: same.predict(texts),
            lambda _: words.predict(texts),
        ],
        BATCHES,
    )
    return {
        "classify_warm_vs_sklearn": result(ours * 1000, theirs * 1000, "ms"),
        "classify_warm_vs_sklearn_words": result(ours * 1000, usual * 1000, "ms"),
        "classify_batch_vs_sklearn": result(BATCH / many, BATCH / their_many, "texts/s"),
        "classify_batch_vs_sklearn_words": result(BATCH / many, BATCH / usual_many, "texts/s"),
    }


def _peers(examples: list[Example]) -> tuple[Any, Any]:
    texts, labels = [example.text for example in examples], [example.category for example in examples]
    same = make_pipeline(TfidfVectorizer(analyzer=tokens, sublinear_tf=True), LogisticRegression(max_iter=200))
    words = make_pipeline(TfidfVectorizer(ngram_range=(1, 2)), LogisticRegression(max_iter=200))
    return same.fit(texts, labels), words.fit(texts, labels)


def _cold(home: Path, text: str) -> dict[str, Result]:
    """``vs_python``: the whole process against a bare one. ``vs_reading``: against one that only imports the feature code."""

    def process(*arguments: str) -> None:
        # Bytecode is cached as an installed package's is, in a place of its own.
        inherited = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        env = inherited | {"PYTHONPATH": str(Path(__file__).parents[1] / "plugins"), "PYTHONPYCACHEPREFIX": str(home / "bytecode")}
        subprocess.run([sys.executable, "-c", *arguments], check=True, env=env, stdout=subprocess.DEVNULL)

    cold, bare, reading = medians_in_turn(
        [
            lambda _: process(_COLD, str(home / "table.json"), text),
            lambda _: process(_BARE),
            lambda _: process(_READING),
        ],
        PROCESSES,
        clock=time.perf_counter,
    )
    return {
        "classify_cold_vs_python": result(cold * 1000, bare * 1000, "ms"),
        "classify_cold_vs_reading": result(cold * 1000, reading * 1000, "ms"),
    }


def _first(probabilities: dict[str, float]) -> str:
    return next(iter(probabilities))
