"""Figures over many incidents: counts by day, times to repair, how actions ended, how true probabilities were.

As :mod:`airflow_oncall.store.browse`, none of them counts what its reader may not see. What is settled is in the rollups, which
know no DAGs: of a reader who may not see all of them, the others' share is counted and taken off; where that would be more than
what may be seen, this is counted by itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, Engine, or_

from airflow_oncall.store.browse import Sight, visible
from airflow_oncall.store.engine import one_look, transaction
from airflow_oncall.store.rollups import OF_DAG, OF_FILE, OF_NO_TASK, Rollup, Rollups, Since, closed_between
from airflow_oncall.store.tables import incidents


class Opened(NamedTuple):
    """Incidents opened since that have all this in common."""

    state: str
    category: str
    source: str
    severity: str
    number: int


class Closed(NamedTuple):
    """Incidents closed on one day in one state."""

    day: str
    state: str
    number: int
    minutes: float
    """From the failure noticed to the success seen, of all resolved ones together."""


class Told(NamedTuple):
    """Decisions of one day that leave it to people."""

    day: str
    number: int
    tries: int
    """That clearing once would have run, of first decisions."""


class CalibrationCell(NamedTuple):
    """Actions of one kind, of which about the same was expected, and whose end was seen."""

    action: str
    bin: int
    """Which tenth of the probabilities."""
    successes: int
    number: int
    expected: float
    """Sum of the probabilities that the decisions gave."""
    resolved: int
    """Incidents that they resolved."""
    minutes: float
    """That these took."""


@dataclass(frozen=True)
class Scope:
    """What is counted."""

    sight: Sight | None
    """``None``: everything, for who reads the store itself."""
    since: datetime
    """From the beginning of this day on, in UTC."""
    dag_id: str | None = None

    @property
    def from_moment(self) -> datetime:
        """The beginning of that day."""
        return self.since.replace(hour=0, minute=0, second=0, microsecond=0)


class Share(NamedTuple):
    """A part of the incidents, and what its counts are taken times."""

    which: tuple[ColumnElement[bool], ...]
    sign: int = 1


@dataclass(frozen=True)
class Plan:
    """Where the counts of a scope come from."""

    sorts: tuple[str, ...]
    """Sorts of incidents to take from the rollups."""
    shares: tuple[Share, ...]
    """What is counted by itself."""


@dataclass(frozen=True)
class Counted:
    """All figures of a scope."""

    open: int
    """Open now, however old."""
    opened: list[Opened]
    opened_per_day: dict[str, int]
    closed: list[Closed]
    told: list[Told]
    tried: list[CalibrationCell]


Key = tuple[Any, ...]
Shares = Sequence[tuple[Any, int]]
"""Queries for ids, and what the counts of each are taken times."""
_SAID = ("state", "category", "source", "severity")


class Figures:
    """Figures of one store."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._rollups = Rollups(engine)

    def counted(self, scope: Scope) -> Counted:
        """All of them, as of one moment."""
        rollups, day = self._rollups, f"{scope.since:%Y-%m-%d}"
        with one_look(self._engine), transaction(self._engine, reading=True) as connection:
            plan = self._plan(connection, scope)
            shares = [(rollups.chosen(connection, *share.which), share.sign) for share in plan.shares]
            added = partial(self._added, connection, plan.sorts, shares)
            opened = added(rollups.incidents, _SAID, Since("opened_on", day))
            days = added(rollups.incidents, ("opened_on", "closed_on", "state"), Since("closed_on", day))
            told = added(rollups.told, ("made_on",), Since("made_on", day))
            tried = added(rollups.tried, ("action", "bin"), Since("done_on", day))
        return Counted(
            open=sum(number for (_, closed_on, _), (number, _) in days.items() if not closed_on),
            opened=[
                Opened(state, category, source, severity, number) for (state, category, source, severity), (number, _) in opened.items()
            ],
            opened_per_day={opened_on: number for (opened_on,), (number, _) in _summed(days, 0).items() if opened_on >= day},
            closed=[Closed(closed_on, state, *numbers) for (closed_on, state), numbers in _summed(days, 1, 2).items() if closed_on],
            told=[Told(*key, *numbers) for key, numbers in sorted(told.items())],
            tried=[CalibrationCell(*key, *numbers) for key, numbers in sorted(tried.items())],
        )

    def _plan(self, connection: Connection, scope: Scope) -> Plan:
        """Take from the rollups what leaves the fewest incidents to be counted by themselves."""
        sight, until = scope.sight, self._rollups.mark(connection)
        recent = _open_or_closed_since(scope.from_moment)
        if scope.dag_id is not None:
            return Plan((), (Share((recent, incidents.c.dag_id == scope.dag_id, *self._seen(sight))),))
        hidden, settled = self._rollups.hidden(connection, sight.dag_ids) if sight else ({}, 0)
        if 2 * sum(hidden.values()) > settled:
            return Plan((), (Share((recent, *self._seen(sight))),))
        fresh = (_open_or_closed_since(max(until, scope.from_moment)), *self._seen(sight))
        others = (*closed_between(scope.from_moment, until), *self._seen(Sight(frozenset(hidden))))
        rights = {OF_DAG: True, OF_FILE: sight is None or sight.import_errors, OF_NO_TASK: sight is None or sight.logs}
        return Plan(tuple(name for name, may in rights.items() if may), (Share(fresh), *([Share(others, -1)] if hidden else [])))

    def _seen(self, sight: Sight | None) -> tuple[ColumnElement[bool], ...]:
        return () if sight is None else (visible(self._engine, sight),)

    def _added(
        self, connection: Connection, sorts: Sequence[str], shares: Shares, rollup: Rollup, names: Sequence[str], since: Since
    ) -> dict[Key, list[Any]]:
        """Numbers by these names, from the rollup and by themselves, added up."""
        queries = [rollup.query(ids, sign, names, since) for ids, sign in shares]
        if sorts:
            queries.append(rollup.kept(sorts, names, since))
        found: dict[Key, list[Any]] = {}
        for query in queries:
            for row in connection.execute(query).mappings():
                day = row.get(since.column)
                if not day or day >= since.day:  # no day: it is open, or the query asked only for those
                    _add(found, tuple(row[name] for name in names), [row[one.name] for one in rollup.sums])
        number = [one.name for one in rollup.sums].index("number")  # sums of minutes may differ in their last digits
        return {key: numbers for key, numbers in found.items() if numbers[number]}


def _open_or_closed_since(moment: datetime) -> ColumnElement[bool]:
    return or_(incidents.c.closed_at.is_(None), incidents.c.closed_at >= moment)


def _summed(found: dict[Key, list[Any]], *places: int) -> dict[Key, list[Any]]:
    """The same numbers by some places of their keys."""
    fewer: dict[Key, list[Any]] = {}
    for key, numbers in found.items():
        _add(fewer, tuple(key[place] for place in places), numbers)
    return fewer


def _add(found: dict[Key, list[Any]], key: Key, numbers: list[Any]) -> None:
    known = found.get(key)
    found[key] = numbers if known is None else [one + other for one, other in zip(known, numbers, strict=True)]
