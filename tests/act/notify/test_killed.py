"""A worker that is killed between telling people and writing it down: they are told again, and of nothing else twice."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import BaseNotifier
from tests.act.notify.stage import pass_time, policy_with
from tests.clocks import MovedClock
from tests.databases import Databases, fresh_store
from tests.simulated_airflow import SimulatedAirflow
from tests.tick.scene import BUG, Scene

from airflow_oncall.act.policy import Policy
from airflow_oncall.incident import TaskRef

REFS = [TaskRef(f"dag-{number}", "manual__1", "work") for number in range(3)]
DELIVER = """
import sys
from sqlalchemy import make_url
from tests.act.notify.test_killed import policy_to
from tests.tick.scene import sign_in
from airflow_oncall.act.notify.delivery import deliver
from airflow_oncall.store.engine import engine_for
from airflow_oncall.store.sql import Store
url, airflow, book = sys.argv[1:]
deliver(Store.over(engine_for(make_url(url), 30.0), "the-victim"), sign_in(airflow), policy_to(book, dies_after=2))
"""


class Diary(BaseNotifier):
    """Writes down what it was told, and takes the process with it when it has heard enough."""

    def __init__(self, book: str, dies_after: int) -> None:
        super().__init__()
        self.book, self.dies_after = Path(book), dies_after

    def notify(self, context: Any) -> None:
        oncall = context["oncall"]
        with self.book.open("a") as book:
            book.write(f"{oncall['key']} {oncall['message_id']}\n")
        if len(self.book.read_text().splitlines()) == self.dies_after:
            os.kill(os.getpid(), signal.SIGKILL)


def policy_to(book: str, dies_after: int = 0) -> Policy:
    """The diary is told of everything."""
    return policy_with({"classpath": f"{__name__}.Diary", "kwargs": {"book": book, "dies_after": dies_after}})


@pytest.mark.parametrize("kind", ["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def test_a_worker_killed_between_telling_and_recording(databases: Databases, kind: str, tmp_path: Path, clock: MovedClock) -> None:
    book = tmp_path / "diary"
    for store in fresh_store(databases, kind, "the-survivor"):
        with SimulatedAirflow() as airflow:
            scene = Scene(store, airflow)
            scene.brain.says, scene.policy = BUG, policy_with({"classpath": "airflow.providers.nowhere.Pager"})
            for ref in REFS:
                airflow.fail(ref)
            scene.tick()
            store.notices.tell_later([1, 2, 3], scene.store.reading.incidents()[0].opened_at)

            url = store.engine.url.render_as_string(hide_password=False)
            environment = os.environ | {"PYTHONPATH": os.pathsep.join(part for part in sys.path if part)}
            victim = subprocess.run([sys.executable, "-c", DELIVER, url, airflow.url, str(book)], env=environment, check=False)
            assert victim.returncode == -signal.SIGKILL
            assert len(book.read_text().splitlines()) == 2

            scene.policy = policy_to(str(book))
            scene.tick()
            assert len(book.read_text().splitlines()) == 2, "the dead worker's lease lasts"
            pass_time(scene, clock, 3)
            pass_time(scene, clock, 60)
            first, second, again, third = book.read_text().splitlines()
            assert again == second, "the same message, by its id"
            assert {line.split()[0] for line in (first, second, third)} == {"oncall-1", "oncall-2", "oncall-3"}
