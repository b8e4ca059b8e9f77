"""The starter models: from the corpus to a champion on the spot, with papers, one training at a time."""

from __future__ import annotations

import json
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from threading import Barrier, Event

import pytest

from airflow_oncall.brain import load_brain
from airflow_oncall.errors import TrainingSkipped
from airflow_oncall.learn import starter
from airflow_oncall.learn.dataset import Example, row_digest
from airflow_oncall.learn.fitting import Fitted, fit_models
from airflow_oncall.learn.registry import verify_models
from airflow_oncall.learn.starter import NAME, load_starter, train_starter
from airflow_oncall.store.sql import Store
from airflow_oncall.training import Training, run_training
from airflow_oncall.triage.features import read_features, tokens
from airflow_oncall.triage.models import TriageModels
from airflow_oncall.triage.table import Table

HEAP = "java.lang.OutOfMemoryError: Java heap space in worker 12"
TURN = f"training {NAME}"


@pytest.fixture
def folder(tmp_path: Path, sqlite_store: Store, few: list[Example]) -> Path:
    """Folder of the starter that reigns."""
    return tmp_path / NAME / train_starter(tmp_path, sqlite_store.models, few).version


def reigning(root: Path, store: Store) -> TriageModels:
    loaded = load_starter(root, store.models)
    assert loaded is not None
    return loaded[0]


def test_starter_training_ends_with_a_champion_that_reads_texts(
    tmp_path: Path, sqlite_store: Store, monkeypatch: pytest.MonkeyPatch, few: list[Example]
) -> None:
    monkeypatch.setattr(starter, "read_corpus", lambda: few)
    model = train_starter(tmp_path, sqlite_store.models)
    assert (model.name, model.version) == (NAME, "0.1.0")
    loaded = load_starter(tmp_path, sqlite_store.models)
    assert loaded is not None
    models, name = loaded
    assert name == models.version == "triage 0.1.0"
    read = models.read(read_features(HEAP))
    assert read.category == "memory_exhaustion"
    assert sum(read.probabilities.values()) == pytest.approx(1.0)


def test_the_table_stands_beside_the_pickle_and_says_the_same(tmp_path: Path, sqlite_store: Store, folder: Path) -> None:
    table = Table.load((folder / "table.json").read_bytes())
    expected = reigning(tmp_path, sqlite_store).read(read_features(HEAP)).probabilities
    assert table.probabilities(tokens(HEAP)) == pytest.approx(dict(expected), abs=1e-3)


def test_a_second_training_has_a_version_of_its_own(tmp_path: Path, sqlite_store: Store, folder: Path, few: list[Example]) -> None:
    assert train_starter(tmp_path, sqlite_store.models, few).version == "0.2.0"


# its papers


def test_a_starter_has_its_papers_and_says_which_are_missing(tmp_path: Path, sqlite_store: Store, folder: Path, few: list[Example]) -> None:
    assert set(os.listdir(folder)) == {"model.joblib", "table.json", "rows.txt", "card.md", "metrics.json"}
    assert not any(checked.problems for checked in verify_models(tmp_path, sqlite_store.models))
    card = (folder / "card.md").read_text()
    assert "- a starter: no search, no comparison and no gate" in card
    assert "- no pictures: " in card
    assert f"## On the unseen groups ({len(few)} rows)" in card
    assert "| macro-F1 | " in card
    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics["rows"]["origin"] == {"corpus": len(few)}
    assert {"features", "classes", "parameters", "libraries", "dataset"} <= metrics.keys()


def test_a_starter_names_the_rows_it_was_trained_on(folder: Path, few: list[Example]) -> None:
    assert (folder / "rows.txt").read_text().split() == sorted(map(row_digest, few))


# what comes in


def test_rows_that_are_said_twice_or_contradict_each_other_do_not_teach(tmp_path: Path, sqlite_store: Store, few: list[Example]) -> None:
    disputed = replace(few[0], text="the wheel squeaks", group="wheel-1")
    rows = [*few, few[0], disputed, replace(disputed, category="authentication", group="wheel-2")]
    model = train_starter(tmp_path, sqlite_store.models, rows)
    assert model.metrics["rows"]["origin"] == {"corpus": len(few)}
    card = (tmp_path / NAME / model.version / "card.md").read_text()
    assert "- 1 rows left out: said twice" in card
    assert "- 1 texts left out: equally trusted labels contradict each other" in card


def test_texts_that_are_not_a_number_are_left_out(tmp_path: Path, sqlite_store: Store, few: list[Example]) -> None:
    model = train_starter(tmp_path, sqlite_store.models, [*few, replace(few[0], text=float("nan"))])  # type: ignore[arg-type]
    assert "1 rows left out: the text is missing" in model.metrics["notes"]


def test_one_class_cannot_be_told_apart_and_leaves_the_champion(
    tmp_path: Path, sqlite_store: Store, folder: Path, few: list[Example]
) -> None:
    with pytest.raises(TrainingSkipped, match="usable examples of code_error; a classifier needs at least two categories"):
        train_starter(tmp_path, sqlite_store.models, [row for row in few if row.category == "code_error"])
    assert [model.version for model in sqlite_store.models.champions(NAME)] == ["0.1.0"]
    assert sqlite_store.leases.holder(TURN) is None


# one at a time


def test_of_two_starter_trainings_at_one_moment_one_trains(
    store: Store, tmp_path: Path, few: list[Example], monkeypatch: pytest.MonkeyPatch
) -> None:
    start, other_left = Barrier(2), Event()

    def fit(*rows: list[Example], **how: object) -> Fitted:
        other_left.wait(30)
        return fit_models(*rows)

    def train(_: int) -> str:
        start.wait(30)
        try:
            return train_starter(tmp_path, store.models, few).version
        except TrainingSkipped as reason:
            return str(reason)
        finally:
            other_left.set()

    monkeypatch.setattr(starter, "fit_models", fit)
    with ThreadPoolExecutor(2) as pool:
        version, reason = sorted(pool.map(train, range(2)))

    assert version == "0.1.0"
    assert reason.startswith("a starter training (")
    assert "is training already; train again when it is done" in reason
    assert [model.version for model in store.models.list(NAME)] == ["0.1.0"]
    assert store.leases.holder(TURN) is None


def test_a_starter_and_the_weekly_training_keep_out_of_each_others_way(tmp_path: Path, sqlite_store: Store, few: list[Example]) -> None:
    sqlite_store.models.begin_training(NAME, "weekly", timedelta(hours=1))
    with pytest.raises(TrainingSkipped, match="weekly is training already"):
        train_starter(tmp_path, sqlite_store.models, few)
    sqlite_store.models.end_training(NAME, "weekly")
    sqlite_store.models.begin_training(NAME, "a starter training (1)", timedelta(minutes=1))
    told = run_training(Training(sqlite_store, tmp_path, "weekly"))
    assert "a starter training (1) is training already" in told["reasons"][0]
    assert sqlite_store.models.list(NAME) == []


def test_triage_goes_on_by_rules_while_somebody_else_trains_the_first_models(
    tmp_path: Path, sqlite_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW__ONCALL__MODELS_PATH", str(tmp_path))
    sqlite_store.models.begin_training(NAME, "a starter training (1)", timedelta(minutes=1))
    found = load_brain(sqlite_store).diagnose("java.lang.OutOfMemoryError: Java heap space", (), None, False)
    assert (found.category, found.decided_by, found.model_version) == ("memory_exhaustion", "rules", None)
    assert sqlite_store.models.list(NAME) == []
