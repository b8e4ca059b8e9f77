"""Models on disk and in object storage: whole or not at all, loaded only by registered hash, one champion at every moment."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import zipfile
from dataclasses import dataclass, replace
from pathlib import Path

import joblib
import pytest
from tests.databases import Databases, fresh_store

from airflow_oncall import conf
from airflow_oncall.errors import StoreError, UntrustedModel, VersionTaken
from airflow_oncall.incident import ModelVersion
from airflow_oncall.learn.card import people_files
from airflow_oncall.learn.files import ModelsPath, read_trusted, sha256, write
from airflow_oncall.learn.registry import (
    describe_model,
    export_model,
    import_model,
    load_champion,
    load_model,
    next_version,
    promote_model,
    rollback,
    save_challenger,
    save_model,
    verify_models,
)
from airflow_oncall.store.sql import Store

NAME = "triage"


@dataclass
class Registry:
    """A store and a models folder, with what tests ask of them."""

    store: Store
    root: ModelsPath

    def save(self, version: str, **files: bytes) -> ModelVersion:
        """A model that is but its own version."""
        return save_model(self.root, self.store.models, NAME, version, {"is": version}, {}, {"table.json": b"{}", **files})

    def challenge(self, version: str) -> ModelVersion:
        return save_challenger(self.root, self.store.models, NAME, version, {"is": version}, {})

    @property
    def reigning(self) -> str | None:
        """What the model that is loaded says that it is."""
        loaded = load_champion(self.root, self.store.models, NAME)
        return loaded[0]["is"] if loaded else None

    def text(self, name: str) -> str:
        return (self.root / NAME / name).read_text()


@pytest.fixture
def registry(sqlite_store: Store, tmp_path: Path) -> Registry:
    """0.1.0 was promoted, then 0.2.0."""
    registry = Registry(sqlite_store, tmp_path / "models")
    registry.save("0.1.0")
    registry.save("0.2.0")
    return registry


def folder(registry: Registry, version: str) -> Path:
    assert isinstance(registry.root, Path)
    return registry.root / NAME / version


# saving and loading


def test_every_version_has_its_folder_and_the_champion_is_named_for_people_and_workers(registry: Registry) -> None:
    assert {path.name for path in folder(registry, "0.2.0").iterdir()} == {"model.joblib", "table.json"}
    assert registry.reigning == "0.2.0"
    assert registry.text("latest") == "0.2.0\n"
    pointer = json.loads(registry.text("champion.json"))
    champion = registry.store.models.champions(NAME)[0]
    assert (pointer["version"], pointer["files"]) == ("0.2.0", champion.files)
    assert champion.files.keys() == {"model.joblib", "table.json"}


def test_versions_are_semantic_one_minor_step_a_training(registry: Registry) -> None:
    assert next_version([]) == "0.1.0"
    assert next_version(registry.store.models.list(NAME)) == "0.3.0"
    registry.challenge("0.10.0")
    assert next_version(registry.store.models.list(NAME)) == "0.11.0"


def test_a_challenger_is_saved_and_does_not_reign(registry: Registry) -> None:
    challenger = registry.challenge("0.3.0")
    assert registry.reigning == "0.2.0"
    promote_model(registry.root, registry.store.models, challenger)
    assert registry.reigning == "0.3.0"
    assert registry.text("latest") == "0.3.0\n"


def test_old_versions_stay(registry: Registry) -> None:
    registry.save("0.3.0")
    assert sorted(path.name for path in folder(registry, "").iterdir() if path.is_dir()) == ["0.1.0", "0.2.0", "0.3.0"]


def test_the_second_of_two_trainers_with_one_version_leaves_the_first_ones_file_alone(registry: Registry) -> None:
    before = folder(registry, "0.2.0").joinpath("model.joblib").read_bytes()
    with pytest.raises(VersionTaken):
        save_challenger(registry.root, registry.store.models, NAME, "0.2.0", {"is": "another"}, {})
    assert folder(registry, "0.2.0").joinpath("model.joblib").read_bytes() == before
    assert not list(folder(registry, "0.2.0").glob(".saving-*"))


def test_a_file_that_is_not_registered_is_never_read(registry: Registry) -> None:
    champion = registry.store.models.champions(NAME)[0]
    (folder(registry, "0.2.0") / "other.json").write_text("{}")
    with pytest.raises(UntrustedModel, match=r"other\.json is not registered with it"):
        read_trusted(registry.root, champion, "other.json")


def test_an_altered_table_is_refused(registry: Registry) -> None:
    (folder(registry, "0.2.0") / "table.json").write_text('{"forged": true}')
    with pytest.raises(UntrustedModel, match="SHA-256"):
        read_trusted(registry.root, registry.store.models.champions(NAME)[0], "table.json")


@pytest.mark.parametrize("damage", [lambda content: content[:-3], lambda content: b"", lambda content: b"not a pickle"])
def test_a_damaged_champion_cannot_be_promoted_again(registry: Registry, damage: object) -> None:
    path = folder(registry, "0.1.0") / "model.joblib"
    path.write_bytes(damage(path.read_bytes()))  # type: ignore[operator]
    first = registry.store.models.get(NAME, "0.1.0")
    assert first is not None
    with pytest.raises(UntrustedModel, match="restore it or train it again"):
        promote_model(registry.root, registry.store.models, first)
    assert registry.reigning == "0.2.0"


class Trap:
    """A pickle that, when it is loaded, leaves a trace."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.trace,)


