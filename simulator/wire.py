"""The way from Airflow's own client to a simulated Airflow without a socket.

All of the client is real but its last step: where it would write to a connection, the request is answered in this process,
or handed to whoever holds the world (see :mod:`simulator.crashes`).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from email.utils import format_datetime
from io import BytesIO
from typing import Any, cast
from urllib.parse import parse_qs, urlsplit

from airflow_client.client.rest import RESTResponse
from urllib3 import HTTPHeaderDict, HTTPResponse

from airflow_oncall.rest import AirflowApi
from simulator.rest import RestWorld
from simulator.world import Refused

BASE = "http://simulated-airflow"
Answer = tuple[int, str, bytes]
"""Status, content of the header ``Date``, body."""
Wire = Callable[[str, str, Any, str], Answer]
"""Method, path with query, JSON body, token."""


def into(world: RestWorld) -> Wire:
    """Straight into the world."""

    def send(method: str, target: str, body: Any, token: str) -> Answer:
        url = urlsplit(target)
        try:
            status, value = 200, world.answer(method, url.path, parse_qs(url.query), body or {}, token)
        except Refused as refused:
            status, value = refused.status, {"detail": str(refused)}
        raw = json.dumps(value).encode() if isinstance(value, dict) else b"".join(value)
        return status, format_datetime(world.now(), usegmt=True), raw

    return send


def api_over(wire: Wire) -> AirflowApi:
    """The API of this project over a wire, signed in."""

    def token() -> str:
        _, _, raw = wire("POST", "/auth/token", {"username": "oncall", "password": "secret"}, "")
        return str(json.loads(raw)["access_token"])

    api = AirflowApi(BASE, token)
    api._api.rest_client = cast("Any", _Rest(wire))
    return api


class _Rest:
    """What the client takes for its connections."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    def request(self, method: str, url: str, headers: dict[str, str], body: Any = None, **_: Any) -> RESTResponse:
        """Its one method."""
        token = headers.get("Authorization", "").removeprefix("Bearer ")
        status, date, raw = self._wire(method, url.removeprefix(BASE), body, token)
        named = HTTPHeaderDict({"Content-Type": "application/json", "Date": date})
        return RESTResponse(HTTPResponse(BytesIO(raw), headers=named, status=status, preload_content=False))
