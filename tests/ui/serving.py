"""An Airflow API server over the scene, in a process of its own: ``python -m tests.ui.serving AIRFLOW_DB ANSWER_FILE``.

It serves until its standard input ends; where it serves, and which incidents and questions there are, stands in the answer file.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path

from tests.show.api.client import airflow_server
from tests.ui import airflow_rows, scene

from airflow_oncall.show.mounting import base_path
from airflow_oncall.store import open_store


def main(database: Path, answer: Path) -> None:
    """Make the scene and serve it."""
    home = Path(os.environ["AIRFLOW_HOME"])
    shutil.copy(database, home / "airflow.db")
    store = open_store()
    ids = scene.write(store)
    questions = {name: store.reading.actions(ids[name])[-1].own_run_id for name in scene.ASKED}
    airflow_rows.write(ids, questions)
    with airflow_server(home) as api:
        said = answer.with_suffix(".part")
        url = str(api.client.base_url).rstrip("/") + base_path()
        said.write_text(json.dumps({"url": url, "ids": ids, "questions": questions}))
        said.rename(answer)
        sys.stdin.read()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
