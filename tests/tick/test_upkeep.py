"""Between trainings: an early start for enough news, and the end of a champion that does worse than its predecessor."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import text
from tests.learn.past import RESET, Past
from tests.simulated_airflow import SimulatedAirflow
from tests.simulated_world import Dag
from tests.tick.scene import sign_in

from airflow_oncall import upkeep
from airflow_oncall.errors import BadSetting, ChampionChanged
from airflow_oncall.incident import ModelVersion
from airflow_oncall.learn.registry import save_model
from airflow_oncall.rest import AirflowApi
from airflow_oncall.store.records import now
from airflow_oncall.store.sql import Store
from airflow_oncall.training import LAST, NAME
from airflow_oncall.upkeep import EVERY, TRAIN_DAG, look_after_models, roll_back_if_failing, start_early

LAST_WEEK = now() - timedelta(days=7)
YESTERDAY = now() - timedelta(days=1, hours=1)


@dataclass
class Watch:
    """A store with a champion, an Airflow with the training's DAG, and a past."""

    store: Store
    airflow: SimulatedAirflow
    root: Path

    def __post_init__(self) -> None:
        self.api: AirflowApi = sign_in(self.airflow.url)
        self.past = Past(self.store)

    def trained(self, ended_at: datetime = LAST_WEEK) -> None:
        """The last training ended then."""
        self.store.cursors.set(LAST, {"ended_at": ended_at.isoformat(), "trained_at": LAST_WEEK.isoformat(), "dataset": "d"})

    def started(self) -> list[str]:
        """run_ids of trainings that were started."""
        return [run_id for dag_id, run_id in self.airflow.runs if dag_id == TRAIN_DAG]

    @property
    def reigning(self) -> ModelVersion:
        return self.store.models.champions(NAME)[0]


@pytest.fixture
def watch(sqlite_store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Watch]:
    monkeypatch.setenv("AIRFLOW__ONCALL__MODELS_PATH", str(tmp_path))
    monkeypatch.setenv("AIRFLOW__ONCALL__TRAIN_NEW_LABELS", "3")
    with SimulatedAirflow() as airflow:
        airflow.dags[TRAIN_DAG] = Dag()
        yield Watch(sqlite_store, airflow, tmp_path)


@pytest.fixture
def labelled(watch: Watch) -> Watch:
    """Trained a week ago, three labels since."""
    watch.trained()
    for number in range(3):
        watch.past.repaired(watch.past.failed(f"f{number}"))
    return watch


# early start


def test_enough_new_labels_start_a_training(labelled: Watch) -> None:
    assert start_early(labelled.store, labelled.api) == "3 new labels since the last training"
    assert labelled.started() == [f"oncall-early-{LAST_WEEK:%Y%m%dT%H%M%S}"]


def test_asked_twice_it_is_one_run(labelled: Watch) -> None:
    start_early(labelled.store, labelled.api)
    start_early(labelled.store, labelled.api)
    assert len(labelled.started()) == 1


def test_few_new_labels_wait_for_the_week_to_end(watch: Watch) -> None:
    watch.trained()
    watch.past.repaired(watch.past.failed())
    assert start_early(watch.store, watch.api) == ""
    assert watch.started() == []


def test_labels_from_before_the_last_training_do_not_count(labelled: Watch) -> None:
    now_trained = {"ended_at": YESTERDAY.isoformat(), "trained_at": now().isoformat(), "dataset": "d"}
    labelled.store.cursors.set(LAST, now_trained)
    assert start_early(labelled.store, labelled.api) == ""


