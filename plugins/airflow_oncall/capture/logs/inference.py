"""Which task instance fits a record that names none: time, engine, host, user, application and statement, as log odds.

The weights are judgement, not measurement: each says by how much a sign makes a candidate more likely than the others. They are
set so that time and engine alone, with several candidates, stay below the probability at which a guess is believed, and that a
statement or an application's name that fits one task instance alone lies above it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any

from airflow_oncall.capture.logs.source import Record
from airflow_oncall.capture.logs.task_key import refs_in_sql
from airflow_oncall.rest import TaskInstanceView

SLACK = timedelta(seconds=30)
"""Clocks of machines differ, and an engine notices a client's end later."""
FAILED_SOON = timedelta(seconds=90)
"""A task that an engine let down fails within this time."""
NOBODYS = 1.5
"""Log odds of the answer "none of them": other clients use the engine, too."""

SAME_STATEMENT, SIMILAR_STATEMENT, NAMED, TASK_NAMED, SAME_HOST, OTHER_HOST = 5.0, 2.0, 3.5, 1.5, 1.5, -6.0
COMMENTED = 2.5
"""A comment in the statement names it. Anybody can write one: by itself it is not enough to be believed."""
SAME_TASK, OTHER_TASK = 5.0, -6.0
"""A field of the engine names DAG and task and no run, as OpenLineage's parent job does: time tells the run."""
SAME_ENGINE, OTHER_ENGINE, SAME_USER, FAILED, SUCCEEDED = 1.5, -3.0, 1.0, 1.5, -1.5

LOCAL = "[local]"
"""PostgreSQL's word for a client that came over a socket of its own machine."""

_ENGINES: Mapping[str, re.Pattern[str]] = {
    "spark": re.compile(r"(?i)spark|livy|dataproc|emr|databricks"),
    "postgres": re.compile(r"(?i)sql|postgres|database|redshift|dbt|transfer"),
    "kubernetes": re.compile(r"(?i)kubernetes|pod|spark"),
}
_ANY_ENGINE = re.compile(r"(?i)python|bash|virtualenv|external|docker|_task|ssh")
"""Operators that may speak to anything."""
_STATEMENT_FIELDS = ("sql", "statement", "query", "hql", "sqls")
_APPLICATION_FIELDS = ("name", "application", "_application", "application_name", "app_name")
_TOKEN = re.compile(r"\w+")
_ENOUGH_WORDS = 4
_TELLING = 5
"""Characters from which a task's name alone says something."""
_EVERYBODYS = frozenset({"arrow-spark", "airflow-spark", "spark-shell", "pyspark-shell", "psql"})
"""Names that programs give themselves where nobody names them."""


@dataclass(frozen=True)
class Candidate:
    """A task instance that ran at the time."""

    view: TaskInstanceView

    @cached_property
    def statements(self) -> tuple[frozenset[str], ...]:
        """Words of every statement among its rendered fields."""
        return tuple(frozenset(_words(text)) for text in self._rendered(_STATEMENT_FIELDS))

    @cached_property
    def names(self) -> frozenset[str]:
        """Names that it gives itself in other systems: those of its fields, and those of its DAG and task together."""
        given = {text.lower() for text in self._rendered(_APPLICATION_FIELDS) if 3 < len(text) <= 200}
        return frozenset(given - _EVERYBODYS) | {f"{self.view.ref.dag_id}{sign}{self.view.ref.task_id}".lower() for sign in "._-/ "}

    def ran_at(self, moment: datetime) -> bool:
        """Whether it ran then, give or take the clocks."""
        start, end = self.view.started_at, self.view.ended_at
        return start is not None and start - SLACK <= moment and (end is None or moment <= end + SLACK)

    def _rendered(self, names: Sequence[str]) -> Iterator[str]:
        for name in names:
            value: Any = self.view.rendered.get(name)
            if isinstance(value, str):
                yield value
            elif isinstance(value, list):
                yield from (one for one in value if isinstance(one, str))


