"""Incidents that were left alone, in mode ``shadow`` or to measure the gain, and what became of them without us."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Engine, Select, and_, func, select

from airflow_oncall.incident import CLOSING, Kind, State, Verdict
from airflow_oncall.store.engine import rows
from airflow_oncall.store.outcomes import SUCCESS
from airflow_oncall.store.tables import actions, decisions, incidents, occurrences, of_an_arm, outcomes

SUCCEEDED, FAILED, NOT_RUN = "succeeded", "failed", "not run"
"""How the next re-run ended; ``not run``: nobody ran it again, or what was seen does not tell."""
_AT_ONCE = 500


@dataclass(frozen=True)
class LeftAlone:
    """The first decision about an incident that was left alone, and what followed."""

    incident_id: int
    category: str
    would_be: str
    """The verdict in mode ``auto``."""
    is_held: bool
    """It would have waited for a guard."""
    action: str
    probability: float
    attempts: int
    minutes: float | None
    """Of one attempt."""
    wait_seconds: int
    failed_at: datetime
    decided_at: datetime
    rerun: str
    """How the next re-run ended, after all of its retries: ``succeeded``, ``failed`` or ``not run``."""
    is_open: bool
    ended_at: datetime | None
    """When it was seen to have succeeded without us, be it at a later try."""
    later_minutes: float
    """What the tries took that were made after the decision, as far as it is known."""


class Drawn(NamedTuple):
    """One repair that was in the draw for being left out."""

    arm: str
    decided_at: datetime
    succeeded_at: datetime | None
    """When the try ended that succeeded, by Airflow's clock; where that is not known, when it was seen."""


class Hindsight:
    """Reads what happened where nothing was done."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def left_alone(self, since: datetime) -> list[LeftAlone]:
        """Task instances decided about in mode ``shadow`` since then, by their first such decision, oldest first.

        Later decisions are not in it: had the first been carried out, there would have been others.
        """
        shadowed = rows(self._engine, _first_shadowed(since))
        found: list[LeftAlone] = []
        for start in range(0, len(shadowed), _AT_ONCE):
            some = shadowed[start : start + _AT_ONCE]
            ids = [row["incident_id"] for row in some]
            tries, ends = self._tries(ids), self._ends(ids)
            found += [_left_alone(row, tries.get(row["incident_id"], []), ends.get(row["incident_id"], [])) for row in some]
        return found

    def self_healed(self, since: datetime) -> int:
        """Incidents since then that Airflow's own retries ended."""
        query = select(func.count().label("n")).where(incidents.c.opened_at >= since, incidents.c.state == str(State.SELF_HEALED))
        return int(rows(self._engine, query)[0]["n"])

    def drawn(self, arms: Sequence[str], since: datetime, until: datetime) -> list[Drawn]:
        """Repairs decided in this time that were in the draw, in either arm."""
        repairs = [str(verdict) for verdict in (Verdict.AUTO, Verdict.WAIT, Verdict.OBSERVE)]
        resolved = (incidents.c.id == decisions.c.incident_id, incidents.c.state == str(State.RESOLVED))
        ends = select(func.coalesce(outcomes.c.ended_at, outcomes.c.seen_at)).join(incidents, incidents.c.id == outcomes.c.incident_id)
        succeeded = ends.where(*resolved).order_by(outcomes.c.id.desc()).limit(1).correlate(decisions).scalar_subquery()
        query = (
            select(decisions.c.arm, decisions.c.made_at, succeeded.label("succeeded_at"))
            .where(decisions.c.made_at >= since, decisions.c.made_at < until)
            .where(of_an_arm, decisions.c.arm.in_(arms), decisions.c.verdict.in_(repairs))
        )
        return [Drawn(*row.values()) for row in rows(self._engine, query)]

    def _tries(self, ids: Sequence[int]) -> dict[int, list[Any]]:
        columns = (occurrences.c[name] for name in ("incident_id", "try_number", "happened_at", "duration", "will_retry"))
        query = select(*columns).where(occurrences.c.incident_id.in_(ids)).order_by(occurrences.c.try_number)
        return _by_incident(rows(self._engine, query))

    def _ends(self, ids: Sequence[int]) -> dict[int, list[Any]]:
        """Successes, and whose they are."""
        columns = (outcomes.c[name] for name in ("incident_id", "action_id", "try_number", "seen_at"))
        query = select(*columns).where(outcomes.c.incident_id.in_(ids), outcomes.c.kind == SUCCESS).order_by(outcomes.c.id)
        return _by_incident(rows(self._engine, query))


def _first_shadowed(since: datetime) -> Select[Any]:
    shadowed = (decisions.c.mode == "shadow", decisions.c.verdict == str(Verdict.OBSERVE))
    first = select(func.min(decisions.c.id)).where(*shadowed, decisions.c.made_at >= since).group_by(decisions.c.incident_id)
    ours = select(actions.c.id).where(and_(actions.c.incident_id == decisions.c.incident_id, actions.c.done_at.is_not(None))).exists()
    columns = (decisions.c[name] for name in ("incident_id", "action", "probability", "wait_seconds", "answers_try", "made_at", "basis"))
    return (
        select(*columns, incidents.c.category, incidents.c.opened_at, incidents.c.closed_at, incidents.c.state, ours.label("is_ours"))
        .join(incidents, incidents.c.id == decisions.c.incident_id)
        .where(decisions.c.id.in_(first), incidents.c.kind == str(Kind.TASK))
        .order_by(decisions.c.id)
    )


def _left_alone(row: Any, tries: Sequence[Any], ends: Sequence[Any]) -> LeftAlone:
    basis, answered = row["basis"], row["answers_try"]
    failed_at = next((one["happened_at"] for one in tries if one["try_number"] == answered), row["opened_at"])
    later = [one for one in tries if one["try_number"] > answered]
    seen = (one["seen_at"] for one in ends if one["action_id"] is None and one["try_number"] > answered)
    ended_at = next(seen, row["closed_at"] if later and row["state"] == str(State.SELF_HEALED) else None)
    if row["is_ours"]:  # the mode was another one later, so that what followed was our doing
        ended_at, later = None, []
    failed = any(not one["will_retry"] for one in later)
    return LeftAlone(
        incident_id=row["incident_id"],
        category=row["category"] or "",
        would_be=str(basis.get("would_be", "")),
        is_held="held_by" in basis,
        action=row["action"] or "",
        probability=row["probability"],
        attempts=int(basis.get("attempts") or 1),
        minutes=basis.get("minutes"),
        wait_seconds=row["wait_seconds"],
        failed_at=failed_at,
        decided_at=row["made_at"],
        rerun=FAILED if failed else SUCCEEDED if ended_at else NOT_RUN,
        is_open=row["state"] not in {str(state) for state in CLOSING},
        ended_at=ended_at,
        later_minutes=round(sum(one["duration"] or 0.0 for one in later) / 60, 3),
    )


def _by_incident(facts: Iterable[Any]) -> dict[int, list[Any]]:
    found: dict[int, list[Any]] = {}
    for row in facts:
        found.setdefault(row["incident_id"], []).append(row)
    return found
