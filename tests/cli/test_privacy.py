"""``purge``, ``data``, ``audit`` and ``masking``."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import update
from tests.cast import NIGHTLY_ORDERS, vendor_was_down
from tests.cli.conftest import Run

from airflow_oncall import conf
from airflow_oncall.capture import masking, spool
from airflow_oncall.cli import auditing, doctor, purging
from airflow_oncall.incident import State
from airflow_oncall.store import retention
from airflow_oncall.store.records import now
from airflow_oncall.store.sql import Store
from airflow_oncall.store.tables import audit, incidents

Asked = Callable[[str], None]


@pytest.fixture
def kept(deployment: Store, home: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """Incidents of a year ago: one resolved, one that a person has, one that is open; and one that was resolved yesterday."""
    for module in (auditing, purging):
        monkeypatch.setattr(module, "open_store", lambda **_: deployment)
    monkeypatch.setattr(conf, "models_path", lambda: home / "models")
    monkeypatch.setattr(conf, "spool_path", lambda: home / "spool")
    states = {"resolved": (State.RESOLVED, 365), "person": (State.ESCALATED, 365), "open": (State.OPEN, 365), "fresh": (State.RESOLVED, 1)}
    for run_id, (state, days) in states.items():
        deployment.intake.record(replace(vendor_was_down, ref=replace(NIGHTLY_ORDERS, run_id=run_id)))
        at = now() - timedelta(days=days)
        closed = at if state is State.RESOLVED else None
        with deployment.engine.begin() as connection:
            values = {"opened_at": at, "closed_at": closed, "state": str(state)}
            connection.execute(update(incidents).where(incidents.c.run_id == run_id).values(values))
    return deployment


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Asked:
    """A person at a terminal, who gives this answer."""

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    return lambda answer: monkeypatch.setattr("sys.stdin", Terminal(answer + "\n"))


def runs(store: Store) -> set[str]:
    return {one.ref.run_id for one in store.reading.incidents()}


def test_purge_deletes_what_is_old_and_rests(kept: Store, oncall: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert oncall("purge", "--older-than", "30", "--yes", "--user", "ann") == 0
    assert runs(kept) == {"open", "fresh"}
    told = capsys.readouterr().out
    assert "2 incidents, 2 occurrences" in told
    assert [(row.actor, row.what) for row in kept.audit.rows(limit=1)] == [("ann", "forgotten")]


def test_purge_leaves_what_a_person_has_where_it_is_told_so(kept: Store, oncall: Run) -> None:
    assert oncall("purge", "--older-than", "30", "--closed-only", "--yes") == 0
    assert runs(kept) == {"person", "open", "fresh"}


def test_purge_of_another_dag_deletes_nothing(kept: Store, oncall: Run) -> None:
    assert oncall("purge", "--older-than", "30", "--dag-id", "billing", "--yes") == 0
    assert len(runs(kept)) == 4


def test_a_dry_run_only_counts(kept: Store, oncall: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert oncall("purge", "--older-than", "30", "--dry-run") == 0
    assert "2 incidents" in capsys.readouterr().out
    assert len(runs(kept)) == 4


@pytest.mark.parametrize(("answer", "left"), [("y", 2), ("n", 4), ("", 4)])
def test_purge_asks_a_person(kept: Store, oncall: Run, terminal: Asked, answer: str, left: int) -> None:
    terminal(answer)
    oncall("purge", "--older-than", "30")
    assert len(runs(kept)) == left


def test_purge_does_nothing_where_nobody_can_be_asked(
    kept: Store, oncall: Run, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO())
    assert oncall("purge", "--older-than", "30") == 1
    assert "say --yes" in capsys.readouterr().err
    assert len(runs(kept)) == 4


def test_purge_goes_on_until_all_is_gone(kept: Store, oncall: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "BATCH", 1)
    monkeypatch.setattr(retention, "MOST_BATCHES", 1)
    oncall("purge", "--older-than", "30", "--yes")
    assert runs(kept) == {"open", "fresh"}


def test_purge_needs_to_know_how_old_is_old(kept: Store, oncall: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert oncall("purge", "--yes") == 1
    assert "say how old is old enough with --older-than DAYS" in capsys.readouterr().err
    assert len(runs(kept)) == 4


def test_data_of_a_dag_is_written_to_a_file_for_its_reader_alone(kept: Store, oncall: Run, tmp_path: Path) -> None:
    path = tmp_path / "nightly.jsonl"
    assert oncall("data", "export", "--dag-id", "nightly", "--output", str(path)) == 0
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert lines[0]["dag_id"] == "nightly"
    assert lines[-1] == {"rows": len(lines) - 2}
    assert path.stat().st_mode & 0o777 == 0o600
    assert [one.name for one in tmp_path.glob("nightly*")] == ["nightly.jsonl"]


def test_data_of_a_dag_is_printed(kept: Store, oncall: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert oncall("data", "export", "--dag-id", "nightly") == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {line["row"]["run_id"] for line in lines if line.get("table") == "incidents"} == {"resolved", "person", "open", "fresh"}


def test_data_of_a_dag_is_deleted_with_what_is_spooled_and_what_trainings_read(
    kept: Store, oncall: Run, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for ref in (NIGHTLY_ORDERS, replace(NIGHTLY_ORDERS, dag_id="billing")):
        spool.append(spool.OCCURRENCE, spool.to_payload(replace(vendor_was_down, ref=ref)))
    examples = home / "models" / "_runs" / "weekly" / "examples.jsonl"
    examples.parent.mkdir(parents=True)
    examples.write_text("{}")
    assert oncall("data", "delete", "--dag-id", "nightly", "--yes", "--user", "ann") == 1
    told = capsys.readouterr()
    assert "incidents: 3" in told.out
    assert "spooled: 1, training files: 1" in told.out
    assert "1 incidents stay" in told.err
    assert runs(kept) == {"open"}
    assert not examples.exists()
    assert "billing" in (home / "spool" / spool.WAITING).read_text()
    assert "nightly" not in (home / "spool" / spool.WAITING).read_text()
    assert kept.audit.verify().problem == ""


def test_deleting_asks_first(kept: Store, oncall: Run, terminal: Asked) -> None:
    terminal("n")
    assert oncall("data", "delete", "--dag-id", "nightly") == 1
    assert oncall("data", "delete", "--dag-id", "nightly", "--dry-run") == 0
    assert len(runs(kept)) == 4


def test_a_whole_log_is_told_with_its_newest_hash(kept: Store, oncall: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert oncall("audit", "verify") == 0
    assert f"none was changed, removed or inserted. The newest has the hash {kept.audit.head()}" in capsys.readouterr().out
    assert oncall("audit", "verify", "--known", "0" * 64) == 1
    assert "written anew" in capsys.readouterr().err


def test_a_changed_row_is_told(kept: Store, oncall: Run, capsys: pytest.CaptureFixture[str]) -> None:
    with kept.engine.begin() as connection:
        connection.execute(update(audit).where(audit.c.id == 2).values(actor="mallory"))
    assert oncall("audit", "verify") == 1
    assert "audit log, row 2: it was changed" in capsys.readouterr().err
    assert oncall("audit", "verify", "--format", "json") == 1
    assert json.loads(capsys.readouterr().out)["row"] == 2


def test_the_log_is_listed_with_hostile_names_inert(kept: Store, oncall: Run, capsys: pytest.CaptureFixture[str]) -> None:
    kept.switch.pause("ann\x1b[2J\n\u202eeve", "reason\x1b[31m")
    assert oncall("audit", "list", "--what", "paused") == 0
    told = capsys.readouterr().out
    assert not set("\x1b\u202e") & set(told)
    assert len(told.splitlines()) == 1
    assert oncall("audit", "list", "--actor", "listener", "--limit", "2", "--format", "json") == 0
    assert [row["what"] for row in json.loads(capsys.readouterr().out)] == ["noticed", "noticed"]


@pytest.fixture
def masks(own: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The operator's masking file, which does not exist yet."""
    monkeypatch.setattr(masking, "_known", masking._InForce())
    own.mkdir()
    return own / masking.NAME


