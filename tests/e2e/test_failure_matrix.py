"""Every kind of failure is seen: exactly one occurrence a failed try, exactly one incident a task instance in trouble.

All runs are started, a few at a time, and awaited together; each test then looks at one of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from psutil import Process
from sqlalchemy import text

from airflow_oncall.incident import Kind, State
from tests.e2e.world import World, asleep

pytestmark = pytest.mark.e2e


@dataclass(frozen=True)
class Expected:
    """What must be known of one run: the tries that failed, and where the incident rests."""

    task_id: str
    failed_tries: tuple[int, ...] = (1,)
    state: State = State.ESCALATED
    kind: Kind = Kind.TASK


EXPECTED: Mapping[str, Expected] = {
    "m_exception": Expected("fail"),
    "m_fail_exception": Expected("give_up"),
    "m_sensor_timeout": Expected("wait"),
    "m_memory_error": Expected("allocate"),
    "m_sys_exit": Expected("leave"),
    "m_retries_used_up": Expected("fail_twice", (1, 2)),
    "m_self_healed": Expected("fail_once", state=State.SELF_HEALED),
    "m_execution_timeout": Expected("dawdle"),
    "m_trigger_raises": Expected("defer"),
    "m_trigger_timeout": Expected("defer"),
    "m_question_unanswered": Expected("ask"),
    "m_killed": Expected("die"),
    "m_killed_with_retries": Expected("die_twice", (1, 2)),
    "m_exit_one": Expected("exit_one"),
    "m_exit_zero": Expected("exit_zero"),
    "m_supervisor_killed": Expected("lose_supervisor"),
    "m_worker_only_import_error": Expected("never_runs"),
    "m_marked_failed": Expected("run_on", state=State.CLOSED),
    "m_run_marked_failed": Expected("run_on_too", state=State.CLOSED),
    "m_dagrun_timeout": Expected("", (0,), kind=Kind.DAG_RUN),
    "m_upstream_failed": Expected("first"),
}
QUIET = ("m_sigterm",)
"""Ends as a success in Airflow's own eyes."""
BY_HAND = {"m_marked_failed": "run_on", "m_run_marked_failed": "run_on_too"}
SLOW = ("m_supervisor_killed", "m_dagrun_timeout", "m_question_unanswered", "m_trigger_timeout")
"""They wait rather than compute, so they start first."""
AT_ONCE = 6
"""More would only wait for a slot of the executor."""


@pytest.fixture(scope="module")
def broken_file(world: World) -> Path:
    """A DAG file that cannot be imported."""
    file = world.dags / "breaks.py"
    file.write_text("from airflow.sdk import DAG\nimport a_package_nobody_has\n")
    return file


@pytest.fixture(scope="module")
def runs(world: World, broken_file: Path) -> dict[str, str]:
    """All of them have run, and triage has dealt with what it found."""
    started: dict[str, str] = {}
    for dag_id in sorted([*EXPECTED, *QUIET], key=SLOW.__contains__, reverse=True):
        world.until(lambda: under_way(world), lambda count: count < AT_ONCE, "no run ends")
        started[dag_id] = world.airflow.trigger(dag_id)
        if dag_id in BY_HAND:
            mark_failed(world, dag_id, started[dag_id], BY_HAND[dag_id])
    for dag_id, run_id in started.items():
        world.ended(dag_id, run_id)
    for dag_id in EXPECTED:
        world.until(lambda dag_id=dag_id: world.incidents(dag_id), bool, f"nothing was noticed of {dag_id}")  # type: ignore[misc]
        world.until(lambda dag_id=dag_id: world.settled(dag_id), bool, f"the incident of {dag_id} does not come to rest")  # type: ignore[misc]
    return started


def mark_failed(world: World, dag_id: str, run_id: str, task_id: str) -> None:
    """What a person does with the mouse, once the task runs."""
    running = lambda states: "running" in states  # noqa: E731
    world.until(lambda: [one["state"] for one in world.instances(dag_id, run_id)], running, f"{dag_id} does not start")
    run = f"/dags/{dag_id}/dagRuns/{run_id}"
    body = {"new_state": "failed"} if dag_id == "m_marked_failed" else {"state": "failed"}
    world.airflow.patch(f"{run}/taskInstances/{task_id}" if dag_id == "m_marked_failed" else run, body)


@pytest.mark.parametrize("dag_id", EXPECTED)
def test_every_failed_try_is_one_occurrence_of_one_incident(world: World, runs: dict[str, str], dag_id: str) -> None:
    expected = EXPECTED[dag_id]
    incidents = world.incidents(dag_id)
    assert [(one.kind, one.ref.task_id, one.ref.run_id) for one in incidents] == [(expected.kind, expected.task_id, runs[dag_id])]
    assert sorted(seen.try_number for seen in world.occurrences(dag_id)) == list(expected.failed_tries)
    assert incidents[0].state is expected.state


