"""A sample of the PostgreSQL scenarios, provoked again on live servers: they still say what the shipped corpus says."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import pytest
from lab.engines.postgres import PostgresEngine
from lab.record import CORPUS, Row, recordings
from lab.scenario import Scenario, read_scenarios

pytestmark = pytest.mark.postgres
SAMPLE = ("relation-missing-copy", "table-denied", "nowait")
"""A missing table, a missing right, and a row that another session holds."""
AT_HAND = ("psycopg", "psql", "psql-file", "psql-verbose")
"""Clients that the test group installs; the corpus was made with more."""


@pytest.fixture(scope="module")
def engine() -> Iterator[PostgresEngine]:
    """Its servers start with the first scenario that needs them."""
    with PostgresEngine() as running:
        yield running


@pytest.fixture(scope="module")
def corpus() -> list[Row]:
    """The shipped rows of this engine."""
    return [json.loads(line) for line in (CORPUS / "postgres.jsonl").read_text(encoding="utf-8").splitlines()]


@pytest.fixture(params=SAMPLE)
def scenario(request: pytest.FixtureRequest) -> Scenario:
    """One of the sample."""
    return next(one for one in read_scenarios("postgres") if one.id == request.param)


def message(text: str, scenario: Scenario, variation: int) -> str:
    """The words that the fault is known by, as this text has them; csvlog and jsonlog escape quotes."""
    plain = text.replace('""', '"').replace('\\"', '"')
    found = re.search(scenario.fill(scenario.shows, scenario.variations[variation]), plain)
    assert found is not None, f"{scenario.shows!r} is not in:\n{text}"
    return found[0]


def test_a_fault_provoked_again_says_what_the_corpus_says(scenario: Scenario, engine: PostgresEngine, corpus: list[Row]) -> None:
    variation = next(number for number, values in enumerate(scenario.variations) if values["client"] in AT_HAND)
    place = {"scenario": scenario.id, "variation": variation}
    shipped = [row for row in corpus if place.items() <= row["provenance"].items()]
    live = list(recordings(engine, scenario, scenario.variations[variation]))
    assert {one.view.split()[0] for one in live} == {row["provenance"]["view"].split()[0] for row in shipped} == {"client", "server"}
    assert {message(one.text, scenario, variation) for one in live} == {message(row["text"], scenario, variation) for row in shipped}


def test_the_corpus_has_what_the_scenarios_promise(corpus: list[Row]) -> None:
    scenarios = {one.id: one for one in read_scenarios("postgres")}
    assert {row["provenance"]["scenario"] for row in corpus} == set(scenarios)
    assert all(row["category"] == scenarios[row["provenance"]["scenario"]].category for row in corpus)
