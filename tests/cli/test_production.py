"""``doctor`` tells what an installation lacks for production, and what to do about it."""

from __future__ import annotations

import re
from collections import namedtuple
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from airflow.sdk import ObjectStoragePath
from tests.cli.conftest import Run
from tests.clocks import MovedClock
from tests.logs.notebook import Notebook
from tests.simulated_airflow import SimulatedAirflow
from tests.tick.scene import airflow, sign_in

from airflow_oncall import conf
from airflow_oncall.act import killswitch
from airflow_oncall.capture.logs.polling import poll
from airflow_oncall.cli import production
from airflow_oncall.cli.doctor import Finding, Patient, examine
from airflow_oncall.errors import BadSetting
from airflow_oncall.measures import TICK, after_tick
from airflow_oncall.store.records import now
from airflow_oncall.store.sql import Store

__all__ = ["airflow"]
Check = Callable[[Patient], str]
ROOT = Path(__file__).parents[2]
Usage = namedtuple("Usage", "total used free")


def finding(check: Check) -> Finding:
    (found,) = examine((check,))
    return found


def policy_with(home: Path, lines: str) -> None:
    file = home / "include" / "oncall" / "policy.yaml"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text((conf.shipped_include() / "policy.yaml").read_text() + lines)


def advised(check: Check) -> str:
    """What is wrong; fails where nothing is, or where nothing is said of what to do."""
    found = finding(check)
    assert found.is_advice
    assert found.ok, "advice fails nothing"
    assert found.mend
    return found.text


def content(check: Check) -> str:
    """What is said where all is well."""
    found = finding(check)
    assert found.ok
    assert not found.is_advice, found.text
    return found.text


