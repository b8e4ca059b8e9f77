from __future__ import annotations

import argparse
import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import make_url
from tests.cast import FOURTH_SHARD, MIDNIGHT, NIGHTLY_ORDERS, vendor_was_down
from tests.cli.conftest import Run
from tests.reports.conftest import repaired

from airflow_oncall.cli import commands
from airflow_oncall.incident import LogEvent, TaskRef
from airflow_oncall.store.engine import shown
from airflow_oncall.store.sql import Store


@pytest.fixture
def two_failures(deployment: Store) -> Store:
    """Incident 1 is of ``nightly``, incident 2 of ``shards``."""
    for ref in (NIGHTLY_ORDERS, FOURTH_SHARD):
        deployment.intake.record(replace(vendor_was_down, ref=ref))
    return deployment


@pytest.fixture
def many_failures(deployment: Store) -> int:
    """More incidents than a report shows to people."""
    refs = [TaskRef("nightly", f"manual__{number}", "load_orders") for number in range(60)]
    for ref in refs:
        deployment.intake.record(replace(vendor_was_down, ref=ref))
    return len(refs)


def test_list_shows_incidents_newest_first(two_failures: Store, oncall: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert oncall("list", "--format", "json") == 0
    assert [one["ref"] for one in json.loads(capsys.readouterr().out)] == [str(FOURTH_SHARD), str(NIGHTLY_ORDERS)]


def test_list_can_be_narrowed_to_a_dag(two_failures: Store, oncall: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert oncall("list", "--dag-id", "nightly", "--format", "json") == 0
    assert [one["ref"] for one in json.loads(capsys.readouterr().out)] == [str(NIGHTLY_ORDERS)]


def test_list_for_people_counts_the_incidents(two_failures: Store, oncall: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert oncall("list") == 0
    assert "2 incident(s)" in capsys.readouterr().out


def test_list_for_people_folds_long_names_and_leaves_nothing_out(
    deployment: Store, oncall: Run, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    ref = TaskRef("nightly", "manual__2026-11-21T03:00:00+00:00", "[bold]load_" + "x" * 200)
    deployment.intake.record(replace(vendor_was_down, ref=ref))
    assert oncall("list") == 0
    column = "".join(line.split("│")[4].strip() for line in capsys.readouterr().out.splitlines() if line.count("│") > 4)
    assert column == str(ref)


def test_show_tells_what_was_seen(two_failures: Store, oncall: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert oncall("show", "1", "--format", "json") == 0
    whole = json.loads(capsys.readouterr().out)
    assert whole["incident"]["ref"] == str(NIGHTLY_ORDERS)
    assert whole["occurrences"][0]["evidence"]["message"] == vendor_was_down.evidence.message


def test_show_for_people_has_the_history(two_failures: Store, oncall: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert oncall("show", "1") == 0
    assert "History" in capsys.readouterr().out


def test_show_tells_what_an_engine_logged_and_what_its_text_merely_claims(
    deployment: Store, oncall: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    event = LogEvent(
        "warehouse", "line 1", MIDNIGHT, "disk full", "full", identifiers={"database": "sales"}, claimed={"dag_id": "a"}, count=3
    )
    deployment.logs.commit("warehouse", {}, {"line": 1}, [event])
    assert oncall("show", "1") == 0
    out = capsys.readouterr().out
    for part in ("Logged by warehouse at 00:00:00, 3 times", "disk full", "database=sales", "claimed by the text: dag_id=a"):
        assert part in out


def test_show_of_an_unknown_incident_fails_in_one_line(deployment: Store, oncall: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert oncall("show", "7") == 1
    assert capsys.readouterr().err == "oncall: there is no incident 7; `airflow oncall list` shows those there are\n"


@pytest.mark.parametrize(("words", "shown_incidents"), [((), 60), (("--limit", "3"), 3)], ids=["no limit", "a limit"])
def test_a_report_for_programs_is_whole_unless_limited(
    many_failures: int, oncall: Run, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], shown_incidents: int
) -> None:
    assert oncall("report", "--format", "json", *words) == 0
    assert len(json.loads(capsys.readouterr().out)["incidents"]) == shown_incidents


def test_a_report_for_people_stops_at_fifty(many_failures: int, oncall: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert oncall("report") == 0
    listed = [line for line in capsys.readouterr().out.splitlines() if re.search(r"\bopen\W*$", line)]
    assert len(listed) + 10 == many_failures


def test_a_report_for_people_names_what_fails_again_and_again(
    deployment: Store, oncall: Run, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    for number in range(3):
        repaired(deployment, replace(NIGHTLY_ORDERS, run_id=f"manual__{number}"))
    repaired(deployment, FOURTH_SHARD)
    assert oncall("report") == 0
    _, _, told = capsys.readouterr().out.partition("the same failure again and again")
    same, _, rest = told.partition("noisy tasks")
    assert vendor_was_down.fingerprint in same
    _, _, flapping = rest.partition("flapping tasks")
    flapping = flapping.partition("how actions ended")[0]
    assert "nightly.load_orders" in flapping
    assert FOURTH_SHARD.task_id not in flapping


def test_classify_answers_a_text(own: Path, oncall: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert oncall("classify", "--text", "java.lang.OutOfMemoryError: Java heap space") == 0
    assert json.loads(capsys.readouterr().out)["category"] == "memory_exhaustion"


def test_classify_goes_on_after_bytes_that_are_no_utf_8(
    own: Path, oncall: Run, standard_input: Callable[[bytes], None], capsys: pytest.CaptureFixture[str]
) -> None:
    heap = b"java.lang.OutOfMemoryError: Java heap space"
    standard_input(b'{"id": 1, "text": "caf\xe9 ' + heap + b'"}\n\xff\xfe\n\n{"id": 4, "text": "' + heap + b'"}\n')

    assert oncall("classify") == 1

    written = capsys.readouterr()
    assert [json.loads(line)["id"] for line in written.out.splitlines()] == [1, 4]
    assert "standard input, line 2:" in written.err


@pytest.mark.parametrize("line", [b"[]", b'{"id": 1}', b'{"id": 1, "text": 2}', b"{"])
def test_classify_leaves_a_bad_line_out_and_names_it(
    own: Path, oncall: Run, standard_input: Callable[[bytes], None], capsys: pytest.CaptureFixture[str], line: bytes
) -> None:
    standard_input(line + b"\n")

    assert oncall("classify") == 1

    written = capsys.readouterr()
    assert written.out == ""
    assert "line 1:" in written.err


def test_db_upgrade_makes_the_store_under_airflow_home(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("airflow_oncall.store.engine.find_connection", lambda _: None)

    assert commands.db_upgrade(argparse.Namespace()) == 0

    file = home / "oncall" / "oncall.db"
    assert file.is_file()
    assert f"incident store sqlite:///{file} is at revision" in capsys.readouterr().out


def test_a_message_names_the_store_without_its_secrets() -> None:
    url = make_url("postgresql+psycopg://alice:hunter22@db.prod:5433/oncall?password=hunter23&sslmode=require")

    assert shown(url) == "postgresql://db.prod:5433/oncall"
    assert shown(make_url("sqlite:////srv/oncall.db")) == "sqlite:////srv/oncall.db"
