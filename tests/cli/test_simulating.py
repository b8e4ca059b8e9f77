"""``simulate-incident``: rules, models and policy on an incident that never was, of which nothing stays."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from airflow.secrets.metastore import MetastoreBackend
from sqlalchemy import create_engine, func, select
from sqlalchemy.orm import sessionmaker
from tests.cli.conftest import Run
from tests.simulated_airflow import SimulatedAirflow
from tests.tick.scene import ORDERS, sign_in

from airflow_oncall import conf
from airflow_oncall.act import killswitch
from airflow_oncall.brain import Brain, read_rules
from airflow_oncall.cli import invented, simulating, terminal
from airflow_oncall.errors import StoreUnavailable
from airflow_oncall.store import tables
from airflow_oncall.store.operator_files import OperatorFiles
from airflow_oncall.store.sql import Store
from airflow_oncall.triage.rules import RuleBook

Output = pytest.CaptureFixture[str]
POLICY = Path(__file__).parents[2] / "include" / "oncall" / "policy.yaml"
THROTTLED = ("--title", "429 Too Many Requests", "--exception", "requests.exceptions.HTTPError")
ABOUT_ORDERS = ("--dag-id", "nightly", "--task-id", "load_orders")


@pytest.fixture(scope="module")
def rules() -> RuleBook:
    """The shipped rules."""
    return read_rules(OperatorFiles([conf.shipped_include()]))


@pytest.fixture
def site(own: Path, deployment: Store, rules: RuleBook, monkeypatch: pytest.MonkeyPatch) -> Store:
    """The shipped policy and rules without a model, in mode auto, and the store that this deployment has."""
    (conf.include_paths()[1] / "policy.yaml").symlink_to(POLICY)
    monkeypatch.setattr(conf, "mode", lambda: "auto")
    monkeypatch.setattr(simulating, "open_store", lambda: deployment)
    monkeypatch.setattr(simulating, "brain_without_airflow", lambda: Brain(rules))
    monkeypatch.setattr(killswitch, "read_variable", lambda: "")
    monkeypatch.setattr(simulating, "require_database", lambda: None)
    return deployment


@pytest.fixture
def airflow(monkeypatch: pytest.MonkeyPatch) -> Iterator[SimulatedAirflow]:
    """An Airflow that answers and knows the nightly orders."""
    with SimulatedAirflow() as airflow:
        airflow.fail(ORDERS)
        monkeypatch.setattr(invented, "open_api", lambda: sign_in(airflow.url))
        yield airflow


def simulated(oncall: Run, capsys: Output, *words: str) -> dict[str, Any]:
    """What it answers programs."""
    capsys.readouterr()
    assert oncall("simulate-incident", *words, "--format", "json") == 0
    answer: dict[str, Any] = json.loads(capsys.readouterr().out)
    return answer


def rows(store: Store) -> dict[str, int]:
    """How many rows each table has."""
    with store.engine.connect() as connection:
        return {table.name: connection.scalar(select(func.count()).select_from(table)) or 0 for table in tables.metadata.sorted_tables}


@pytest.mark.usefixtures("no_airflow")
def test_it_says_what_would_be_done_and_why_without_an_airflow(site: Store, oncall: Run, capsys: Output) -> None:
    answer = simulated(oncall, capsys, *THROTTLED, *ABOUT_ORDERS)
    assert answer["diagnosis"]["category"] == "rate_limit"
    assert answer["decision"]["outcome"] == "clear_task without asking, after 30 s"
    assert answer["decision"]["policy"][0]["value"] == "thresholds.auto"
    assert any("429" in reason for reason in answer["decision"]["reasons"])


@pytest.mark.usefixtures("no_airflow")
def test_people_read_the_diagnosis_the_decision_and_its_line(site: Store, oncall: Run, capsys: Output) -> None:
    assert oncall("simulate-incident", *THROTTLED, *ABOUT_ORDERS) == 0
    told = capsys.readouterr().out
    for part in (
        "nightly.load_orders: 429 Too Many Requests",
        "rate_limit (",
        "-> clear_task without asking",
        "Decided by thresholds.auto at ",
    ):
        assert part in told
    assert told.endswith("Nothing of this was stored, and nothing was done.\n")


@pytest.mark.usefixtures("no_airflow")
def test_nothing_is_stored(site: Store, oncall: Run, capsys: Output) -> None:
    before = rows(site)
    simulated(oncall, capsys, *THROTTLED, *ABOUT_ORDERS)
    assert rows(site) == before


def test_nothing_is_done_in_airflow_and_what_it_knows_of_the_task_counts(
    site: Store, airflow: SimulatedAirflow, oncall: Run, capsys: Output
) -> None:
    airflow.dags["nightly"].tags = ("oncall:never",)
    answer = simulated(oncall, capsys, *THROTTLED, *ABOUT_ORDERS)
    assert answer["decision"]["outcome"] == "a person is told; nothing is done"
    assert answer["decision"]["reasons"][0] == 'Declared "oncall: never".'
    assert not [request for request in airflow.requests if not request.startswith(("GET", "POST /auth/token"))]


def test_what_a_repair_would_cost_comes_from_the_history_of_the_task(
    site: Store, airflow: SimulatedAirflow, oncall: Run, capsys: Output
) -> None:
    basis = simulated(oncall, capsys, *THROTTLED, *ABOUT_ORDERS)["decision"]["basis"]
    assert basis["attempts"] == airflow.dags["nightly"].tasks["load_orders"].retries + 1


@pytest.mark.usefixtures("no_airflow")
def test_the_kill_switch_holds_invented_incidents_too(site: Store, oncall: Run, capsys: Output, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(killswitch, "read_variable", lambda: "yes")
    answer = simulated(oncall, capsys, *THROTTLED, *ABOUT_ORDERS)
    assert (answer["decision"]["verdict"], answer["decision"]["basis"]["held_by"]) == ("wait", "kill_switch")
    assert answer["decision"]["outcome"].startswith("nothing yet; it is looked at again")


@pytest.mark.usefixtures("no_airflow")
def test_a_log_is_read_as_triage_reads_it_and_its_secrets_are_not_shown(site: Store, oncall: Run, capsys: Output, home: Path) -> None:
    log = home / "task.log"
    log.write_bytes(b"connecting with password=hunter22 caf\xe9\njava.lang.OutOfMemoryError: Java heap space\n")
    words = ("--title", "the job ended, password=hunter23", *ABOUT_ORDERS, "--log", str(log))
    assert simulated(oncall, capsys, *words)["diagnosis"]["category"] == "memory_exhaustion"
    assert oncall("simulate-incident", *words) == 0
    assert "hunter2" not in capsys.readouterr().out


@pytest.mark.usefixtures("no_airflow")
def test_a_process_that_vanished_is_diagnosed_as_one(site: Store, oncall: Run, capsys: Output) -> None:
    answer = simulated(oncall, capsys, "--title", "state mismatch", *ABOUT_ORDERS, "--killed")
    assert answer["diagnosis"]["category"] == "infrastructure_failure"


@pytest.mark.usefixtures("no_airflow")
def test_a_cause_that_nobody_knows_is_a_persons(site: Store, oncall: Run, capsys: Output) -> None:
    decision = simulated(oncall, capsys, "--title", "zorgs are purple", *ABOUT_ORDERS)["decision"]
    assert (decision["verdict"], decision["reasons"][0]) == ("escalate", "No category of the policy fits (unknown).")
    assert decision["policy"][0]["value"] == "categories"


@pytest.mark.usefixtures("no_airflow")
def test_a_store_out_of_reach_is_said_and_left_out(site: Store, oncall: Run, capsys: Output, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> Store:
        raise StoreUnavailable("the store is down")

    monkeypatch.setattr(simulating, "open_store", broken)
    assert oncall("simulate-incident", *THROTTLED, *ABOUT_ORDERS) == 0
    written = capsys.readouterr()
    assert "earlier outcomes are left out: the store is down" in written.err
    assert "-> clear_task without asking" in written.out


@pytest.mark.parametrize(
    ("database", "problem"),
    [
        ("sqlite:///{home}/airflow.db", "no such table: variable"),
        ("postgresql+psycopg://airflow:hunter22@127.0.0.1:1/airflow", "connection failed"),
    ],
    ids=["new", "away"],
)
def test_a_database_of_airflow_that_cannot_be_read_is_told_in_one_line_with_the_way_out(
    site: Store, oncall: Run, capsys: Output, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, database: str, problem: str
) -> None:
    engine = create_engine(database.format(home=tmp_path))
    monkeypatch.setattr("airflow.settings.Session", sessionmaker(engine))
    monkeypatch.setattr("airflow.sdk.execution_time.supervisor.ensure_secrets_backend_loaded", lambda: [MetastoreBackend()])
    monkeypatch.setattr(simulating, "require_database", terminal.require_database)
    assert oncall("simulate-incident", *THROTTLED, *ABOUT_ORDERS) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("oncall: Airflow's Variables cannot be read from its database (")
    assert problem in line
    assert "`airflow db migrate`" in line
    assert "hunter22" not in line
    engine.dispose()


@pytest.mark.usefixtures("no_airflow")
@pytest.mark.parametrize("words", [("--log", "nowhere.log"), ("--policy", "nowhere.yaml")])
def test_a_file_that_is_not_there_fails_in_one_line(site: Store, oncall: Run, capsys: Output, words: tuple[str, str]) -> None:
    assert oncall("simulate-incident", *THROTTLED, *ABOUT_ORDERS, *words) == 1
    assert words[1] in capsys.readouterr().err.splitlines()[-1]