def test_a_pickle_whose_hash_is_not_registered_is_never_unpickled(registry: Registry, tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    joblib.dump(Trap(trace), folder(registry, "0.2.0") / "model.joblib")
    assert registry.reigning == "0.1.0"
    with pytest.raises(UntrustedModel, match="SHA-256"):
        load_model(registry.root, registry.store.models.champions(NAME)[0])
    assert not trace.exists()
    joblib.load(folder(registry, "0.2.0") / "model.joblib")
    assert trace.exists(), "the trap does work"


@pytest.mark.parametrize("kept", [0, 5, -8])
def test_a_pickle_that_was_cut_off_before_it_was_registered_falls_back_to_the_predecessor(
    registry: Registry, kept: int, caplog: pytest.LogCaptureFixture
) -> None:
    content = folder(registry, "0.2.0").joinpath("model.joblib").read_bytes()[:kept]
    broken = replace(registry.store.models.champions(NAME)[0], version="0.3.0", path=f"{NAME}/0.3.0/model.joblib", sha256=sha256(content))
    write(registry.root, f"{NAME}/0.3.0", {"model.joblib": content})
    registry.store.models.register(broken)
    promote_model(registry.root, registry.store.models, broken)

    assert registry.reigning == "0.2.0"
    assert "0.3.0 cannot be unpickled by this release (" in caplog.text


def test_a_model_of_a_release_that_named_its_classes_otherwise_falls_back(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as older:
        older.setattr(f"{__name__}.Renamed", type("Renamed", (), {"__module__": __name__}), raising=False)
        save_model(registry.root, registry.store.models, NAME, "0.3.0", Renamed(), {})  # type: ignore[name-defined]  # noqa: F821
    assert registry.reigning == "0.2.0"


# object storage


def test_models_live_in_object_storage(sqlite_store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__ONCALL__MODELS_PATH", f"memory://{tmp_path.name}/oncall/models")
    registry = Registry(sqlite_store, conf.models_path())
    registry.save("0.1.0")
    registry.save("0.2.0")
    assert registry.reigning == "0.2.0"
    assert registry.text("latest") == "0.2.0\n"
    (registry.root / NAME / "0.2.0" / "model.joblib").write_bytes(b"altered")
    assert registry.reigning == "0.1.0"
    (registry.root / NAME / "0.1.0" / "model.joblib").unlink()
    assert load_champion(registry.root, sqlite_store.models, NAME) is None
    assert [len(checked.problems) for checked in verify_models(registry.root, sqlite_store.models)] == [1, 1]


def test_a_file_url_is_a_folder(sqlite_store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__ONCALL__MODELS_PATH", f"file://{tmp_path}/models")
    assert conf.models_path() == tmp_path / "models"
    registry = Registry(sqlite_store, conf.models_path())
    registry.save("0.1.0")
    assert registry.reigning == "0.1.0"


# rollback and verify


def test_a_rollback_brings_the_predecessor_back(registry: Registry) -> None:
    assert rollback(registry.root, registry.store.models, NAME, actor="ada", reason="worse").version == "0.1.0"
    assert registry.reigning == "0.1.0"
    assert registry.text("latest") == "0.1.0\n"


def test_a_rollback_without_a_predecessor_changes_nothing(registry: Registry) -> None:
    rollback(registry.root, registry.store.models, NAME, actor="ada", reason="worse")
    with pytest.raises(StoreError, match="no predecessor to go back to"):
        rollback(registry.root, registry.store.models, NAME, actor="ada", reason="worse still")
    assert registry.reigning == "0.1.0"


def test_verify_finds_every_damaged_file_and_loads_none(registry: Registry) -> None:
    assert all(not checked.problems for checked in verify_models(registry.root, registry.store.models, NAME))
    (folder(registry, "0.2.0") / "model.joblib").write_bytes(b"\x80\x05cos\nsystem\n(S'exit 1'\ntR.")
    (folder(registry, "0.1.0") / "table.json").unlink()
    newest, oldest = verify_models(registry.root, registry.store.models, NAME)
    assert (newest.model.version, oldest.model.version) == ("0.2.0", "0.1.0")
    assert "SHA-256" in newest.problems[0]
    assert "table.json' cannot be read (No such file or directory)" in oldest.problems[0]


def test_a_card_added_later_is_verified_too(registry: Registry) -> None:
    model = registry.store.models.champions(NAME)[0]
    describe_model(registry.root, registry.store.models, model, {"rows": 7}, people_files(model, {"rows": 7}))
    assert not any(checked.problems for checked in verify_models(registry.root, registry.store.models, NAME))
    assert {"card.md", "metrics.json", "confusion.png", "reliability.png"} <= set(os.listdir(folder(registry, "0.2.0")))
    (folder(registry, "0.2.0") / "card.md").write_text("better than it is")
    (problem,) = verify_models(registry.root, registry.store.models, NAME)[0].problems
    assert "card.md" in problem


# export and import


def test_an_export_restores_what_was_lost(registry: Registry, tmp_path: Path) -> None:
    archive = export_model(registry.root, registry.store.models, NAME, "0.2.0", tmp_path / "triage.zip")
    for path in folder(registry, "0.2.0").iterdir():
        path.unlink()
    assert registry.reigning == "0.1.0"
    assert import_model(registry.root, registry.store.models, archive).version == "0.2.0"
    assert registry.reigning == "0.2.0"


def test_an_archive_of_another_deployment_is_refused(registry: Registry, databases: Databases, tmp_path: Path) -> None:
    archive = export_model(registry.root, registry.store.models, NAME, "0.2.0", tmp_path / "triage.zip")
    for elsewhere in fresh_store(databases, "sqlite"):
        with pytest.raises(UntrustedModel, match="a pickle from elsewhere is never trusted; train here with `airflow oncall train`"):
            import_model(tmp_path / "other", elsewhere.models, archive)
    assert not (tmp_path / "other").exists()


def test_an_archive_with_another_pickle_is_refused(registry: Registry, tmp_path: Path) -> None:
    archive = export_model(registry.root, registry.store.models, NAME, "0.2.0", tmp_path / "triage.zip")
    forged = tmp_path / "forged.zip"
    with zipfile.ZipFile(archive) as good, zipfile.ZipFile(forged, "w") as bad:
        for name in good.namelist():
            bad.writestr(name, b"another" if name == "model.joblib" else good.read(name))
    with pytest.raises(UntrustedModel, match=r"model\.joblib is not the one this store registered"):
        import_model(registry.root, registry.store.models, forged)
    assert registry.reigning == "0.2.0"


@pytest.mark.parametrize("content", [b"", b"no zip", None])
def test_what_is_no_archive_is_refused(registry: Registry, tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "given.zip"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UntrustedModel, match="not an archive of `airflow oncall models export`"):
        import_model(registry.root, registry.store.models, path)


def test_a_damaged_version_is_not_exported(registry: Registry, tmp_path: Path) -> None:
    (folder(registry, "0.2.0") / "model.joblib").write_bytes(b"damaged")
    with pytest.raises(UntrustedModel):
        export_model(registry.root, registry.store.models, NAME, "0.2.0", tmp_path / "triage.zip")
    assert not (tmp_path / "triage.zip").exists()


# a full disk, and kill -9


FULL = """
import resource, sys
from pathlib import Path
from airflow_oncall.learn.registry import save_model

class Rows:  # the store's part is not reached
    def register(self, model): print("registered")

resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
save_model(Path(sys.argv[1]), Rows(), "triage", "0.3.0", list(range(100000)), {})
"""


def test_a_disk_that_is_full_while_saving_leaves_the_champion(registry: Registry) -> None:
    ended = child(FULL, str(registry.root))
    assert "OSError: [Errno 27] File too large" in ended.stderr
    assert "registered" not in ended.stdout
    assert registry.reigning == "0.2.0"
    assert os.listdir(folder(registry, "0.3.0")) == []
    assert registry.store.models.get(NAME, "0.3.0") is None


KILLED = """
import os, signal, sys
from pathlib import Path
from sqlalchemy import make_url
from airflow_oncall.learn import registry
from airflow_oncall.store.engine import engine_for
from airflow_oncall.store.sql import Store

root, url, moment = sys.argv[1:]
models = Store.over(engine_for(make_url(url), 30.0), "trainer").models

def die(*_args, **_named):
    os.kill(os.getpid(), signal.SIGKILL)

def die_after(function):
    def run(*args, **named):
        function(*args, **named)
        die()
    return run

if moment == "before the file is in place":
    os.replace = die
elif moment == "registered":
    models.register = die_after(models.register)
elif moment == "saved":
    registry.promote_model = die
elif moment == "promoted":
    models.promote = die_after(models.promote)
registry.save_model(Path(root), models, "triage", "0.3.0", {"is": "0.3.0"}, {})
"""


@pytest.mark.parametrize(
    ("moment", "reigns"),
    [("before the file is in place", "0.2.0"), ("registered", "0.2.0"), ("saved", "0.2.0"), ("promoted", "0.3.0")],
)
def test_kill_minus_9_leaves_a_champion_that_loads(store: Store, tmp_path: Path, moment: str, reigns: str) -> None:
    on_either = Registry(store, tmp_path / "either")
    on_either.save("0.1.0")
    on_either.save("0.2.0")
    ended = child(KILLED, str(on_either.root), store.engine.url.render_as_string(hide_password=False), moment)
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    assert on_either.reigning == reigns
    on_either.save("0.4.0")
    assert on_either.reigning == "0.4.0", "the next training goes on as if nothing had been"


def test_what_a_killed_trainer_left_behind_is_found_by_verify(registry: Registry) -> None:
    child(KILLED, str(registry.root), registry.store.engine.url.render_as_string(hide_password=False), "registered")
    newest, *others = verify_models(registry.root, registry.store.models, NAME)
    assert newest.model.version == "0.3.0"
    assert newest.model.promoted_at is None
    assert newest.problems
    assert not any(checked.problems for checked in others)


def child(script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A process of its own, which may die."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(part for part in sys.path if part)}
    return subprocess.run([sys.executable, "-c", script, *arguments], env=environment, check=False, capture_output=True, text=True)


def test_a_model_of_another_scikit_learn_is_named_by_verify_and_not_loaded(registry: Registry) -> None:
    champion = registry.store.models.champions(NAME)[0]
    old = ModelVersion(**{**vars(champion), "library": "scikit-learn 0.1"})
    with pytest.raises(UntrustedModel, match=r"trained with 'scikit-learn 0\.1'.*train it again"):
        load_model(registry.root, old)
