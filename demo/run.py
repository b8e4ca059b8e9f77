"""The demo's course: start Airflow, break things one after another, answer two questions as a person would, check everything."""

from __future__ import annotations

import json
import logging
import os
import shutil
import signal
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any
from urllib.parse import quote

from demo.deployment import ROOT, USERS, Deployment, password
from demo.expectations import EXPECTATIONS, Expectation, incident_problems, is_at_rest, try_problems
from demo.view import View
from demo.world import World

HOME = ROOT / ".demo"
REPORT = ROOT / "demo-report.json"
PATIENCE = 240.0
"""Seconds from the first failure until everything has to have come to rest."""
STAGGER = 10.0
"""Seconds after which the next fault is started even if the previous one was not decided on yet."""
REPORTED = (
    "dag_id",
    "run_id",
    "task_id",
    "map_index",
    "try_number",
    "category",
    "confidence",
    "decision",
    "action",
    "outcome",
    "reason",
    "seconds_to_decision",
    "seconds_to_action",
    "seconds_to_outcome",
)


class Demo:
    """One course over a running deployment. ``runs`` maps the DAGs started so far to their run_ids."""

    def __init__(self, airflow: Deployment, world: World, view: View) -> None:
        self.airflow, self.world, self.view = airflow, world, view
        self.runs: dict[str, str] = {}
        self.incidents: list[dict[str, Any]] = []
        self._waiting = list(EXPECTATIONS)
        self._last_start = float("-inf")
        self._answered: set[str] = set()
        self._store = _open_store()

    def play(self) -> None:
        """Start every fault and follow it until all are at rest, or patience is over."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline and not self._all_at_rest():
            self.airflow.check_alive()
            self.world.react(self._failed_dags())
            self._start_next()
            self._answer_questions()
            self._look()
            time.sleep(0.5)

    def problems(self) -> dict[str, list[str]]:
        """What differs from the expectations, by task instance."""
        found = {
            expectation.name: incident_problems(expectation, self.incidents) + try_problems(expectation, self._tries(expectation))
            for expectation in EXPECTATIONS
        }
        return {name: sentences for name, sentences in found.items() if sentences}

    def report(self, ok: bool) -> dict[str, Any]:
        """What ``demo-report.json`` holds."""
        return {"incidents": [{field: incident[field] for field in REPORTED} for incident in self.incidents], "ok": ok}

    def _look(self) -> None:
        self.incidents = [incident for incident in self._store.report.incidents() if incident["kind"] == "task"]
        self.view.update(self.runs, self.incidents)

    def _all_at_rest(self) -> bool:
        return not self._waiting and all(is_at_rest(expectation, self.incidents) for expectation in EXPECTATIONS)

    def _start_next(self) -> None:
        """One fault at a time, so that the seconds of the report are those of an idle machine."""
        if not self._waiting or not (self._is_quiet() or time.monotonic() - self._last_start > STAGGER):
            return
        expectation = next((waiting for waiting in self._waiting if self.world.warehouse.is_up or not waiting.needs_warehouse), None)
        if expectation is None:
            return
        self._waiting.remove(expectation)
        self.runs[expectation.dag_id] = self.airflow.trigger(expectation.dag_id)
        self._last_start = time.monotonic()
        self.view.step(f"{expectation.dag_id} started: {expectation.fault}" if self._waiting else "following every incident to its end")

    def _is_quiet(self) -> bool:
        started = [expectation for expectation in EXPECTATIONS if expectation.dag_id in self.runs]
        decided = {incident["dag_id"] for incident in self.incidents if incident["decision"]}
        return all(expectation.dag_id in decided for expectation in started)

    def _failed_dags(self) -> set[str]:
        failed = self.airflow.get("/dags/~/dagRuns/~/taskInstances", state=["failed"], limit=100)
        return {ti["dag_id"] for ti in failed["task_instances"]}

    def _answer_questions(self) -> None:
        """As bob, the way his click in the Airflow UI does it."""
        pending = self.airflow.get("/dags/oncall_approval/dagRuns/~/hitlDetails", user="bob", response_received=False)
        for question in pending["hitl_details"]:
            asked = question["task_instance"]
            about = next(
                (each for each in EXPECTATIONS if each.answer and each.dag_id in f"{question['subject']} {question['body']}"), None
            )
            if about is None or asked["dag_run_id"] in self._answered:
                continue
            where = f"/dags/{asked['dag_id']}/dagRuns/{quote(asked['dag_run_id'])}/taskInstances/{asked['task_id']}/{asked['map_index']}"
            self.airflow.patch(f"{where}/hitlDetails", {"chosen_options": [about.answer], "params_input": {}}, user="bob")
            self._answered.add(asked["dag_run_id"])
            self.view.step(f"bob answers {about.answer!r} to: {question['subject']}")

    def _tries(self, expectation: Expectation) -> dict[tuple[str, int], list[str]]:
        run_id = self.runs.get(expectation.dag_id)
        if run_id is None:
            return {}
        run = f"/dags/{expectation.dag_id}/dagRuns/{quote(run_id)}/taskInstances"
        found = {}
        for ti in self.airflow.get(run, limit=100)["task_instances"]:
            index = f"/{ti['map_index']}" if ti["map_index"] >= 0 else ""
            history = self.airflow.get(f"{run}/{ti['task_id']}{index}/tries")["task_instances"]
            found[ti["task_id"], ti["map_index"]] = [str(each["state"]) for each in sorted(history, key=lambda each: each["try_number"])]
        return found


def run(*, keep: bool = False) -> int:
    """Play the whole demo; the exit code: 0 only if every expectation held."""
    shutil.rmtree(HOME, ignore_errors=True)
    HOME.mkdir()
    view = View(EXPECTATIONS)
    world = World(HOME / "world")
    bundles = {"oncall": ROOT / "dags", "demo": ROOT / "demo" / "dags"}
    airflow = Deployment(HOME / "airflow", bundles=bundles, env={**world.env, "AIRFLOW__ONCALL__MODE": "auto"})
    with _ends_on_sigterm(), ExitStack() as running:
        with view:
            view.step("training the starter models, starting Airflow: api-server, scheduler, dag-processor, triggerer")
            running.enter_context(airflow)
            running.enter_context(_running(world, airflow))
            os.environ.update(airflow.env)
            demo = Demo(airflow, world, view)
            airflow.wait_ready({"oncall_triage", "oncall_approval", *(expectation.dag_id for expectation in EXPECTATIONS)})
            demo.play()
        problems = demo.problems()
        view.summary(demo.incidents, problems)
        REPORT.write_text(json.dumps(demo.report(ok=not problems), indent=2) + "\n")
        view.console.print(_verdict(problems, view.elapsed), soft_wrap=True)
        if keep:
            logins = ", ".join(f"{name} / {password(name)}" for name in USERS)
            view.console.print(f"\n  Airflow is up at [bold]{airflow.url}[/] until Ctrl-C. Logins: {logins}.")
            _wait_for_ctrl_c()
    return 1 if problems else 0


def _verdict(problems: Mapping[str, Sequence[str]], seconds: float) -> str:
    where = f"{seconds:.0f} s, details in {REPORT.name}"
    if not problems:
        return f"  [bold green]All {len(EXPECTATIONS)} expectations held[/] ({where})."
    return f"  [bold red]{len(problems)} of {len(EXPECTATIONS)} expectations failed[/] ({where}, logs in {HOME.name}/airflow/logs)."


def _open_store() -> Any:
    """The deployment's incident store, with its tables made before the first task fails, as an installation does it."""
    from airflow_oncall.store import open_store

    logging.getLogger("alembic").setLevel(logging.WARNING)  # the terminal belongs to the demo's table
    return open_store()


@contextmanager
def _running(world: World, airflow: Deployment) -> Iterator[None]:
    try:
        world.start(airflow.processes["scheduler"].pid, airflow.adopt)
        yield
    finally:
        world.stop()


@contextmanager
def _ends_on_sigterm() -> Iterator[None]:
    """SIGTERM ends the demo in order, as Ctrl-C does."""

    def leave(signum: int, frame: object) -> None:
        raise SystemExit(128 + signum)

    before = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _wait_for_ctrl_c() -> None:
    try:
        signal.pause()
    except KeyboardInterrupt:
        return
