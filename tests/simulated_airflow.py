"""An Airflow in memory behind real HTTP: the simulator's, on a socket.

Steered by the test (see :class:`simulator.world.World`), read by the code under test at :attr:`SimulatedAirflow.url`,
and able to fail in the ways a real one does: refuse, hang, forget tokens, or do what was asked and never say so.
"""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any
from urllib.parse import parse_qs, urlsplit

from simulator.rest import RestWorld
from simulator.world import Refused


@dataclass
class Fault:
    """What goes wrong with the next ``times`` requests whose ``METHOD /path`` contains ``on``."""

    kind: str
    on: str
    times: float
    status: int = 0


class SimulatedAirflow(RestWorld):
    """A :class:`RestWorld` behind HTTP at :attr:`url`. Use as a context manager."""

    def __init__(self) -> None:
        super().__init__()
        self.requests: list[str] = []
        self._faults: list[Fault] = []
        self._lock = threading.RLock()
        self._closing = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (_Handler,), {"airflow": self}))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)

    def __enter__(self) -> SimulatedAirflow:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._closing.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def url(self) -> str:
        """Base address."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    # what goes wrong on the way

    def answer_with(self, status: int, *, times: float = 1, on: str = "/api/v2/") -> None:
        """Refuse with a status; nothing is done."""
        self._faults.append(Fault("status", on, times, status))

    def hang(self, *, times: float = 1, on: str = "/api/v2/") -> None:
        """Never answer; nothing is done."""
        self._faults.append(Fault("hang", on, times))

    def drop_after(self, on: str) -> None:
        """Do what is asked, then drop the connection without an answer."""
        self._faults.append(Fault("drop", on, 1))

    def mend(self) -> None:
        """No more faults."""
        self._faults.clear()

    def expire_tokens(self) -> None:
        """Every token given so far is refused from now on."""
        self.tokens.clear()

    def asked(self, part: str) -> int:
        """How many requests had ``part`` in their ``METHOD /path``."""
        return sum(part in request for request in self.requests)

    def answer(self, method: str, path: str, query: dict[str, list[str]], body: dict[str, Any], token: str) -> Any:
        """As Airflow answers, one request after another."""
        with self._lock:
            return super().answer(method, path, query, body, token)

    def fault_for(self, request: str) -> Fault | None:
        """The fault that hits this request; used up by one."""
        with self._lock:
            self.requests.append(request)
            hit = next((fault for fault in self._faults if fault.on in request and fault.times > 0), None)
            if hit:
                hit.times -= 1
            return hit

    def wait_for_the_end(self) -> None:
        """Hold a request until the server closes."""
        self._closing.wait()


class _Handler(BaseHTTPRequestHandler):
    airflow: SimulatedAirflow

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1  # one packet an answer

    def handle_any(self) -> None:
        url = urlsplit(self.path)
        size = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(size)) if size else {}
        # A dry run changes nothing: faults and counts that name the clear mean the real one.
        path = url.path.replace("clearTaskInstances", "dryRunOfClear") if body.get("dry_run") else url.path
        fault = self.airflow.fault_for(f"{self.command} {path}")
        if fault and fault.kind == "hang":
            self.airflow.wait_for_the_end()
            return self._drop()
        if fault and fault.kind == "status":
            return self._json(fault.status, {"detail": "out of order"})
        try:
            token = (self.headers.get("Authorization") or "").removeprefix("Bearer ")
            answer = self.airflow.answer(self.command, url.path, parse_qs(url.query), body, token)
        except Refused as refused:
            return self._json(refused.status, {"detail": str(refused)})
        if fault:
            return self._drop()
        return self._json(200, answer) if isinstance(answer, dict) else self._stream(answer)

    do_GET = do_POST = do_PATCH = do_PUT = handle_any  # noqa: N815 - the names http.server calls

    def date_time_string(self, timestamp: float | None = None) -> str:
        return format_datetime(self.airflow.now(), usegmt=True)

    def log_message(self, format: str, *args: Any) -> None:
        """Tests are quiet."""

    def _json(self, status: int, value: Any) -> None:
        raw = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)
        self.wfile.flush()

    def _stream(self, lines: Iterable[bytes]) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/x-ndjson")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        try:
            for line in lines:
                self.wfile.write(b"%x\r\n%b\r\n" % (len(line), line))
                self.wfile.flush()
            self.wfile.write(b"0\r\n\r\n")
            self.wfile.flush()
        except OSError:  # the reader has enough
            self._drop()

    def finish(self) -> None:
        with suppress(OSError):  # the client went first
            super().finish()

    def _drop(self) -> None:
        self.close_connection = True
        with suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)