def test_a_masking_file_is_checked(masks: Path, oncall: Run, capsys: pytest.CaptureFixture[str]) -> None:
    masks.write_text("patterns: [{name: a, pattern: ab}]\nnever_masked: [expired]")
    assert oncall("masking", "check") == 0
    assert "is good: 1 patterns, 1 words" in capsys.readouterr().out
    masks.write_text("patterns:\n  - {name: a, pattern: '(?=a)'}")
    assert oncall("masking", "check") == 1
    assert "masking.yaml, line 2: field 'patterns.0.pattern': RE2 does not take it" in capsys.readouterr().err


def test_the_doctor_tells_of_a_masking_file_that_is_gone(masks: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    masks.write_text("patterns: [{name: a, pattern: ab}]")
    assert masking.in_force().problem == ""
    masks.unlink()
    monkeypatch.setattr(masking, "_known", masking._InForce())
    (finding,) = doctor.examine((doctor.masks,))
    assert not finding.ok
    assert "those of the last good version stay in force" in finding.text
    assert finding.mend == masking.WAY_BACK


def test_a_text_is_tried(masks: Path, oncall: Run, capsys: pytest.CaptureFixture[str]) -> None:
    masks.write_text("patterns: [{name: customer, pattern: 'KD-[0-9]+'}]")
    assert oncall("masking", "test", "KD-1 password=hunter22") == 0
    assert capsys.readouterr().out == '*** password=***\n  value of a secret\'s name: "password=hunter22"\n  customer: "KD-1"\n'
    assert oncall("masking", "test", "nothing here") == 0
    assert "no rule masks anything" in capsys.readouterr().out
    assert oncall("masking", "test", "KD-1", "--format", "json") == 0
    assert json.loads(capsys.readouterr().out) == {"masked": "***", "by": [{"rule": "customer", "text": "KD-1"}]}


@pytest.mark.parametrize("days", ["999999", "-1", "many"])
def test_days_that_reach_back_before_all_calendars_are_refused(days: str, oncall: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert oncall("purge", "--older-than", days) == 2
    assert f"{days!r} is no number of days from 0 to 36500" in capsys.readouterr().err
