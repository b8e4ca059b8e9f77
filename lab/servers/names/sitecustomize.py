"""Loaded by the lab's scripts through PYTHONPATH: the lab's hosts file, with ports. Standard library only.

``LAB_NAMES`` is JSON: ``{"host:port": "address:port"}``. Any other name is resolved as ever.
"""

from __future__ import annotations

import json
import os
import socket
from typing import Any

_NAMES: dict[str, str] = json.loads(os.environ.get("LAB_NAMES", "{}"))
_ask = socket.getaddrinfo


def _getaddrinfo(host: Any, port: Any, *args: Any, **named: Any) -> Any:
    name = host.decode() if isinstance(host, bytes) else host
    address, _, real = _NAMES.get(f"{name}:{port}", "").rpartition(":")
    return _ask(address, int(real), *args, **named) if real else _ask(host, port, *args, **named)


# Tracebacks show it as the function whose place it takes.
_getaddrinfo.__code__ = _getaddrinfo.__code__.replace(co_filename=_ask.__code__.co_filename, co_name="getaddrinfo")
socket.getaddrinfo = _getaddrinfo
