"""The benchmark of the search measures what it says; how fast that is, no test judges."""

from __future__ import annotations

from pathlib import Path

import pytest
from benchmarks import knowledge
from benchmarks.texts import corpus


def test_it_measures_the_search_against_the_whole_product(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    few = corpus()[:40]
    monkeypatch.setattr(knowledge, "corpus", lambda: few)
    for name, count in {"TEXTS": 60, "QUERIES": 3, "NEWS": 5}.items():
        monkeypatch.setattr(knowledge, name, count)
    measured = knowledge.measure(tmp_path)
    assert set(measured) == {"knowledge_search_p95_ms", "knowledge_100_more_vs_all", "knowledge_cold_vs_filled"}
    assert measured["knowledge_search_p95_ms"]["unit"] == "ms"
    assert all(float(one["value"]) > 0 and float(one["peer"]) > 0 for one in measured.values())
