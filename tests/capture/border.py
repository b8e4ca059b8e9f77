"""What the tests of the capture border share: an intake in memory and task instances as each Airflow process has them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from types import SimpleNamespace
from typing import Any

from airflow_oncall.errors import StoreUnavailable
from airflow_oncall.incident import Evidence, Occurrence, TaskRef

STARTED = datetime(2026, 11, 21, 3, 0, tzinfo=timezone.utc)


class Mute(Exception):
    """Cannot say what it is."""

    def __str__(self) -> str:
        raise RuntimeError("no words")


class MemoryIntake:
    """Keeps what it is given; ``when_called`` can make it slow or broken."""

    def __init__(self, when_called: Callable[[], None] = lambda: None) -> None:
        self.when_called = when_called
        self.occurrences: list[Occurrence] = []
        self.sweeps: list[tuple[str, str]] = []

    def record(self, occurrence: Occurrence) -> int | None:
        self.when_called()
        self.occurrences.append(occurrence)
        return len(self.occurrences)

    def request_sweep(self, dag_id: str, run_id: str) -> None:
        self.when_called()
        self.sweeps.append((dag_id, run_id))

    @property
    def keys(self) -> set[str]:
        return {occurrence.key for occurrence in self.occurrences}


class HangingIntake(MemoryIntake):
    """A store that does not answer until it is released."""

    def __init__(self) -> None:
        super().__init__(self._hang)
        self.released = threading.Event()
        self.answered = threading.Event()

    def _hang(self) -> None:
        self.released.wait(10)
        self.answered.set()


def is_down() -> None:
    raise StoreUnavailable("the store at postgresql://oncall:hunter22@db/oncall cannot be reached")


def is_read_only() -> None:
    raise StoreUnavailable("attempt to write a readonly database")


def occurrence(number: int = 1) -> Occurrence:
    return Occurrence(
        ref=TaskRef("nightly", "scheduled__2026-11-21", "load_orders", 3),
        seen_by="listener",
        happened_at=STARTED,
        try_number=number,
        fingerprint="f00",
        evidence=Evidence(("builtins.KeyError",), "KeyError: 'ünïcode \u2603'", "Traceback", "PythonOperator", "worker-1", 2.5, 3),
    )


def worker_ti(**changes: Any) -> Any:
    """As in the task process: times and state, no operator."""
    known: dict[str, Any] = {
        "dag_id": "nightly",
        "run_id": "scheduled__2026-11-21",
        "task_id": "load_orders",
        "map_index": 3,
        "try_number": 2,
        "max_tries": 4,
        "state": "failed",
        "hostname": "worker-1",
        "start_date": STARTED,
        "end_date": STARTED + timedelta(seconds=90),
        "task": SimpleNamespace(operator_name="@task"),
    }
    return SimpleNamespace(**(known | changes))


def scheduler_ti(**changes: Any) -> Any:
    """As in the scheduler and the API server: an ORM row with an operator column, its task not loaded."""
    return worker_ti(**({"operator": "SparkSubmitOperator", "task": None} | changes))


def dag_processor_ti() -> Any:
    """As in the DAG processor: Airflow's own class, built without state and times."""
    from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance

    return RuntimeTaskInstance.model_construct(
        dag_id="nightly", run_id="scheduled__2026-11-21", task_id="load_orders", map_index=-1, try_number=1, hostname=None, max_tries=0
    )


def raised(error: BaseException, cause: BaseException | None = None) -> BaseException:
    """The exception as it is after it was raised, with its traceback."""
    try:
        raise error from cause
    except BaseException as caught:  # noqa: BLE001 - that is the fixture
        return caught
