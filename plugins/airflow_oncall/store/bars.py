"""The ``auto`` bars that measured outcomes moved, by category and action, and the outcomes they are moved by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from statistics import fmean
from typing import Any

from sqlalchemy import Engine, select

from airflow_oncall.store.audit import note
from airflow_oncall.store.engine import transaction
from airflow_oncall.store.intake import upsert
from airflow_oncall.store.outcomes import SUCCESS, episodes
from airflow_oncall.store.tables import actions, bars, decisions, evidence_only, outcomes

MOVED = "bar moved"


@dataclass(frozen=True)
class Bar:
    """One bar and why it stands there."""

    category: str
    action: str
    auto: float
    base: float
    """The policy's bar that it was moved from; another one in the policy voids the move."""
    reason: str
    changed_at: datetime


@dataclass(frozen=True)
class Tried:
    """How an action ended about one failure, and how likely its success was thought to be."""

    category: str
    action: str
    probability: float
    helped: float
    """1 or 0; of outcomes of one episode, which count as one, their share."""
    seen_at: datetime
    """When the first of them was seen."""


class Bars:
    """Bars, and what moves them."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def get(self, category: str, action: str) -> Bar | None:
        """The bar of a category and action; ``None`` where it never moved."""
        return next(iter(self._read(bars.c.category == category, bars.c.action == action)), None)

    def all(self) -> list[Bar]:
        """Every bar that moved."""
        return self._read()

    def move(self, bar: Bar) -> None:
        """Put a bar where it shall be, with its audit row."""
        values = {"category": bar.category, "action": bar.action, "auto": bar.auto, "base": bar.base, "reason": bar.reason}
        row = upsert(self._engine, bars).values(values | {"changed_at": bar.changed_at})
        fresh = {name: row.excluded[name] for name in ("auto", "base", "reason", "changed_at")}
        with transaction(self._engine) as connection:
            connection.execute(row.on_conflict_do_update(index_elements=["category", "action"], set_=fresh))
            note(connection, "upkeep", MOVED, values)

    def tried(self, since: datetime) -> Sequence[Tried]:
        """Episodes of evidence since then, oldest first."""
        decided = (decisions.c.incident_id == actions.c.incident_id) & (decisions.c.number == actions.c.decision_number)
        told = (actions.c[name] for name in ("category", "kind", "fingerprint"))
        query = (
            select(*told, decisions.c.probability, outcomes.c.kind.label("ended"), outcomes.c.seen_at)
            .join(outcomes, outcomes.c.action_id == actions.c.id)
            .join(decisions, decided)
            .where(evidence_only, actions.c.done_at > since)
        )
        with transaction(self._engine, reading=True) as connection:
            found = episodes(connection.execute(query).all())
        return sorted(map(_tried, found), key=lambda one: one.seen_at)

    def _read(self, *where: object) -> list[Bar]:
        query = select(bars).where(*where).order_by(bars.c.category, bars.c.action)  # type: ignore[arg-type]
        with transaction(self._engine, reading=True) as connection:
            rows = connection.execute(query).all()
        return [Bar(row.category, row.action, row.auto, row.base, row.reason, row.changed_at) for row in rows]


def _tried(episode: Sequence[Any]) -> Tried:
    helped = fmean(row.ended == SUCCESS for row in episode)
    first = episode[-1]
    return Tried(first.category, first.kind, fmean(row.probability for row in episode), helped, first.seen_at)
