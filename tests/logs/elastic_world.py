"""An Elasticsearch-compatible server with log documents in it, and a meddler before it that answers in its place when told to.

The server is that of the ``osmem-server`` wheel: it holds documents, searches, sorts, and keeps points in time, as OpenSearch
does. What it never does (refuse a login, be busy, lose a shard, let a point in time expire, lack points in time) the meddler says.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

NOON = datetime(2026, 3, 2, 12, tzinfo=timezone.utc)


@dataclass
class Answer:
    """What the meddler says in the server's place, ``times`` times, to requests whose method and path match ``to``."""

    to: str
    status: int
    body: Mapping[str, Any]
    headers: Mapping[str, str] = field(default_factory=dict)
    times: int = 1
    after: int = 0
    """Requests that it lets through first."""


@dataclass
class ElasticWorld:
    """The server as a test sees it."""

    server: str
    """Its own address."""
    url: str = ""
    """The meddler's, which sources are given."""
    answers: list[Answer] = field(default_factory=list)
    asked: list[tuple[str, Mapping[str, str], Any]] = field(default_factory=list)
    """Requests that came: method and path, headers, body."""
    speaks_elasticsearch: bool = True
    """Whether Elasticsearch's own media types and points in time are understood; OpenSearch refuses them."""
    calls_itself: str = "Elasticsearch"

    def write(self, number: int | str, message: str = "boom", index: str = "logs-app", **more: Any) -> str:
        """Index a document; ``seconds`` after noon; its position."""
        at = more.pop("at", NOON + timedelta(seconds=more.pop("seconds", number if isinstance(number, int) else 0)))
        document = {"@timestamp": at.isoformat(), "message": message, "log": {"level": more.pop("level", "ERROR")}, **more}
        self.tell("PUT", f"/{index}/_doc/{number}?refresh=true", document)
        return f"{index}/{number}"

    def tell(self, method: str, path: str, body: Any = None) -> Any:
        """A request to the server itself."""
        status, answer = _forward(self.server + path, method, json.dumps(body).encode() if body is not None else None)
        assert status < 300, answer
        return json.loads(answer)

    def says(self, to: str, status: int, error: str, times: int = 1, after: int = 0, **headers: str) -> None:
        """Let the meddler answer with an error."""
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        self.answers.append(
            Answer(to, status, {"error": {"type": error, "reason": f"told to: {error}"}, "status": status}, names, times, after)
        )

    def answer(self, to: str, body: Mapping[str, Any]) -> None:
        """Let the meddler answer once, without an error."""
        self.answers.append(Answer(to, 200, body))

    def searches(self) -> list[Any]:
        """Bodies of the searches so far."""
        return [body for request, _, body in self.asked if request.partition("?")[0].endswith("/_search")]

    def meddled(self, request: str) -> Answer | None:
        """The answer that was prepared for this request."""
        for answer in self.answers:
            if answer.times and re.search(answer.to, request):
                if answer.after:
                    answer.after -= 1
                    continue
                answer.times -= 1
                return answer
        return None


@contextmanager
def meddling(server: str) -> Iterator[ElasticWorld]:
    """A meddler before the server."""
    world = ElasticWorld(server)

    class Meddler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _answer(self) -> None:
            request = f"{self.command} {self.path}"
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            world.asked.append((request, dict(self.headers), json.loads(body) if body else None))
            if prepared := world.meddled(request):
                self._send(prepared.status, json.dumps(prepared.body).encode(), prepared.headers)
            elif "vnd.elasticsearch" in str(self.headers) and not world.speaks_elasticsearch:
                self._send(406, b'{"error": "this media type is not known here"}', {})
            else:
                path, body = _as_opensearch(self.path, body) if world.speaks_elasticsearch else (self.path, body)
                self._send(*_forward(world.server + path, self.command, body or None), {})

        def _send(self, status: int, body: bytes, headers: Mapping[str, str]) -> None:
            self.send_response(status)
            named = {"X-Elastic-Product": world.calls_itself} if world.calls_itself else {}
            for name, value in {"Content-Type": "application/json", **named, **headers, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def __getattr__(self, name: str) -> Any:
            """Every method is answered alike."""
            if name.startswith("do_"):
                return self._answer
            raise AttributeError(name)

        def log_message(self, format: str, *arguments: Any) -> None:
            """Tests have nothing to say on standard error."""

    listener = ThreadingHTTPServer(("127.0.0.1", 0), Meddler)
    listener.daemon_threads = True
    threading.Thread(target=listener.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    world.url = f"http://127.0.0.1:{listener.server_port}"
    try:
        yield world
    finally:
        listener.shutdown()
        listener.server_close()


def _as_opensearch(path: str, body: bytes) -> tuple[str, bytes]:
    """Elasticsearch's way to open and close a point in time in the other one's words."""
    if not re.search(r"/_pit\b", path):
        return path, body
    return path.replace("/_pit", "/_search/point_in_time"), json.dumps({"pit_id": [json.loads(body)["id"]]}).encode() if body else body


def _forward(url: str, method: str, body: bytes | None) -> tuple[int, bytes]:
    try:
        with urlopen(Request(url, data=body, method=method, headers={"Content-Type": "application/json"}), timeout=10) as answer:
            return answer.status, answer.read()
    except HTTPError as error:
        with error:
            return error.code, error.read()
