"""Where it hurts most: rankings over the incidents of some days, for reports. Each is one query."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Engine, func, select

from airflow_oncall.incident import Kind, State, Verdict
from airflow_oncall.store.engine import transaction
from airflow_oncall.store.outcomes import ENDED, SUCCESS
from airflow_oncall.store.tables import actions, decisions, incidents, labels, occurrences, outcomes

TOP = 10
RECOVERED = (str(State.RESOLVED), str(State.SELF_HEALED))


class Cause(NamedTuple):
    """Failures that look alike."""

    category: str
    fingerprint: str
    number: int
    tasks: int
    last_id: int
    """The newest such incident."""


class Noisy(NamedTuple):
    """One task with its incidents."""

    dag_id: str
    task_id: str
    number: int
    recovered: int
    """So many of them ended with a success."""


class Handled(NamedTuple):
    """What became of one category."""

    category: str
    decided: int
    escalated: int
    """Decisions that left it to people."""
    tried: int
    """Actions whose end was seen."""
    helped: int


class Rankings:
    """Rankings of one store."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def causes(self, since: datetime) -> list[Cause]:
        """The failures that came most often."""
        task = incidents.c.dag_id + "." + incidents.c.task_id
        category, number = func.coalesce(incidents.c.category, ""), func.count()
        columns = (category, incidents.c.fingerprint, number, func.count(task.distinct()), func.max(incidents.c.id))
        query = select(*columns).where(incidents.c.opened_at >= since, incidents.c.fingerprint != "")
        query = query.group_by(category, incidents.c.fingerprint).order_by(number.desc(), incidents.c.fingerprint).limit(TOP)
        return [Cause(*row) for row in self._rows(query)]

    def noisy(self, since: datetime) -> list[Noisy]:
        """The tasks with the most incidents."""
        return self._tasks(since, func.count())

    def flapping(self, since: datetime, least: int) -> list[Noisy]:
        """Tasks that failed and recovered at least so often."""
        recovered = func.count().filter(incidents.c.state.in_(RECOVERED))
        return self._tasks(since, recovered, recovered >= least)

    def handled(self, since: datetime) -> list[Handled]:
        """What became of each category, by what was decided and done since then."""
        category = func.coalesce(incidents.c.category, "")
        to_people = func.count().filter(decisions.c.verdict == str(Verdict.ESCALATE))
        decided = select(category, func.count(), to_people).join(decisions, decisions.c.incident_id == incidents.c.id)
        decided = decided.where(decisions.c.made_at >= since).group_by(category)
        helped = func.count().filter(outcomes.c.kind == SUCCESS)
        tried = select(actions.c.category, func.count(), helped).join(outcomes, outcomes.c.action_id == actions.c.id)
        tried = tried.where(actions.c.done_at >= since, outcomes.c.kind.in_(ENDED)).group_by(actions.c.category)
        ends = {row[0]: (row[1], row[2]) for row in self._rows(tried)}
        return sorted(Handled(row[0], row[1], row[2], *ends.get(row[0], (0, 0))) for row in self._rows(decided))

    def waiting(self, before: datetime) -> int:
        """Questions that wait for an answer since before this time."""
        query = select(func.count()).where(incidents.c.state == str(State.ASKED), incidents.c.closed_at.is_(None))
        return int(self._rows(query.where(incidents.c.updated_at < before))[0][0])

    def labels(self, since: datetime) -> dict[str, int]:
        """What training learned from since then, by kind."""
        query = select(labels.c.name, func.count()).where(labels.c.given_at >= since).group_by(labels.c.name).order_by(labels.c.name)
        return {row[0]: row[1] for row in self._rows(query)}

    def minutes_of_a_try(self, since: datetime) -> float | None:
        """Mean minutes that a failed try ran, as far as it is known."""
        query = select(func.avg(occurrences.c.duration)).join(incidents, incidents.c.id == occurrences.c.incident_id)
        seconds = self._rows(query.where(incidents.c.opened_at >= since))[0][0]
        return None if seconds is None else float(seconds) / 60

    def _tasks(self, since: datetime, order: Any, *having: Any) -> list[Noisy]:
        names = (incidents.c.dag_id, incidents.c.task_id)
        recovered = func.count().filter(incidents.c.state.in_(RECOVERED))
        query = select(*names, func.count(), recovered).where(incidents.c.opened_at >= since, incidents.c.kind == str(Kind.TASK))
        query = query.group_by(*names).order_by(order.desc(), *names).limit(TOP)
        return [Noisy(*row) for row in self._rows(query.having(*having) if having else query)]

    def _rows(self, query: Any) -> Sequence[Any]:
        with transaction(self._engine, reading=True) as connection:
            return connection.execute(query).all()
