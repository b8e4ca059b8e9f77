"""The world moves: other categories, fingerprints never seen, repairs that help less; and champions that are worse."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from tests.learn.past import RESET, Past
from tests.simulated_airflow import SimulatedAirflow
from tests.simulated_world import Dag
from tests.tick.scene import sign_in

from airflow_oncall.incident import ActionKind, ModelVersion
from airflow_oncall.learn.drift import Drift, measure_drift, stability_index, success_rate
from airflow_oncall.learn.registry import load_champion, save_model
from airflow_oncall.learn.reign import failing
from airflow_oncall.store.labels import VerifiedAction
from airflow_oncall.store.records import now
from airflow_oncall.store.sql import Store
from airflow_oncall.training import LAST, NAME
from airflow_oncall.upkeep import EVERY, LOOKED, TRAIN_DAG, look_after_models

WEEK = timedelta(days=7)
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


# from a store to a training, on both databases


@dataclass
class Site:
    """A store with a past, and an Airflow that has the training's DAG."""

    store: Store
    airflow: SimulatedAirflow
    root: Path

    def __post_init__(self) -> None:
        self.past = Past(self.store)

    def trained_a_week_ago(self) -> None:
        week_ago = (now() - WEEK).isoformat()
        self.store.cursors.set(LAST, {"ended_at": week_ago, "trained_at": week_ago, "dataset": "d"})

    def an_hour_later(self) -> list[str]:
        """What triage does next; the run_ids of all trainings started so far."""
        self.store.cursors.set(LOOKED, (now() - EVERY).isoformat())
        look_after_models(self.store, sign_in(self.airflow.url))
        return [run_id for dag_id, run_id in self.airflow.runs if dag_id == TRAIN_DAG]


@pytest.fixture
def site(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    monkeypatch.setenv("AIRFLOW__ONCALL__MODELS_PATH", str(tmp_path))
    with SimulatedAirflow() as airflow:
        airflow.dags[TRAIN_DAG] = Dag()
        site = Site(store, airflow, tmp_path)
        site.trained_a_week_ago()
        yield site


def labels(site: Site, count: int, at: datetime) -> None:
    for number in range(count):
        site.past.repaired(site.past.failed("known", at=at), at=at + timedelta(milliseconds=number))


def test_a_hundred_new_labels_start_one_training(site: Site) -> None:
    labels(site, 99, now() - timedelta(days=1))
    assert site.an_hour_later() == []
    labels(site, 1, now() - timedelta(hours=1))
    (run_id,) = site.an_hour_later()
    assert site.an_hour_later() == [run_id], "the same news do not start another"


def test_another_mix_of_unseen_failures_starts_one_training(site: Site) -> None:
    for number in range(50):
        site.past.failed("known", at=now() - WEEK - timedelta(hours=number + 1))
        site.past.failed(f"new-{number}", diagnosis=replace(RESET, category="rate_limit"), at=now() - timedelta(hours=number + 1))
    assert len(site.an_hour_later()) == len(site.an_hour_later()) == 1


def test_repairs_that_no_longer_help_start_one_training(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__ONCALL__TRAIN_NEW_LABELS", "0")
    site.past.many(20, resolved=18, at=now() - WEEK - timedelta(days=1))
    site.past.many(20, resolved=18, at=now() - timedelta(days=2))
    assert site.an_hour_later() == []
    site.past.many(40, resolved=10, at=now() - timedelta(days=1))
    assert len(site.an_hour_later()) == len(site.an_hour_later()) == 1


def test_a_champion_whose_repairs_fail_is_rolled_back_by_itself(site: Site) -> None:
    save_model(site.root, site.store.models, NAME, "0.1.0", {"is": "0.1.0"}, {})
    site.past.many(20, resolved=18, at=now())
    save_model(site.root, site.store.models, NAME, "0.2.0", {"is": "0.2.0"}, {})
    site.past.many(20, resolved=10, at=now())
    site.an_hour_later()
    loaded = load_champion(site.root, site.store.models, NAME)
    assert loaded is not None
    assert loaded[0] == {"is": "0.1.0"}


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