def test_drift_starts_a_training(watch: Watch, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__ONCALL__TRAIN_NEW_LABELS", "0")
    watch.trained()
    for number in range(50):
        watch.past.failed("known", at=LAST_WEEK - timedelta(hours=number + 1))
        watch.past.failed(f"new-{number}", diagnosis=replace(RESET, category="rate_limit"), at=YESTERDAY)
    assert "never seen" in start_early(watch.store, watch.api)
    assert len(watch.started()) == 1


def test_a_training_that_just_ended_is_not_followed_by_another(labelled: Watch) -> None:
    labelled.trained(ended_at=now())
    assert start_early(labelled.store, labelled.api) == ""


def test_before_the_first_training_nothing_is_started(watch: Watch) -> None:
    assert start_early(watch.store, watch.api) == ""


def test_an_airflow_without_the_dag_is_no_reason_to_fail(labelled: Watch, caplog: pytest.LogCaptureFixture) -> None:
    del labelled.airflow.dags[TRAIN_DAG]
    look_after_models(labelled.store, labelled.api)
    assert "no training is started early" in caplog.text


def test_it_is_looked_at_once_an_hour(labelled: Watch) -> None:
    look_after_models(labelled.store, labelled.api)
    labelled.trained(ended_at=YESTERDAY)
    look_after_models(labelled.store, labelled.api)
    assert len(labelled.started()) == 1
    labelled.store.cursors.set(upkeep.LOOKED, (now() - EVERY).isoformat())
    look_after_models(labelled.store, labelled.api)
    assert len(labelled.started()) == 2


def test_it_is_looked_at_though_a_clock_that_was_ahead_looked_last(labelled: Watch) -> None:
    labelled.store.cursors.set(upkeep.LOOKED, (now() + timedelta(days=3650)).isoformat())
    look_after_models(labelled.store, labelled.api)
    assert len(labelled.started()) == 1


# a champion that does worse than its predecessor


@pytest.fixture
def reign(watch: Watch) -> Watch:
    """0.1.0, under which 18 of 20 repairs helped, was followed by 0.2.0."""
    for version in ("0.1.0", "0.2.0"):
        save_model(watch.root, watch.store.models, NAME, version, {"is": version}, {})
        if version == "0.1.0":
            watch.past.many(20, resolved=18, at=now())
    return watch


def test_a_failing_champion_is_rolled_back_with_a_reason(reign: Watch) -> None:
    reign.past.many(20, resolved=10, at=now())
    reason = roll_back_if_failing(reign.store)
    assert reason == "under 0.2.0 50% of the repairs succeed, under 0.1.0 it was 90%; the margin is 10%"
    assert reign.reigning.version == "0.1.0"
    assert (reign.root / NAME / "latest").read_text() == "0.1.0\n"
    withdrawn = reign.store.models.get(NAME, "0.2.0")
    assert withdrawn is not None
    assert withdrawn.withdrawn_at is not None
    with reign.store.engine.connect() as connection:
        (detail,) = connection.execute(text("SELECT detail FROM oncall_audit WHERE what = 'rolled back' AND actor = 'upkeep'")).scalars()
    assert reason in str(detail)


def test_a_champion_within_the_margin_stays(reign: Watch, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__ONCALL__ROLLBACK_MARGIN", "0.5")
    reign.past.many(20, resolved=10, at=now())
    assert roll_back_if_failing(reign.store) == ""
    assert reign.reigning.version == "0.2.0"


@pytest.mark.parametrize("margin", ["much", "-0.1", "10", "nan"])
def test_a_margin_that_is_no_share_is_refused(reign: Watch, monkeypatch: pytest.MonkeyPatch, margin: str) -> None:
    monkeypatch.setenv("AIRFLOW__ONCALL__ROLLBACK_MARGIN", margin)
    with pytest.raises(BadSetting, match=r"rollback_margin has value .*; it must be a number from 0 to 1"):
        roll_back_if_failing(reign.store)


def test_the_predecessor_is_not_rolled_back_for_what_its_successor_did(reign: Watch) -> None:
    reign.past.many(20, resolved=10, at=now())
    roll_back_if_failing(reign.store)
    assert roll_back_if_failing(reign.store) == ""
    assert reign.reigning.version == "0.1.0"


def test_somebody_who_was_faster_is_left_alone(reign: Watch, monkeypatch: pytest.MonkeyPatch) -> None:
    reign.past.many(20, resolved=10, at=now())

    def taken(*_: object, **__: object) -> None:
        raise ChampionChanged("0.2.0 does not reign")

    monkeypatch.setattr(type(reign.store.models), "withdraw", taken)
    assert roll_back_if_failing(reign.store) == ""


def test_the_name_that_a_killed_promotion_left_behind_is_mended(reign: Watch) -> None:
    (reign.root / NAME / "latest").write_text("0.1.0\n")
    look_after_models(reign.store, reign.api)
    assert (reign.root / NAME / "latest").read_text() == "0.2.0\n"
