"""Counts of settled incidents, kept so that figures over a hundred thousand need not count them anew.

An incident is settled when it closed an hour ago: nothing about it changes any more. Triage counts such in with every tick, in the
transaction that moves the mark up to which it counted, and deleting takes them out in the transaction that deletes. So every
incident is either in the rollups or is counted by itself, and :mod:`airflow_oncall.store.figures` adds up the two. A mark in the
future, which only a clock that was ahead can have made, has everything counted in anew.
"""

from __future__ import annotations

from collections.abc import Collection, Container, Sequence
from datetime import datetime, timedelta, timezone
from typing import Any, NamedTuple

from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    Float,
    FromClause,
    Integer,
    Label,
    Select,
    String,
    Table,
    and_,
    case,
    cast,
    delete,
    extract,
    func,
    select,
    update,
)

from airflow_oncall.incident import ActionState, Kind, State, Verdict
from airflow_oncall.store.engine import transaction
from airflow_oncall.store.intake import upsert
from airflow_oncall.store.lists import listed
from airflow_oncall.store.outcomes import ENDED, SUCCESS
from airflow_oncall.store.records import now
from airflow_oncall.store.tables import (
    actions,
    cursors,
    decisions,
    incidents,
    occurrences,
    outcomes,
    rollup_dags,
    rollup_incidents,
    rollup_told,
    rollup_tried,
)

BINS = 10
AT_ONCE, MOST_BATCHES = 5_000, 20
MARGIN = timedelta(hours=1)
"""So long no transaction that closes an incident takes, and so far no clocks are apart."""
MARK = "rollups"
"""Cursor: what closed before is counted in."""
BEGINNING = datetime(1970, 1, 1, tzinfo=timezone.utc)
OF_DAG, OF_FILE, OF_NO_TASK = "dag", "file", "log"
"""Sorts of incidents by what gives the right to see them."""
_IS_RESOLVED = incidents.c.state == str(State.RESOLVED)
_HELPED = outcomes.c.kind == SUCCESS


class Since(NamedTuple):
    """The first day that counts."""

    column: str
    day: str


class Rollup(NamedTuple):
    """One kept count, and what counts the same by itself. The names are those of the table's columns."""

    table: Table
    by: tuple[Label[Any], ...]
    sums: tuple[Label[Any], ...]
    rows: FromClause
    where: tuple[ColumnElement[bool], ...] = ()
    of_incident: ColumnElement[int] = incidents.c.id
    """The column that says of which incident a row tells."""

    def query(self, ids: Any, sign: int = 1, names: Collection[str] | None = None, since: Since | None = None) -> Select[Any]:
        """The counts of some incidents, of which ``ids`` is a query; by some of the names only, and by days or from a day on."""
        sums = self.sums if sign > 0 else [(-one.element).label(one.name) for one in self.sums]
        by, recent = list(self.by), []
        if names is not None and since is not None:
            # Of other rows than incidents the day would be asked before it is known that they are wanted.
            asked = {*names, since.column} if self.of_incident is not incidents.c.id else set(names)
            by = [one for one in self.by if one.name in asked]
            recent = [one.element >= since.day for one in self.by if one.name == since.column and one.name not in asked]
        chosen = select(*by, *sums).select_from(self.rows).where(self.of_incident.in_(ids), *self.where, *recent)
        return chosen.group_by(*(one.element for one in by))

    def kept(self, sorts: Collection[str], names: Container[str], since: Since) -> Select[Any]:
        """The kept counts by some of the names, from a day on."""
        columns = self.table.c
        by = [columns[one.name] for one in self.by if one.name in names]
        sums = [func.sum(columns[one.name]).label(one.name) for one in self.sums]
        return select(*by, *sums).where(columns[since.column] >= since.day, columns.sort.in_(sorts)).group_by(*by)


