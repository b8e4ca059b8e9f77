"""A real HTTP server whose answers are scripted per path: the n-th call gets the n-th answer, the last one repeats."""

from __future__ import annotations

import json
import os
import socket
import struct
import threading
from collections.abc import Callable, Mapping, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

Answer = Callable[[BaseHTTPRequestHandler], None]
MEGABYTE = 1 << 20
NO_LINGER = struct.pack("ii", 1, 0)


def serve(value: Any) -> Answer:
    """200 with this value as JSON."""
    body = json.dumps(value).encode()

    def answer(call: BaseHTTPRequestHandler) -> None:
        _start(call, 200, len(body))
        call.wfile.write(body)

    return answer


def unavailable(call: BaseHTTPRequestHandler) -> None:
    """503, as a load balancer gives it when no backend has room."""
    _start(call, 503, 0)


def reset(call: BaseHTTPRequestHandler) -> None:
    """Close without lingering: the client gets a TCP reset instead of an answer."""
    call.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, NO_LINGER)
    call.close_connection = True
    os.close(call.connection.detach())


def hang(call: BaseHTTPRequestHandler) -> None:
    """No answer for as long as the client waits."""
    call.close_connection = True
    call.connection.recv(1)


def stream(megabytes: int, then: Answer | None = None) -> Answer:
    """200 with that much data; ``then`` is what happens before the last of it is sent."""

    def answer(call: BaseHTTPRequestHandler) -> None:
        _start(call, 200, megabytes * MEGABYTE)
        for _ in range(megabytes - 1):
            call.wfile.write(bytes(MEGABYTE))
        if then:
            then(call)
        else:
            call.wfile.write(bytes(MEGABYTE))

    return answer


class FaultyServer:
    """Serves scripts on a free loopback port from ``start`` to ``stop``."""

    def __init__(self, scripts: Mapping[str, Sequence[Answer]]) -> None:
        self._scripts = {path: list(answers) for path, answers in scripts.items()}
        self._lock = threading.Lock()
        self._server = _Server(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True, name="demo-http")
        self.port = int(self._server.server_address[1])

    def start(self) -> None:
        """Serve in the background."""
        self._thread.start()

    def stop(self) -> None:
        """Stop serving; calls in flight are dropped. A server that was never started may be stopped too."""
        if self._thread.is_alive():
            self._server.shutdown()
        self._server.server_close()

    def next_answer(self, path: str) -> Answer | None:
        """The answer for this call of ``path``; ``None`` for a path without a script."""
        with self._lock:
            script = self._scripts.get(path, [])
            return script.pop(0) if len(script) > 1 else next(iter(script), None)

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                answer = server.next_answer(urlsplit(self.path).path)
                if answer is None:
                    self.send_error(404)
                else:
                    answer(self)

            def log_message(self, format: str, *args: Any) -> None:
                """The terminal belongs to the demo's table."""

        return Handler


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False  # a hanging call must not keep the demo from ending

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that are killed while they read are part of the demo."""


def _start(call: BaseHTTPRequestHandler, status: int, length: int) -> None:
    call.send_response(status)
    call.send_header("Content-Type", "application/json")
    call.send_header("Content-Length", str(length))
    call.end_headers()
