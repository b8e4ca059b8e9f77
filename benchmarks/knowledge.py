"""Search by likeness among 100,000 knowledge texts; the peer is scikit-learn's TF-IDF with the whole matrix multiplied.

Both sides begin with a failure's text and end with the ten texts most alike. ``value`` and ``peer`` are 95th percentiles of the
same queries, asked in turn. The texts are the decisive lines of the shipped corpus, each with other digits and other names of things.
"""

from __future__ import annotations

import random
import re
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer

from airflow_oncall.knowledge.proposing import decisive
from airflow_oncall.triage.similar import SimilarTexts
from benchmarks.measuring import Result, result
from benchmarks.texts import SEED, corpus

TEXTS, QUERIES, NEWS, BEST = 100_000, 200, 100, 10
_THING = re.compile(r"\b[a-z]+(?:_[a-z]+)+\b")


def measure(home: Path) -> dict[str, Result]:
    """Fill both indexes, then ask both the same; putting in some more texts is compared with filling it anew."""
    known = [text for text in (decisive(one.text) for one in corpus()) if text]
    dice = random.Random(SEED)
    texts = [_varied(known[number % len(known)], dice) for number in range(TEXTS)]
    queries = [_varied(dice.choice(known), dice) for _ in range(QUERIES)]
    index = SimilarTexts()
    filling = _seconds(lambda: index.put({str(number): text for number, text in enumerate(texts)}))
    file = home / "entries.npz"
    file.write_bytes(index.dump())
    ours, theirs = _asked_in_turn(index, texts, queries)
    news = {f"new-{number}": _varied(dice.choice(known), dice) for number in range(NEWS)}
    more = _seconds(lambda: _taught(index, news, queries[0]))
    cold = _seconds(lambda: SimilarTexts.load(file.read_bytes()).search(queries[0]))
    return {
        "knowledge_search_p95_ms": result(ours, theirs, "ms"),
        "knowledge_100_more_vs_all": result(more, filling, "s"),
        "knowledge_cold_vs_filled": result(cold, filling, "s"),
    }


def _asked_in_turn(index: SimilarTexts, texts: Sequence[str], queries: Sequence[str]) -> tuple[float, float]:
    vectorizer = TfidfVectorizer(sublinear_tf=True)
    matrix = vectorizer.fit_transform(texts)

    def peer(query: str) -> Any:
        scores = (matrix @ vectorizer.transform([query]).T).toarray().ravel()
        return np.argsort(scores)[-BEST:]

    for side in (index.search, peer):
        side(queries[0])
    taken = [(_seconds(partial(index.search, query, BEST)), _seconds(partial(peer, query))) for query in queries]
    ours, theirs = (float(np.percentile([pair[side] for pair in taken], 95)) * 1000 for side in (0, 1))
    return ours, theirs


def _taught(index: SimilarTexts, news: Mapping[str, str], query: str) -> None:
    index.put(news)
    index.search(query)


def _seconds(run: Callable[[], object]) -> float:
    started = time.process_time()
    run()
    return time.process_time() - started


def _varied(text: str, dice: random.Random) -> str:
    """The same trouble of another site: other digits, other names of tables and jobs."""
    digits = re.sub(r"\d", lambda _: str(dice.randint(1, 9)), text)
    return _THING.sub(lambda _: f"{_word(dice)}_{_word(dice)}", digits)


def _word(dice: random.Random) -> str:
    """One of 3,600 words of no meaning."""
    syllables = ("ba", "co", "di", "fu", "ga", "ho", "ki", "lu", "ma", "no", "pi", "ru", "sa", "to", "vi")
    return "".join(dice.choice(syllables) for _ in range(3))
