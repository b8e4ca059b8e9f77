"""Runbook: delete old log files below one folder of the worker, so that its disk has room again.

Only regular files whose name holds ``.log`` are deleted, only below the folder, and no symbolic link is followed. Give its task a queue
where the full disk is not that of the worker which runs everything.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from airflow.sdk import DAG, Param, task

with DAG(
    dag_id="cleanup_logs",
    description="Delete log files that are older than so many days.",
    schedule=None,
    max_active_runs=1,
    tags=["oncall-runbook"],
    params={
        "folder": Param("/opt/airflow/logs", type="string", pattern="^/[^/]+/", description="Absolute, and not directly below /"),
        "days": Param(14, type="integer", minimum=1),
    },
    doc_md=__doc__,
) as dag:

    @task
    def delete_old_logs(params: dict[str, Any] | None = None) -> int:
        """The bytes that are free again; nothing to delete is a failure, because then the disk is as full as before."""
        said = params or {}
        before, freed = time.time() - 86_400 * int(said["days"]), 0
        for folder, _, names in os.walk(Path(said["folder"]).resolve(strict=True)):
            for path in (Path(folder, name) for name in names if ".log" in name):
                if path.is_symlink() or not path.is_file() or path.stat().st_mtime > before:
                    continue
                freed += path.stat().st_size
                path.unlink()
        if not freed:
            raise FileNotFoundError(f"no log file below {said['folder']} is older than {said['days']} days")
        return freed

    delete_old_logs()
