"""The real client against the simulated Airflow, without a socket and by the simulation's time."""

from __future__ import annotations

from datetime import timedelta

import pytest
from simulator.clock import START, SimulatedClock, running_on
from simulator.course import APPROVED, AUTO, SimulatedSite
from simulator.wire import api_over, into

from airflow_oncall.errors import NotFound
from airflow_oncall.incident import TaskRef
from airflow_oncall.macros import KEY
from airflow_oncall.rest import AirflowApi
from airflow_oncall.store.records import now

LOAD = TaskRef("nightly", "scheduled__1", "load")


@pytest.fixture
def clock() -> SimulatedClock:
    """Time stands still at the beginning."""
    return SimulatedClock()


@pytest.fixture
def airflow(clock: SimulatedClock) -> SimulatedSite:
    """The nightly load has failed for good."""
    airflow = SimulatedSite(clock)
    airflow.hold(airflow.add(LOAD))
    airflow.fail(LOAD)
    return airflow


@pytest.fixture
def api(airflow: SimulatedSite) -> AirflowApi:
    """This project's view of it."""
    return api_over(into(airflow))


def test_airflow_and_the_store_go_by_the_simulated_clock(api: AirflowApi, clock: SimulatedClock) -> None:
    clock.advance(timedelta(days=3))
    with running_on(clock):
        assert api.server_time() == now() == START + timedelta(days=3)
    assert now() > START + timedelta(days=30)


def test_a_task_instance_is_read_and_an_unknown_one_is_not_found(api: AirflowApi) -> None:
    assert api.task_instance(LOAD).state == "failed"
    with pytest.raises(NotFound):
        api.task_instance(TaskRef("nightly", "scheduled__1", "no_such_task"))


def test_a_log_is_read_to_its_end(api: AirflowApi, airflow: SimulatedSite) -> None:
    airflow.logs[LOAD, 1] = [b"first line\nConnection reset by peer\n"]
    assert "Connection reset by peer" in api.log_tail(LOAD, 1, 1000)


def test_who_cleared_which_try_is_kept(api: AirflowApi, airflow: SimulatedSite) -> None:
    api.clear(LOAD, "[oncall #1] a re-run helps")
    airflow.start(LOAD)
    airflow.fail(LOAD)
    api.clear(LOAD, "[oncall #2] Approved by ann.")
    assert [(clear.try_number, clear.by, clear.attempts) for clear in airflow.cleared] == [(1, AUTO, 1), (2, APPROVED, 1)]


def test_asking_what_would_be_cleared_is_no_clear(api: AirflowApi, airflow: SimulatedSite) -> None:
    api.may_clear("nightly")
    assert airflow.cleared == []


def test_a_run_that_airflow_forgot_is_gone(api: AirflowApi, airflow: SimulatedSite) -> None:
    airflow.forget_run(LOAD.dag_id, LOAD.run_id)
    with pytest.raises(NotFound):
        api.task_instance(LOAD)


def test_memory_that_triage_raised_is_what_the_next_try_gets(api: AirflowApi, airflow: SimulatedSite) -> None:
    assert airflow.memory_of(LOAD) == 1
    api.set_task_state(LOAD, KEY, "6144m")
    assert airflow.memory_of(LOAD) == 1.5
