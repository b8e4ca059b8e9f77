"""No request is larger than :data:`MOST_BYTES`: it is refused before any of it is read further."""

from __future__ import annotations

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from airflow_oncall.show.api.errors import envelope

MOST_BYTES = 2 * 1024 * 1024
"""More than the longest text that is analysed, with its JSON."""


class BodyLimit:
    """Reads the body, counting; what is larger than ``most`` is answered 413."""

    def __init__(self, app: ASGIApp, most: int = MOST_BYTES) -> None:
        self._app, self._most = app, most

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        messages = await self._read(scope, receive)
        if messages is None:
            response = envelope(413, "too_large", f"a request may have {self._most} bytes; send less", {"most_bytes": self._most})
            await response(scope, receive, send)
            return
        waiting = iter(messages)

        async def replayed() -> Message:
            return next(waiting, None) or await receive()

        await self._app(scope, replayed, send)

    async def _read(self, scope: Scope, receive: Receive) -> list[Message] | None:
        """All of the body; ``None`` when it is too large."""
        said = dict(scope["headers"]).get(b"content-length", b"0")
        if said.isdigit() and int(said) > self._most:
            return None
        messages, size = [], 0
        while True:
            message = await receive()
            messages.append(message)
            size += len(message.get("body", b""))
            if size > self._most:
                return None
            if message["type"] != "http.request" or not message.get("more_body"):
                return messages
