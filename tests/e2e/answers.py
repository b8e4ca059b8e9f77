"""More answers for :class:`demo.faults.FaultyServer`: refusals, half an answer, none at all."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler

from demo.faults import Answer


def refused(status: int, headers: Mapping[str, str] | None = None, message: str = "") -> Answer:
    """This status, with what the server says in its body."""
    body = json.dumps({"message": message}).encode()

    def answer(call: BaseHTTPRequestHandler) -> None:
        call.send_response(status)
        for name, value in {**(headers or {}), "Content-Length": str(len(body))}.items():
            call.send_header(name, value)
        call.end_headers()
        call.wfile.write(body)

    return answer


def guarded(key: Callable[[], str]) -> Answer:
    """200 for whoever has the key of that moment, else 401."""

    def answer(call: BaseHTTPRequestHandler) -> None:
        refused(200 if call.headers["X-Key"] == key() else 401)(call)

    return answer


def cut_short(call: BaseHTTPRequestHandler) -> None:
    """Announce more than is sent."""
    call.send_response(200)
    call.send_header("Content-Length", "4096")
    call.end_headers()
    call.wfile.write(b'[{"id": 1}')
    call.close_connection = True


def hung_up(call: BaseHTTPRequestHandler) -> None:
    """Close without a word, in order."""
    call.close_connection = True
