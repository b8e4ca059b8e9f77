"""What a decision asks Airflow, as seldom as it can: answers are kept for a minute, and a slow Airflow is left in peace.

In a storm thousands of incidents share a few DAGs, tasks and runs, so that each costs about one call. What a user may not
read, or an Airflow does not have, is not known; then nothing speaks against a repair.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Hashable
from datetime import datetime, timedelta
from itertools import islice
from statistics import median
from time import monotonic
from typing import TypeVar

from airflow_oncall.errors import AirflowApiError, NotFound
from airflow_oncall.incident import TaskRef
from airflow_oncall.rest import AirflowApi, TaskView
from airflow_oncall.store.records import now

log = logging.getLogger(__name__)

Answer = TypeVar("Answer")

KEPT = timedelta(minutes=1)
MOST_KEPT = 10_000
SLOW_SECONDS = 5.0
"""A question that took this long shows that Airflow is overloaded; repairs would add to its load."""
PEACE_SECONDS = 60.0
"""So long it is not asked again."""


class Facts:
    """Answers of one Airflow, shared by all decisions of a process."""

    def __init__(self) -> None:
        self._known: dict[Hashable, tuple[datetime, object]] = {}
        self._slow_at: float | None = None

    @property
    def is_slow(self) -> bool:
        """Whether Airflow took very long a moment ago: what can wait should not ask it now."""
        return self._slow_at is not None and monotonic() - self._slow_at < PEACE_SECONDS

    def task(self, api: AirflowApi, ref: TaskRef) -> TaskView | None:
        """What is declared about the task; ``None`` when its DAG no longer has it."""
        return self._ask(("task", ref.dag_id, ref.task_id), lambda: _or_none(lambda: api.task(ref.dag_id, ref.task_id)))

    def waiting(self, api: AirflowApi, ref: TaskRef, most: int) -> int:
        """Task instances of the run that cannot start because others failed, counted up to ``most``."""

        def count() -> int:
            return sum(1 for _ in islice(api.task_instances(ref.dag_id, ref.run_id, state=["upstream_failed"]), most))

        return self._ask(("waiting", ref.dag_id, ref.run_id, most), count)

    def minutes(self, api: AirflowApi, ref: TaskRef) -> float | None:
        """How long one attempt of this task takes: the median of the newest successful ones."""
        seconds = self._durations(api, ref)
        return round(median(seconds) / 60, 3) if seconds else None

    def never_succeeded(self, api: AirflowApi, ref: TaskRef) -> bool:
        """Whether Airflow knows no success of the task in any run."""
        return self._durations(api, ref) == []

    def _durations(self, api: AirflowApi, ref: TaskRef) -> list[float] | None:
        def took() -> list[float] | None:
            return _unless_refused(lambda: api.durations(ref.dag_id, ref.task_id), None)

        return self._ask(("durations", ref.dag_id, ref.task_id), took)

    def has_backfill(self, api: AirflowApi, dag_id: str) -> bool:
        """Whether a backfill of the DAG is running."""

        def running() -> bool:
            return any(one.is_running for one in api.backfills(dag_id))

        return self._ask(("backfill", dag_id), lambda: _unless_refused(running, False))

    def run_began(self, api: AirflowApi, ref: TaskRef, noted: Callable[[TaskRef], datetime | None]) -> datetime | None:
        """When the run began first; ``None`` where that is not known.

        A clear of what failed has Airflow forget it, so what was ``noted`` before counts as well.
        """

        def began() -> datetime | None:
            now_said = _unless_refused(lambda: api.run(ref.dag_id, ref.run_id).started_at, None)
            return min(filter(None, (now_said, noted(ref))), default=None)

        return self._ask(("run", ref.dag_id, ref.run_id), began)

    def changed_code(self, api: AirflowApi, ref: TaskRef) -> bool:
        """Whether a re-run would run other code than what failed.

        A bundle that keeps versions runs the same version again; else a re-run takes the newest.
        """
        newest = self._ask(("version", ref.dag_id), lambda: _unless_refused(lambda: api.newest_version(ref.dag_id), None))
        if newest is None or newest <= 1 or not ref.task_id:
            return False
        failed = self._timed(lambda: api.task_instance(ref))
        return failed.dag_version is not None and failed.dag_version < newest and not failed.bundle_version

    def _ask(self, key: Hashable, question: Callable[[], Answer]) -> Answer:
        at, known = self._known.get(key, (None, None))
        if at is not None and timedelta(0) <= now() - at < KEPT:
            return known  # type: ignore[return-value]  # what is kept under a key is what its question gave
        answer = self._timed(question)
        if len(self._known) >= MOST_KEPT:
            self._known.clear()
        self._known[key] = (now(), answer)
        return answer

    def _timed(self, question: Callable[[], Answer]) -> Answer:
        began = monotonic()
        try:
            return question()
        finally:
            if monotonic() - began >= SLOW_SECONDS:
                self._slow_at = monotonic()


def _or_none(question: Callable[[], Answer]) -> Answer | None:
    try:
        return question()
    except NotFound:
        return None


def _unless_refused(question: Callable[[], Answer], unknown: Answer) -> Answer:
    """The answer; ``unknown`` where Airflow will not give one however often it is asked."""
    try:
        return question()
    except AirflowApiError as error:
        if error.transient:
            raise
        log.info("a fact is not known: %s", error)
        return unknown