class Rollups:
    """The kept counts of one store."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        is_postgres = engine.dialect.name == "postgresql"
        self.incidents, self.told, self.tried = _incidents(is_postgres), _told(is_postgres), _tried(is_postgres)
        self._all = (self.incidents, self.told, self.tried, _dags())

    def catch_up(self) -> int:
        """Count in what settled since; how many incidents. At most a hundred thousand, the next call goes on."""
        counted = 0
        for _ in range(MOST_BATCHES):
            some = self._count_some()
            counted += some
            if some < AT_ONCE:
                break
        return counted

    def take_out(self, connection: Connection, ids: Any) -> None:
        """Take incidents out that are about to be deleted in this transaction: a list of ids, or a query for them."""
        until = self._locked_mark(connection)
        self._add(connection, (incidents.c.id.in_(ids), incidents.c.closed_at < until), -1)

    def chosen(self, connection: Connection, *which: ColumnElement[bool]) -> Any:
        """A query for the ids of these incidents, which are read once: every count of them then begins at its rows' index."""
        return listed(self._engine, connection.execute(select(incidents.c.id).where(*which)).scalars(), incidents.c.id.type)

    def mark(self, connection: Connection) -> datetime:
        """What closed before this is counted in."""
        value = connection.execute(select(cursors.c.value).where(cursors.c.name == MARK)).scalar()
        return datetime.fromisoformat(value) if value else BEGINNING

    def hidden(self, connection: Connection, dag_ids: Collection[str]) -> tuple[dict[str, int], int]:
        """DAGs but these, with the number of their settled incidents, and that of all DAGs."""
        query = select(rollup_dags.c.dag_id, rollup_dags.c.number).where(rollup_dags.c.number > 0)
        numbers = {row.dag_id: row.number for row in connection.execute(query)}
        return {dag_id: numbers[dag_id] for dag_id in numbers.keys() - dag_ids}, sum(numbers.values())

    def _count_some(self) -> int:
        settled = now() - MARGIN
        with transaction(self._engine) as connection:
            since = self._locked_mark(connection)
            if since > now():  # a clock that was ahead moved it, past incidents that closed since
                since = self._begin_anew(connection)
            some = select(incidents.c.closed_at).where(*closed_between(since, settled)).order_by(incidents.c.closed_at).limit(AT_ONCE)
            moments = connection.execute(some).scalars().all()
            if not moments:
                return 0
            until = moments[-1] + timedelta(microseconds=1)  # with all that closed in the same moment
            self._add(connection, closed_between(since, until), 1)
            connection.execute(update(cursors).where(cursors.c.name == MARK).values(value=until.isoformat(), updated_at=now()))
        return len(moments)

    def _locked_mark(self, connection: Connection) -> datetime:
        """The mark, which nobody else moves before this transaction ends."""
        statement = upsert(self._engine, cursors).values(name=MARK, value=BEGINNING.isoformat(), updated_at=now())
        touched = statement.on_conflict_do_update(index_elements=["name"], set_={"updated_at": statement.excluded.updated_at})
        return datetime.fromisoformat(connection.execute(touched.returning(cursors.c.value)).scalar_one())

    def _begin_anew(self, connection: Connection) -> datetime:
        for rollup in self._all:
            connection.execute(delete(rollup.table))
        connection.execute(update(cursors).where(cursors.c.name == MARK).values(value=BEGINNING.isoformat(), updated_at=now()))
        return BEGINNING

    def _add(self, connection: Connection, which: Sequence[ColumnElement[bool]], sign: int) -> None:
        ids = self.chosen(connection, *which)
        for rollup in self._all:
            names, table = [one.name for one in (*rollup.by, *rollup.sums)], rollup.table
            statement = upsert(self._engine, table).from_select(names, rollup.query(ids, sign))
            added = {one.name: table.c[one.name] + statement.excluded[one.name] for one in rollup.sums}
            connection.execute(statement.on_conflict_do_update(index_elements=[one.name for one in rollup.by], set_=added))


def closed_between(since: datetime, until: datetime) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    """From a time on and before another."""
    return incidents.c.closed_at >= since, incidents.c.closed_at < until


def sort() -> ColumnElement[str]:
    """What gives the right to see an incident."""
    of_no_task = and_(incidents.c.kind == str(Kind.LOG), incidents.c.run_id == "")
    return case((incidents.c.kind == str(Kind.DAG_IMPORT), OF_FILE), (of_no_task, OF_NO_TASK), else_=OF_DAG)


