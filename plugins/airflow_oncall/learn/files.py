"""Files of the registry, on disk or in object storage: written whole or not at all, read only when their hash is registered."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, TypeAlias

from airflow_oncall.errors import UntrustedModel
from airflow_oncall.incident import ModelVersion
from airflow_oncall.store.base import ModelVersions
from airflow_oncall.triage.table import POINTER

if TYPE_CHECKING:
    from airflow.sdk import ObjectStoragePath

log = logging.getLogger(__name__)

ModelsPath: TypeAlias = "Path | ObjectStoragePath"
"""What ``[oncall] models_path`` may be."""
MODEL = "model.joblib"
ROWS = "rows.txt"
"""Digests of the rows that a version was trained on."""
LATEST = "latest"


def sha256(content: bytes) -> str:
    """Hex digest."""
    return hashlib.sha256(content).hexdigest()


@contextmanager
def staged(root: ModelsPath, folder: str, contents: Mapping[str, bytes]) -> Iterator[Callable[[], None]]:
    """Write files beside their place and give the function that moves them there.

    On disk they are flushed first, so that a full disk shows before anything refers to them. An object store shows an
    object only when all of it has arrived; there, the function does the writing.
    """
    if not isinstance(root, Path):
        yield lambda: _upload(root, folder, contents)
        return
    place = root / folder
    place.mkdir(parents=True, exist_ok=True)
    waiting: dict[Path, Path] = {}
    try:
        for name, content in contents.items():
            _write_aside(place, place / name, content, waiting)
        yield lambda: _move(place, waiting)
    finally:
        for temporary in waiting:
            temporary.unlink(missing_ok=True)


def write(root: ModelsPath, folder: str, contents: Mapping[str, bytes]) -> None:
    """Write files, each of them whole or not at all."""
    with staged(root, folder, contents) as commit:
        commit()


def _write_aside(place: Path, path: Path, content: bytes, waiting: dict[Path, Path]) -> None:
    handle, temporary = tempfile.mkstemp(dir=place, prefix=".saving-")
    waiting[Path(temporary)] = path
    with os.fdopen(handle, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    os.chmod(temporary, 0o644)  # other workers may run as other users


def _move(place: Path, waiting: Mapping[Path, Path]) -> None:
    for temporary, path in waiting.items():
        os.replace(temporary, path)
    folder = os.open(place, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _upload(root: ModelsPath, folder: str, contents: Mapping[str, bytes]) -> None:
    place = root / folder
    place.mkdir(parents=True, exist_ok=True)
    for name, content in contents.items():
        (place / name).write_bytes(content)


def read_trusted(root: ModelsPath, model: ModelVersion, name: str = MODEL) -> bytes:
    """One file of a registered version. Raises ``UntrustedModel`` when it is not registered, cannot be read or was altered."""
    label = f"model {model.name} {model.version}"
    registered = model.sha256 if name == MODEL else model.files.get(name)
    if registered is None:
        raise UntrustedModel(f"{label}: {name} is not registered with it")
    relative = PurePosixPath(model.path).with_name(name)
    if relative.is_absolute() or ".." in relative.parts:
        raise UntrustedModel(f"{label}: its path {model.path!r} leaves the models folder {str(root)!r}; train it again")
    path = root / str(relative)
    try:
        content = path.read_bytes()
    except OSError as error:
        reason = error.strerror or error
        raise UntrustedModel(f"{label}: {str(path)!r} cannot be read ({reason}); restore it or train it again") from error
    if sha256(content) != registered:
        raise UntrustedModel(
            f"{label}: {str(path)!r} has SHA-256 {sha256(content)[:12]}.., the registry says {registered[:12]}..; "
            "restore it or train it again"
        )
    return bytes(content)


def write_latest(models_path: ModelsPath, versions: ModelVersions, name: str) -> None:
    """Say beside the versions who reigns: ``latest`` for people, ``champion.json`` with its hashes for workers without a store.

    The store decides, so that a folder that cannot be written is no reason to fail.
    """
    champion = versions.champions(name)[0]
    pointer = {"name": name, "version": champion.version, "files": {**champion.files, MODEL: champion.sha256}}
    try:
        write(models_path, name, {POINTER: json.dumps(pointer, indent=2).encode(), LATEST: f"{champion.version}\n".encode()})
    except OSError as error:
        log.warning("model %s: %s cannot be written (%s); the store names the champion all the same", name, POINTER, error)
