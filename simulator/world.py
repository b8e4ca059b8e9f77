"""An Airflow in memory, without HTTP: what the simulated Airflow holds and how its scheduler and its users change it.

Nothing runs by itself. What a clear does follows Airflow 3.3: only failed task instances, an unknown one is no error,
what waits downstream as ``upstream_failed`` too, other map indexes untouched, full retries again; the try number grows
when the scheduler picks it up. Every mutation by a client is kept.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta, timezone
from typing import Any

from airflow_oncall.incident import TaskRef

FAILED = ("failed", "upstream_failed")
FINISHED = ("success", "failed", "skipped", "upstream_failed", "removed")
LONG_AGO = datetime(2000, 1, 1, tzinfo=timezone.utc)


@dataclass
class Task:
    """What a DAG's author wrote about one task."""

    retries: int = 0
    params: dict[str, Any] = field(default_factory=dict)
    downstream: tuple[str, ...] = ()
    pool: str = "default_pool"
    owner: str = "airflow"


@dataclass
class Dag:
    """One parsed DAG."""

    tasks: dict[str, Task] = field(default_factory=dict)
    tags: tuple[str, ...] = ()
    params: dict[str, Any] = field(default_factory=dict)
    is_paused: bool = False
    owners: tuple[str, ...] = ("airflow",)
    version: int = 1


@dataclass
class Pool:
    """Slots that task instances share."""

    slots: int = 128
    occupied: int = 0
    queued: int = 0


@dataclass
class Backfill:
    """A backfill of a DAG."""

    dag_id: str
    is_paused: bool = False
    completed_at: datetime | None = None


@dataclass
class Run:
    """One DAG run."""

    dag_id: str
    run_id: str
    state: str = "running"
    updated_at: datetime = LONG_AGO
    ended_at: datetime | None = None
    note: str | None = None
    conf: dict[str, Any] = field(default_factory=dict)
    started_at: datetime | None = None
    run_type: str = "manual"
    run_after: datetime = LONG_AGO


@dataclass
class TaskInstance:
    """One task instance with the tries it had before the present one."""

    ref: TaskRef
    max_tries: int
    state: str | None = None
    try_number: int = 0
    updated_at: datetime = LONG_AGO
    started_at: datetime | None = None
    ended_at: datetime | None = None
    note: str | None = None
    version: int = 1
    state_store: dict[str, Any] = field(default_factory=dict)
    earlier: list[TaskInstance] = field(default_factory=list)


@dataclass(frozen=True)
class Mutation:
    """Something a client changed. ``touched``: the task instances it really changed."""

    what: str
    path: str
    body: dict[str, Any]
    touched: tuple[TaskRef, ...] = ()


