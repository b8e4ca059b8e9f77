"""An HTTP service that answers what a scenario tells it to, or misbehaves below HTTP."""

from __future__ import annotations

import re
import socket
import ssl
import struct
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

PATIENCE = 30.0
"""Seconds that a reply hangs at most, should nobody end the scenario."""
LINGER_NONE = struct.pack("ii", 1, 0)


@dataclass(frozen=True)
class Reply:
    """What one kind of request gets."""

    status: int | str = 200
    body: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    at: str = ""
    """Regular expression of ``METHOD target``; empty for any request."""
    times: int | None = None
    """How often it is given, before the next reply that fits is."""
    does: str = "answer"
    """``answer``, or one of: ``hang``, ``stall`` (after half the body), ``trickle``, ``reset``, ``hangup``, ``truncate``, ``chunk``
    (chunked, cut short), ``garble`` (no HTTP at all)."""


class Replies:
    """The replies of the scenario at hand, shared by all servers that speak HTTP."""

    def __init__(self) -> None:
        self.over = threading.Event()
        self._lock = threading.Lock()
        self._replies: list[Reply] = []
        self._given: dict[int, int] = {}

    def tell(self, replies: Iterable[Mapping[str, Any]]) -> None:
        """Start a scenario with these replies; whoever hangs in the last one is let go."""
        self.over.set()
        with self._lock:
            self.over, self._given = threading.Event(), {}
            self._replies = [Reply(**reply) for reply in replies]

    def to(self, request: str) -> Reply:
        """The reply to ``METHOD target``."""
        with self._lock:
            for number, reply in enumerate(self._replies):
                given = self._given.get(number, 0)
                if re.search(reply.at, request) and (reply.times is None or given < reply.times):
                    self._given[number] = given + 1
                    return reply
        return Reply(404, '{"message": "no such route"}', {"Content-Type": "application/json"})


class HttpServer(ThreadingHTTPServer):
    """Listens at once, on a port of its own, with TLS where it gets a context; ends with :meth:`stop`."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, replies: Replies, context: ssl.SSLContext | None = None) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.replies = replies
        self._context = context
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    @property
    def port(self) -> int:
        """Where it listens."""
        return self.server_port

    def stop(self) -> None:
        """Close it."""
        self.shutdown()
        self.server_close()

    def finish_request(self, request: Any, client_address: Any) -> None:
        """The handshake first, in the connection's own thread; a client that leaves is no concern of ours."""
        try:
            if self._context is not None:
                request = self._context.wrap_socket(request, server_side=True)
            super().finish_request(request, client_address)
        except OSError:
            request.close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: HttpServer

    def log_message(self, format: str, *args: Any) -> None:
        return

    def _any(self) -> None:
        self._drain()
        over = self.server.replies.over
        reply = self.server.replies.to(f"{self.command} {self.path}")
        self.close_connection = True
        getattr(self, f"_{reply.does}")(reply, over)

    do_GET = do_POST = do_PUT = do_HEAD = do_DELETE = do_PATCH = do_CONNECT = _any  # noqa: N815 - the base class has it so

    def _drain(self) -> None:
        if self.headers.get("Transfer-Encoding") == "chunked":
            while size := int(self.rfile.readline().split(b";")[0] or b"0", 16):
                self.rfile.read(size + 2)
            self.rfile.readline()
        self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def _head(self, reply: Reply, length: int | None) -> None:
        self.send_response_only(int(reply.status))
        self.send_header("Date", self.date_time_string())
        for name, value in reply.headers.items():
            self.send_header(name, value)
        if length is not None:
            self.send_header("Content-Length", str(length))
        self.send_header("Connection", "close")
        self.end_headers()

    def _answer(self, reply: Reply, over: threading.Event) -> None:
        body = reply.body.encode()
        self._head(reply, len(body))
        if self.command != "HEAD":
            self.wfile.write(body)

    def _hang(self, reply: Reply, over: threading.Event) -> None:
        over.wait(PATIENCE)

    def _stall(self, reply: Reply, over: threading.Event) -> None:
        body = reply.body.encode()
        self._head(reply, 2 * len(body))
        self.wfile.write(body)
        over.wait(PATIENCE)

    def _trickle(self, reply: Reply, over: threading.Event) -> None:
        body = reply.body.encode()
        self._head(reply, len(body))
        for byte in body:
            self.wfile.write(bytes([byte]))
            if over.wait(0.05):
                return

    def _reset(self, reply: Reply, over: threading.Event) -> None:
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_NONE)
        self._hangup(reply, over)

    def _hangup(self, reply: Reply, over: threading.Event) -> None:
        self.rfile.close()
        self.connection.close()

    def _truncate(self, reply: Reply, over: threading.Event) -> None:
        body = reply.body.encode()
        self._head(reply, len(body) + 4_096)
        self.wfile.write(body)

    def _chunk(self, reply: Reply, over: threading.Event) -> None:
        body = reply.body.encode()
        self._head(Reply(reply.status, headers={**reply.headers, "Transfer-Encoding": "chunked"}), None)
        self.wfile.write(f"{len(body):x}\r\n".encode() + body + b"\r\n400\r\n[")

    def _garble(self, reply: Reply, over: threading.Event) -> None:
        self.wfile.write(reply.body.encode() + b"\r\n")
