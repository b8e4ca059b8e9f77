"""Notice what nobody saw: read over REST what failed since the last sweep.

A process that is killed on its last try runs no callback and no listener; Airflow's own records are the only trace.
The sweep reads them from a stored watermark on, a little overlapping, because storing an occurrence twice changes
nothing while missing one would.

    failed and up_for_retry task instances, and tries above the first of any state  -> failed tries not stored yet
    failed runs in which no task instance failed (dagrun_timeout)                   -> an incident of the run
    DAG import errors; those that are gone                                          -> opened; resolved
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from functools import cache
from itertools import islice
from typing import TypeVar

from airflow_oncall import conf
from airflow_oncall.capture.fingerprint import fingerprint
from airflow_oncall.capture.record import import_error_occurrence, is_watched
from airflow_oncall.errors import AirflowApiError, NotFound
from airflow_oncall.incident import Kind, Occurrence, State, TaskRef
from airflow_oncall.rest import AirflowApi, RunView, TaskInstanceView
from airflow_oncall.store.sql import Store

log = logging.getLogger(__name__)

WATERMARK = "sweep"
OVERLAP = timedelta(minutes=2)
"""How far back each sweep reads again: more than the clocks of Airflow's parts should differ, or a commit take."""
FAILED_STATES = ["failed", "up_for_retry"]
LATER_TRIES = list(range(2, 12))
LEASE = timedelta(minutes=1)
AT_ONCE = 500
Seen = TypeVar("Seen", TaskInstanceView, RunView)


def sweep(store: Store, api: AirflowApi) -> int:
    """One sweep; the number of occurrences that were new. The watermark moves only after all of it is stored."""
    started = api.server_time()
    stored = store.cursors.get(WATERMARK)
    since = (datetime.fromisoformat(stored) if stored else started - timedelta(seconds=conf.lookback())) - OVERLAP
    new = _instances(store, api, api.task_instances(state=FAILED_STATES, updated_at_gte=since))
    new += _instances(store, api, api.task_instances(try_number=LATER_TRIES, updated_at_gte=since))
    new += _runs(store, api, api.runs(state=["failed"], updated_at_gte=since), since)
    new += _import_errors(store, api)
    store.cursors.set(WATERMARK, started.isoformat())
    return new


def sweep_requested(store: Store, api: AirflowApi) -> int:
    """Sweep only the runs that asked for it (a run that failed: its killed task may have had no voice)."""
    new = 0
    for dag_id, run_id in store.queue.take_sweep_requests():
        try:
            new += _instances(store, api, api.task_instances(dag_id, run_id, state=FAILED_STATES))
            run = api.run(dag_id, run_id)
            if run.state == "failed":
                new += _runs(store, api, [run], (run.ended_at or api.server_time()) - OVERLAP)
        except NotFound:
            log.info("run %s of %s is gone; nothing to sweep", run_id, dag_id)
        except AirflowApiError as error:
            if error.transient:
                raise
            log.error("run %s of %s could not be swept, the sweep of all runs will see it: %s", run_id, dag_id, error)
        store.queue.drop_sweep_request(dag_id, run_id)
    return new


def _some(found: Iterable[Seen]) -> Iterator[list[Seen]]:
    """So many at once as the store looks up in one query: a storm is swept, too."""
    rest = iter(found)
    while some := list(islice(rest, AT_ONCE)):
        yield some


def _instances(store: Store, api: AirflowApi, found: Iterable[TaskInstanceView]) -> int:
    new, watched = 0, cache(is_watched)
    for some in _some(one for one in found if watched(one.ref.dag_id)):
        known = store.intake.known_tries([one.ref for one in some])
        new += sum(_instance(store, api, one, known[one.ref]) for one in some)
    return new


def _instance(store: Store, api: AirflowApi, one: TaskInstanceView, known: set[int]) -> int:
    """Store every failed try of a task instance that is not stored yet; the last one may still be running."""
    failed_now = one.state in FAILED_STATES
    expected = set(range(1, one.try_number)) | ({one.try_number} if failed_now else set())
    if expected <= known:
        return 0
    if expected - known == {one.try_number}:
        return _record(store, [one.failed_try("sweep", will_retry=one.state == "up_for_retry")])
    missed = [past for past in api.tries(one.ref) if past.try_number not in known and past.state in FAILED_STATES]
    return _record(store, [past.failed_try("sweep", will_retry=_retried(past, one)) for past in missed])


def _retried(past: TaskInstanceView, now: TaskInstanceView) -> bool:
    return past.try_number < now.try_number or now.state == "up_for_retry"


def _record(store: Store, occurrences: list[Occurrence]) -> int:
    return sum(store.intake.record(occurrence) is not None for occurrence in occurrences)


def _runs(store: Store, api: AirflowApi, found: Iterable[RunView], since: datetime) -> int:
    """A failed run is an incident of its own only when no task instance of it failed."""
    new, watched = 0, cache(is_watched)
    for some in _some(run for run in found if watched(run.dag_id)):
        noticed = store.reading.runs_of_task_incidents([(run.dag_id, run.run_id) for run in some], since)
        new += sum(_run(store, api, run) for run in some if (run.dag_id, run.run_id) not in noticed)
    return new


def _run(store: Store, api: AirflowApi, run: RunView) -> int:
    if next(iter(api.task_instances(run.dag_id, run.run_id, state=["failed", "upstream_failed"])), None):
        return 0
    ended_at = run.ended_at or api.server_time()
    occurrence = Occurrence(
        ref=TaskRef(run.dag_id, run.run_id),
        seen_by="sweep",
        happened_at=ended_at,
        kind=Kind.DAG_RUN,
        mark=ended_at.isoformat(),
        fingerprint=fingerprint((), "dag run failed with no failed task instance", None),
    )
    return _record(store, [occurrence])


def _import_errors(store: Store, api: AirflowApi) -> int:
    found = [import_error_occurrence(one.filename, one.stacktrace, "sweep", one.seen_at) for one in api.import_errors()]
    broken = {occurrence.ref.dag_id for occurrence in found}
    for incident in store.reading.open_of_kind(Kind.DAG_IMPORT):
        claimed = incident.ref.dag_id not in broken and store.queue.claim(incident.id, LEASE)
        if claimed:
            store.ledger.ended(claimed, None, [], State.RESOLVED, None, "the file is imported again, or gone")
            store.queue.release(incident.id)
    return _record(store, found)
