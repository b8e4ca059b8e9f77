"""Whose trouble is it? From what an engine wrote down, or from what ran at that time.

Explicit: fields that the engine itself wrote name the task instance (a Spark property, a pod's annotation), or a short key of ours
stands in one of them (PostgreSQL's ``application_name``). Inferred: nothing is written down, and :mod:`.inference` weighs the task
instances that ran. What a message says about itself is never believed: anybody can write a message.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

from airflow_oncall.capture.logs.inference import SLACK, Candidate, engine_of, weigh
from airflow_oncall.capture.logs.pod_owner import matches_label
from airflow_oncall.capture.logs.source import Record
from airflow_oncall.capture.logs.task_key import KEY_PATTERN, task_key
from airflow_oncall.incident import Correlation, TaskRef

BELIEVED = 0.8
"""Probability from which an inferred task instance is taken for the right one."""

INFERRED_WITHIN = timedelta(hours=24)
"""Of older records nobody asks Airflow what ran: one line with a wrong clock must not ask for its whole history."""
_LONGEST = 250
_NAMES = ("dag_id", "run_id", "task_id")

Around = Callable[[datetime, datetime], Sequence[Candidate]]
"""Task instances that ran at some time between two times."""
Resolve = Callable[[Sequence[str]], Mapping[str, tuple[TaskRef, int]]]
"""Short keys -> task instance and try, those that are known."""


@dataclass(frozen=True)
class Owner:
    """The task instance that a record belongs to; without ``ref``, none is known."""

    ref: TaskRef | None = None
    try_number: int = 0
    correlation: Correlation = Correlation.NONE
    probability: float = 0.0

    @property
    def is_believed(self) -> bool:
        """Whether the record may become evidence of that task instance."""
        return self.ref is not None and self.probability >= BELIEVED


NOBODY = Owner()


def owners(records: Sequence[Record], at: Sequence[datetime], resolve: Resolve, around: Around | None) -> list[Owner]:
    """The owner of each record; ``at`` holds their times. ``around`` is asked once for all, and only where something is not explicit."""
    keys = [_key(record) for record in records]
    known = dict(resolve([key for key in keys if key]))
    named = [_named(record.identifiers) or _by_key(known.get(key)) for record, key in zip(records, keys, strict=True)]
    since = datetime.now(timezone.utc) - INFERRED_WITHIN
    open_ends = [number for number, owner in enumerate(named) if owner is None and at[number] >= since]
    if not open_ends or around is None:
        return [owner or _by_key(known.get(key)) or NOBODY for owner, key in zip(named, keys, strict=True)]
    times = [at[number] for number in open_ends]
    candidates = list(around(min(times) - SLACK, max(times) + SLACK))
    known |= _recomputed(candidates, {keys[number] for number in open_ends} - {""})
    return [
        owner or _by_key(known.get(key)) or _by_labels(record.identifiers, candidates) or _inferred(record, moment, candidates)
        for owner, key, record, moment in zip(named, keys, records, at, strict=True)
    ]


def _named(identifiers: Mapping[str, str]) -> Owner | None:
    dag_id, run_id, task_id = (identifiers.get(name, "") for name in _NAMES)
    if not (dag_id and run_id and task_id and all(map(_is_possible, (dag_id, run_id, task_id)))):
        return None
    ref = TaskRef(dag_id, run_id, task_id, _number(identifiers.get("map_index"), -1))
    return Owner(ref, _number(identifiers.get("try_number"), 0), Correlation.EXPLICIT, 1.0)


def _is_possible(name: str) -> bool:
    """Whether Airflow could have such an id: what cannot be stored must not stop a source."""
    return len(name) <= _LONGEST and name.isprintable()


def _key(record: Record) -> str:
    # Only PostgreSQL's own word is believed: in other sources a field of this name is whatever somebody wrote into it.
    if engine_of(record) != "postgres":
        return ""
    found = re.search(KEY_PATTERN, record.identifiers.get("application_name", ""))
    return found[0] if found else ""


def _by_key(found: tuple[TaskRef, int] | None) -> Owner | None:
    return Owner(*found, Correlation.EXPLICIT, 1.0) if found else None


def _recomputed(candidates: Iterable[Candidate], wanted: set[str]) -> dict[str, tuple[TaskRef, int]]:
    """Keys that the store never heard of, because it was down when they were made: they can be made again."""
    if not wanted:
        return {}
    tries = ((one.view.ref, number) for one in candidates for number in range(1, one.view.try_number + 1))
    return {key: (ref, number) for ref, number in tries if (key := task_key(ref, number)) in wanted}


def _by_labels(identifiers: Mapping[str, str], candidates: Iterable[Candidate]) -> Owner | None:
    """A pod's labels may hold shortened ids: they cannot be read back, but what ran can be shortened in the same way."""
    if not any(f"{name}_label" in identifiers for name in _NAMES):
        return None
    fitting = [one.view for one in candidates if all(_fits(identifiers, name, getattr(one.view.ref, name)) for name in _NAMES)]
    if len({view.ref for view in fitting}) != 1:
        return None
    return Owner(fitting[0].ref, _number(identifiers.get("try_number"), 0), Correlation.EXPLICIT, 1.0)


def _fits(identifiers: Mapping[str, str], name: str, exact: str) -> bool:
    label = identifiers.get(f"{name}_label")
    return matches_label(exact, label) if label else identifiers.get(name) == exact


def _inferred(record: Record, moment: datetime, candidates: Sequence[Candidate]) -> Owner:
    best = weigh(record, moment, candidates)
    if best is None:
        return NOBODY
    candidate, probability = best
    return Owner(candidate.view.ref, candidate.view.try_number, Correlation.INFERRED, round(probability, 4))


def _number(text: str | None, otherwise: int) -> int:
    return int(text) if text and re.fullmatch(r"-?\d{1,9}", text) else otherwise
