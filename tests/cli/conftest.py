"""The commands on a store that lies in a folder of the test's own."""

from __future__ import annotations

import argparse
import io
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from airflow_oncall import brain, conf
from airflow_oncall.cli import commands, doctor
from airflow_oncall.cli.definition import COMMANDS
from airflow_oncall.store.sql import Store

Run = Callable[..., int]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """AIRFLOW_HOME with nothing in it."""
    monkeypatch.setattr(conf, "airflow_home", lambda: tmp_path)
    monkeypatch.setattr(commands, "read_like_a_server", lambda: None)
    return tmp_path


@pytest.fixture
def deployment(home: Path, sqlite_store: Store, monkeypatch: pytest.MonkeyPatch) -> Store:
    """A store that every command opens."""
    for module in (commands, doctor, brain):
        monkeypatch.setattr(module, "open_store", lambda **_: sqlite_store)
    return sqlite_store


@pytest.fixture
def oncall(home: Path) -> Run:
    """``oncall("list", "--format", "json")`` parses as Airflow does, runs, and gives the exit code."""

    def run(name: str, *words: str) -> int:
        command = next(one for one in COMMANDS if one.name == name)
        parser = argparse.ArgumentParser()
        for arg in getattr(command, "args", ()):
            arg.add_to_parser(parser)
        function = getattr(doctor if name == "doctor" else commands, {"list": "list_incidents", "show": "show_incident"}.get(name, name))
        try:
            return int(function(parser.parse_args(words)))
        except SystemExit as ended:
            return int(ended.code or 0)

    return run


@pytest.fixture
def standard_input(monkeypatch: pytest.MonkeyPatch) -> Callable[[bytes], None]:
    """Puts bytes on standard input."""

    def put(content: bytes) -> None:
        monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(content)))

    return put