def _incidents(is_postgres: bool) -> Rollup:
    names = {"state": incidents.c.state, "category": func.coalesce(incidents.c.category, "")}
    names |= {"source": incidents.c.source, "severity": incidents.c.severity}
    days = {"opened_on": _day(incidents.c.opened_at, is_postgres), "closed_on": _day(incidents.c.closed_at, is_postgres)}
    sums = {"number": func.count(), "minutes": _minutes(is_postgres)}
    return Rollup(rollup_incidents, _named(days | {"sort": sort()} | names), _named(sums), incidents)


def _told(is_postgres: bool) -> Rollup:
    """Decisions that leave it to people, and the tries that clearing once would have run, of first ones."""
    tries = func.sum(case((decisions.c.number == 1, func.coalesce(occurrences.c.max_tries, 0) + 1), else_=0))
    answered = and_(occurrences.c.incident_id == incidents.c.id, occurrences.c.try_number == decisions.c.answers_try)
    rows = incidents.join(decisions, decisions.c.incident_id == incidents.c.id).outerjoin(occurrences, answered)
    by = _named({"made_on": _day(decisions.c.made_at, is_postgres), "sort": sort()})
    left = (decisions.c.verdict == str(Verdict.ESCALATE),)
    return Rollup(rollup_told, by, _named({"number": func.count(), "tries": tries}), rows, left, decisions.c.incident_id)


def _tried(is_postgres: bool) -> Rollup:
    """Actions whose end was seen, by what was expected of them."""
    mine = and_(decisions.c.incident_id == actions.c.incident_id, decisions.c.number == actions.c.decision_number)
    rows = incidents.join(actions, actions.c.incident_id == incidents.c.id).join(outcomes, outcomes.c.action_id == actions.c.id)
    days = {"done_on": _day(actions.c.done_at, is_postgres), "sort": sort()}
    sums = {
        "successes": func.count().filter(_HELPED),
        "number": func.count(),
        "expected": func.sum(decisions.c.probability),
        "resolved": func.count().filter(_IS_RESOLVED, _HELPED),
        "minutes": _minutes(is_postgres, _HELPED),
    }
    ended = (actions.c.state == str(ActionState.DONE), actions.c.done_at.is_not(None), outcomes.c.kind.in_(ENDED))
    by = _named(days | {"action": actions.c.kind, "bin": _bin(decisions.c.probability, is_postgres)})
    return Rollup(rollup_tried, by, _named(sums), rows.join(decisions, mine), ended, actions.c.incident_id)


def _dags() -> Rollup:
    return Rollup(rollup_dags, _named({"dag_id": incidents.c.dag_id}), _named({"number": func.count()}), incidents, (sort() == OF_DAG,))


def _named(expressions: dict[str, Any]) -> tuple[Label[Any], ...]:
    return tuple(expression.label(name) for name, expression in expressions.items())


def _day(column: Any, is_postgres: bool) -> ColumnElement[str]:
    """The day in UTC; empty where there is no time."""
    day = func.to_char(func.timezone("UTC", column), "YYYY-MM-DD") if is_postgres else func.substr(cast(column, String), 1, 10)
    return func.coalesce(day, "")


def _bin(probability: Any, is_postgres: bool) -> ColumnElement[Any]:
    scaled: Any = probability * BINS
    floor = func.floor(scaled) if is_postgres else scaled  # PostgreSQL's cast rounds, SQLite's cuts off
    return case((probability >= 1, BINS - 1), else_=cast(floor, Integer))


def _minutes(is_postgres: bool, *which: ColumnElement[bool]) -> ColumnElement[Any]:
    """Minutes that resolved incidents took, of all together."""
    if is_postgres:
        took: Any = extract("epoch", incidents.c.closed_at - incidents.c.opened_at) / 60
    else:
        took = (func.julianday(incidents.c.closed_at) - func.julianday(incidents.c.opened_at)) * 24 * 60
    return cast(func.coalesce(func.sum(took).filter(_IS_RESOLVED, *which), 0.0), Float)
