"""A real Airflow in a folder of its own: api-server, scheduler, dag-processor and triggerer as child processes.

    with Deployment(home, bundles={"demo": Path("demo/dags")}) as airflow:
        airflow.wait_ready(dag_ids=["demo_late_file"])
        run_id = airflow.trigger("demo_late_file")

SQLite metadata unless told otherwise, LocalExecutor, a free port on the loopback interface. Nothing survives the ``with``
block, nor the death of the process that ran it (:mod:`demo.guard`).
"""

from __future__ import annotations

import json
import os
import secrets
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar
from urllib.parse import quote

import httpx
from tenacity import retry, retry_if_exception, stop_after_attempt, wait_fixed

from demo import guard

ROOT = Path(__file__).resolve().parents[1]
COMPONENTS = {
    "api-server": (),
    "dag-processor": (),
    "triggerer": ("--skip-serve-logs",),  # its fixed port would clash with another Airflow on this machine
    "scheduler": ("--skip-serve-logs",),
}
HEALTH_KEYS = ("metadatabase", "scheduler", "dag_processor", "triggerer")
USERS = {"admin": "admin", "oncall": "op", "bob": "user"}
"""User name to role."""
LAST_LINES = 25
"""Of a component's log, in errors."""
T = TypeVar("T")


def password(user: str) -> str:
    """The user's password; not the plain name, because Airflow masks passwords wherever they stand in a log."""
    return f"{user}-demo"


class DeploymentError(RuntimeError):
    """Airflow did not come up, or a component of it died; the message ends with what it logged last."""


