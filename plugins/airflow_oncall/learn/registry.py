"""Learned models, and the rule that only registered files are ever loaded (invariant 10).

``<models_path>/<model>/<version>/`` holds ``model.joblib``, ``table.json`` and what people read. The store's row says who
reigns, ``<model>/latest`` repeats it for people. Saving: write aside, flush, register the hashes, move into place, promote. A
kill at any point leaves the reigning champion as it was: what is not promoted is dead weight, never a danger.
"""

from __future__ import annotations

import io
import json
import logging
import pickle
import re
import zipfile
import zlib
from collections.abc import Iterable, Mapping
from datetime import datetime, timezone
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import joblib
import sklearn

from airflow_oncall.errors import StoreError, UntrustedModel
from airflow_oncall.incident import ModelVersion
from airflow_oncall.learn.files import MODEL, ModelsPath, read_trusted, sha256, staged, write, write_latest
from airflow_oncall.store.base import ModelVersions

log = logging.getLogger(__name__)

LIBRARY = f"scikit-learn {sklearn.__version__}"
MANIFEST = "registered.json"
_UNREADABLE = (pickle.UnpicklingError, EOFError, OSError, zlib.error, ImportError, AttributeError, LookupError, TypeError, ValueError)
"""What unpickling raises for bytes that are cut off, and for classes that moved or changed."""
_SEMANTIC = re.compile(r"(\d+)\.(\d+)\.(\d+)")


def next_version(known: Iterable[ModelVersion]) -> str:
    """The semantic version of the next training: one minor step after the highest, ``0.1.0`` at first."""
    numbers = [tuple(map(int, found.groups())) for model in known if (found := _SEMANTIC.match(model.version))]
    major, minor, _ = max(numbers, default=(0, 0, 0))
    return f"{major}.{minor + 1}.0"


def save_model(
    models_path: ModelsPath,
    versions: ModelVersions,
    name: str,
    version: str,
    estimator: Any,
    metrics: Mapping[str, Any],
    files: Mapping[str, bytes] | None = None,
) -> ModelVersion:
    """Save, register and promote; the return value is the new champion."""
    return promote_model(models_path, versions, save_challenger(models_path, versions, name, version, estimator, metrics, files))


def save_challenger(
    models_path: ModelsPath,
    versions: ModelVersions,
    name: str,
    version: str,
    estimator: Any,
    metrics: Mapping[str, Any],
    files: Mapping[str, bytes] | None = None,
) -> ModelVersion:
    """Save and register without promoting; ``files`` stand beside the pickle, e.g. ``table.json``.

    Raises ``VersionTaken`` when another training was faster with this version, and ``OSError`` e.g. for a full disk.
    """
    buffer = io.BytesIO()
    joblib.dump(estimator, buffer, compress=3)
    contents = {MODEL: buffer.getvalue(), **(files or {})}
    model = _described(name, version, contents, metrics)
    # Registered before it is moved into place: of two trainings with one version, the second never touches the first one's file.
    with staged(models_path, f"{name}/{version}", contents) as commit:
        versions.register(model)
        commit()
    return model


def _described(name: str, version: str, contents: Mapping[str, bytes], metrics: Mapping[str, Any]) -> ModelVersion:
    hashes = {file: sha256(content) for file, content in contents.items()}
    now = datetime.now(timezone.utc)
    return ModelVersion(name, version, f"{name}/{version}/{MODEL}", hashes[MODEL], LIBRARY, now, metrics=dict(metrics), files=hashes)


def describe_model(
    models_path: ModelsPath, versions: ModelVersions, model: ModelVersion, metrics: Mapping[str, Any], files: Mapping[str, bytes]
) -> None:
    """Add figures, and files for people, to a registered version."""
    write(models_path, f"{model.name}/{model.version}", files)
    versions.describe(model.name, model.version, metrics, {name: sha256(content) for name, content in files.items()})


def promote_model(
    models_path: ModelsPath,
    versions: ModelVersions,
    model: ModelVersion,
    **why: str,
) -> ModelVersion:
    """Make a registered version the champion; ``why`` as in ``ModelVersions.promote``. Raises ``UntrustedModel`` for a bad file."""
    read_trusted(models_path, model)  # what cannot be loaded must not reign
    versions.promote(model.name, model.version, **why)
    write_latest(models_path, versions, model.name)
    return versions.champions(model.name)[0]


def rollback(models_path: ModelsPath, versions: ModelVersions, name: str, *, actor: str, reason: str) -> ModelVersion:
    """Withdraw the champion; its predecessor, which is returned, reigns. Raises ``StoreError`` where there is none."""
    champions = versions.champions(name)
    if len(champions) < 2:
        raise StoreError(f"model {name} has no predecessor to go back to; train a new one instead")
    versions.withdraw(name, champions[0].version, actor=actor, reason=reason)
    write_latest(models_path, versions, name)
    return versions.champions(name)[0]


