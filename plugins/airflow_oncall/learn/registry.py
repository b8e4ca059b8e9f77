"""Learned models on disk, and the rule that only registered files are ever loaded (invariant 10).

Saving: write a temporary file, flush it to disk, hash it, rename it into place, register the hash, then promote. A kill at
any point leaves the reigning champion as it was: a file that is not registered is dead weight, never a danger.
"""

from __future__ import annotations

import hashlib
import io
import logging
import os
import tempfile
from collections.abc import Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import joblib
import sklearn

from airflow_oncall.errors import UntrustedModel
from airflow_oncall.incident import ModelVersion
from airflow_oncall.store.base import ModelVersions

log = logging.getLogger(__name__)

LIBRARY = f"scikit-learn {sklearn.__version__}"


def save_model(
    models_path: Path, versions: ModelVersions, name: str, version: str, estimator: Any, metrics: Mapping[str, Any]
) -> ModelVersion:
    """Save, register and promote; the return value is the new champion."""
    relative = Path(name) / version / "model.joblib"
    buffer = io.BytesIO()
    joblib.dump(estimator, buffer, compress=3)
    _write(models_path / relative, buffer.getvalue())
    now = datetime.now(timezone.utc)
    digest = hashlib.sha256(buffer.getvalue()).hexdigest()
    model = ModelVersion(name, version, relative.as_posix(), digest, LIBRARY, trained_at=now, metrics=dict(metrics), promoted_at=now)
    versions.register(model)
    versions.promote(name, version)
    return model


def _write(path: Path, content: bytes) -> None:
    """All of it or nothing, also when the machine loses power."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".saving-")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError:
        Path(temporary).unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def load_champion(models_path: Path, versions: ModelVersions, name: str) -> tuple[Any, ModelVersion] | None:
    """The reigning champion, else its latest predecessor that can be trusted, else ``None``; each refusal is a warning."""
    for model in versions.champions(name):
        try:
            return load_model(models_path, model), model
        except UntrustedModel as refusal:
            log.warning("%s; trying its predecessor, then rules alone", refusal)
    return None


def load_model(models_path: Path, model: ModelVersion) -> Any:
    """The estimator of one registered version. Raises :class:`UntrustedModel`; nothing is unpickled before the hash is checked."""
    label = f"model {model.name} {model.version}"
    root = models_path.resolve()
    path = (root / model.path).resolve()
    if not path.is_relative_to(root):
        raise UntrustedModel(f"{label}: its path {model.path!r} leaves the models folder {str(root)!r}; train it again")
    if model.library != LIBRARY:
        raise UntrustedModel(f"{label} was trained with {model.library!r}, this is {LIBRARY!r}; train it again")
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UntrustedModel(f"{label}: {str(path)!r} cannot be read ({error.strerror}); restore it or train it again") from error
    digest = hashlib.sha256(content).hexdigest()
    if digest != model.sha256:
        raise UntrustedModel(
            f"{label}: {str(path)!r} has SHA-256 {digest[:12]}.., the registry says {model.sha256[:12]}..; restore it or train it again"
        )
    return joblib.load(io.BytesIO(content))
