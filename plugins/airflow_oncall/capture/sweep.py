"""Notice what nobody saw: read over REST what failed since the last sweep.

A process that is killed on its last try runs no callback and no listener; Airflow's own records are the only trace.
The sweep reads them from a stored watermark on, a little overlapping, because storing an occurrence twice changes
nothing while missing one would.

    failed and up_for_retry task instances, and tries above the first of any state  -> failed tries not stored yet
    failed runs in which no task instance failed (dagrun_timeout)                   -> an incident of the run
    DAG import errors; those that are gone                                          -> opened; resolved

A sweep may be cut short, by its time or by what Airflow refuses. Then the watermark stays, and the next one reads the same again,
but asks no second time about what is stored or was found to be no failure: so it gets further each time, however much there is.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta
from functools import cache, partial
from itertools import islice
from time import monotonic
from typing import TypeVar

from airflow_oncall import conf
from airflow_oncall.capture.fingerprint import fingerprint
from airflow_oncall.capture.record import import_error_occurrence, is_watched
from airflow_oncall.errors import AirflowApiError, NotFound
from airflow_oncall.incident import Kind, Occurrence, State, TaskRef
from airflow_oncall.rest import AirflowApi, RunView, TaskInstanceView
from airflow_oncall.store.records import digest
from airflow_oncall.store.sql import Store

log = logging.getLogger(__name__)

WATERMARK = "sweep"
SETTLED = "sweep settled"
OVERLAP = timedelta(minutes=2)
"""How far back each sweep reads again: more than the clocks of Airflow's parts should differ, or a commit take."""
FAILED_STATES = ["failed", "up_for_retry"]
LATER_TRIES = list(range(2, 12))
LEASE = timedelta(minutes=1)
AT_ONCE = 100
"""One page of Airflow's answers."""
Seen = TypeVar("Seen", TaskInstanceView, RunView)


def sweep(store: Store, api: AirflowApi, seconds: float = math.inf) -> int:
    """One sweep; the number of occurrences that were new. The watermark moves only after all of it is stored.

    It ends after about ``seconds``; the next one goes on. What Airflow refused is raised after all else was looked at.
    """
    started = api.server_time()
    stored = store.cursors.get(WATERMARK)
    since = (datetime.fromisoformat(stored) if stored else started - timedelta(seconds=conf.lookback())) - OVERLAP
    look = _Look(store, api, seconds)
    look.through(look.import_errors)  # Airflow shows all of them each time: they are not behind the watermark
    nothing_left = look.through(
        lambda: look.instances(api.task_instances(state=FAILED_STATES, updated_at_gte=since)),
        lambda: look.runs(api.runs(state=["failed"], updated_at_gte=since), since),
        # Last, because they can be very many, and harmless: a person clears a year of successes.
        lambda: look.instances(api.task_instances(try_number=LATER_TRIES, updated_at_gte=since)),
    )
    if nothing_left:
        store.cursors.set(WATERMARK, started.isoformat())
    look.remember(only_met=nothing_left)
    return look.result()


def sweep_requested(store: Store, api: AirflowApi, seconds: float = math.inf) -> int:
    """Sweep only the runs that asked for it (a run that failed: its killed task may have had no voice).

    It ends after about ``seconds``. A run that Airflow cannot show now asks again, after all others; that is raised at the end.
    """
    look = _Look(store, api, seconds)
    for dag_id, run_id in store.queue.take_sweep_requests():
        if look.requested(dag_id, run_id):
            store.queue.drop_sweep_request(dag_id, run_id)
        else:
            store.intake.request_sweep(dag_id, run_id)
        if look.is_over():
            break
    look.remember()
    return look.result()


class _TimeIsUp(Exception):
    """The rest is the next sweep's."""


