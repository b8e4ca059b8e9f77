"""Many regular expressions in one pass."""

from __future__ import annotations

import re

import pytest

from airflow_oncall.regexes import RegexSet

REFUSED, NOT_A_TEST, NUMBER = "connection refused", r"error (?!in test)", r"code \d+"


@pytest.fixture
def expressions() -> RegexSet:
    return RegexSet([re.compile(pattern) for pattern in (REFUSED, NOT_A_TEST, NUMBER)])


@pytest.mark.parametrize(
    ("text", "places"),
    [
        ("all is well", set()),
        ("Connection REFUSED, code 7", {0, 2}),
        ("error in test, code 7", {2}),
        ("error in production", {1}),
        ("Verbindung verweigert – code 7 \udce4", {2}),
        ("", set()),
    ],
)
def test_the_expressions_that_occur_are_named_by_their_places(expressions: RegexSet, text: str, places: set[int]) -> None:
    assert expressions.matching(text) == places


def test_no_expression_matches_nothing() -> None:
    assert RegexSet([]).matching("anything") == frozenset()


def test_an_expression_that_would_backtrack_for_ever_does_not() -> None:
    nested = RegexSet([re.compile(r"(a+)+b")])
    assert nested.matching("a" * 5_000) == frozenset()
