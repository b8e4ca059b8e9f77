"""Promoted only where nowhere worse and somewhere better, with the reason in words."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_oncall.learn.gate import gate


def report(f1: float = 0.8, precision: float = 0.9, ece: float = 0.05, width: float = 0.02) -> dict[str, Any]:
    figures = {"macro_f1_lenient": f1, "transient_precision": precision, "ece": ece}
    return {**figures, "intervals": {name: [value - width, value + width] for name, value in figures.items()}}


def unseen(**figures: float) -> dict[str, dict[str, Any]]:
    return {"unseen groups": report(**figures)}


def test_a_challenger_that_is_better_passes() -> None:
    passage = gate(unseen(f1=0.85), {"champion": unseen()})
    assert passage.is_open
    assert passage.reasons == ("macro-F1 on the unseen groups is 0.850, champion: 0.800", "nothing is worse beyond its interval")


@pytest.mark.parametrize(
    ("worse", "named"), [({"f1": 0.75}, "macro-F1"), ({"precision": 0.85}, "transient precision"), ({"ece": 0.09}, "ECE")]
)
def test_one_figure_that_is_worse_beyond_its_interval_closes_the_gate(worse: dict[str, float], named: str) -> None:
    better = {"f1": 0.9, "precision": 0.95, "ece": 0.01}
    passage = gate(unseen(**{**better, **worse}), {"champion": unseen()})
    assert not passage.is_open
    (reason,) = passage.reasons
    assert reason.startswith(f"{named} on the unseen groups is")
    assert "champion: " in reason


def test_worse_within_the_interval_is_noise() -> None:
    assert gate(unseen(f1=0.79, ece=0.04), {"champion": unseen()}).is_open


def test_a_tie_keeps_the_champion() -> None:
    passage = gate(unseen(), {"champion": unseen()})
    assert not passage.is_open
    assert passage.reasons == ("nothing is worse, but nothing is better either: the champion stays",)


def test_a_tie_replaces_a_champion_of_an_older_release() -> None:
    passage = gate(unseen(), {"champion": unseen()}, outdated="the champion 0.1.0 was trained with other libraries")
    assert passage.is_open
    assert passage.reasons[0] == "the champion 0.1.0 was trained with other libraries"


def test_being_better_on_unseen_groups_does_not_excuse_being_worse_on_the_newest_labels() -> None:
    challenger = {"unseen groups": report(f1=0.9), "newest labels": report(f1=0.5)}
    champion = {"unseen groups": report(), "newest labels": report()}
    passage = gate(challenger, {"champion": champion})
    assert not passage.is_open
    assert "newest labels" in passage.reasons[0]


def test_the_first_model_has_to_stand_up_to_rules_alone() -> None:
    assert gate(unseen(), {"rules": unseen(f1=0.7)}).is_open
    passage = gate(unseen(f1=0.6), {"rules": unseen()})
    assert not passage.is_open
    assert "rules: 0.800" in passage.reasons[0]


def test_a_figure_that_could_not_be_measured_is_not_compared() -> None:
    champion = unseen()
    del champion["unseen groups"]["transient_precision"]
    assert gate(unseen(f1=0.85, precision=0.1), {"champion": champion}).is_open


def test_who_always_says_the_same_is_no_model_of_calibration() -> None:
    assert gate(unseen(ece=0.05), {"majority": unseen(f1=0.02, ece=0.0)}).is_open
