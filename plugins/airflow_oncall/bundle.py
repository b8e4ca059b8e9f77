"""The DAG bundle that serves the DAGs of the installed package: an entry in ``dag_bundle_config_list`` deploys them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from airflow.dag_processing.bundles.local import LocalDagBundle

_PACKAGE = Path(__file__).parent


class OnCallDagBundle(LocalDagBundle):
    """``{"name": "oncall", "classpath": "airflow_oncall.bundle.OnCallDagBundle", "kwargs": {}}``."""

    def __init__(self, *, path: str | None = None, **kwargs: Any) -> None:
        super().__init__(path=path or str(dags_folder()), **kwargs)


def dags_folder() -> Path:
    """Folder of the DAGs: inside the wheel, or beside ``plugins/`` in a folder install."""
    shipped = _PACKAGE / "dags"
    return shipped if shipped.is_dir() else _PACKAGE.parents[1] / "dags"
