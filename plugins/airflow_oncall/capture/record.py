"""The border between other people's processes and the incident store.

A task, the scheduler, the API server and the DAG processor call in here when something failed. Whatever goes wrong
behind this border is logged and stays behind it: nothing is raised, and the caller is back within two seconds.

    build the record -> store, until 1.5 s after entry -> (late or failed) local spool, until 1.9 s -> log
"""

from __future__ import annotations

import logging
import re
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from airflow_oncall import conf
from airflow_oncall.capture import spool
from airflow_oncall.capture.evidence import MESSAGE_LIMIT, TRACEBACK_LIMIT, describe, gather
from airflow_oncall.capture.fingerprint import fingerprint
from airflow_oncall.capture.redact import redact
from airflow_oncall.errors import BadSetting
from airflow_oncall.incident import OWN_DAG_IDS, Evidence, Kind, Occurrence, TaskRef
from airflow_oncall.store.base import Intake

log = logging.getLogger(__name__)

STORE_SECONDS = 1.5
SPOOL_SECONDS = 1.9
SLOW_SECONDS = 1.0
PAUSE_SECONDS = 10.0
"""How long a store that failed slowly is left alone: the scheduler must not wait for it at every failure of a storm."""
_IMPORT_ERRORS_REMEMBERED = 1000
_STACKTRACE_LIMIT = 16_000
_DECISIVE_LINES = 12
_PROBLEM_LIMIT = 300

_paused_until = 0.0
_import_errors: OrderedDict[str, str] = OrderedDict()


def report(ti: Any, error: BaseException | str | None, *, seen_by: str, task: Any = None) -> bool:
    """Note one failed try. ``True`` when it is stored or spooled, or not watched; nothing is ever raised.

    ``ti`` may be any of Airflow's task instance classes and lack attributes; ``task`` is the operator, if at hand.
    """
    return record(
        lambda: _occurrence(ti, error, seen_by, lambda: gather(ti, error, task)),
        # Evidence that cannot be read must not cost the failure itself.
        lambda: _occurrence(ti, None, seen_by, Evidence),
    )


def report_dag_run(dag_id: str, run_id: str) -> bool:
    """Ask triage to look at the task instances of a run that failed: some of them die without a word."""
    payload = {"dag_id": dag_id, "run_id": run_id}
    if not is_watched(dag_id):
        return True
    return _keep(spool.SWEEP, payload, lambda intake: intake.request_sweep(dag_id, run_id), time.monotonic())


def report_import_error(filename: str, stacktrace: str, *, repeated: bool = False) -> bool:
    """Note a DAG file that cannot be imported. ``repeated``: Airflow says so at every parse; one report is enough."""
    mark, seen_at = _import_mark(stacktrace), datetime.now(timezone.utc)
    if repeated and _import_errors.get(filename) == mark:
        return True
    kept = record(
        lambda: import_error_occurrence(_relative(filename), stacktrace, "listener", seen_at),
        lambda: import_error_occurrence(filename, stacktrace, "listener", seen_at),
    )
    if kept:
        _import_errors[filename] = mark
        _import_errors.move_to_end(filename)
        while len(_import_errors) > _IMPORT_ERRORS_REMEMBERED:
            _import_errors.popitem(last=False)
    return kept


def record(*factories: Callable[[], Occurrence | None]) -> bool:
    """Store or spool the occurrence of the first factory that does not fail; one that gives ``None`` is not watched."""
    entry = time.monotonic()
    for factory in factories:
        built = _Errand(factory)
        if built.succeeds_until(entry + STORE_SECONDS):
            return built.value is None or _keep_occurrence(built.value, entry)
        log.error("The evidence of a failure could not be read (%s); the task's outcome is not affected", built.problem)
    return False


def import_error_occurrence(filename: str, stacktrace: str, seen_by: str, seen_at: datetime) -> Occurrence:
    """A DAG file that cannot be imported. ``filename`` is its path inside its bundle, as Airflow's REST API gives it."""
    lines = stacktrace[-_STACKTRACE_LIMIT:].rstrip().splitlines()
    message = redact(lines[-1].strip(), MESSAGE_LIMIT) if lines else ""
    raised = re.match(r"([A-Za-z_][\w.]{0,200}):", message)
    evidence = Evidence((raised[1],) if raised else (), message, redact(stacktrace, TRACEBACK_LIMIT))
    mark = _import_mark(stacktrace)
    return Occurrence(TaskRef(filename), seen_by, seen_at, kind=Kind.DAG_IMPORT, fingerprint=mark, mark=mark, evidence=evidence)


def is_watched(dag_id: str) -> bool:
    """Whether failures of this DAG are incidents: it is neither ours nor one of ``[oncall] ignore_dags``."""
    if dag_id in OWN_DAG_IDS:
        return False
    try:
        return not conf.ignores(dag_id)
    except BadSetting as error:
        log.error("%s; every DAG is watched until it is mended", error)
        return True


