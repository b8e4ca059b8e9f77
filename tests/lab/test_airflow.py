"""The lab's Airflow, live: DAG files parsed, run and supervised for real, and their logs as Airflow writes them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

import pytest
from lab.engines.airflow import AirflowEngine
from lab.engines.base import Recording
from lab.record import recordings
from lab.scenario import Scenario, read_scenarios

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def engine() -> Iterator[AirflowEngine]:
    with AirflowEngine() as started:
        yield started


@pytest.fixture(scope="module")
def scenarios() -> Mapping[str, Scenario]:
    return {scenario.id: scenario for scenario in read_scenarios("airflow")}


@pytest.fixture
def logs(engine: AirflowEngine, scenarios: Mapping[str, Scenario], request: pytest.FixtureRequest) -> list[Recording]:
    chosen = scenarios[request.param]
    return list(recordings(engine, chosen, chosen.variations[0]))


@pytest.mark.parametrize("logs", ["python-time-limit"], indirect=True)
def test_a_task_log_is_recorded_as_file_and_as_page(logs: list[Recording]) -> None:
    file, page = logs
    entries = [json.loads(line) for line in file.text.splitlines()]
    (detail,) = (error for entry in entries for error in entry.get("error_detail", ()))
    assert detail["exc_type"] == "AirflowTaskTimeout"
    assert "ERROR - Task failed with exception source=task loc=task_runner.py" in page.text
    assert "\nAirflowTaskTimeout: " in page.text


@pytest.mark.parametrize("logs", ["python-time-limit"], indirect=True)
def test_the_run_s_names_are_identifiers(logs: list[Recording]) -> None:
    assert logs[0].identifiers["dag_id"] == "nightly_orders"
    assert logs[0].identifiers["task_id"] == "aggregate"
    assert str(logs[0].identifiers["run_id"]).startswith("manual__")


@pytest.mark.parametrize("logs", ["dag-file-raises"], indirect=True)
def test_a_dag_file_that_does_not_import_gives_its_import_error(logs: list[Recording]) -> None:
    (log,) = logs
    assert log.view == "import error"
    assert "KeyError: 'b'" in log.text


@pytest.mark.parametrize("logs", ["process-killed"], indirect=True)
def test_a_killed_task_is_told_by_its_supervisor(logs: list[Recording]) -> None:
    assert "SIGKILL" in logs[0].text


@pytest.mark.parametrize("logs", ["trigger-not-fired"], indirect=True)
def test_a_deferred_task_is_timed_out_and_resumed_to_say_so(logs: list[Recording]) -> None:
    assert "TaskDeferralTimeout" in logs[0].text


@pytest.mark.parametrize("logs", ["ok-deferred"], indirect=True)
def test_a_trigger_that_fires_lets_the_task_end_well(logs: list[Recording]) -> None:
    assert "resumed, 0 errors" in logs[0].text
    assert "error_detail" not in logs[0].text