def weigh(record: Record, moment: datetime, candidates: Sequence[Candidate]) -> tuple[Candidate, float] | None:
    """The likeliest candidate and its probability; ``None`` where nobody ran."""
    odds = {one: _log_odds(record, moment, one) for one in candidates if one.ran_at(moment)}
    if not odds:
        return None
    best = max(odds, key=lambda one: odds[one])
    total = math.exp(NOBODYS) + sum(map(math.exp, odds.values()))
    return best, math.exp(odds[best]) / total


def _log_odds(record: Record, moment: datetime, candidate: Candidate) -> float:
    return sum(sign(record, moment, candidate) for sign in (_task, _statement, _comment, _name, _host, _engine, _user, _end))


def engine_of(record: Record) -> str:
    """The engine that a record is of: its signature begins with it."""
    return record.signature.partition("-")[0]


def _task(record: Record, moment: datetime, candidate: Candidate) -> float:
    dag_id, task_id = (record.identifiers.get(name, "") for name in ("dag_id", "task_id"))
    if not (dag_id and task_id):
        return 0.0
    return SAME_TASK if (dag_id, task_id) == (candidate.view.ref.dag_id, candidate.view.ref.task_id) else OTHER_TASK


def _statement(record: Record, moment: datetime, candidate: Candidate) -> float:
    said = frozenset(_words(record.identifiers.get("statement", "")))
    if len(said) < _ENOUGH_WORDS:
        return 0.0
    likeness = max((len(said & one) / len(said | one) for one in candidate.statements if one), default=0.0)
    return SAME_STATEMENT if likeness > 0.95 else SIMILAR_STATEMENT if likeness > 0.8 else 0.0


def _comment(record: Record, moment: datetime, candidate: Candidate) -> float:
    ref = candidate.view.ref
    mine = (ref.dag_id, ref.run_id, ref.task_id)
    named = refs_in_sql(record.identifiers.get("statement", ""))
    return COMMENTED if mine in [tuple(one.get(name) for name in ("dag_id", "run_id", "task_id")) for one in named] else 0.0


def _name(record: Record, moment: datetime, candidate: Candidate) -> float:
    called = {record.identifiers.get(name, "").lower() for name in ("application_name", "app_name", "pod_name")} - {""}
    if called & candidate.names:
        return NAMED
    task = candidate.view.ref.task_id.lower()
    whole = re.compile(rf"(?<![a-z0-9]){re.escape(task)}(?![a-z0-9])")
    return TASK_NAMED if len(task) >= _TELLING and any(map(whole.search, called)) else 0.0


def _host(record: Record, moment: datetime, candidate: Candidate) -> float:
    # Of a database's record it is the client's host; other engines name hosts of their own.
    theirs = record.identifiers.get("host", "") if engine_of(record) == "postgres" else ""
    ours = candidate.view.hostname or ""
    # An address and a name cannot be compared without asking somebody.
    if not theirs or not ours or theirs == LOCAL or theirs[0].isdigit() != ours[0].isdigit():
        return 0.0
    return SAME_HOST if theirs.split(".")[0] == ours.split(".")[0] else OTHER_HOST


def _engine(record: Record, moment: datetime, candidate: Candidate) -> float:
    fitting, operator = _ENGINES.get(engine_of(record)), candidate.view.operator or ""
    if fitting is None or not operator:
        return 0.0
    return SAME_ENGINE if fitting.search(operator) else 0.0 if _ANY_ENGINE.search(operator) else OTHER_ENGINE


def _user(record: Record, moment: datetime, candidate: Candidate) -> float:
    return SAME_USER if record.identifiers.get("spark_user", "") == candidate.view.unixname != "" else 0.0


def _end(record: Record, moment: datetime, candidate: Candidate) -> float:
    ended = candidate.view.ended_at
    if ended is None:
        return 0.0
    if candidate.view.state in ("failed", "up_for_retry"):
        return FAILED if ended - moment <= FAILED_SOON else 0.0
    return SUCCEEDED if candidate.view.state == "success" else 0.0


def _words(text: str) -> Iterator[str]:
    return (word.lower() for word in _TOKEN.findall(text))
