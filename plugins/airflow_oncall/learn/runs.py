"""The folder of one training run: what each step leaves for the next one, which may be another worker."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

from airflow_oncall.errors import OnCallError
from airflow_oncall.learn.files import ModelsPath, write

RUNS = "_runs"
KEPT_RUNS = 10


class RunFolder:
    """``<models_path>/_runs/<run>/``."""

    def __init__(self, models_path: ModelsPath, run_id: str) -> None:
        self._root = models_path
        self._name = f"{RUNS}/{re.sub(r'[^A-Za-z0-9._-]', '_', run_id)}"

    def __str__(self) -> str:
        return str(self._root / self._name)

    def keep(self, name: str, value: dict[str, Any]) -> dict[str, Any]:
        """Write ``name.json`` and return what was written."""
        self.write(f"{name}.json", (json.dumps(value, indent=2, default=str) + "\n").encode())
        return value

    def find(self, name: str) -> dict[str, Any] | None:
        """What ``name.json`` holds, ``None`` while it is not written."""
        try:
            return dict(json.loads((self._root / self._name / f"{name}.json").read_bytes()))
        except FileNotFoundError:
            return None

    def need(self, name: str) -> dict[str, Any]:
        """What ``name.json`` holds; the step that writes it must have run."""
        found = self.find(name)
        if found is None:
            raise OnCallError(f"{self} has no {name}.json; is [oncall] models_path shared by all workers?")
        return found

    def write(self, name: str, content: bytes) -> None:
        """Write a file, whole or not at all."""
        write(self._root, self._name, {name: content})

    def read(self, name: str) -> bytes:
        """A file of this run."""
        return bytes((self._root / self._name / name).read_bytes())

    def prune(self) -> None:
        """Leave the newest runs only. Object stores have lifecycle rules for that."""
        if isinstance(self._root, Path):
            oldest = sorted((self._root / RUNS).iterdir(), key=lambda folder: folder.stat().st_mtime)[:-KEPT_RUNS]
            for folder in oldest:
                shutil.rmtree(folder, ignore_errors=True)
