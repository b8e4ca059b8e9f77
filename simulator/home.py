"""An Airflow home of the simulator's own: nothing of this machine's Airflow is read or touched."""

from __future__ import annotations

import atexit
import hashlib
import os
import shutil
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LEARNED_FROM = ("include/oncall/corpus", "include/oncall/rules", "plugins/airflow_oncall/triage", "plugins/airflow_oncall/learn")
"""What trained models depend on."""


def settle() -> None:
    """Set what Airflow reads when it is imported; call this before anything imports Airflow."""
    home = tempfile.mkdtemp(prefix="oncall-simulator-home-")
    atexit.register(shutil.rmtree, home, ignore_errors=True)
    os.environ |= {
        "AIRFLOW_HOME": home,
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__UNIT_TEST_MODE": "False",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home}/airflow.db",
        "AIRFLOW__LOGGING__LOGGING_LEVEL": "ERROR",
        "AIRFLOW__ONCALL__MODE": "auto",
    }


def private(folder: Path) -> Path:
    """A folder that only this user can write to; models are loaded from here, and a pickle from a stranger runs his code."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    about = folder.stat()
    if about.st_uid != os.getuid() or about.st_mode & 0o022:
        raise SystemExit(f"{folder} is not this user's alone; delete it, or set TMPDIR to another folder")
    return folder


def models_cache() -> Path:
    """Where models trained from the present corpus and code are kept."""
    digest = hashlib.sha256()
    for path in sorted(path for part in LEARNED_FROM for path in (ROOT / part).rglob("*.*") if path.suffix in (".py", ".jsonl", ".yaml")):
        digest.update(path.read_bytes())
    base = Path(tempfile.gettempdir()) / f"oncall-simulator-{os.getuid()}"
    return private(private(base) / digest.hexdigest()[:16])