class _Look:
    """One look at Airflow, for so many seconds: what was new, what is settled, and the first thing that Airflow refused."""

    def __init__(self, store: Store, api: AirflowApi, seconds: float) -> None:
        self._store, self._api = store, api
        self._seconds, self._ends_at, self._got_further = seconds, monotonic() + seconds, False
        self._stored: list[str] = store.cursors.get(SETTLED) or []
        self._settled, self._met = set(self._stored), set[str]()
        self._watched = cache(is_watched)
        self._new = 0
        self._refused: list[AirflowApiError] = []

    def is_over(self) -> bool:
        """Whether its time is up."""
        return monotonic() > self._ends_at

    def result(self) -> int:
        """The number of new occurrences; raises what Airflow refused."""
        if self._refused:
            raise self._refused[0]
        return self._new

    def through(self, *parts: Callable[[], None]) -> bool:
        """Look at one part after another; whether nothing of them is left to a later look."""
        before = len(self._refused)
        for part in parts:
            try:
                part()
            except NotFound as gone:
                log.info("nothing to sweep: %s", gone)
            except AirflowApiError as error:
                self._keep(error)
            except _TimeIsUp:
                log.info("its time is up; the next sweep goes on")
                return False
        return len(self._refused) == before

    def requested(self, dag_id: str, run_id: str) -> bool:
        """Look at one run; whether it need not ask again: what Airflow will never show, the sweep of all runs sees or tells of."""
        before = len(self._refused)
        return self.through(partial(self._all_of, dag_id, run_id)) or any(not error.transient for error in self._refused[before:])

    def _all_of(self, dag_id: str, run_id: str) -> None:
        self.instances(self._api.task_instances(dag_id, run_id, state=FAILED_STATES))
        run = self._api.run(dag_id, run_id)
        if run.state == "failed":
            self.runs([run], (run.ended_at or self._api.server_time()) - OVERLAP)

    def remember(self, *, only_met: bool = False) -> None:
        """Keep what is settled for the next look; ``only_met``: forget what Airflow no longer shows to a sweep."""
        settled = sorted(self._met if only_met else self._settled)
        if settled != self._stored:
            self._store.cursors.set(SETTLED, settled)
            self._stored = settled

    def instances(self, found: Iterable[TaskInstanceView]) -> None:
        """Store every failed try of these task instances."""
        for some in self._some(one for one in found if self._watched(one.ref.dag_id)):
            known = self._store.intake.known_tries([one.ref for one in some])
            for one in some:
                self._instance(one, {number for number, over_at in known[one.ref].items() if not _is_made_again(one, number, over_at)})
                self._stop_in_time()

    def runs(self, found: Iterable[RunView], since: datetime) -> None:
        """A failed run is an incident of its own only when no task instance of it failed."""
        for some in self._some(run for run in found if self._watched(run.dag_id)):
            noticed = self._store.reading.runs_of_task_incidents([(run.dag_id, run.run_id) for run in some], since)
            for run in some:
                if (run.dag_id, run.run_id) not in noticed:
                    self._once(f"{run.dag_id}/{run.run_id}@{run.ended_at}", partial(self._run, run))
                    self._stop_in_time()

    def import_errors(self) -> None:
        """Store those there are; those that are gone are resolved."""
        found = [import_error_occurrence(one.filename, one.stacktrace, "sweep", one.seen_at) for one in self._api.import_errors()]
        broken = {occurrence.ref.dag_id for occurrence in found}
        for incident in self._store.reading.open_of_kind(Kind.DAG_IMPORT):
            claimed = incident.ref.dag_id not in broken and self._store.queue.claim(incident.id, LEASE)
            if claimed:
                self._store.ledger.ended(claimed, None, [], State.RESOLVED, None, "the file is imported again, or gone")
                self._store.queue.release(incident.id)
        self._record(found)

    def _some(self, found: Iterable[Seen]) -> Iterator[list[Seen]]:
        """So many at once as the store looks up in one query: a storm is swept, too."""
        rest = iter(found)
        while some := list(islice(rest, AT_ONCE)):
            yield some
            self.remember()
            self._stop_in_time()

    def _instance(self, one: TaskInstanceView, known: set[int]) -> None:
        """Store every failed try of a task instance that is not stored yet; the last one may still be running."""
        expected = set(range(1, one.try_number)) | ({one.try_number} if one.state in FAILED_STATES else set())
        missing = expected - known
        if missing - {one.try_number} and self._once(f"{one.ref.key}/{one.try_number}", partial(self._past, one, known)):
            return
        if one.try_number in missing:
            self._record([one.failed_try("sweep", will_retry=one.state == "up_for_retry")])

    def _past(self, one: TaskInstanceView, known: set[int]) -> None:
        missed = [past for past in self._api.tries(one.ref) if past.try_number not in known and past.state in FAILED_STATES]
        self._record([past.failed_try("sweep", will_retry=_retried(past, one)) for past in missed])

    def _run(self, run: RunView) -> None:
        if next(iter(self._api.task_instances(run.dag_id, run.run_id, state=["failed", "upstream_failed"])), None) is None:
            self._record([_of_the_run(run, run.ended_at or self._api.server_time())])

    def _once(self, what: str, ask: Callable[[], None]) -> bool:
        """Ask Airflow about it, unless that is settled; whether Airflow answered."""
        mark = digest(what)[:16]
        answered = mark not in self._settled
        try:
            if answered:
                ask()
        except NotFound as gone:
            answered = False
            log.info("nothing to sweep: %s", gone)
        except AirflowApiError as error:
            self._keep(error)
            return False
        self._got_further |= mark not in self._settled
        self._settled.add(mark)
        self._met.add(mark)
        return answered

    def _record(self, occurrences: list[Occurrence]) -> None:
        new = sum(self._store.intake.record(occurrence) is not None for occurrence in occurrences)
        self._new += new
        self._got_further |= new > 0

    def _keep(self, error: AirflowApiError) -> None:
        log.warning("left to a later sweep: %s", error)
        self._refused.append(error)

    def _stop_in_time(self) -> None:
        """Before anything new was seen it may take twice its time: else, where much is settled already, no look would get further."""
        if monotonic() > self._ends_at + (0 if self._got_further else self._seconds):
            raise _TimeIsUp


def _retried(past: TaskInstanceView, now: TaskInstanceView) -> bool:
    return past.try_number < now.try_number or now.state == "up_for_retry"


def _is_made_again(one: TaskInstanceView, number: int, over_at: datetime | None) -> bool:
    """Whether this try is not the known one of its number: its run was deleted and made again under the same name."""
    return one.try_number == number and one.started_at is not None and over_at is not None and one.started_at > over_at


def _of_the_run(run: RunView, ended_at: datetime) -> Occurrence:
    return Occurrence(
        ref=TaskRef(run.dag_id, run.run_id),
        seen_by="sweep",
        happened_at=ended_at,
        kind=Kind.DAG_RUN,
        mark=ended_at.isoformat(),
        fingerprint=fingerprint((), "dag run failed with no failed task instance", None),
    )
