from __future__ import annotations

import gzip
import io
import json
from pathlib import Path

import pytest
from rich.console import Console
from tests.cli.conftest import Run

from airflow_oncall import conf
from airflow_oncall.cli import scanning

Output = pytest.CaptureFixture[str]
INCLUDE = Path(__file__).parents[2] / "include" / "oncall"
FROZEN = ("--id", "shop-frozen", "--title", "The ledger is frozen", "--pattern", "ledger .* is frozen")


@pytest.fixture
def own(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The operator's include folder, empty, before the shipped one."""
    monkeypatch.setattr(conf, "include_paths", lambda: [home / "own", INCLUDE])
    return home / "own"


@pytest.fixture
def log(home: Path, own: Path) -> Path:
    """Two failures of one kind with a secret, one of another, and healthy lines."""
    path = home / "app.log"
    path.write_text(
        "2026-11-20 04:05:05 INFO started\n"
        "2026-11-20 04:05:06 ERROR shop.Loader: order 1 refused, password=hunter22\n"
        "2026-11-20 04:05:07 ERROR shop.Loader: order 2 refused, password=hunter22\n"
        "2026-11-20 04:05:08 INFO calling a Java program\n"
        "java.lang.OutOfMemoryError: Java heap space\n",
        encoding="utf-8",
    )
    return path


def test_scan_shows_what_would_become_incidents_without_secrets(log: Path, oncall: Run, capsys: Output) -> None:
    assert oncall("scan", str(log)) == 0

    told = capsys.readouterr().out
    assert "2026-11-20 04:05:06  level-error" in told
    assert "  2x  path=" in told
    assert "jvm-out-of-memory" in told
    assert "hunter22" not in told
    assert told.endswith("2 incidents of 3 records; nothing was stored\n")


def test_scan_answers_programs_in_json(log: Path, oncall: Run, capsys: Output) -> None:
    assert oncall("scan", "--source", "files", str(log), "--format", "json") == 0

    told = json.loads(capsys.readouterr().out)
    assert {(one["signature"], one["count"]) for one in told["incidents"]} == {("level-error", 2), ("jvm-out-of-memory", 1)}
    assert {len(one["fingerprint"]) for one in told["incidents"]} == {16}
    assert told["problems"] == []


def test_scan_stores_nothing(log: Path, oncall: Run) -> None:
    before = {path for path in log.parent.rglob("*") if path.is_file()}
    oncall("scan", str(log))
    assert {path for path in log.parent.rglob("*") if path.is_file()} == before


def test_scan_of_no_file_ends_with_1_and_says_why(own: Path, oncall: Run, capsys: Output) -> None:
    assert oncall("scan", str(own / "missing.log")) == 1
    assert "no file is called" in capsys.readouterr().err


@pytest.mark.parametrize("kind", ["files", "spark_events", "postgres_files", "spark", "postgres"])
def test_scan_takes_the_kinds_by_the_names_of_sources_yaml_and_by_short_ones(own: Path, oncall: Run, kind: str) -> None:
    (log := own.parent / "server.log").write_text("")
    (folder := own.parent / "events").mkdir()
    assert oncall("scan", "--source", kind, str(folder if kind.startswith("spark") else log)) == 0


def test_scan_of_a_folder_says_how_its_files_are_named(log: Path, oncall: Run, capsys: Output) -> None:
    assert oncall("scan", str(log.parent)) == 1
    assert f"is a folder; name the files in it, e.g. '{log.parent}/*.log'" in capsys.readouterr().err
    assert oncall("scan", f"{log.parent}/*.log") == 0


@pytest.fixture
def bar(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """What is drawn on a terminal."""
    drawn = io.StringIO()
    monkeypatch.setattr(scanning, "Console", lambda **_: Console(file=drawn, force_terminal=True, width=120))
    return drawn


def test_the_bar_of_one_file_or_of_several_comes_to_its_end(log: Path, oncall: Run, bar: io.StringIO) -> None:
    (log.parent / "older.log").write_text("2026-11-20 04:05:06 ERROR shop.Loader: order 1 refused\n", encoding="utf-8")
    assert oncall("scan", f"{log.parent}/*.log") == 0
    assert "100%" in bar.getvalue()
    assert "scanning: 4 records" in bar.getvalue()


def test_the_bar_of_a_postgresql_log_comes_to_its_end(own: Path, oncall: Run, bar: io.StringIO) -> None:
    log = own.parent / "postgresql.log"
    log.write_text("2026-11-20 04:05:06.000 UTC [7] ERROR:  deadlock detected\n", encoding="utf-8")
    assert oncall("scan", "--source", "postgres", str(log)) == 0
    assert "100%" in bar.getvalue()


def test_an_archive_has_a_bar_without_an_end(log: Path, oncall: Run, bar: io.StringIO) -> None:
    (packed := log.with_suffix(".log.gz")).write_bytes(gzip.compress(log.read_bytes()))
    assert oncall("scan", str(packed)) == 0
    assert "scanning: 3 records" in bar.getvalue()
    assert "%" not in bar.getvalue()


def test_patterns_test_names_every_signature_of_a_line(own: Path, oncall: Run, capsys: Output) -> None:
    assert oncall("patterns", "test", "ERROR:  deadlock detected") == 0

    told = capsys.readouterr().out
    assert told.startswith("postgres-deadlock (postgres, ERROR): ")
    assert "also postgres-error" in told


def test_patterns_test_ends_with_1_where_nothing_is_found(own: Path, oncall: Run, capsys: Output) -> None:
    assert oncall("patterns", "test", "all is well") == 1
    assert capsys.readouterr().out == "no signature: all is well\n"


def test_patterns_add_puts_a_signature_in_force(own: Path, oncall: Run, capsys: Output) -> None:
    lines = ("--match", "ledger 7 is frozen", "--no-match", "ledger 7 is open")
    assert oncall("patterns", "add", *FROZEN, *lines) == 0
    assert oncall("patterns", "add", *(word.replace("frozen", "molten") for word in (*FROZEN, *lines))) == 0
    capsys.readouterr()

    assert oncall("patterns", "test", "ledger 9 is frozen") == 0
    assert capsys.readouterr().out.startswith("shop-frozen (site, ERROR): The ledger is frozen")
    assert oncall("patterns", "test", "ledger 9 is molten") == 0


def test_patterns_add_refuses_what_fails_its_own_lines_and_writes_nothing(own: Path, oncall: Run, capsys: Output) -> None:
    assert oncall("patterns", "add", *FROZEN, "--match", "ledger 7 is open", "--no-match", "x") == 1

    assert "'ledger 7 is open' is not found" in capsys.readouterr().err
    assert not (own / "signatures" / "site.yaml").exists()


def test_patterns_add_refuses_an_expression_that_is_not_re2(own: Path, oncall: Run, capsys: Output) -> None:
    words = ("--id", "x", "--title", "x", "--pattern", "frozen(?!ish)", "--match", "frozen", "--no-match", "frozenish")
    assert oncall("patterns", "add", *words) == 1
    assert "look-around is not allowed" in capsys.readouterr().err


def test_patterns_add_refuses_an_id_that_is_taken(own: Path, oncall: Run, capsys: Output) -> None:
    words = ("--id", "postgres-deadlock", "--title", "x", "--pattern", "frozen", "--match", "frozen", "--no-match", "open")
    assert oncall("patterns", "add", *words) == 1
    assert "'postgres-deadlock' exists already" in capsys.readouterr().err


def test_patterns_add_without_a_terminal_says_what_is_missing(
    own: Path, oncall: Run, capsys: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin.isatty", lambda: False, raising=False)
    assert oncall("patterns", "add", *FROZEN) == 1
    assert "nothing was given for: a line that it must find" in capsys.readouterr().err