def load_champion(models_path: ModelsPath, versions: ModelVersions, name: str) -> tuple[Any, ModelVersion] | None:
    """The reigning champion, else its latest predecessor that can be trusted, else ``None``; each refusal is a warning."""
    for model in versions.champions(name):
        try:
            return load_model(models_path, model), model
        except UntrustedModel as refusal:
            log.warning("%s; trying its predecessor, then rules alone", refusal)
    return None


def load_model(models_path: ModelsPath, model: ModelVersion) -> Any:
    """The estimator of one registered version. Raises :class:`UntrustedModel`; nothing is unpickled before the hash is checked.

    Also for a file that is the registered one and yet no model of this release, as after an upgrade that renamed a class.
    """
    if model.library != LIBRARY:
        raise UntrustedModel(f"model {model.name} {model.version} was trained with {model.library!r}, this is {LIBRARY!r}; train it again")
    content = read_trusted(models_path, model)
    try:
        return joblib.load(io.BytesIO(content))
    except _UNREADABLE as error:
        raise UntrustedModel(
            f"model {model.name} {model.version} cannot be unpickled by this release ({type(error).__name__}: {error}); train it again"
        ) from error


class Checked(NamedTuple):
    """One registered version and what is wrong with its files."""

    model: ModelVersion
    problems: tuple[str, ...]


def verify_models(models_path: ModelsPath, versions: ModelVersions, name: str | None = None) -> list[Checked]:
    """Compare every file of every registered version with its hash, without loading any; the newest version first."""
    return [Checked(model, tuple(_problems(models_path, model))) for model in versions.list(name)]


def _problems(models_path: ModelsPath, model: ModelVersion) -> Iterable[str]:
    if model.library != LIBRARY:
        yield f"trained with {model.library}, this is {LIBRARY}"
    for file in {MODEL: "", **model.files}:
        try:
            read_trusted(models_path, model, file)
        except UntrustedModel as problem:
            yield str(problem)


def export_model(models_path: ModelsPath, versions: ModelVersions, name: str, version: str, archive: Path) -> Path:
    """Write a registered version, with its card and figures, to a zip archive."""
    model = _known(versions, name, version)
    contents = {file: read_trusted(models_path, model, file) for file in {MODEL: "", **model.files}}
    about = {"name": name, "version": version, "library": model.library, "trained_at": model.trained_at.isoformat()}
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr(MANIFEST, json.dumps(about | {"sha256": {file: sha256(content) for file, content in contents.items()}}, indent=2))
        for file, content in contents.items():
            packed.writestr(file, content)
    write(archive.parent, "", {archive.name: buffer.getvalue()})
    return archive


def import_model(models_path: ModelsPath, versions: ModelVersions, archive: Path) -> ModelVersion:
    """Put the files of an exported version back into the models folder.

    Only files whose hashes this store registered itself are taken: a pickle from elsewhere is never trusted, whatever its
    archive says of it. Raises ``UntrustedModel``.
    """
    try:
        with zipfile.ZipFile(archive) as packed:
            about = json.loads(packed.read(MANIFEST))
            model = versions.get(str(about["name"]), str(about["version"]))
            if model is None:
                raise UntrustedModel(
                    f"{archive}: model {about['name']} {about['version']} was never registered in this store, and a pickle from elsewhere "
                    "is never trusted; train here with `airflow oncall train`"
                )
            contents = {file: _unpacked(packed, file) for file in {MODEL: "", **model.files}}
    except (OSError, zipfile.BadZipFile, KeyError, ValueError, TypeError) as error:
        raise UntrustedModel(f"{archive}: not an archive of `airflow oncall models export` ({error})") from error
    for file, content in contents.items():
        if sha256(content) != (model.sha256 if file == MODEL else model.files[file]):
            raise UntrustedModel(f"{archive}: {file} is not the one this store registered as {model.name} {model.version}; train here")
    write(models_path, str(PurePosixPath(model.path).parent), contents)
    return model


_LARGEST = 256 * 1024 * 1024


def _unpacked(packed: zipfile.ZipFile, file: str) -> bytes:
    if packed.getinfo(file).file_size > _LARGEST:
        raise ValueError(f"{file} claims {packed.getinfo(file).file_size} bytes")
    return packed.read(file)


def _known(versions: ModelVersions, name: str, version: str) -> ModelVersion:
    model = versions.get(name, version)
    if model is None:
        raise StoreError(f"model {name} {version!r} is not registered; `airflow oncall models list` shows what is")
    return model
