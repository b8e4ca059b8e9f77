"""``report`` for people, for programs, and as a page."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from tests.cast import NIGHTLY_ORDERS
from tests.cli.conftest import Run
from tests.reports.conftest import HOSTILE, repaired
from tests.reports.test_findings import Page

from airflow_oncall.incident import OutcomeKind
from airflow_oncall.store.records import now
from airflow_oncall.store.sql import Store

FORMATS = ["text", "json", "html"]


@pytest.fixture
def three_repairs(deployment: Store) -> Store:
    """Two of the nightly orders, of which one helped, and one of a task with a hostile name."""
    repaired(deployment, replace(NIGHTLY_ORDERS, run_id="manual__1"))
    repaired(deployment, replace(NIGHTLY_ORDERS, run_id="manual__2"), OutcomeKind.FAILED_SAME)
    repaired(deployment, HOSTILE)
    return deployment


def test_people_read_the_figures_and_what_fails(
    three_repairs: Store, oncall: Run, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    assert oncall("report", "--days", "7", "--format", "text") == 0
    told = capsys.readouterr().out
    for said in ("3 incidents opened, 1 open now.", "67% of 3 repairs helped.", "network_timeout", "nightly.load_orders"):
        assert said in told


def test_programs_read_the_same(three_repairs: Store, oncall: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert oncall("report", "--days", "7", "--format", "json") == 0
    told = json.loads(capsys.readouterr().out)
    found = told["findings"]
    assert (found["opened"], found["open"], found["repairs"], round(found["repair_rate"], 2)) == (3, 1, 3, 0.67)
    assert len(told["incidents"]) == 3


def test_the_page_goes_to_standard_output(three_repairs: Store, oncall: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert oncall("report", "--days", "7", "--format", "html") == 0
    told = capsys.readouterr().out
    assert told.startswith("<!doctype html>")
    assert told.endswith("</html>\n")
    page = Page(told)
    assert f"{HOSTILE.dag_id}.{HOSTILE.task_id}" in page.text
    assert "script" not in page.tags


@pytest.mark.parametrize("kind", FORMATS)
def test_a_file_gets_what_standard_output_would(
    three_repairs: Store, oncall: Run, capsys: pytest.CaptureFixture[str], tmp_path: Path, kind: str
) -> None:
    file = tmp_path / "report"
    assert oncall("report", "--format", kind, "--output", str(file)) == 0
    assert capsys.readouterr().out == ""
    assert "nightly" in file.read_text(encoding="utf-8")


def test_a_file_that_cannot_be_written_is_named(deployment: Store, oncall: Run, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    file = tmp_path / "missing" / "week.html"
    assert oncall("report", "--format", "html", "--output", str(file)) == 1
    assert capsys.readouterr().err == f"oncall: [Errno 2] No such file or directory: '{file}'\n"


@pytest.mark.parametrize(
    ("kind", "said"),
    [("text", "0 incidents opened, 0 open now."), ("json", '"opened": 0'), ("html", "Nothing failed in this time.")],
)
def test_an_empty_store_has_a_report(deployment: Store, oncall: Run, capsys: pytest.CaptureFixture[str], kind: str, said: str) -> None:
    assert oncall("report", "--format", kind) == 0
    assert said in capsys.readouterr().out


def test_what_is_older_is_left_out(
    three_repairs: Store, oncall: Run, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    later = now() + timedelta(days=10)
    monkeypatch.setattr("airflow_oncall.reports.findings.now", lambda: later)
    for days, opened in (("9", 0), ("11", 3)):
        assert oncall("report", "--days", days, "--format", "json") == 0
        assert json.loads(capsys.readouterr().out)["findings"]["opened"] == opened


@pytest.mark.parametrize("days", ["0", "-1", "36501", "many"])
@pytest.mark.parametrize("command", ["report", "shadow-report"])
def test_a_look_back_at_no_days_is_refused(command: str, days: str, oncall: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert oncall(command, "--days", days) == 2
    assert f"argument --days: {days!r} is no number of days from 1 to 36500" in capsys.readouterr().err
