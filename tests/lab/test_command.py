"""``python -m lab``: what it does when it is stopped, when a fault does not show, and where a machine cannot provoke one."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import lab.__main__ as command
import pytest
from lab.engines.base import NotPossible, Recording
from lab.engines.postgres_server import small_disk
from lab.record import Row, write
from lab.scenario import Scenario
from rich.console import Console
from typing_extensions import Self

ROOT = Path(__file__).parents[2]
STOPPED = """
import sys, time
from pathlib import Path
import lab.__main__ as command

class Slow:
    version = "Slow 1"

    def __enter__(self):
        return self

    def __exit__(self, *error):
        Path(ended).touch()

    def provoke(self, scenario, values):
        print("working", flush=True)
        time.sleep(600)

ended = sys.argv.pop()
command.open_engine = lambda name: Slow()
sys.exit(command.main())
"""
TOGETHER = """
import sys
import lab.__main__ as command

command.sys.executable = sys.argv.pop()
sys.exit(command.main())
"""
CHILD = """#!/bin/sh
trap 'touch "$0-$3-ended"; exit 1' TERM
echo working
while :; do sleep 0.1; done
"""
ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, (ROOT, ROOT / "plugins")))}


@pytest.fixture
def scenario() -> Scenario:
    return Scenario(id="disk-full", category="storage_exhaustion", transient=False, run="", shows="No space", variations=({}, {}, {}))


@pytest.fixture
def corpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the command writes."""
    monkeypatch.setattr(command, "CORPUS", tmp_path)
    monkeypatch.setattr(command, "write", lambda name, made: write(name, made, tmp_path))
    return tmp_path


class Engine:
    """Answers each provocation with what it is given."""

    version = "Engine 1"

    def __init__(self, says: str | Exception) -> None:
        self._says = says

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        return

    def provoke(self, scenario: Scenario, values: Mapping[str, str]) -> Iterator[Recording]:
        if isinstance(self._says, Exception):
            raise self._says
        yield Recording(self._says, "client", exit_code=1)


def provoked(scenario: Scenario, engine: Engine, monkeypatch: pytest.MonkeyPatch) -> tuple[bool, str]:
    """Whether the command was content with this engine, and what it said."""
    monkeypatch.setattr(command, "open_engine", lambda name: engine)
    monkeypatch.setattr(command, "read_scenarios", lambda name: [scenario])
    console = Console(width=400, record=True)
    went_well = command.record("python", console)
    return went_well, console.export_text()


@contextmanager
def started(program: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    command_line = [sys.executable, "-c", program, *arguments]
    with subprocess.Popen(command_line, stdout=subprocess.PIPE, text=True, env=ENVIRONMENT, start_new_session=True) as process:
        try:
            yield process
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def shipped(folder: Path) -> list[Row]:
    return [json.loads(line) for line in (folder / "python.jsonl").read_text(encoding="utf-8").splitlines()]


def test_a_lab_that_is_told_to_stop_ends_its_engine_first(tmp_path: Path) -> None:
    ended = tmp_path / "ended"
    with started(STOPPED, "python", str(ended)) as process:
        assert process.stdout is not None
        assert any(line == "working\n" for line in process.stdout)
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=60)
    assert ended.exists()
    assert process.returncode == 128 + signal.SIGTERM


def test_engines_that_run_side_by_side_are_told_to_stop_too(tmp_path: Path) -> None:
    child = tmp_path / "child"
    child.write_text(CHILD, encoding="utf-8")
    child.chmod(0o755)
    with started(TOGETHER, "python", "cloud", "airflow", str(child)) as process:
        assert process.stdout is not None
        assert [process.stdout.readline() for _ in range(command.AT_ONCE)] == ["working\n"] * command.AT_ONCE
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=60)
    assert {path.name for path in tmp_path.iterdir()} == {"child", "child-python-ended", "child-cloud-ended"}
    assert process.returncode == 128 + signal.SIGTERM


def test_every_scenario_is_told_of_as_it_ends(scenario: Scenario, corpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    went_well, said = provoked(scenario, Engine("No space left"), monkeypatch)
    assert went_well
    assert "python 1/1 disk-full: 3 rows" in said
    assert len(shipped(corpus)) == 3


def test_where_a_fault_does_not_show_the_corpus_stays_as_it_was(scenario: Scenario, corpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write("python", [{"text": "old"}], corpus)
    went_well, said = provoked(scenario, Engine("all is well"), monkeypatch)
    assert not went_well
    assert "'disk-full'" in said
    assert "all is well" in said
    assert shipped(corpus) == [{"text": "old"}]


def test_what_this_machine_cannot_provoke_is_skipped_and_its_rows_stay(
    scenario: Scenario, corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = [{"text": "No space", "provenance": {"scenario": "disk-full"}}, {"text": "x", "provenance": {"scenario": "gone"}}]
    write("python", old, corpus)
    went_well, said = provoked(scenario, Engine(NotPossible("a small disk needs root")), monkeypatch)
    assert went_well
    assert "python 1/1 disk-full: skipped, its 1 shipped rows stay: a small disk needs root" in said
    assert shipped(corpus) == old[:1]


def test_a_disk_that_may_not_be_mounted_is_not_possible_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    refusing = tmp_path / "bin" / "mount"
    refusing.parent.mkdir()
    refusing.write_text("#!/bin/sh\necho 'mount: permission denied' >&2\nexit 32\n", encoding="utf-8")
    refusing.chmod(0o755)
    monkeypatch.setenv("PATH", str(refusing.parent))
    with pytest.raises(NotPossible, match=r"5 MB needs the right to mount.*permission denied"), small_disk(tmp_path / "disk", 5):
        pass
    assert not (tmp_path / "disk").exists()
