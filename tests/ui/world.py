"""The server of the scene, and the people who use its pages."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from httpx import Client, Response
from tests.show.api.client import PASSWORD
from tests.waiting import until

ROOT = Path(__file__).parents[2]
START_SECONDS = 240


@dataclass
class World:
    """Where the pages are, and which incidents they show."""

    client: Client
    home: Path
    """Airflow's."""
    ids: dict[str, int]
    questions: dict[str, str]
    """Runs of the questions about them."""
    tokens: dict[str, str] = field(default_factory=dict)

    @property
    def url(self) -> str:
        """Address of Airflow."""
        return str(self.client.base_url).rstrip("/")

    def token(self, user: str) -> str:
        """The user signs in, once."""
        if user not in self.tokens:
            self.tokens[user] = self.client.post("/auth/token", json={"username": user, "password": PASSWORD}).json()["access_token"]
            self.client.cookies.clear()
        return self.tokens[user]

    def call(self, method: str, path: str, user: str = "ada", **more: Any) -> Response:
        """One request of a program."""
        return self.client.request(method, path, headers={"Authorization": f"Bearer {self.token(user)}"}, **more)

    def incident(self, name: str) -> dict[str, Any]:
        """An incident of the scene as it is now."""
        found: dict[str, Any] = self.call("GET", f"/oncall/api/v1/incidents/{self.ids[name]}").json()
        return found

    def answer_of(self, name: str) -> dict[str, Any]:
        """What Airflow knows of the question about an incident."""
        found: dict[str, Any] = self.call("GET", self.question(name)).json()
        return found

    def question(self, name: str) -> str:
        """Path of the question about an incident."""
        return f"/api/v2/dags/oncall_approval/dagRuns/{self.questions[name]}/taskInstances/question/-1/hitlDetails"


@contextmanager
def served(home: Path, database: Path, base_path: str = "") -> Iterator[World]:
    """Serve the scene out of ``home``; ``database``: Airflow's own, migrated and empty; ``base_path``: what all paths begin with."""
    answer, log = home / "serving.json", home / "serving.log"
    inherited = {name: value for name, value in os.environ.items() if not name.upper().startswith(("AIRFLOW", "_AIRFLOW"))}
    own = {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__API__BASE_URL": f"http://127.0.0.1{base_path}",
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__DAGS_FOLDER": str(ROOT / "dags"),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(ROOT / "plugins"),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home}/airflow.db",
        "PYTHONPATH": f"{ROOT / 'plugins'}:{ROOT}",
    }
    command = [sys.executable, "-m", "tests.ui.serving", str(database), str(answer)]
    with log.open("w") as output:
        process = subprocess.Popen(command, cwd=ROOT, env=inherited | own, stdin=subprocess.PIPE, stdout=output, stderr=output)
    try:
        until(lambda: answer.exists() or process.poll() is not None, START_SECONDS)
        assert process.poll() is None, log.read_text()
        said = json.loads(answer.read_text())
        with Client(base_url=said["url"], timeout=60) as client:
            yield World(client, home, said["ids"], said["questions"])
    finally:
        _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    assert process.stdin is not None
    process.stdin.close()
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