class _Errand(threading.Thread):
    """One step done aside, so that it can be left behind when it hangs, and failed without harm. This is the border."""

    def __init__(self, step: Callable[[], Any], afterwards: Callable[[], object] | None = None) -> None:
        super().__init__(name="oncall-capture", daemon=True)
        self._step, self._afterwards = step, afterwards
        self._settled = threading.Event()
        self._succeeded = False
        self.value: Any = None
        self.problem = "no answer in time"

    def run(self) -> None:
        try:
            self.value = self._step()
            self._succeeded = True
            self._settled.set()
            if self._afterwards:
                self._afterwards()
        except BaseException as error:  # noqa: BLE001 - capture never changes the outcome of the task it runs in
            self.problem = describe(error, _PROBLEM_LIMIT)
            if self._succeeded:
                log.warning("Spooled failures wait for the next replay (%s)", self.problem)
        finally:
            self._settled.set()

    def succeeds_until(self, deadline: float) -> bool:
        """Start, wait until ``deadline`` (monotonic) at most, tell whether the step was done well by then."""
        try:
            self.start()
        except (RuntimeError, MemoryError):  # no thread to be had, e.g. after the task ate all memory
            self.run()
        self._settled.wait(max(0.0, deadline - time.monotonic()))
        return self._succeeded


def _keep_occurrence(occurrence: Occurrence, entry: float) -> bool:
    return _keep(spool.OCCURRENCE, spool.to_payload(occurrence), lambda intake: intake.record(occurrence), entry)


def _keep(kind: str, payload: dict[str, Any], write: Callable[[Intake], object], entry: float) -> bool:
    problem = _store(write, entry)
    if problem is None:
        return True
    spooled = _Errand(lambda: spool.append(kind, payload))
    if spooled.succeeds_until(entry + SPOOL_SECONDS) and spooled.value:
        log.warning("A failure is spooled, because the incident store did not take it (%s); the task's outcome is not affected", problem)
        return True
    log.error("A failure is left to the next sweep: neither store (%s) nor spool took it; the task's outcome is not affected", problem)
    return False


def _store(write: Callable[[Intake], object], entry: float) -> str | None:
    """Write to the store; ``None`` when it took it, else what went wrong."""
    global _paused_until
    if entry < _paused_until:
        return f"it failed slowly less than {PAUSE_SECONDS:.0f} s ago and is left alone"
    opened: list[Intake] = []

    def step() -> None:
        from airflow_oncall.store import open_store

        opened.append(open_store(migrate=False, patience=STORE_SECONDS).intake)
        write(opened[0])

    errand = _Errand(step, afterwards=lambda: spool.replay(opened[0]))
    if errand.succeeds_until(entry + STORE_SECONDS):
        return None
    if time.monotonic() - entry > SLOW_SECONDS:
        _paused_until = time.monotonic() + PAUSE_SECONDS
    return errand.problem


def _occurrence(ti: Any, error: BaseException | str | None, seen_by: str, evidence: Callable[[], Evidence]) -> Occurrence | None:
    ref = _ref(ti)
    if not is_watched(ref.dag_id):
        return None
    known = evidence()
    state = getattr(ti, "state", None)
    return Occurrence(
        ref=ref,
        seen_by=seen_by,
        happened_at=_happened_at(ti),
        try_number=int(getattr(ti, "try_number", 0) or 0),
        will_retry=str(getattr(state, "value", state)) == "up_for_retry",
        by_hand=isinstance(error, str) and "manually set" in error,
        fingerprint=fingerprint(known.exception_chain, known.message, known.operator),
        evidence=known,
    )


def _import_mark(stacktrace: str) -> str:
    lines = stacktrace[-_STACKTRACE_LIMIT:].splitlines()
    return fingerprint((), "\n".join(lines[-_DECISIVE_LINES:]), None)


def _relative(filename: str) -> str:
    """Path of a DAG file inside its bundle, as Airflow's REST API names it."""
    from airflow.dag_processing.bundles.manager import DagBundlesManager

    path = Path(filename)
    for bundle in DagBundlesManager().get_all_dag_bundles():  # type: ignore[no-untyped-call]
        if path.is_relative_to(bundle.path):
            return str(path.relative_to(bundle.path))
    return filename


def _ref(ti: Any) -> TaskRef:
    map_index = getattr(ti, "map_index", None)
    return TaskRef(str(ti.dag_id), str(ti.run_id), str(ti.task_id), -1 if map_index is None else int(map_index))


def _happened_at(ti: Any) -> datetime:
    end = getattr(ti, "end_date", None)
    return end.astimezone(timezone.utc) if isinstance(end, datetime) and end.tzinfo else datetime.now(timezone.utc)
