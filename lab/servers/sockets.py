"""Ports that misbehave before any protocol is spoken."""

from __future__ import annotations

import socket
import socketserver
import threading
from collections.abc import Callable
from typing import Any

from lab.servers.http import LINGER_NONE

Talk = Callable[[socket.socket], None]
QUEUE = 4


class ClosedPort:
    """Bound and never listening: connections are refused, and nobody else gets the port."""

    def __init__(self) -> None:
        self._socket = socket.socket()
        self._socket.bind(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]

    def stop(self) -> None:
        """Free the port."""
        self._socket.close()


class Blackhole:
    """Listens with a full queue and never accepts: connections are neither refused nor made."""

    def __init__(self) -> None:
        self._socket = socket.socket()
        self._socket.bind(("127.0.0.1", 0))
        self._socket.listen(0)
        self.port: int = self._socket.getsockname()[1]
        self._waiting = [socket.socket() for _ in range(QUEUE)]
        for one in self._waiting:
            one.setblocking(False)
            one.connect_ex(("127.0.0.1", self.port))

    def stop(self) -> None:
        """Free the port."""
        for one in (*self._waiting, self._socket):
            one.close()


class TalkServer(socketserver.ThreadingTCPServer):
    """Gives every connection to ``talk``, in a thread of its own; clients that leave are no concern of it."""

    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True

    def __init__(self, talk: Talk) -> None:
        super().__init__(("127.0.0.1", 0), socketserver.BaseRequestHandler)
        self._talk = talk
        self.port: int = self.server_address[1]
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def finish_request(self, request: Any, client_address: Any) -> None:
        """Talk."""
        try:
            self._talk(request)
        except OSError:
            request.close()

    def stop(self) -> None:
        """Close it."""
        self.shutdown()
        self.server_close()


def mute(connection: socket.socket) -> None:
    """Accept, listen, say nothing."""
    while connection.recv(4_096):
        pass


def reset(connection: socket.socket) -> None:
    """Wait for the first words, then reset."""
    connection.recv(4_096)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_NONE)
    connection.close()


def hangup(connection: socket.socket) -> None:
    """Wait for the first words, then leave."""
    connection.recv(65_536)


def slam(connection: socket.socket) -> None:
    """Leave at once."""
    connection.close()
