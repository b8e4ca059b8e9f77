"""Killed at any point, triage goes on where it stopped: one clear, one occurrence, one budget, one end."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from tests.databases import Databases, fresh_store
from tests.simulated_airflow import SimulatedAirflow
from tests.simulated_world import Dag
from tests.tick.scene import ORDERS, POLICY, Scene
from tests.tick.storm_scene import StormScene

from airflow_oncall.act.policy import Policy
from airflow_oncall.incident import ActionState, State, StormState

Worker = Callable[..., dict[str, Any]]
MOST = 120
"""More boundaries than any job here has; a loop that reaches it is one that never ends."""
FOUR = Policy.model_validate(POLICY.model_dump() | {"storms": {"members": 4, "first_wave": 2}})
"""As few members as leave one when a wave has gone: each boundary is a beginning of its own."""
both = pytest.mark.parametrize("kind", ["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])


@pytest.fixture(scope="module")
def worker(databases: Databases) -> Iterator[Worker]:
    """Carries out a job in a process of its own, which dies where it is told."""
    with worker_process(databases) as worker:
        yield worker


@contextmanager
def worker_process(databases: Databases, **connections: str) -> Iterator[Worker]:
    """The process, with environment variables for the Airflow connections that its jobs need."""
    environment = os.environ | connections | {"PYTHONPATH": os.pathsep.join(part for part in sys.path if part)}
    command = [sys.executable, "-m", "tests.tick.crash_child"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        stdin, stdout = child.stdin, child.stdout

        def order(scene: Scene, job: str, die_at: int, **more: Any) -> dict[str, Any]:
            database = scene.store.engine.url.render_as_string(hide_password=False)
            what: dict[str, Any] = {"database": database, "airflow": scene.airflow.url, "job": job, "mode": scene.mode, "die_at": die_at}
            what |= {"policy": scene.policy.model_dump(mode="json"), "rehearsal": False} | more
            stdin.write(json.dumps(what) + "\n")
            stdin.flush()
            answer = json.loads(stdout.readline())
            assert not answer["failed"]
            return dict(answer)

        for scene in scenes(databases, "sqlite", "auto"):
            order(scene, "tick", 0, rehearsal=True)
            break
        yield order
        child.stdin.close()


def scenes(databases: Databases, kind: str, mode: str) -> Iterator[Scene]:
    """Over and over the same beginning: the nightly orders failed in the middle of the night."""
    while True:
        for store in fresh_store(databases, kind, "the-survivor"):
            with SimulatedAirflow() as airflow:
                airflow.dags["oncall_approval"] = Dag()
                airflow.fail(ORDERS, retries=1)
                airflow.schedule()
                airflow.fail(ORDERS)
                yield Scene(store, airflow, mode=mode)


def carry_on(scene: Scene) -> None:
    """Leases end, ticks go on, and the scheduler runs what was cleared."""
    for _ in range(4):
        scene.ticks(1)
        for ref in scene.airflow.schedule():
            scene.airflow.succeed(ref)
        if not scene.incident.is_open:
            return


def assert_one_of_everything(scene: Scene) -> None:
    assert scene.airflow.clears == [(ORDERS,)]
    seen = scene.store.reading.occurrences(scene.incident.id)
    assert [one.try_number for one in seen] == [1, 2]
    assert scene.state == State.RESOLVED
    assert scene.outcomes() == ["success"]
    assert [(action.state, action.attempts) for action in scene.store.reading.actions(scene.incident.id)] == [(ActionState.DONE, 2)]


@both
def test_a_tick_killed_anywhere_between_failure_and_clear(databases: Databases, kind: str, worker: Worker) -> None:
    for die_at, scene in enumerate(scenes(databases, kind, "auto"), 1):
        end = worker(scene, "tick", die_at)
        carry_on(scene)
        assert_one_of_everything(scene)
        if not end["killed"]:
            assert end["passed"] > 10
            return
        assert die_at < MOST


def test_a_tick_killed_anywhere_between_clear_and_outcome(databases: Databases, worker: Worker) -> None:
    for die_at, scene in enumerate(scenes(databases, "sqlite", "auto"), 1):
        scene.tick()
        scene.airflow.schedule()
        scene.airflow.succeed(ORDERS)
        scene.later()
        end = worker(scene, "tick", die_at)
        carry_on(scene)
        assert_one_of_everything(scene)
        if not end["killed"]:
            return
        assert die_at < MOST


def test_a_tick_killed_anywhere_while_it_asks(databases: Databases, worker: Worker) -> None:
    for die_at, scene in enumerate(scenes(databases, "sqlite", "ask"), 1):
        end = worker(scene, "tick", die_at)
        scene.ticks(2)
        assert len(scene.airflow.did("trigger")) == 1
        assert scene.state == State.ASKED
        worker(scene, "answer", 0, incident_id=scene.incident.id)
        carry_on(scene)
        assert_one_of_everything(scene)
        if not end["killed"]:
            return
        assert die_at < MOST


def test_an_approved_clear_killed_anywhere(databases: Databases, worker: Worker) -> None:
    for die_at, scene in enumerate(scenes(databases, "sqlite", "ask"), 1):
        scene.tick()
        end = worker(scene, "answer", die_at, incident_id=scene.incident.id)
        if scene.state is State.ASKED:  # Airflow runs the task of the answer again, when the dead worker's lease is over
            scene.later()
            worker(scene, "answer", 0, incident_id=scene.incident.id)
        carry_on(scene)
        assert_one_of_everything(scene)
        assert [label for label in scene.labels() if label[0] == "approval"] == [("approval", "clear_task", "ann")]
        if not end["killed"]:
            return
        assert die_at < MOST


def test_a_worker_that_dies_a_little_later_each_time_gets_there(databases: Databases, worker: Worker) -> None:
    beginnings = scenes(databases, "sqlite", "auto")
    scene = next(beginnings)
    for die_at in range(1, 30):
        worker(scene, "tick", die_at)
        scene.later()
    carry_on(scene)
    assert_one_of_everything(scene)


def storms(databases: Databases, kind: str, mode: str) -> Iterator[StormScene]:
    """Over and over the same beginning: as many task instances failed with one cause as make a storm."""
    while True:
        for store in fresh_store(databases, kind, "the-survivor"):
            with SimulatedAirflow() as airflow:
                airflow.dags["oncall_approval"] = Dag()
                scene = StormScene(store, airflow, mode=mode, policy=FOUR)
                scene.strike(FOUR.storms.members)
                yield scene


def assert_nothing_twice(scene: StormScene) -> None:
    assert len(scene.cleared) == len(set(scene.cleared))
    assert [one.members for one in scene.store.storms.newest(5)] == [FOUR.storms.members]
    for incident in scene.store.reading.incidents():
        decisions = scene.store.reading.decisions(incident.id)
        assert [one.number for one in decisions] == [1, 2][: len(decisions)]
        assert len(scene.store.reading.diagnoses(incident.id)) == 1
        assert sum(action.attempts for action in scene.store.reading.actions(incident.id)) <= 1


@both
def test_a_tick_killed_anywhere_between_a_storm_and_the_clear_of_its_probe(databases: Databases, kind: str, worker: Worker) -> None:
    for die_at, scene in enumerate(storms(databases, kind, "auto"), 1):
        end = worker(scene, "tick", die_at)
        scene.ticks(2)
        assert len(scene.cleared) == 1
        assert scene.states == {"held": FOUR.storms.members - 1, "verifying": 1}
        assert scene.storm.probes == 1
        assert_nothing_twice(scene)
        if not end["killed"]:
            assert end["passed"] > 10
            return
        assert die_at < MOST


@both
def test_a_tick_killed_anywhere_while_a_wave_is_released(databases: Databases, kind: str, worker: Worker) -> None:
    for die_at, scene in enumerate(storms(databases, kind, "auto"), 1):
        scene.tick()
        for ref in scene.airflow.schedule():
            scene.airflow.succeed(ref)
        scene.later()
        end = worker(scene, "tick", die_at)
        scene.ticks(2)
        assert len(scene.cleared) == 1 + FOUR.storms.first_wave
        assert scene.storm.wave == 1
        assert_nothing_twice(scene)
        if not end["killed"]:
            return
        assert die_at < MOST


@both
def test_the_answer_about_a_storm_killed_anywhere(databases: Databases, kind: str, worker: Worker) -> None:
    for die_at, scene in enumerate(storms(databases, kind, "ask"), 1):
        scene.tick()
        probe = scene.incident_number(scene.storm.probe_id or 0)
        end = worker(scene, "answer", die_at, incident_id=probe.id, number=probe.decisions)
        if scene.incident_number(probe.id).state is State.ASKED:
            scene.later()
            worker(scene, "answer", 0, incident_id=probe.id, number=probe.decisions)
        scene.ticks(2)
        assert (scene.storm.state, scene.storm.answer, scene.storm.answered_by) == (StormState.PROBING, "approved", "ann")
        assert len(scene.cleared) == 1
        assert_nothing_twice(scene)
        if not end["killed"]:
            return
        assert die_at < MOST
