"""The commands on a store that lies in a folder of the test's own."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
from tests.examples import few_lines

from airflow_oncall import brain, conf, training
from airflow_oncall.__main__ import parser
from airflow_oncall.cli import commands, doctor, invented, learning, models, reporting, terminal
from airflow_oncall.errors import BadSetting
from airflow_oncall.store.sql import Store

Run = Callable[..., int]
RULES = Path(__file__).parents[2] / "include" / "oncall" / "rules"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """AIRFLOW_HOME with nothing in it."""
    monkeypatch.setattr(conf, "airflow_home", lambda: tmp_path)
    monkeypatch.setattr(terminal, "read_like_a_server", lambda: None)
    return tmp_path


@pytest.fixture
def deployment(home: Path, sqlite_store: Store, monkeypatch: pytest.MonkeyPatch) -> Store:
    """A store that every command opens."""
    for module in (commands, doctor, learning, models, reporting, brain, training):
        monkeypatch.setattr(module, "open_store", lambda **_: sqlite_store)
    return sqlite_store


@pytest.fixture
def own(deployment: Store, home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The operator's include folder, empty; what is shipped are the rules and a corpus that trains in a moment."""
    shipped = home / "shipped"
    (shipped / "corpus").mkdir(parents=True)
    (shipped / "rules").symlink_to(RULES)
    (shipped / "corpus" / "few.jsonl").write_text(few_lines(), encoding="utf-8")
    monkeypatch.setattr(conf, "include_paths", lambda: [home / "own", shipped])
    monkeypatch.setattr(conf, "train_min_rows", lambda: 50)
    return home / "own"


@pytest.fixture
def oncall(home: Path) -> Run:
    """``oncall("list", "--format", "json")`` parses as Airflow does, runs, and gives the exit code."""

    def run(*words: str) -> int:
        try:
            asked = parser().parse_args(words)
            return int(asked.func(asked))
        except SystemExit as ended:
            return int(ended.code or 0)

    return run


@pytest.fixture
def standard_input(monkeypatch: pytest.MonkeyPatch) -> Callable[[bytes], None]:
    """Puts bytes on standard input."""

    def put(content: bytes) -> None:
        lines = io.TextIOWrapper(io.BytesIO(content), encoding="utf-8")
        monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(content), readline=lines.readline))

    return put


@pytest.fixture
def no_airflow(monkeypatch: pytest.MonkeyPatch) -> None:
    """No connection leads to Airflow."""

    def refuse() -> None:
        raise BadSetting("connection 'oncall_airflow' is not defined")

    monkeypatch.setattr(invented, "open_api", refuse)
