"""A way to another port that can be shut, and that cuts sessions off."""

from __future__ import annotations

import socketserver
import threading
from contextlib import suppress
from socket import SHUT_WR, create_connection, socket


class Gateway(socketserver.ThreadingTCPServer):
    """A way to another port: refused until it is open, then cut off as often as it is told."""

    daemon_threads = True

    def __init__(self, port: int, cuts: int = 0) -> None:
        super().__init__(("127.0.0.1", 0), _Passage, bind_and_activate=False)
        self.server_bind()
        self.target, self.cuts = port, cuts
        self._thread = threading.Thread(target=self.serve_forever, daemon=True, name="gateway")

    @property
    def port(self) -> int:
        """Ours, whether open or not."""
        return int(self.server_address[1])

    def open(self) -> None:
        """Listen from now on."""
        self.server_activate()
        self._thread.start()

    def shut(self) -> None:
        """For good."""
        if self._thread.is_alive():
            self.shutdown()
        self.server_close()


class _Passage(socketserver.BaseRequestHandler):
    server: Gateway

    def handle(self) -> None:
        first = self.request.recv(65536)
        if self.server.cuts:
            self.server.cuts -= 1
            return
        with create_connection(("127.0.0.1", self.server.target)) as beyond:
            beyond.sendall(first)
            back = threading.Thread(target=_pass_on, args=(beyond, self.request), daemon=True)
            back.start()
            _pass_on(self.request, beyond)
            back.join()


def _pass_on(source: socket, target: socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(SHUT_WR)
