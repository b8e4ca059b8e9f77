"""Clients of network services, met by local servers that misbehave as the scenario says."""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Protocol

from typing_extensions import Self

from lab.engines.base import Recording
from lab.engines.script import ScriptEngine
from lab.scenario import Scenario
from lab.servers.certificates import KINDS, Authority
from lab.servers.http import HttpServer, Replies
from lab.servers.sockets import Blackhole, ClosedPort, TalkServer, hangup, mute, reset, slam
from lab.servers.talk import Talks

SERVERS = Path(__file__).parents[1] / "servers"
NOWHERE = "255.255.255.255"
"""TCP cannot be routed there: ``Network is unreachable`` on every Linux."""
ASIDE = ("sftp", "rpc")
"""Servers with a process and an environment of their own, started when first asked for."""


class _Server(Protocol):
    @property
    def port(self) -> int: ...

    def stop(self) -> None: ...


class ClientsEngine(ScriptEngine):
    """``scenario.run`` is a Python script. Options, beside those of :class:`ScriptEngine`, all with placeholders:

    ``hosts: {"name:port": server}``: what a name leads to. Servers: ``http``, ``https`` (and ``https_KIND``, see ``certificates``),
    ``closed``, ``blackhole``, ``nowhere``, ``mute``, ``reset``, ``hangup``, ``slam``, ``lines``, ``redis``, ``mysql``, ``sftp``.
    Their ports are placeholders too: ``$$closed_port`` ...; ``$$ca`` is the authority that ``https`` is signed by.

    ``reply``: what HTTP answers, one ``Reply`` of ``lab.servers.http`` or a list of them. ``lines``, ``redis``, ``mysql``: see ``talk``.
    ``sftp``, ``rpc``: the state of those servers.
    """

    def __init__(self) -> None:
        super().__init__()
        self._stack = ExitStack()
        self._servers: dict[str, _Server] = {}
        self._ports: dict[str, int] = {}
        self._replies, self._talks = Replies(), Talks()

    def __enter__(self) -> Self:
        folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="lab-")))
        self._folder, self._authority = folder, Authority(folder)
        self._servers = {
            "http": HttpServer(self._replies),
            "https": HttpServer(self._replies, self._authority.context("good")),
            **{f"https_{kind}": HttpServer(self._replies, self._authority.context(kind)) for kind in KINDS if kind != "good"},
            "closed": ClosedPort(),
            "blackhole": Blackhole(),
            "mute": TalkServer(mute),
            "reset": TalkServer(reset),
            "hangup": TalkServer(hangup),
            "slam": TalkServer(slam),
            "lines": TalkServer(self._talks.lines),
            "redis": TalkServer(self._talks.redis),
            "mysql": TalkServer(self._talks.mysql),
        }
        self._ports = {name: server.port for name, server in self._servers.items()}
        return self

    def __exit__(self, *error: object) -> None:
        self._replies.tell(())
        for server in self._servers.values():
            server.stop()
        self._stack.close()

    def surroundings(self) -> Mapping[str, str]:
        """The servers' ports."""
        return {**{f"{name}_port": str(port) for name, port in self._ports.items()}, "ca": str(self._authority.bundle)}

    def provoke(self, scenario: Scenario, values: Mapping[str, str]) -> Iterable[Recording]:
        """Tell the servers their parts, then run the script."""
        options = _filled(scenario, scenario.options, {**self.surroundings(), **values})
        replies = options.get("reply", [])
        self._replies.tell([replies] if isinstance(replies, dict) else replies)
        self._talks.tell(options)
        for name in ASIDE:
            if name in options:
                self._aside(name, options[name])
        names = {name: self._address(server) for name, server in options.get("hosts", {}).items()}
        env = {**self._environment(), "LAB_NAMES": json.dumps(names), **options.get("env", {})}
        yield from super().provoke(scenario.model_copy(update={"options": {**options, "env": env}}), values)

    def _environment(self) -> dict[str, str]:
        trusted = str(self._authority.bundle)
        return {"PYTHONPATH": str(SERVERS / "names"), "REQUESTS_CA_BUNDLE": trusted, "SSL_CERT_FILE": trusted, "AWS_CA_BUNDLE": trusted}

    def _address(self, server: str) -> str:
        return f"{NOWHERE}:9" if server == "nowhere" else f"127.0.0.1:{self._ports[server]}"

    def _aside(self, name: str, state: Any) -> None:
        path = self._folder / f"{name}.json"
        path.write_text(json.dumps(state), encoding="utf-8")
        if name not in self._ports:
            command = [self._python(), str(SERVERS / f"{name}.py"), str(path)]
            process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
            self._stack.enter_context(process)
            self._stack.callback(process.kill)
            assert process.stdout is not None
            self._ports[name] = int(process.stdout.readline())


def _filled(scenario: Scenario, value: Any, values: Mapping[str, str]) -> Any:
    """``value`` with its placeholders filled, however deep."""
    if isinstance(value, str):
        return scenario.fill(value, values)
    if isinstance(value, Mapping):
        return {scenario.fill(str(key), values): _filled(scenario, one, values) for key, one in value.items()}
    return [_filled(scenario, one, values) for one in value] if isinstance(value, (list, tuple)) else value
