"""What a report advises, and when it keeps quiet."""

from __future__ import annotations

from dataclasses import replace

import pytest

from airflow_oncall.reports.areas import AdviceBasis, advice
from airflow_oncall.store.rankings import Handled, Noisy

QUIET = AdviceBasis(
    opened=100,
    by_category={"network_timeout": 95, "unknown": 5},
    handled=[Handled("network_timeout", decided=95, escalated=5, tried=80, helped=70)],
    flapping=[],
    calibration_error=0.05,
    waiting=0,
    labels={"category": 12},
)


def test_where_all_is_well_nothing_is_advised() -> None:
    assert advice(QUIET) == []


@pytest.mark.parametrize(
    ("standing", "said"),
    [
        (replace(QUIET, waiting=3), "3 questions have waited for more than 12 hours"),
        (replace(QUIET, labels=QUIET.labels | {"no_answer": 2}), "2 questions were answered by nobody in time"),
        (replace(QUIET, handled=[Handled("rate_limit", 20, 0, tried=10, helped=2)]), "Repairs of rate_limit seldom help (2 of 10)"),
        (
            replace(QUIET, handled=[Handled("code_error", 20, 19, tried=0, helped=0)]),
            "code_error is nearly always left to people",
        ),
        (replace(QUIET, by_category={"unknown": 40}), "40% of the incidents have no known cause"),
        (replace(QUIET, flapping=[Noisy("nightly", "load", 9, 8)]), "nightly.load failed and recovered 8 times: what helps"),
        (replace(QUIET, flapping=[Noisy("nightly", "load", 9, 8)] * 3), "8 times, and so did 2 others"),
        (replace(QUIET, calibration_error=0.3), "differ by 30% on average"),
        (replace(QUIET, labels={}), "Nobody said whether a category was right"),
    ],
    ids=["waiting", "no answer", "seldom helps", "left to people", "unknown", "flapping", "several flap", "calibration", "no feedback"],
)
def test_each_weakness_is_advised_on(standing: AdviceBasis, said: str) -> None:
    (line,) = advice(standing)
    assert said in line


def test_nothing_is_concluded_from_a_few() -> None:
    few = AdviceBasis(4, {"unknown": 4}, [Handled("rate_limit", 4, 4, 4, 0)], [], None, 0, {})
    assert advice(few) == []
