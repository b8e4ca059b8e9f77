"""What the end-to-end tests see and do: Airflow as a user has it, and the store as triage left it."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import psutil
from demo.deployment import Deployment
from sqlalchemy import Engine, text

from airflow_oncall.incident import CLOSING, Incident, Occurrence, State
from airflow_oncall.store.sql import Store

T = TypeVar("T")
RUN_ENDED = ("success", "failed")


@dataclass
class World:
    """One deployment under test."""

    airflow: Deployment
    home: Path
    dags: Path
    airflows: Engine
    """Airflow's own database, for when the api-server cannot be asked."""
    store: Store
    """The incident store that Airflow's processes write to."""
    begun: dict[str, str] = field(default_factory=dict)
    """Runs that were started as soon as Airflow was up, because what is awaited of them takes minutes: DAG to run."""

    def in_airflows_database(self, query: str, **values: object) -> Any:
        """One value from Airflow's own database; nothing where no row is found."""
        with self.airflows.connect() as connection:
            return connection.execute(text(query), values).scalar()

    def mend(self, name: str) -> None:
        """Take the reason for a failure away."""
        (self.home / "mended" / name).touch()

    def until(self, read: Callable[[], T], good: Callable[[T], bool], what: str, timeout: float = 240) -> T:
        """Await a condition, and Airflow's health meanwhile."""
        return self.airflow.wait_for(read, good, timeout, what)

    def ended(self, dag_id: str, run_id: str) -> str:
        """Await the end of a run; its state."""
        return self.until(lambda: self.run_state(dag_id, run_id), RUN_ENDED.__contains__, f"{dag_id} does not end")

    def run_state(self, dag_id: str, run_id: str) -> str:
        """State of a run."""
        return str(self.airflow.get(f"/dags/{dag_id}/dagRuns/{run_id}")["state"])

    def instances(self, dag_id: str, run_id: str) -> list[dict[str, Any]]:
        """Task instances of a run."""
        found: list[dict[str, Any]] = self.airflow.get(f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances")["task_instances"]
        return found

    def tries(self, dag_id: str, run_id: str, task_id: str, map_index: int = -1) -> list[str]:
        """States of a task instance's tries, from Airflow's own history, oldest first."""
        path = f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}" + (f"/{map_index}" if map_index >= 0 else "") + "/tries"
        found = self.airflow.get(path)["task_instances"]
        return [one["state"] for one in sorted(found, key=lambda one: one["try_number"])]

    def incidents(self, dag_id: str) -> list[Incident]:
        """Incidents of a DAG, newest first."""
        return self.store.reading.incidents(dag_id=dag_id)

    def occurrences(self, dag_id: str) -> list[Occurrence]:
        """Occurrences of all incidents of a DAG."""
        return [seen for incident in self.incidents(dag_id) for seen in self.store.reading.occurrences(incident.id)]

    def incident_in(self, dag_id: str, *states: State) -> Incident:
        """Await that the DAG's one incident is in one of these states."""
        found = self.until(
            lambda: self.incidents(dag_id),
            lambda incidents: len(incidents) == 1 and incidents[0].state in states,
            f"the incident of {dag_id} is not {' or '.join(map(str, states))}",
        )
        return found[0]

    def settled(self, dag_id: str) -> bool:
        """Whether nothing more happens by itself to what this DAG's incidents are about."""
        calm = CLOSING | {State.ESCALATED, State.OBSERVED}
        return all(incident.state in calm for incident in self.incidents(dag_id))

    def question(self, incident: Incident) -> str:
        """Await the question about an incident; the run that asks it."""
        action = self.store.ledger.open_action(incident.id, incident.decisions)
        assert action is not None
        run_id = action.own_run_id
        self.until(
            lambda: [one["task_instance"]["dag_run_id"] for one in self.airflow.get(_QUESTIONS, response_received=False)["hitl_details"]],
            lambda waiting: run_id in waiting,
            f"{run_id} does not ask",
        )
        return run_id

    def answer(self, run_id: str, option: str) -> None:
        """Answer a question as a user clicks it."""
        path = f"/dags/oncall_approval/dagRuns/{run_id}/taskInstances/question/-1/hitlDetails"
        self.airflow.patch(path, {"chosen_options": [option], "params_input": {}}, user="bob")

    def clears(self, dag_id: str) -> list[dict[str, Any]]:
        """Clears of a DAG in Airflow's audit log."""
        found: list[dict[str, Any]] = self.airflow.get("/eventLogs", dag_id=dag_id, event="post_clear_task_instances")["event_logs"]
        return found

    def family(self, component: str) -> list[psutil.Process]:
        """A component's process and its children."""
        parent = psutil.Process(self.airflow.processes[component].pid)
        return [parent, *parent.children(recursive=True)]


@contextmanager
def asleep(processes: list[psutil.Process]) -> Iterator[None]:
    """Stop processes for a while; Airflow's children come and go, so some may be gone."""
    _send(processes, signal.SIGSTOP)
    try:
        yield
    finally:
        _send(processes, signal.SIGCONT)


def _send(processes: list[psutil.Process], number: signal.Signals) -> None:
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.send_signal(number)


_QUESTIONS = "/dags/oncall_approval/dagRuns/~/hitlDetails"
