from __future__ import annotations

import json
import math
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.tables import numbers, table, table_text

from airflow_oncall.errors import BadDataFile
from airflow_oncall.triage.table import BATCH, Table

PLUGINS = Path(__file__).parents[2] / "plugins"
FRESH = """
import sys
from airflow_oncall.triage.features import tokens
from airflow_oncall.triage.table import Table

table = Table.load(sys.stdin.buffer.read())
print(next(iter(table.probabilities(tokens("disk is full")))))
print(",".join(sorted({"sklearn", "numpy", "scipy", "pandas", "joblib", "yaml"} & set(sys.modules))))
"""


@pytest.fixture
def weather() -> Table:
    """``rain`` speaks for storage, ``sun`` for the network and is twice as rare, ``wind`` for neither."""
    text = table_text(
        ["rain", "sun", "wind", "rain sun"],
        {"storage_exhaustion": {"rain": 2}, "network_timeout": {"sun": 3}},
        intercepts={"network_timeout": 0.5},
        helps={"network_timeout": 2.0},
        idf=[1, 2, 1, 1],
    )
    return Table.load(text)


def test_a_score_is_the_weighted_sum_of_the_normalised_tokens(weather: Table) -> None:
    rain = 1 + math.log(3)
    length = math.hypot(rain, 2)
    storage, network = 2 * rain / length, 3 * 2 / length + 0.5
    shares = weather.probabilities(["rain", "sun", "rain", "snow", "rain"])
    assert list(shares) == ["network_timeout", "storage_exhaustion"], "the most probable first"
    assert shares["network_timeout"] == pytest.approx(1 / (1 + math.exp(storage - network)))
    assert sum(shares.values()) == pytest.approx(1)


@pytest.mark.parametrize("tokens", [[], ["snow"]])
def test_a_text_without_a_known_token_has_the_shares_of_the_intercepts(weather: Table, tokens: list[str]) -> None:
    assert weather.probabilities(tokens)["network_timeout"] == pytest.approx(1 / (1 + math.exp(-0.5)))


DOCUMENTS = [["rain"], [], ["snow"], ["sun", "sun", "wind"], ["rain", "sun", "rain sun"]] * BATCH


def test_a_batch_is_scored_as_its_documents_one_by_one(weather: Table) -> None:
    together = weather.probabilities_many(DOCUMENTS)
    for one, document in zip(together, DOCUMENTS, strict=True):
        assert one == pytest.approx(weather.probabilities(document), abs=1e-6)
        assert list(one) == list(weather.probabilities(document))


def test_a_batch_needs_no_numpy(weather: Table, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "numpy", None)
    assert weather.probabilities_many(DOCUMENTS) == [weather.probabilities(document) for document in DOCUMENTS]


def test_an_empty_batch_has_no_answers(weather: Table) -> None:
    assert weather.probabilities_many([]) == []


def test_a_category_adds_its_odds_that_a_rerun_helps(weather: Table) -> None:
    assert weather.transient_probability(["rain"], "network_timeout") == pytest.approx(1 / (1 + math.exp(-2)))
    assert weather.transient_probability(["rain"], "authentication") == 0.5


def test_odds_beyond_all_bounds_are_no_error() -> None:
    unthinkable = Table.load(table_text(["rain"], {"none": {}}, helps={"none": -1e6}))
    assert unthinkable.transient_probability([], "none") == 0.0


def test_what_training_never_saw_weighs_as_much_as_the_rarest_word(weather: Table) -> None:
    assert weather.known_share(["rain", "wind", "snow"]) == pytest.approx(2 / 6)
    assert weather.known_share(["rain", "never a pair"]) == 1, "pairs of words do not count"
    assert weather.known_share([]) == 1


def spoilt(change: Callable[[Any], Any]) -> str:
    content = table(["rain", "sun"], {"a": {}, "b": {}})
    return json.dumps(change(content) or content)


BAD = {
    "a truncated file": spoilt(lambda content: None)[:200],
    "a list": "[]",
    "another format": spoilt(lambda content: content.update(format=2)),
    "no vocabulary": spoilt(lambda content: content.pop("vocabulary") and None),
    "an empty vocabulary": spoilt(lambda content: content["vocabulary"].update(tokens=[], idf=numbers([]))),
    "a token twice": spoilt(lambda content: content["vocabulary"].update(tokens=["sun", "sun"])),
    "weights of another length": spoilt(lambda content: content["category"]["weights"].__setitem__(0, numbers([1]))),
    "half a number": spoilt(lambda content: content["category"]["weights"][0].update(int16="AAA=")),
    "letters that are no base64": spoilt(lambda content: content["category"]["weights"][0].update(int16="?" * 8)),
    "a class too many": spoilt(lambda content: content["category"]["classes"].append("c")),
    "no finite step": spoilt(lambda content: content["category"]["weights"][0].update(step=math.nan)),
    "no finite intercept": spoilt(lambda content: content["category"].update(intercepts=[0, math.inf])),
    "offsets that are a list": spoilt(lambda content: content["transient"].update(offsets=[])),
    "nesting without end": "[" * 100_000,
}


@pytest.mark.parametrize("text", BAD.values(), ids=BAD.keys())
def test_what_is_no_table_is_refused_by_name(text: str) -> None:
    with pytest.raises(BadDataFile, match=r"models/triage/0\.1\.0/table\.json: is no table .*train again"):
        Table.load(text, "models/triage/0.1.0/table.json")


def test_bytes_that_are_no_text_are_refused() -> None:
    with pytest.raises(BadDataFile, match=r"table\.json"):
        Table.load(b"\xff\xfe\x00\xd8")


def test_a_fresh_process_classifies_without_any_library() -> None:
    given = table_text(["disk", "full"], {"network_timeout": {}, "storage_exhaustion": {"disk": 5}}).encode()
    done = subprocess.run([sys.executable, "-c", FRESH], input=given, capture_output=True, env={"PYTHONPATH": str(PLUGINS)}, check=True)
    assert done.stdout.decode().splitlines() == ["storage_exhaustion", ""]
