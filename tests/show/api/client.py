"""Airflow's own API server, with our app in it, and the people who use it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import uvicorn
from fastapi import FastAPI
from httpx import Client, Response
from tests.waiting import until

from airflow_oncall.store.sql import Store

ROOT = Path(__file__).parents[3]
PASSWORD = "an open sesame"
PEOPLE = {"ada": "admin", "olga": "op", "uma": "user", "vic": "viewer", "lena": "user", "nemo": "user", "zoe": "viewer"}
"""By name the role; lena may see and edit the DAG ``nightly`` only, nemo none at all, zoe sees ``oncall_triage`` only."""
DAGS = ("nightly", "shards", "oncall_triage")


def know_dags(names: Iterable[str]) -> None:
    """Have Airflow's database know these DAGs."""
    from airflow.models.dag import DagModel
    from airflow.models.dagbundle import DagBundleModel
    from airflow.utils.session import create_session

    with create_session() as session:
        session.add(DagBundleModel(name="dags"))
        session.flush()
        session.add_all(DagModel(dag_id=name, bundle_name="dags") for name in names)  # type: ignore[no-untyped-call]


@contextmanager
def airflow_server(home: Path) -> Iterator[Api]:
    """Airflow's API server with our app in it, over the database of ``home``."""
    (home / "passwords.json").write_text(json.dumps(dict.fromkeys(PEOPLE, PASSWORD)))
    settings = {
        "CORE__AUTH_MANAGER": "tests.show.api.limited_auth.LimitedAuthManager",
        "CORE__SIMPLE_AUTH_MANAGER_USERS": ",".join(f"{name}:{role}" for name, role in PEOPLE.items()),
        "CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(home / "passwords.json"),
        "CORE__EXECUTOR": "LocalExecutor",
        "API__HOST": "127.0.0.1",
        "API__SECRET_KEY": "the pages of this test and of nothing else",
        "API_AUTH__JWT_SECRET": "a secret of this test and of nothing else, which is long enough for any algorithm",
    }
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("_AIRFLOW_PROCESS_CONTEXT", "server")
        for name, value in settings.items():
            environment.setenv(f"AIRFLOW__{name}", value)
        from airflow.api_fastapi.app import create_app, purge_cached_app

        from airflow_oncall.show.api.app import create_app as create_oncall
        from airflow_oncall.show.mounting import MOUNT

        purge_cached_app()
        ours = create_oncall()
        environment.setattr(MOUNT["app"], "_app", ours)
        with _served(create_app(apps="core")) as url, Client(base_url=url, timeout=60) as client:
            yield Api(client, ours)
        purge_cached_app()


@contextmanager
def _served(app: FastAPI) -> Iterator[str]:
    """The app behind a port of this machine."""
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_config=None, access_log=False))
    thread = Thread(target=server.run, daemon=True)
    thread.start()
    until(lambda: server.started)
    port = server.servers[0].sockets[0].getsockname()[1]
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    thread.join(timeout=30)


@dataclass
class Api:
    """The API as people use it: each call names who makes it."""

    client: Client
    ours: FastAPI
    tokens: dict[str, str] = field(default_factory=dict)

    def use(self, store: Store | None) -> None:
        """Serve this store."""
        self.ours.state.store = store
        self.ours.state.analyst = None

    def token(self, user: str) -> str:
        """The user signs in, once."""
        if user not in self.tokens:
            said = self.client.post("/auth/token", json={"username": user, "password": PASSWORD})
            self.tokens[user] = said.json()["access_token"]
            self.client.cookies.clear()
        return self.tokens[user]

    @staticmethod
    def expired_token(user: str) -> str:
        """The user signed in yesterday."""
        from airflow.api_fastapi.app import get_auth_manager
        from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser

        signed_in = SimpleAuthManagerUser(username=user, role=PEOPLE[user])
        return str(get_auth_manager().generate_jwt(signed_in, expiration_time_in_seconds=-60))

    def call(self, method: str, path: str, user: str | None = "ada", **more: Any) -> Response:
        """One request below ``/oncall``, with a bearer token; ``None``: nobody is signed in."""
        headers = {**({"Authorization": f"Bearer {self.token(user)}"} if user else {}), **more.pop("headers", {})}
        return self.client.request(method, f"/oncall{path}", headers=headers, **more)

    def get(self, path: str, user: str | None = "ada", **more: Any) -> Response:
        """Read something of the API."""
        return self.call("GET", f"/api/v1{path}", user, **more)

    def post(self, path: str, body: Any, user: str | None = "ada", **more: Any) -> Response:
        """Post something to the API."""
        return self.call("POST", f"/api/v1{path}", user, json=body, **more)

    def put(self, path: str, body: Any, user: str | None = "ada", **more: Any) -> Response:
        """Put something to the API."""
        return self.call("PUT", f"/api/v1{path}", user, json=body, **more)


def error_of(response: Response) -> tuple[int, str]:
    """Status and code of an answer that is no success."""
    body = response.json()
    assert set(body) == {"error"}, body
    assert set(body["error"]) == {"code", "message", "detail"}, body
    return response.status_code, body["error"]["code"]
