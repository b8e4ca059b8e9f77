"""Clients of cloud services: boto3 against moto's server, and all clients against replies in the style of a service."""

from __future__ import annotations

import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterable, Mapping

from typing_extensions import Self

from lab.engines.base import Recording
from lab.engines.clients import ClientsEngine
from lab.scenario import Scenario

PATIENCE = 30.0


class CloudEngine(ClientsEngine):
    """:class:`ClientsEngine` with moto's server (``moto`` among the hosts, ``$$moto_port``), empty again before each script."""

    def __enter__(self) -> Self:
        super().__enter__()
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        command = [self._python(), "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self._stack.enter_context(process)
        self._stack.callback(process.kill)
        self._ports["moto"] = port
        self._wait()
        return self

    def provoke(self, scenario: Scenario, values: Mapping[str, str]) -> Iterable[Recording]:
        """On an empty cloud."""
        urllib.request.urlopen(urllib.request.Request(self._url("/moto-api/reset"), method="POST"), timeout=PATIENCE).close()
        yield from super().provoke(scenario, values)

    def _environment(self) -> dict[str, str]:
        keys = {"AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE", "AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMI", "AWS_DEFAULT_REGION": "eu-central-1"}
        return {**super()._environment(), **keys, "AWS_EC2_METADATA_DISABLED": "true"}

    def _url(self, path: str) -> str:
        return f"http://127.0.0.1:{self._ports['moto']}{path}"

    def _wait(self) -> None:
        end = time.monotonic() + PATIENCE
        while True:
            try:
                urllib.request.urlopen(self._url("/moto-api/data.json"), timeout=PATIENCE).close()
                return
            except OSError:
                if time.monotonic() > end:
                    raise
                time.sleep(0.2)
