"""Counts for monitoring: what is open, what happened in the last day, how long the oldest waits. Each costs a look at an index.

Never by DAG or task: a time series for each of ten thousand tasks would cost its reader more than it tells.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import Engine, Select, case, func, select

from airflow_oncall.store.engine import one_look, transaction
from airflow_oncall.store.records import now
from airflow_oncall.store.tables import actions, decisions, incidents, open_only, outcomes, storms

DAY = timedelta(days=1)
SOURCES = 20
"""So many sources are told apart; outside sources name themselves, and the others count as :data:`OTHER`."""
OTHER = "other"


class Number(NamedTuple):
    """How many rows have these labels."""

    labels: dict[str, str]
    value: int


class Recent:
    """Counts of one store."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def open(self) -> list[Number]:
        """Open incidents by state, category and source."""
        columns = {"state": incidents.c.state, "category": func.coalesce(incidents.c.category, ""), "source": incidents.c.source}
        return _few_sources(self._counts(columns, open_only))

    def opened(self) -> list[Number]:
        """Incidents opened in the last day, by category and source."""
        columns = {"category": func.coalesce(incidents.c.category, ""), "source": incidents.c.source}
        return _few_sources(self._counts(columns, incidents.c.opened_at > now() - DAY))

    def decided(self) -> list[Number]:
        """Decisions of the last day by verdict."""
        return self._counts({"verdict": decisions.c.verdict}, decisions.c.made_at > now() - DAY)

    def acted(self) -> list[Number]:
        """Actions planned in the last day, by kind and state."""
        return self._counts({"kind": actions.c.kind, "state": actions.c.state}, actions.c.planned_at > now() - DAY)

    def ended(self) -> list[Number]:
        """Outcomes of actions done in the last two days that were seen in the last one, by kind."""
        recent = (actions.c.done_at > now() - 2 * DAY, outcomes.c.seen_at > now() - DAY)  # what was done has an index
        query = select(outcomes.c.kind, func.count()).join(actions, actions.c.id == outcomes.c.action_id).where(*recent)
        return [Number({"kind": kind}, number) for kind, number in self._rows(query.group_by(outcomes.c.kind))]

    def storms(self) -> int:
        """Storms that are on."""
        query: Select[Any] = select(func.count()).select_from(storms).where(storms.c.closed_at.is_(None))
        return int(self._rows(query)[0][0])

    def storms_opened(self) -> list[Number]:
        """Storms opened in the last day, by what became of them."""
        return self._counts({"state": storms.c.state}, storms.c.opened_at > now() - DAY)

    def due(self) -> tuple[int, float]:
        """Incidents that are due, and the seconds since the first of them was."""
        since = case((incidents.c.due_at < incidents.c.updated_at, incidents.c.updated_at), else_=incidents.c.due_at)  # due at once
        query: Any = select(func.count(), func.min(since)).where(open_only, incidents.c.due_at <= now())
        ((number, oldest),) = self._rows(query)
        return number, (now() - oldest).total_seconds() if oldest else 0.0

    def tried(self, since: datetime) -> list[tuple[str, str]]:
        """Kinds of actions done since then, each with the category that it was for."""
        query: Select[Any] = select(actions.c.kind, actions.c.category).where(actions.c.done_at >= since).distinct()
        return sorted((kind, category) for kind, category in self._rows(query))

    def _counts(self, columns: dict[str, Any], *where: Any) -> list[Number]:
        query = select(*columns.values(), func.count()).where(*where).group_by(*columns.values())
        return [Number(dict(zip(columns, map(str, row[:-1]), strict=True)), row[-1]) for row in self._rows(query)]

    def _rows(self, query: Select[Any]) -> list[Any]:
        with one_look(self._engine), transaction(self._engine, reading=True) as connection:
            return list(connection.execute(query))


def _few_sources(numbers: list[Number]) -> list[Number]:
    """The sources with the most incidents by name, and the others together."""
    by_source: dict[str, int] = {}
    for one in numbers:
        by_source[one.labels["source"]] = by_source.get(one.labels["source"], 0) + one.value
    named = set(sorted(by_source, key=lambda source: (-by_source[source], source))[:SOURCES])
    merged: dict[tuple[tuple[str, str], ...], int] = {}
    for one in numbers:
        source = one.labels["source"]
        key = tuple((one.labels | {"source": source if source in named else OTHER}).items())
        merged[key] = merged.get(key, 0) + one.value
    return [Number(dict(key), value) for key, value in merged.items()]
