from __future__ import annotations

import logging
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from airflow_oncall.errors import UntrustedModel
from airflow_oncall.incident import ModelVersion
from airflow_oncall.learn import corpus, starter
from airflow_oncall.learn.dataset import Example
from airflow_oncall.learn.registry import load_champion, load_model, save_model
from airflow_oncall.learn.starter import NAME, load_starter, train_starter
from airflow_oncall.triage.features import read_features, tokens
from airflow_oncall.triage.table import Table


class Registry:
    """The ``ModelVersions`` protocol in memory."""

    def __init__(self) -> None:
        self.models: dict[tuple[str, str], ModelVersion] = {}
        self.order: list[tuple[str, str]] = []

    def register(self, model: ModelVersion) -> None:
        self.models[model.name, model.version] = model

    def describe(self, name: str, version: str, metrics: Mapping[str, Any], files: Mapping[str, str]) -> None:
        self.models[name, version] = replace(self.models[name, version], metrics=metrics, files=files)

    def promote(self, name: str, version: str, *, actor: str = "learn", reason: str = "", instead_of: str | None = None) -> None:
        self.order.append((name, version))

    def withdraw(self, name: str, version: str, *, actor: str = "learn", reason: str = "") -> None:
        self.order.remove((name, version))

    def champions(self, name: str) -> Sequence[ModelVersion]:
        return [self.models[key] for key in reversed(self.order) if key[0] == name]

    def list(self, name: str | None = None) -> Sequence[ModelVersion]:
        return [model for model in self.models.values() if name in (None, model.name)]

    def get(self, name: str, version: str) -> ModelVersion | None:
        return self.models.get((name, version))


@pytest.fixture
def registry() -> Registry:
    return Registry()


@pytest.fixture
def two_champions(tmp_path: Path, registry: Registry) -> Registry:
    """``{"number": 2}`` reigns, ``{"number": 1}`` is its predecessor."""
    save_model(tmp_path, registry, NAME, "1", {"number": 1}, {})
    save_model(tmp_path, registry, NAME, "2", {"number": 2}, {})
    return registry


def number(tmp_path: Path, registry: Registry) -> object:
    loaded = load_champion(tmp_path, registry, NAME)
    return loaded and loaded[0]["number"]


def test_starter_training_ends_with_a_champion_that_reads_texts(
    tmp_path: Path, registry: Registry, monkeypatch: pytest.MonkeyPatch, few: list[Example]
) -> None:
    monkeypatch.setattr(starter, "read_corpus", lambda: few)
    model = train_starter(tmp_path, registry)
    assert (model.name, model.version, model.metrics["rows"]) == (NAME, "0.1.0", len(few))
    loaded = load_starter(tmp_path, registry)
    assert loaded is not None
    models, name = loaded
    assert name == models.version == "triage 0.1.0"
    read = models.read(read_features("java.lang.OutOfMemoryError: Java heap space in worker 12"))
    assert read.category == "memory_exhaustion"
    assert sum(read.probabilities.values()) == pytest.approx(1.0)


def test_the_table_stands_beside_the_pickle_and_says_the_same(tmp_path: Path, registry: Registry, few: list[Example]) -> None:
    train_starter(tmp_path, registry, few)
    loaded = load_starter(tmp_path, registry)
    assert loaded is not None
    table = Table.load((tmp_path / NAME / "0.1.0" / "table.json").read_bytes())
    text = "java.lang.OutOfMemoryError: Java heap space in worker 12"
    assert table.probabilities(tokens(text)) == pytest.approx(dict(loaded[0].read(read_features(text)).probabilities), abs=1e-3)


def test_a_second_training_has_a_version_of_its_own(tmp_path: Path, registry: Registry, few: list[Example]) -> None:
    assert [train_starter(tmp_path, registry, few).version for _ in range(2)] == ["0.1.0", "0.2.0"]


def test_the_reigning_champion_is_loaded(tmp_path: Path, two_champions: Registry) -> None:
    assert number(tmp_path, two_champions) == 2


def test_an_altered_file_falls_back_to_its_predecessor_with_a_warning(
    tmp_path: Path, two_champions: Registry, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / NAME / "2" / "model.joblib").write_bytes(b"not what was saved")
    with caplog.at_level(logging.WARNING):
        assert number(tmp_path, two_champions) == 1
    assert "SHA-256" in caplog.text


def test_a_truncated_file_falls_back(tmp_path: Path, two_champions: Registry) -> None:
    path = tmp_path / NAME / "2" / "model.joblib"
    path.write_bytes(path.read_bytes()[:-3])
    assert number(tmp_path, two_champions) == 1


def test_a_missing_file_falls_back(tmp_path: Path, two_champions: Registry) -> None:
    (tmp_path / NAME / "2" / "model.joblib").unlink()
    assert number(tmp_path, two_champions) == 1


def test_another_scikit_learn_falls_back(tmp_path: Path, two_champions: Registry, caplog: pytest.LogCaptureFixture) -> None:
    two_champions.register(replace(two_champions.models[NAME, "2"], library="scikit-learn 0.1"))
    assert number(tmp_path, two_champions) == 1
    assert "scikit-learn 0.1" in caplog.text


def test_with_nothing_left_to_trust_rules_stand_alone(tmp_path: Path, two_champions: Registry) -> None:
    for path in tmp_path.rglob("model.joblib"):
        path.unlink()
    assert load_champion(tmp_path, two_champions, NAME) is None
    assert load_starter(tmp_path, two_champions) is None


def test_an_unregistered_file_is_never_loaded(tmp_path: Path, two_champions: Registry) -> None:
    assert load_champion(tmp_path, Registry(), NAME) is None


def test_a_path_outside_the_models_folder_is_refused(tmp_path: Path, two_champions: Registry) -> None:
    with pytest.raises(UntrustedModel, match="leaves the models folder"):
        load_model(tmp_path, replace(two_champions.models[NAME, "2"], path="../elsewhere/model.joblib"))


def test_a_disk_error_while_saving_leaves_the_champion(tmp_path: Path, two_champions: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        save_model(tmp_path, two_champions, NAME, "3", {"number": 3}, {})
    assert number(tmp_path, two_champions) == 2
    assert not list(tmp_path.rglob(".saving-*"))


@pytest.mark.parametrize("moment", ["os.replace", "register", "promote"])
def test_kill_minus_9_while_saving_leaves_the_champion(tmp_path: Path, two_champions: Registry, moment: str) -> None:
    script = f"""
import os, signal
from pathlib import Path
from airflow_oncall.learn.registry import save_model
def die(*_): os.kill(os.getpid(), signal.SIGKILL)
class Dying:
    def register(self, model): {"die()" if moment == "register" else "pass"}
    def promote(self, name, version): {"die()" if moment == "promote" else "pass"}
{"os.replace = die" if moment == "os.replace" else ""}
save_model(Path({str(tmp_path)!r}), Dying(), {NAME!r}, "3", {{"number": 3}}, {{}})
"""
    plugins = str(Path(corpus.__file__).parents[2])
    ended = subprocess.run([sys.executable, "-c", script], env={"PYTHONPATH": plugins, "PATH": ""}, check=False, capture_output=True)
    assert ended.returncode == -signal.SIGKILL, ended.stderr.decode()
    assert number(tmp_path, two_champions) == 2
