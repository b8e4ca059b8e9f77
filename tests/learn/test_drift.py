"""The world moves: other categories, fingerprints never seen, repairs that help less; and champions that are worse."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta, timezone

import pytest
from tests.learn.past import RESET, Past

from airflow_oncall.incident import ActionKind, ModelVersion
from airflow_oncall.learn.drift import Drift, measure_drift, stability_index, success_rate
from airflow_oncall.learn.reign import failing
from airflow_oncall.store.labels import VerifiedAction
from airflow_oncall.store.sql import Store

START, SINCE, UNTIL = (datetime(2026, 11, day, tzinfo=timezone.utc) for day in (1, 8, 15))


def test_the_same_mix_has_no_distance_and_another_one_has() -> None:
    assert stability_index({"a": 50, "b": 50}, {"a": 500, "b": 500}) == pytest.approx(0)
    assert stability_index({"a": 50, "b": 50}, {"a": 52, "b": 48}) < 0.1
    assert stability_index({"a": 90, "b": 10}, {"a": 10, "b": 90}) > 0.25


def test_a_category_that_was_never_there_counts_without_breaking_the_index() -> None:
    assert 0.25 < stability_index({"a": 100}, {"a": 50, "b": 50}) < 10


def test_a_quiet_store_does_not_drift(sqlite_store: Store) -> None:
    drift = measure_drift(sqlite_store.labels, START, SINCE, UNTIL)
    assert (drift, drift.reasons) == (Drift(None, None, None, None), ())


def test_new_kinds_of_failure_are_noticed(store: Store) -> None:
    past = Past(store)
    for number in range(50):
        past.failed("known", at=START + timedelta(minutes=number + 1))
    for number in range(50):
        past.failed(f"new-{number}", diagnosis=replace(RESET, category="rate_limit"), at=SINCE + timedelta(minutes=number + 1))
    drift = measure_drift(store.labels, START, SINCE, UNTIL)
    assert drift.unseen == 1.0
    assert drift.mix is not None
    assert drift.mix > 0.25
    assert any("mix of categories" in reason for reason in drift.reasons)
    assert "100% of the incidents have a fingerprint that was never seen (> 50%)" in drift.reasons


def test_repairs_that_help_less_are_noticed(sqlite_store: Store) -> None:
    past = Past(sqlite_store)
    past.many(20, resolved=18, at=START + timedelta(hours=1))
    past.many(20, resolved=9, at=SINCE + timedelta(hours=1))
    drift = measure_drift(sqlite_store.labels, START, SINCE, UNTIL)
    assert (drift.success_before, drift.success_since) == (0.9, 0.45)
    assert drift.reasons == ("repairs succeed in 45%, before in 90%",)


# a champion against its predecessor


def version(name: str, day: int, withdrawn: int | None = None) -> ModelVersion:
    at = START + timedelta(days=day)
    gone = START + timedelta(days=withdrawn) if withdrawn else None
    return ModelVersion("triage", name, f"triage/{name}/model.joblib", "0", "scikit-learn", at, promoted_at=at, withdrawn_at=gone)


def actions(day: int, resolved: int, count: int = 20) -> list[VerifiedAction]:
    at = START + timedelta(days=day, hours=1)
    one = VerifiedAction(at, ActionKind.CLEAR_TASK, False, 1, True, "rate_limit", 0.9, 0.9, False, "f", "d/t")
    return [replace(one, resolved=number < resolved) for number in range(count)]


PREDECESSOR, CHAMPION = version("0.1.0", 0), version("0.2.0", 10)
REIGN = [CHAMPION, PREDECESSOR]


def test_a_champion_under_its_predecessor_by_the_margin_is_failing() -> None:
    reason = failing(REIGN, REIGN, actions(1, 18) + actions(11, 12), 0.1)
    assert reason == "under 0.2.0 60% of the repairs succeed, under 0.1.0 it was 90%; the margin is 10%"


def test_a_champion_within_the_margin_stays() -> None:
    assert failing(REIGN, REIGN, actions(1, 18) + actions(11, 17), 0.1) == ""


def test_few_repairs_are_no_judgement() -> None:
    assert success_rate(actions(1, 0, count=19)) is None
    assert failing(REIGN, REIGN, actions(1, 18) + actions(11, 0, count=5), 0.1) == ""


def test_a_first_champion_has_nobody_to_fall_behind() -> None:
    assert failing([CHAMPION], [CHAMPION], actions(11, 0), 0.1) == ""


def test_what_happened_under_a_withdrawn_version_counts_for_nobody() -> None:
    withdrawn = version("0.1.1", 5, withdrawn=8)
    past = actions(1, 18) + actions(6, 0, count=40) + actions(11, 12)
    assert failing(REIGN, [*REIGN, withdrawn], past, 0.1)
    assert not failing(REIGN, REIGN, past, 0.1), "else the bad time would hide how good the predecessor was"