def test_a_file_is_no_store_for_several_hosts(deployment: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__CORE__EXECUTOR", "LocalExecutor")
    assert content(production.database) == "sqlite with LocalExecutor"
    monkeypatch.setenv("AIRFLOW__CORE__EXECUTOR", "CeleryExecutor")
    assert "CeleryExecutor may run tasks on others" in advised(production.database)


def test_a_full_disk_is_told(deployment: Store, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert str(home) in content(production.disk)
    monkeypatch.setattr("shutil.disk_usage", lambda place: Usage(10, 9, 100_000))
    assert f"{home} has 0.0 GiB free" in advised(production.disk)


@pytest.mark.parametrize("option", ["MODELS_PATH", "SPOOL_PATH"])
def test_a_disk_of_its_own_is_looked_at_too(deployment: Store, home: Path, monkeypatch: pytest.MonkeyPatch, option: str) -> None:
    elsewhere = home.parent / f"{home.name}-elsewhere"
    elsewhere.mkdir()
    monkeypatch.setenv(f"AIRFLOW__ONCALL__{option}", str(elsewhere / "not" / "made yet"))
    monkeypatch.setattr("shutil.disk_usage", lambda place: Usage(10, 9, 100_000 if place == elsewhere else 10**12))
    assert advised(production.disk) == f"{elsewhere} has 0.0 GiB free"


def test_models_in_an_object_storage_are_on_no_disk(deployment: Store, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conf, "models_path", lambda: ObjectStoragePath("s3://bucket/models"))
    assert str(home) in content(production.disk)


def test_stopped_repairs_and_shadow_mode_are_told(deployment: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    assert content(production.mode) == "ask: a person approves every repair, says [oncall] mode"
    monkeypatch.setenv("AIRFLOW__ONCALL__MODE", "shadow")
    assert "nothing is repaired" in advised(production.mode)
    deployment.switch.pause("ada", "the vendor migrates")
    assert "ada paused all repairs" in advised(production.mode)


def test_the_mode_that_is_in_force_is_told_and_not_the_setting(deployment: Store, home: Path) -> None:
    policy_with(home, "mode: shadow\noverrides: [{match: {dag: sales_*}, mode: auto}, {match: {dag: x}, mode: shadow}]\n")
    assert advised(production.mode) == "shadow: nothing is repaired, says `mode` of policy.yaml; overrides.0 says auto"
    assert finding(production.mode).mend.endswith("set `mode` of policy.yaml to ask")


def test_a_variable_that_stops_repairs_is_told(deployment: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_VAR_ONCALL_PAUSED", "until monday")
    assert "the Airflow Variable oncall_paused (until monday)" in advised(production.mode)


def test_a_variable_that_cannot_be_read_is_told_for_it_stops_repairs(deployment: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def unreadable() -> str:
        raise BadSetting("Repairs are paused: the Airflow Variable oncall_paused cannot be read (vault is sealed)")

    monkeypatch.setattr(killswitch, "read_variable", unreadable)
    assert "cannot be read (vault is sealed)" in advised(production.mode)


def test_somebody_should_be_told(deployment: Store, home: Path) -> None:
    assert "nobody is told" in advised(production.people)
    policy_with(home, "routes: {default: [{classpath: some.Notifier}]}\napprovers: [ada]\n")
    assert content(production.people).endswith("answered by: ada")


def test_questions_that_nobody_answers_are_told(deployment: Store) -> None:
    assert content(production.questions) == "none has waited for more than 12 hours"


def test_where_nobody_can_be_asked_the_provider_that_is_required_is_named(deployment: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    required = re.search(r"apache-airflow-providers-standard>=([\d.]+?)(\.0)?$", (ROOT / "requirements.txt").read_text(), re.MULTILINE)
    monkeypatch.setattr(production, "find_spec", lambda name: None)
    assert "nobody can be asked" in advised(production.questions)
    assert required
    assert f"'apache-airflow-providers-standard>={required[1]}'" in finding(production.questions).mend


def test_what_is_kept_for_ever_is_told(deployment: Store, home: Path) -> None:
    assert advised(production.retention) == "kept for ever: closed incidents, the audit log"
    policy_with(home, "retention: {closed_incidents: 400}\n")
    assert advised(production.retention) == "kept for ever: the audit log"
    policy_with(home, "retention: {closed_incidents: 400, audit: 1095}\n")
    assert content(production.retention) == "closed incidents 400 days, log events 30 days, the audit log 1095 days"


def test_a_model_should_be_in_service(deployment: Store) -> None:
    assert advised(production.models) == "none is in service yet"


def test_triage_should_have_run_lately(deployment: Store) -> None:
    assert advised(production.triage) == "it has never run"
    after_tick(deployment, 1.5)
    assert content(production.triage).endswith("for 1.5 s")
    deployment.cursors.set(TICK, {"at": (now() - timedelta(hours=2)).isoformat(), "seconds": 1.5})
    assert "it last ran at" in advised(production.triage)


def test_failures_that_wait_are_told(deployment: Store, home: Path) -> None:
    assert content(production.queue) == "0 incidents are due, the spool is empty"
    spool = home / "oncall" / "spool"
    spool.mkdir(parents=True)
    (spool / "waiting.jsonl").write_text("{}\n")
    assert "bytes of failures wait" in advised(production.queue)


@pytest.fixture
def warehouse(home: Path) -> None:
    """A log source of that name is configured."""
    sources = home / "include" / "oncall" / "sources.yaml"
    sources.parent.mkdir(parents=True)
    sources.write_text("sources:\n  - {name: warehouse, kind: postgres_files, path: /var/log/*.log}\n")


@pytest.mark.usefixtures("warehouse")
def test_a_source_that_nobody_reads_is_told(deployment: Store, clock: MovedClock) -> None:
    assert advised(production.logs) == "warehouse was never read"
    poll(Notebook(name="warehouse"), deployment.logs)  # nothing is new
    assert content(production.logs) == "1 sources, all of them were read in the last hour"
    clock.forward(minutes=59)
    assert content(production.logs)
    clock.forward(minutes=2)
    assert re.fullmatch(r"warehouse was last read at \d{4}-\d\d-\d\d \d\d:\d\d UTC", advised(production.logs))


@pytest.mark.usefixtures("warehouse")
def test_a_source_that_cannot_be_read_is_told(deployment: Store) -> None:
    poll(Notebook(torn="the disk is gone", name="warehouse"), deployment.logs)
    assert advised(production.logs).startswith("warehouse cannot be read since 2")
    poll(Notebook(name="warehouse"), deployment.logs)
    assert content(production.logs)


def test_clocks_should_agree(deployment: Store, airflow: SimulatedAirflow, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("airflow_oncall.cli.doctor.open_api", lambda: sign_in(airflow.url))
    assert content(production.clocks)
    assert f"{airflow.url}/oncall/metrics" in content(production.monitoring)
    later = now() + timedelta(minutes=5)
    monkeypatch.setattr(production, "now", lambda: later)
    assert "s apart" in advised(production.clocks)


def test_advice_is_shown_with_what_to_do_and_fails_nothing(
    deployment: Store, oncall: Run, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "airflow_oncall.cli.doctor.examine", lambda: [Finding("triage", True, "it has never run", "unpause it", is_advice=True)]
    )
    assert oncall("doctor") == 0
    assert capsys.readouterr().out == "advice triage: it has never run\n       -> unpause it\n"