class Refused(Exception):
    """An HTTP error answer."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status = status


class World:
    """DAGs, runs, task instances, and what happens to them."""

    def __init__(self) -> None:
        self.dags: dict[str, Dag] = {}
        self.runs: dict[tuple[str, str], Run] = {}
        self.instances: dict[TaskRef, TaskInstance] = {}
        self.import_errors: dict[str, tuple[datetime, str]] = {}
        self.logs: dict[tuple[TaskRef, int], Iterable[bytes]] = {}
        self.plugins: list[str] = []
        self.pools = {"default_pool": Pool()}
        self.backfills: list[Backfill] = []
        self.answers: dict[tuple[str, str], tuple[str, str]] = {}
        """Of HITL runs: the chosen option and the user's name."""
        self.mutations: list[Mutation] = []
        self.clock_ahead = timedelta(0)

    def now(self) -> datetime:
        """Airflow's clock."""
        return datetime.now(timezone.utc) + self.clock_ahead

    # what happens in Airflow

    def add(self, ref: TaskRef, *, retries: int = 0, downstream: tuple[str, ...] = (), **dag: Any) -> TaskInstance:
        """A task instance with its DAG and run, where they are new; it is running its first try."""
        owner = self.dags.setdefault(ref.dag_id, Dag(**dag))
        owner.tasks.setdefault(ref.task_id, Task(retries, downstream=downstream))
        self.runs.setdefault((ref.dag_id, ref.run_id), Run(ref.dag_id, ref.run_id, updated_at=self.now()))
        one = self.instances[ref] = TaskInstance(ref, retries)
        self._start(one)
        return one

    def fail(self, ref: TaskRef, *, end_run: bool = True, **new: Any) -> TaskInstance:
        """The present try fails (of a task instance made as by :meth:`add`, where it is new).

        With retries left it is ``up_for_retry``; else it is ``failed``, what is downstream ``upstream_failed``, and its run ends.
        """
        one = self.instances.get(ref) or self.add(ref, **new)
        self._end(one, "up_for_retry" if one.try_number <= one.max_tries else "failed")
        if one.state == "failed":
            for other in self._downstream(ref):
                self._end(other, "upstream_failed")
            if end_run:
                self.end_run(ref.dag_id, ref.run_id, "failed")
        return one

    def succeed(self, ref: TaskRef) -> None:
        """The present try succeeds, and the run with its last task instance."""
        self._end(self.instances[ref], "success")
        if all(one.state == "success" for one in self.of_run(ref.dag_id, ref.run_id)):
            self.end_run(ref.dag_id, ref.run_id, "success")

    def mark(self, ref: TaskRef, state: str) -> None:
        """A person (or a rule of Airflow) sets the state."""
        self._end(self.instances[ref], state)

    def clear_by_hand(self, ref: TaskRef) -> None:
        """A person clears it in the UI: no note, no mutation of ours."""
        self._clear(self.instances[ref])

    def start(self, ref: TaskRef) -> None:
        """The scheduler starts this one, as its next try."""
        self._start(self.instances[ref])

    def schedule(self) -> list[TaskRef]:
        """The scheduler starts everything that waits, as its next try, but not in paused DAGs."""
        waiting = [
            one for one in self.instances.values() if one.state in (None, "up_for_retry") and not self.dags[one.ref.dag_id].is_paused
        ]
        for one in waiting:
            self._start(one)
        return [one.ref for one in waiting]

    def end_run(self, dag_id: str, run_id: str, state: str) -> None:
        """A run ends."""
        run = self.runs[dag_id, run_id]
        run.state, run.ended_at, run.updated_at = state, self.now(), self.now()

    def time_out_run(self, ref: TaskRef) -> None:
        """``dagrun_timeout``: what runs is skipped and the run fails, though no task instance did."""
        self.mark(ref, "skipped")
        self.end_run(ref.dag_id, ref.run_id, "failed")

    def delete_dag(self, dag_id: str) -> None:
        """A person deletes a DAG with all its history."""
        self.dags.pop(dag_id, None)
        self.runs = {key: run for key, run in self.runs.items() if run.dag_id != dag_id}
        self.instances = {ref: one for ref, one in self.instances.items() if ref.dag_id != dag_id}

    def forget_run(self, dag_id: str, run_id: str) -> None:
        """Airflow's database is cleaned of a run."""
        for one in self.of_run(dag_id, run_id):
            del self.instances[one.ref]
            for number in range(1, one.try_number + 1):
                self.logs.pop((one.ref, number), None)
        self.runs.pop((dag_id, run_id), None)

    def break_file(self, filename: str, stacktrace: str) -> None:
        """A DAG file cannot be imported."""
        self.import_errors[filename] = (self.now(), stacktrace)

    # what clients did

    @property
    def clears(self) -> list[tuple[TaskRef, ...]]:
        """Of every clear that changed something: what it cleared, the named one first."""
        return [one.touched for one in self.mutations if one.what == "clear" and one.touched]

    def did(self, what: str) -> list[Mutation]:
        """Mutations of one kind: ``clear``, ``clear_run``, ``note``, ``state``, ``trigger``, ``pause``, ``pool``, ``task_state``..."""
        return [one for one in self.mutations if one.what == what]

    # inner workings

    def _start(self, one: TaskInstance) -> None:
        if one.try_number:
            self._remember(one)
        one.try_number += 1
        one.state, one.started_at, one.ended_at, one.updated_at = "running", self.now(), None, self.now()
        one.version = self.dags[one.ref.dag_id].version
        run = self.runs[one.ref.dag_id, one.ref.run_id]
        run.state, run.ended_at, run.started_at = "running", None, run.started_at or self.now()

    def _end(self, one: TaskInstance, state: str) -> None:
        if one.state == state:
            return
        one.state, one.ended_at, one.updated_at = state, self.now(), self.now()

    def _clear(self, one: TaskInstance) -> None:
        self._remember(one)
        task = self.dags[one.ref.dag_id].tasks.get(one.ref.task_id)
        one.max_tries = one.try_number + task.retries if task else max(one.max_tries, one.try_number)
        one.state, one.updated_at = None, self.now()
        run = self.runs[one.ref.dag_id, one.ref.run_id]
        if run.state in ("success", "failed"):
            run.state, run.ended_at, run.updated_at, run.started_at = "queued", None, self.now(), None

    @staticmethod
    def _remember(one: TaskInstance) -> None:
        if all(past.try_number != one.try_number for past in one.earlier):
            state = one.state if one.state in FINISHED else "failed"
            one.earlier.append(replace(one, state=state, earlier=[]))

    def _downstream(self, ref: TaskRef) -> Iterator[TaskInstance]:
        task = self.dags[ref.dag_id].tasks.get(ref.task_id)
        for task_id in task.downstream if task else ():
            other = self.instances.get(TaskRef(ref.dag_id, ref.run_id, task_id))
            if other:
                yield other
                yield from self._downstream(other.ref)

    def of_run(self, dag_id: str, run_id: str) -> list[TaskInstance]:
        """Task instances of one run."""
        return [one for one in self.instances.values() if (one.ref.dag_id, one.ref.run_id) == (dag_id, run_id)]

    def find_run(self, dag_id: str, run_id: str) -> Run:
        """A run, or 404."""
        if (dag_id, run_id) not in self.runs:
            raise Refused(404, f"The DagRun with dag_id: `{dag_id}` and run_id: `{run_id}` was not found")
        return self.runs[dag_id, run_id]

    def find_dag(self, dag_id: str) -> Dag:
        """A DAG, or 404."""
        if dag_id not in self.dags:
            raise Refused(404, f"Dag with ID: `{dag_id}` not found")
        return self.dags[dag_id]

    def find_instance(self, dag_id: str, run_id: str, task_id: str, map_index: str = "-1") -> TaskInstance:
        """A task instance, or 404."""
        ref = TaskRef(dag_id, run_id, task_id, int(map_index))
        if ref not in self.instances:
            raise Refused(404, f"The Task Instance with {ref} was not found")
        return self.instances[ref]

    def clear(self, dag_id: str, body: dict[str, Any]) -> list[TaskInstance]:
        """``POST clearTaskInstances`` of one run."""
        self.find_dag(dag_id)
        if len(body.get("note") or "") > 1000:
            raise Refused(422, "note: String should have at most 1000 characters")
        if "dag_run_id" not in body:
            return []
        run = self.find_run(dag_id, body["dag_run_id"])
        found = list(self._named(run, body))
        if body.get("dry_run", True):
            return found
        if any(one.state == "running" for one in found) and body.get("prevent_running_task"):
            raise Refused(409, "AirflowClearRunningTaskException: the task is running")
        for one in found:
            self._clear(one)
            one.note = body.get("note", one.note)
        self.mutations.append(Mutation("clear", dag_id, body, tuple(one.ref for one in found)))
        return found

    def _named(self, run: Run, body: dict[str, Any]) -> Iterator[TaskInstance]:
        seen: set[TaskRef] = set()
        for name in body["task_ids"]:
            task_id, map_index = (name, None) if isinstance(name, str) else name
            named = [one for one in self.of_run(run.dag_id, run.run_id) if one.ref.task_id == task_id]
            chosen = [one for one in named if map_index is None or one.ref.map_index == map_index]
            below = [other for one in chosen for other in self._downstream(one.ref)] if body.get("include_downstream") else []
            for one in [*chosen, *below]:
                if one.ref not in seen and (one.state in FAILED or not body.get("only_failed", True)):
                    seen.add(one.ref)
                    yield one

    def set_state(self, one: TaskInstance, body: dict[str, Any]) -> None:
        """``PATCH taskInstances/...`` with a new state: what failed or waits downstream is cleared, as Airflow does."""
        self._end(one, body["new_state"])
        one.note = body.get("note", one.note)
        below = [other for other in self._downstream(one.ref) if other.state in FAILED]
        for other in below:
            self._clear(other)
        self.mutations.append(Mutation("state", one.ref.key, body, (one.ref, *(other.ref for other in below))))

    def clear_run(self, run: Run, body: dict[str, Any]) -> None:
        """``POST dagRuns/{id}/clear``: the note is written also when nothing was cleared."""
        found = [one for one in self.of_run(run.dag_id, run.run_id) if one.state in FAILED or not body.get("only_failed")]
        for one in found:
            self._clear(one)
        run.note = body.get("note", run.note)
        self.mutations.append(Mutation("clear_run", f"{run.dag_id}/{run.run_id}", body, tuple(one.ref for one in found)))