def free_port() -> int:
    """A TCP port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _may_pass(error: BaseException) -> bool:
    """A busy SQLite answers 500 now and then. Whoever posts something must bear that it was carried out all the same."""
    return isinstance(error, httpx.HTTPStatusError) and error.response.is_server_error


class Deployment:
    """One Airflow deployment. ``start`` returns when the processes run, ``wait_ready`` when they are healthy."""

    def __init__(
        self,
        home: Path,
        *,
        bundles: Mapping[str, Path],
        database: str | None = None,
        env: Mapping[str, str] | None = None,
    ) -> None:
        """``bundles`` maps bundle names to folders of DAG files; ``env`` is added last and wins over every setting here.

        ``database`` is the SQLAlchemy URL of an empty database for Airflow's own tables; without it they are in SQLite, in ``home``.
        """
        self.home = home.resolve()
        self._sqlite = self.home / "airflow.db"
        self.database = database or f"sqlite:///{self._sqlite}?timeout=30"
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.env = {**_inherited(), **self._settings(bundles), **(env or {})}
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self._guard: subprocess.Popen[bytes] | None = None
        self._tokens: dict[str, str] = {}
        self._client = httpx.Client(base_url=self.url, timeout=90, trust_env=False)

    # -- life ---------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Create the database, then start every component."""
        self.log_path("migrate").parent.mkdir(parents=True, exist_ok=True)
        self._passwords_file.write_text(json.dumps({name: password(name) for name in USERS}))
        self._guard = subprocess.Popen([sys.executable, "-I", guard.__file__], stdin=subprocess.PIPE, start_new_session=True)
        try:
            if self.spawn("migrate", "db", "migrate").wait() != 0:
                raise DeploymentError(f"`airflow db migrate` failed:\n{self.last_lines('migrate')}")
            del self.processes["migrate"]
            if self._sqlite.exists():
                self._let_readers_and_writer_work_at_once()
            self._install("db", "upgrade")
            for component, options in COMPONENTS.items():
                if component == "scheduler":  # triage, which needs the models, begins with it; the others come up meanwhile
                    self._install("train", "--starter")
                self.spawn(component, component, *options)
        except BaseException:
            self.stop()
            raise

    def _install(self, *command: str) -> None:
        """What an installation does once, as the README has it: ``airflow oncall COMMAND``."""
        path = os.pathsep.join(filter(None, (self.env["AIRFLOW__CORE__PLUGINS_FOLDER"], self.env.get("PYTHONPATH"))))
        whole = [sys.executable, "-m", "airflow_oncall", *command]
        done = subprocess.run(whole, env={**self.env, "PYTHONPATH": path}, cwd=self.home, capture_output=True, text=True)
        if done.returncode:
            raise DeploymentError(f"`airflow oncall {' '.join(command)}` failed:\n{done.stdout}{done.stderr}")

    def spawn(self, name: str, *command: str) -> subprocess.Popen[bytes]:
        """Start ``airflow COMMAND`` in a process group of its own, logging to ``logs/NAME.log``; it ends with the deployment."""
        with self.log_path(name).open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "airflow", *command],
                cwd=self.home,
                env=self.env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.processes[name] = process
        self.adopt(process.pid)
        return process

    def adopt(self, pid: int) -> None:
        """Have this process, and what it starts, ended when our own process dies before it could do so itself."""
        if self._guard is None or self._guard.stdin is None:
            raise DeploymentError("the deployment was not started")
        self._guard.stdin.write(b"%d\n" % pid)
        self._guard.stdin.flush()

    def wait_ready(self, dag_ids: Iterable[str] = (), *, timeout: float = 180) -> None:
        """Wait until every component is healthy and the named DAGs are parsed; raise :class:`DeploymentError` otherwise."""
        self.wait_for(self._unhealthy, lambda bad: not bad, timeout, "components are not healthy")
        wanted = set(dag_ids)
        if wanted:
            self.wait_for(lambda: sorted(wanted - self.dag_ids()), lambda missing: not missing, timeout, "DAGs are not parsed")

    def wait_for(self, read: Callable[[], T], good: Callable[[T], bool], timeout: float, problem: str) -> T:
        """Read until the value is good, and watch the components meanwhile."""
        deadline = time.monotonic() + timeout
        while not good(value := read()):
            self.check_alive()
            if time.monotonic() > deadline:
                raise DeploymentError(f"{problem} after {timeout:g} s: {value}. Logs: {self.home / 'logs'}")
            time.sleep(0.25)
        return value

    def check_alive(self) -> None:
        """Raise :class:`DeploymentError` with its last log lines if a component has died."""
        for name, process in self.processes.items():
            if (code := process.poll()) is not None:
                raise DeploymentError(f"airflow {name} ended with exit code {code}:\n{self.last_lines(name)}")

    def kill(self, component: str) -> None:
        """``kill -9`` a component and its children."""
        process = self.processes.pop(component)
        guard.end_trees([process.pid], grace=0, first=signal.SIGKILL)
        process.wait()

    def stop(self) -> None:
        """End everything that was started. Calling it twice does no harm."""
        processes, self.processes = self.processes, {}
        guard.end_trees(process.pid for process in processes.values())
        for process in processes.values():
            process.wait()
        if self._guard and self._guard.stdin:
            self._guard.stdin.close()
            self._guard.wait()
            self._guard = None
        self._client.close()

    def __enter__(self) -> Deployment:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    # -- logs ---------------------------------------------------------------------------------------------------------

    def log_path(self, name: str) -> Path:
        """Where a component logs to."""
        return self.home / "logs" / f"{name}.log"

    def last_lines(self, name: str) -> str:
        """The end of a component's log."""
        return "\n".join(self.log_path(name).read_text(errors="replace").splitlines()[-LAST_LINES:])

    # -- REST ---------------------------------------------------------------------------------------------------------

    def token(self, user: str = "admin") -> str:
        """A JWT for this user."""
        if user not in self._tokens:
            answer = self._client.post("/auth/token", json={"username": user, "password": password(user)})
            self._tokens[user] = answer.raise_for_status().json()["access_token"]
        return self._tokens[user]

    def get(self, path: str, *, user: str = "admin", **params: Any) -> Any:
        """GET a path below ``/api/v2``."""
        return self._call("GET", path, user, params=params)

    def post(self, path: str, body: Any, *, user: str = "admin") -> Any:
        """POST a JSON body to a path below ``/api/v2``."""
        return self._call("POST", path, user, json=body)

    def patch(self, path: str, body: Any, *, user: str = "admin") -> Any:
        """PATCH a path below ``/api/v2`` with a JSON body."""
        return self._call("PATCH", path, user, json=body)

    def trigger(self, dag_id: str, conf: Mapping[str, Any] | None = None, *, user: str = "admin") -> str:
        """Start a run of a DAG; its run_id."""
        run_id = f"manual__{secrets.token_hex(8)}"
        try:
            self.post(f"/dags/{quote(dag_id)}/dagRuns", {"dag_run_id": run_id, "logical_date": None, "conf": dict(conf or {})}, user=user)
        except httpx.HTTPStatusError as error:
            if error.response.status_code != httpx.codes.CONFLICT:  # the run exists: an earlier attempt did get through
                raise
        return run_id

    def dag_ids(self) -> set[str]:
        """Every DAG Airflow knows. Raises :class:`DeploymentError` when a DAG file cannot be imported."""
        for broken in self.get("/importErrors", limit=1)["import_errors"]:
            raise DeploymentError(f"{broken['filename']} cannot be imported:\n{broken['stack_trace']}")
        return {dag["dag_id"] for dag in self.get("/dags", limit=100)["dags"]}

    @retry(retry=retry_if_exception(_may_pass), stop=stop_after_attempt(4), wait=wait_fixed(0.5), reraise=True)
    def _call(self, method: str, path: str, user: str, **how: Any) -> Any:
        answer = self._client.request(method, f"/api/v2{path}", headers={"Authorization": f"Bearer {self.token(user)}"}, **how)
        if answer.is_error:
            raise httpx.HTTPStatusError(f"{method} {path}: {answer.status_code} {answer.text}", request=answer.request, response=answer)
        return answer.json() if answer.content else None

    def _unhealthy(self) -> list[str]:
        try:
            health = self._client.get("/api/v2/monitor/health", timeout=5).json()
        except (httpx.TransportError, ValueError):
            return ["api-server"]
        return [key for key in HEALTH_KEYS if (health.get(key) or {}).get("status") != "healthy"]

    # -- settings -----------------------------------------------------------------------------------------------------

    def _let_readers_and_writer_work_at_once(self) -> None:
        # A property of the file, kept in it: four components and every task share this SQLite.
        with closing(sqlite3.connect(self._sqlite)) as connection:
            connection.execute("PRAGMA journal_mode = WAL")

    @property
    def _passwords_file(self) -> Path:
        return self.home / "passwords.json"

    def _settings(self, bundles: Mapping[str, Path]) -> dict[str, str]:
        local = "airflow.dag_processing.bundles.local.LocalDagBundle"
        listing = [{"name": name, "classpath": local, "kwargs": {"path": str(path.resolve())}} for name, path in bundles.items()]
        connection = {
            "conn_type": "http",
            "schema": "http",
            "host": "127.0.0.1",
            "port": self.port,
            "login": "oncall",
            "password": password("oncall"),
        }
        return {
            "AIRFLOW_HOME": str(self.home),
            "AIRFLOW_CONN_ONCALL_AIRFLOW": json.dumps(connection),
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": self.database,
            "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
            "AIRFLOW__CORE__PARALLELISM": "4",
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
            "AIRFLOW__CORE__DAGS_FOLDER": str(self.home / "dags"),
            "AIRFLOW__CORE__PLUGINS_FOLDER": str(ROOT / "plugins"),
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{self.url}/execution/",
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": ",".join(f"{name}:{role}" for name, role in USERS.items()),
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(self._passwords_file),
            "AIRFLOW__API__HOST": "127.0.0.1",
            "AIRFLOW__API__PORT": str(self.port),
            "AIRFLOW__API__WORKERS": "1",
            "AIRFLOW__API__BASE_URL": self.url,
            "AIRFLOW__API__SECRET_KEY": secrets.token_hex(32),
            "AIRFLOW__API_AUTH__JWT_SECRET": secrets.token_hex(64),
            "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST": json.dumps(listing),
            "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "60",
            "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.5",
            "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
            "NO_PROXY": "127.0.0.1,localhost",
            "no_proxy": "127.0.0.1,localhost",
            "OBJC_DISABLE_INITIALIZE_FORK_SAFETY": "YES",  # macOS ends forked workers without it
        }


def _inherited() -> dict[str, str]:
    """Our own environment without anybody's Airflow settings."""
    return {name: value for name, value in os.environ.items() if not name.upper().startswith(("AIRFLOW_", "_AIRFLOW_"))}