@pytest.mark.parametrize("dag_id", QUIET)
def test_what_airflow_counts_as_success_is_no_incident(world: World, runs: dict[str, str], dag_id: str) -> None:
    assert world.run_state(dag_id, runs[dag_id]) == "success"
    assert world.incidents(dag_id) == []


@pytest.mark.parametrize("dag_id", EXPECTED)
def test_a_task_declared_never_is_never_cleared(world: World, runs: dict[str, str], dag_id: str) -> None:
    assert world.clears(dag_id) == []


def test_the_reason_stands_on_the_task_instance(world: World, runs: dict[str, str]) -> None:
    (instance,) = world.instances("m_exception", runs["m_exception"])
    assert instance["note"].startswith("[oncall #")
    assert "never" in instance["note"]


def test_a_dag_file_that_breaks_is_an_incident_until_it_is_mended(world: World, broken_file: Path) -> None:
    broken = world.incident_in("breaks.py", State.ESCALATED)
    assert broken.kind is Kind.DAG_IMPORT
    assert len(world.store.reading.occurrences(broken.id)) == 1
    broken_file.write_text("from airflow.sdk import DAG\n\nDAG('mended', schedule=None)\n")
    world.incident_in("breaks.py", State.RESOLVED)


def test_a_task_that_airflow_cannot_start_is_seen(world: World) -> None:
    """The api-server answers nobody while the supervisor wants to report the start: failed while still queued."""
    run_id = world.airflow.trigger("m_exception")
    with asleep(world.family("api-server")):
        world.until(lambda: state_of(world, run_id), lambda state: state not in (None, "scheduled", "queued"), "the task starts")
    assert tries_seen(world, run_id) == [1]


def test_a_task_stuck_in_the_queue_is_seen(world: World) -> None:
    """No worker takes it, so the scheduler fails it, without a callback and without a listener."""
    with triage_paused(world), asleep(idle(world)):
        run_id = world.airflow.trigger("m_exception")
        world.until(lambda: state_of(world, run_id), lambda state: state == "queued", "the task is not queued")
        make_it_wait_longer(world, run_id)
        world.until(lambda: state_of(world, run_id), lambda state: state == "failed", "the stuck task is not failed")
    assert tries_seen(world, run_id) == [1]


@contextmanager
def triage_paused(world: World) -> Iterator[None]:
    """On a busy machine one of its runs may be under way whenever one looks."""
    world.airflow.patch("/dags/oncall_triage", {"is_paused": True})
    try:
        yield
    finally:
        world.airflow.patch("/dags/oncall_triage", {"is_paused": False})


def idle(world: World) -> list[Process]:
    """The executor's workers, once no task instance is theirs."""
    world.until(lambda: busy(world), lambda count: count == 0, "Airflow does not come to rest")
    return world.family("scheduler")[1:]


def make_it_wait_longer(world: World, run_id: str) -> None:
    """Put the task instance into the queue an hour ago, which is beyond Airflow's patience."""
    with world.airflows.begin() as connection:
        change = "UPDATE task_instance SET queued_dttm = queued_dttm - INTERVAL '1 hour' WHERE run_id = :run_id"
        connection.execute(text(change), {"run_id": run_id})


def tries_seen(world: World, run_id: str) -> list[int]:
    """Await that the run's one incident was escalated; its failed tries."""
    world.ended("m_exception", run_id)
    seen = world.until(
        lambda: [one for one in world.incidents("m_exception") if one.ref.run_id == run_id],
        lambda incidents: [one.state for one in incidents] == [State.ESCALATED],
        "the task was not noticed",
    )
    return [occurrence.try_number for occurrence in world.store.reading.occurrences(seen[0].id)]


def state_of(world: World, run_id: str) -> str | None:
    """The task instance's state, asked of the database, because the api-server may be asleep."""
    query = "SELECT state FROM task_instance WHERE run_id = :run_id AND dag_id = 'm_exception'"
    state: str | None = world.in_airflows_database(query, run_id=run_id)
    return state


def under_way(world: World) -> int:
    """Runs that have not ended, triage's apart."""
    query = "SELECT count(*) FROM dag_run WHERE state IN ('queued', 'running') AND substr(dag_id, 1, 2) = 'm_'"
    return int(world.in_airflows_database(query))


def busy(world: World) -> int:
    """Task instances that run or are about to."""
    states = "('running', 'queued', 'scheduled', 'restarting')"
    return int(world.in_airflows_database(f"SELECT count(*) FROM task_instance WHERE state IN {states}"))
