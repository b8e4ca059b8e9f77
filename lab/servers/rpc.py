"""A gRPC service that ends every call as told. ``python rpc.py STATE`` prints its port and reads STATE at every call.

STATE is JSON: ``{"code": "NOT_FOUND", "details": "..."}``, with ``"sleep": seconds`` before; ``{}`` answers.
"""

from __future__ import annotations

import json
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc  # type: ignore[import-not-found,import-untyped,unused-ignore]


class Service(grpc.GenericRpcHandler):  # type: ignore[misc,unused-ignore]
    """Every method there is."""

    def __init__(self, state: Path) -> None:
        self._state = state

    def service(self, handler_call_details: Any) -> Any:
        """The same end for all."""
        return grpc.unary_unary_rpc_method_handler(self._end)

    def _end(self, request: bytes, context: Any) -> bytes:
        state = json.loads(self._state.read_text(encoding="utf-8"))
        time.sleep(state.get("sleep", 0))
        if "bug" in state:
            raise RuntimeError(state["bug"])
        if "code" in state:
            context.abort(grpc.StatusCode[state["code"]], state.get("details", ""))
        return request


def main() -> None:
    """See the module."""
    server = grpc.server(ThreadPoolExecutor(4))
    server.add_generic_rpc_handlers((Service(Path(sys.argv[1])),))
    print(server.add_insecure_port("127.0.0.1:0"), flush=True)  # noqa: T201 - the parent reads it
    server.start()
    server.wait_for_termination()


if __name__ == "__main__":
    main()
