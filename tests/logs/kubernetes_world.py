"""The part of a Kubernetes API server that a watcher of events and pods sees, over HTTP and in our own words.

No cluster can run where the tests do. The provider's hook and the official client are the real ones; the server keeps objects and
a history of their changes under growing resource versions, lists them in pages, and sends a watch what changed since its version.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

Json = dict[str, Any]
BEGIN = datetime(2026, 3, 2, 12, tzinfo=timezone.utc)


@dataclass
class KubernetesWorld:
    """The cluster as a test changes it."""

    url: str = ""
    now: datetime = BEGIN
    version: int = 100
    objects: dict[tuple[str, str], Json] = field(default_factory=dict)
    """(``events`` or ``pods``, uid) -> the object."""
    history: list[tuple[int, str, str, Json]] = field(default_factory=list)
    """Version, kind, what happened, the object."""
    forgotten: int = 0
    """Versions up to this one are gone."""
    refusals: list[tuple[str, int, Mapping[str, str]]] = field(default_factory=list)
    """Part of a path, status and headers of the next answers, once each."""
    asked: list[str] = field(default_factory=list)
    raw_lines: list[bytes] = field(default_factory=list)
    """What the next watch is sent before anything else."""

    def later(self, seconds: float) -> str:
        """Let time pass; the new time as Kubernetes writes it."""
        self.now += timedelta(seconds=seconds)
        return self.now.strftime("%Y-%m-%dT%H:%M:%SZ")

    def put(self, kind: str, thing: Json) -> Json:
        """Make or change an object."""
        key = (kind, thing["metadata"]["uid"])
        change = "MODIFIED" if key in self.objects else "ADDED"
        self.version += 1
        thing = json.loads(json.dumps(thing))
        thing["metadata"]["resourceVersion"] = str(self.version)
        self.objects[key] = thing
        self.history.append((self.version, kind, change, thing))
        return thing

    def delete(self, kind: str, uid: str) -> None:
        """Remove an object."""
        self.version += 1
        self.history.append((self.version, kind, "DELETED", self.objects.pop((kind, uid))))

    def forget(self) -> None:
        """Let no version so far be one that a watch can begin with."""
        self.forgotten = self.version
        self.version += 1

    def event(self, reason: str, pod: str = "report-1", uid: str = "", **more: Any) -> Json:
        """A warning about a pod."""
        at = self.later(1)
        about = {"kind": "Pod", "namespace": "jobs", "name": pod, "uid": f"pod-{pod}", "fieldPath": "spec.containers{base}"}
        named = {"name": f"{pod}.{reason}", "namespace": "jobs", "uid": uid or f"event-{pod}-{reason}", "creationTimestamp": at}
        said = {"type": "Warning", "reason": reason, "message": f"{reason} it is", "count": 1, "lastTimestamp": at}
        return self.put("events", {"metadata": named, "involvedObject": about, "source": {"host": "node-7"}} | said | more)

    def pod(self, name: str = "report-1", status: Json | None = None, **metadata: Any) -> Json:
        """A pod, running unless told."""
        named = {"name": name, "namespace": "jobs", "uid": f"pod-{name}", "creationTimestamp": self.later(1)} | metadata
        return self.put("pods", {"metadata": named, "spec": {"nodeName": "node-7"}, "status": status or {"phase": "Running"}})

    def ended(self, exit_code: int = 1, reason: str = "Error", container: str = "base", run: str = "one", **more: Any) -> Json:
        """Status of a container that ended."""
        terminated = {"exitCode": exit_code, "reason": reason, "finishedAt": self.later(1), "containerID": f"containerd://{run}"} | more
        return {"name": container, "state": {"terminated": terminated}}

    def answer(self, path: str, asked: Mapping[str, str]) -> tuple[int, list[Json]]:
        """Status and the lines of the answer."""
        parts = path.strip("/").split("/")[2:]
        namespace = parts[1] if parts[0] == "namespaces" else ""
        kind, *name = parts[2:] if namespace else parts
        if name:
            found = [one for (of, _), one in self.objects.items() if of == kind and one["metadata"]["name"] == name[0]]
            return (200, found) if found else (404, [_status(404, "no such pod")])
        if "watch" in asked:
            return self._watched(kind, int(asked["resourceVersion"]))
        return self._listed(kind, int(asked.get("limit", 0)), asked.get("continue"))

    def _watched(self, kind: str, since: int) -> tuple[int, list[Json]]:
        if since <= self.forgotten:
            return 200, [{"type": "ERROR", "object": _status(410, "too old")}]
        changes = [{"type": change, "object": thing} for version, of, change, thing in self.history if of == kind and version > since]
        return 200, [*changes, {"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": str(self.version)}}}]

    def _listed(self, kind: str, limit: int, following: str | None) -> tuple[int, list[Json]]:
        first = int(following or 0)
        items = [one for (of, _), one in self.objects.items() if of == kind]
        last = first + (limit or len(items))
        more = {"continue": str(last)} if last < len(items) else {}
        return 200, [{"metadata": {"resourceVersion": str(self.version), **more}, "items": items[first:last]}]


@contextmanager
def serving() -> Iterator[KubernetesWorld]:
    """An empty cluster behind an address."""
    world = KubernetesWorld()

    class Server(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            world.asked.append(self.path)
            refusal = next((one for one in world.refusals if one[0] in self.path), None)
            if refusal:
                world.refusals.remove(refusal)
                self._send(refusal[1], [_status(refusal[1], "told to")], refusal[2])
                return
            asked = {name: values[0] for name, values in parse_qs(parts.query).items()}
            self._send(*world.answer(parts.path, asked), {}, "watch" in asked)

        def _send(self, status: int, lines: list[Json], headers: Mapping[str, str], is_watch: bool = False) -> None:
            before, world.raw_lines = (world.raw_lines, []) if is_watch else ([], world.raw_lines)
            self.send_response_only(status)
            for name, value in {"Content-Type": "application/json", "Date": format_datetime(world.now, usegmt=True), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(b"\n".join([json.dumps(line).encode() for line in lines]) + b"\n" + b"".join(before))

        def log_message(self, format: str, *arguments: Any) -> None:
            """Tests have nothing to say on standard error."""

    listener = ThreadingHTTPServer(("127.0.0.1", 0), Server)
    listener.daemon_threads = True
    threading.Thread(target=listener.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    world.url = f"http://127.0.0.1:{listener.server_port}"
    try:
        yield world
    finally:
        listener.shutdown()
        listener.server_close()


def _status(code: int, message: str) -> Json:
    return {"kind": "Status", "code": code, "reason": "told", "message": message}
