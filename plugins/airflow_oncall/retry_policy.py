"""A retry policy that reads the exception: no retries where they cannot help, else the wait that this kind of trouble needs.

    from airflow_oncall.retry_policy import OnCallRetryPolicy

    @task(retries=3, retry_policy=OnCallRetryPolicy())

It speaks only when it is sure; in any doubt the task's own ``retries`` and ``retry_delay`` hold. A retry that it stops is an
incident for triage at once. Airflow calls it in the process of the failing task, so it is bounded there:

- The judgement runs aside and is left behind at the deadline. A thread that dies takes nothing with it: that is the border,
  and it needs no broad ``except``.
- It knows what the champion's ``table.json`` knows. The store, rules and scikit-learn take longer than the deadline to load, so
  the registered SHA-256 comes from ``champion.json``, which the registry writes beside its models at every promotion. A file
  that does not fit is refused. What is read is data, never code: a forged one could only judge badly.
- Models in object storage are not read: a task that just failed must not talk to Airflow from a thread that is left behind.
- The tokenizer loads with this module (some 20 ms, once a process), where a DAG file is read and no deadline runs.
"""

from __future__ import annotations

import hashlib
import json
import logging
import threading
import traceback
from collections.abc import Mapping
from datetime import timedelta
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from airflow.sdk import RetryDecision, RetryPolicy

from airflow_oncall import conf
from airflow_oncall.errors import BadDataFile, BadSetting, UntrustedModel
from airflow_oncall.incident import NO_INCIDENT
from airflow_oncall.triage.features import tokens
from airflow_oncall.triage.table import MODEL, POINTER, TABLE, Table

if TYPE_CHECKING:
    from airflow.sdk import Context

log = logging.getLogger(__name__)

DEADLINE = 0.05
"""Seconds a judgement may take."""
SURE = 0.9
"""Probability of the category, and of its being mended or not by a re-run, from which the policy speaks."""
FAMILIAR = 0.6
"""Share of the text's weight that the models must have seen before."""
FRAMES = 12
"""Stack frames of each exception that are read."""
LONGEST = timedelta(hours=1)
DELAYS: Mapping[str, timedelta] = {
    "database_connectivity": timedelta(seconds=30),
    "database_performance": timedelta(seconds=15),
    "network_connectivity": timedelta(seconds=30),
    "network_timeout": timedelta(seconds=30),
    "rate_limit": timedelta(minutes=1),
    "infrastructure_failure": timedelta(minutes=1),
    "missing_data": timedelta(minutes=5),
}
"""Delay before the second try; it doubles with every further one. A category without one keeps the task's delay."""


class OnCallRetryPolicy(RetryPolicy):
    """Judges the exception of a failed try by the champion's table.

    ``then``: the policy asked where this one has nothing to say. ``delays`` replaces those of :data:`DELAYS` it names.
    """

    def __init__(
        self, then: RetryPolicy | None = None, *, delays: Mapping[str, timedelta] | None = None, deadline: float = DEADLINE
    ) -> None:
        self.then = then
        self.delays = {**DELAYS, **(delays or {})}
        self.deadline = deadline

    def evaluate(self, exception: BaseException, try_number: int, max_tries: int, context: Context | None = None) -> RetryDecision:
        """``fail``, ``retry`` with a delay, what ``then`` says, or ``default``. Raises nothing of its own."""
        # After the last try no decision changes anything.
        own = self._judged(exception, try_number) if try_number <= max_tries else None
        if own is not None:
            return own
        return self.then.evaluate(exception, try_number, max_tries, context) if self.then else RetryDecision.default()

    def _judged(self, exception: BaseException, try_number: int) -> RetryDecision | None:
        judge = _Judge(exception, try_number, self.delays)
        try:
            judge.start()
        except (RuntimeError, MemoryError):  # no thread to be had
            return None
        judge.join(self.deadline)
        if judge.is_alive():
            log.info("No judgement of the exception within %.0f ms; the task's own retries hold", self.deadline * 1000)
            return None
        return judge.decision


class _Judge(threading.Thread):
    """One judgement, aside: it may hang on a file, or die of an exception that cannot be read."""

    def __init__(self, exception: BaseException, try_number: int, delays: Mapping[str, timedelta]) -> None:
        super().__init__(name="oncall-retry", daemon=True)
        self.decision: RetryDecision | None = None
        self._exception, self._try_number, self._delays = exception, try_number, delays

    def run(self) -> None:
        try:
            self.decision = decide(self._exception, self._try_number, champion_table(), self._delays)
        except (BadDataFile, BadSetting, UntrustedModel) as problem:
            log.warning("%s; the task's own retries hold", problem)
        except FileNotFoundError as missing:
            log.info("No champion's table (%s); the task's own retries hold", missing.filename)
        except OSError as error:
            log.warning("The champion's table cannot be read (%s); the task's own retries hold", error)


def decide(exception: BaseException, try_number: int, table: Table, delays: Mapping[str, timedelta]) -> RetryDecision | None:
    """The decision that the table is sure of, ``None`` in doubt."""
    found = tokens("".join(traceback.TracebackException.from_exception(exception, limit=-FRAMES, compact=True).format()))
    category, probability = next(iter(table.probabilities(found).items()))
    if category == NO_INCIDENT or probability < SURE or table.known_share(found) < FAMILIAR:
        return None
    helps = table.transient_probability(found, category)
    if helps <= 1 - SURE:
        return RetryDecision.fail(f"oncall: {category} ({probability:.0%}), a retry helps with {helps:.0%}")
    delay = delays.get(category)
    if helps < SURE or delay is None:
        return None
    # Bounded before it is multiplied: 2 to the power of 1,000 tries is no timedelta.
    delay = min(delay * 2 ** min(try_number - 1, 16), LONGEST)
    return RetryDecision.retry(delay, f"oncall: {category} ({probability:.0%}), a retry after {delay} helps with {helps:.0%}")


def champion_table() -> Table:
    """The champion's table. Raises ``OSError``, ``BadDataFile``, ``BadSetting`` or ``UntrustedModel``."""
    root = conf.models_path()
    if not isinstance(root, Path):
        raise UntrustedModel(f"models in {root} are not read by a failing task; it needs [oncall] models_path on a local or shared disk")
    folder = root / MODEL
    pointer = folder / POINTER
    try:
        champion = json.loads(pointer.read_bytes())
        version, digest = str(champion["version"]), str(champion["files"][TABLE])
    except (ValueError, KeyError, TypeError) as error:
        raise BadDataFile(pointer, f"names no version with the SHA-256 of its {TABLE}; promote a model again") from error
    if Path(version).name != version:
        raise UntrustedModel(f"{pointer}: version {version!r} leaves the models folder; promote a model again")
    return _load(folder / version / TABLE, digest)


@lru_cache(maxsize=1)
def _load(path: Path, digest: str) -> Table:
    content = path.read_bytes()
    found = hashlib.sha256(content).hexdigest()
    if found != digest:
        raise UntrustedModel(f"{path} has SHA-256 {found[:12]}.., the registry says {digest[:12]}..; restore it or train again")
    return Table.load(content, str(path))
