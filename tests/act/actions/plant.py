"""What actions work on beside Airflow, as far as they see it, over HTTP: a Spark master, YARN and Kubernetes.

Paths and fields follow the public documentation of the three. The clients are the real ones.
"""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass, field
from datetime import datetime, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any
from urllib.parse import parse_qs, urlsplit

Json = dict[str, Any]


@dataclass
class Plant:
    """Applications and pods; every change that a client made is in ``changes``. Use as a context manager."""

    applications: dict[str, Json] = field(default_factory=dict)
    pods: dict[str, Json] = field(default_factory=dict)
    """By uid."""
    changes: list[str] = field(default_factory=list)
    stubborn: bool = False
    """What is told to end does not."""
    status: int = 0
    """Answer of everything, where it is not 0."""
    page: str = ""
    """Answer of everything that is read, where it is not empty."""
    token: str = "932541a6732c"
    """That a newer master wants with every change; an older one has none."""

    def __enter__(self) -> Plant:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (_Handler,), {"plant": self}))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def connections(self) -> dict[str, str]:
        """Environment variables of the connections ``spark`` and ``cluster``."""
        port = self._server.server_address[1]
        cluster = {"name": "c", "cluster": {"server": f"http://127.0.0.1:{port}"}}
        context = {"name": "x", "context": {"cluster": "c", "user": "u"}}
        config = {"apiVersion": "v1", "kind": "Config", "current-context": "x", "clusters": [cluster], "contexts": [context]}
        config["users"] = [{"name": "u", "user": {"token": "secret"}}]
        kubernetes = {"conn_type": "kubernetes", "extra": {"kube_config": json.dumps(config)}}
        return {"AIRFLOW_CONN_SPARK": f"http://127.0.0.1:{port}", "AIRFLOW_CONN_CLUSTER": json.dumps(kubernetes)}

    def application(self, app_id: str, *, began: datetime | None = None, attempt: int = 1, name: str = "orders") -> Json:
        """An application runs."""
        started = int((began or datetime.now(timezone.utc)).timestamp() * 1000)
        app = {"id": app_id, "name": name, "starttime": started, "startedTime": started, "state": "RUNNING", "attempt": attempt}
        self.applications[app_id] = app
        return app

    def pod(self, name: str, uid: str, *, ready: bool = True, owner: str = "replicas-1") -> None:
        """A pod of the service runs."""
        owners = [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": owner, "uid": owner, "controller": True}] if owner else []
        metadata = {"name": name, "namespace": "shop", "uid": uid, "labels": {"app": "broker"}, "ownerReferences": owners}
        conditions = [{"type": "Ready", "status": "True" if ready else "False"}]
        self.pods[uid] = {"metadata": metadata, "status": {"phase": "Running", "conditions": conditions}}

    def answer(self, method: str, path: str, form: dict[str, list[str]], body: Json) -> tuple[int, Json | str]:
        """What is answered."""
        if self.status:
            return self.status, {}
        if self.page and method == "GET":
            return 200, self.page
        if path == "/json/":
            return 200, {"activeapps": [one for one in self.applications.values() if one["state"] == "RUNNING"]}
        if path == "/":
            return (
                200,
                f'<form action="app/kill/"><input type="hidden" name="csrfToken" value="{self.token}"/></form>' if self.token else "",
            )
        if path == "/app/kill/":
            return self._kill(form["id"][0]) if form.get("csrfToken", [""]) == [self.token] else (403, {})
        if path.startswith("/ws/v1/cluster/apps/"):
            return self._yarn(method, *path.removeprefix("/ws/v1/cluster/apps/").split("/"))
        return self._pods(method, path.rpartition("/")[2], body)

    def _kill(self, app_id: str) -> tuple[int, Json]:
        self.changes.append(f"kill {app_id}")
        if not self.stubborn:
            self.applications[app_id]["state"] = "KILLED"
        return 200, {}

    def _yarn(self, method: str, app_id: str, what: str = "") -> tuple[int, Json]:
        if app_id not in self.applications:
            return 404, {}
        app = self.applications[app_id]
        if method == "PUT":
            return self._kill(app_id)
        if what == "appattempts":
            return 200, {"appAttempts": {"appAttempt": [{"id": number} for number in range(1, app["attempt"] + 1)]}}
        return 200, {"app": app}

    def _pods(self, method: str, name: str, body: Json) -> tuple[int, Json]:
        if method == "GET":
            return 200, {"kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": list(self.pods.values())}
        found = next((uid for uid, pod in self.pods.items() if pod["metadata"]["name"] == name), None)
        if found is None:
            return 404, {}
        if found != body["preconditions"]["uid"]:
            return 409, {"reason": "Conflict"}
        self.changes.append(f"delete {found}")
        pod = self.pods[found] if self.stubborn else self.pods.pop(found)
        return 200, pod


class _Handler(BaseHTTPRequestHandler):
    plant: Plant

    def handle_any(self) -> None:
        size = int(self.headers.get("Content-Length") or 0)
        raw = self.rfile.read(size) if size else b""
        body = json.loads(raw) if raw[:1] == b"{" else {}
        status, value = self.plant.answer(self.command, urlsplit(self.path).path, parse_qs(raw.decode()), body)
        answer = value.encode() if isinstance(value, str) else json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/html" if isinstance(value, str) else "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    do_GET = do_POST = do_PUT = do_DELETE = handle_any  # noqa: N815 - the names http.server calls

    def log_message(self, format: str, *args: Any) -> None:
        """Tests are quiet."""
