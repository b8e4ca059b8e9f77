"""How actions ended, by what they were done about: the same failure, the same task, the same category.

Old outcomes count less: by half for every :data:`HALF_LIFE`. What makes tasks fail, and what helps, changes with releases,
data and infrastructure, which is a matter of weeks: after a month an outcome still counts half, after half a year nothing.
What one cause did at one time is one piece of evidence, however many task instances waited for it to go away: of a storm only
the probe counts, and outcomes of one failure with less than :data:`EPISODE` between them share the weight of one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, Engine, Select, or_, select

from airflow_oncall.incident import ActionKind, ActionState, Incident, OutcomeKind
from airflow_oncall.store.engine import transaction
from airflow_oncall.store.records import now
from airflow_oncall.store.tables import actions, incidents, outcomes, storms

HALF_LIFE = timedelta(days=30)
LOOK_BACK = 6 * HALF_LIFE
"""Older outcomes would count less than a sixty-fourth."""
MOST = 200
"""Newest outcomes of one level that are read; a share does not become surer for what is decided by more of them."""
EPISODE = timedelta(hours=1)
"""Without an outcome for so long, what comes next is about another occasion."""
NEWEST = 100
"""Incidents of one fingerprint that are looked back at: a storm may have left ten thousand."""
FINGERPRINT, TASK, CATEGORY = "fingerprint", "task", "category"
LEVELS = (FINGERPRINT, TASK, CATEGORY)
"""What an action was done about, narrow to wide."""
SUCCESS = str(OutcomeKind.SUCCESS)
ENDED = (SUCCESS, str(OutcomeKind.FAILED_SAME), str(OutcomeKind.FAILED_OTHER))
"""Outcomes that tell whether an action helped."""


class Decayed(NamedTuple):
    """Successes and failures, each weighted by its age."""

    successes: float = 0.0
    failures: float = 0.0

    @property
    def total(self) -> float:
        """Fresh outcomes that it is worth."""
        return self.successes + self.failures


Experience = Mapping[str, Mapping[str, Decayed]]
"""Kind of action -> level -> how such actions ended."""


class Outcomes:
    """Reads outcomes for decisions."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def experience(self, incident: Incident, category: str) -> Experience:
        """How every kind of action ended for other incidents of this category, at each level at which any was seen.

        Its own repairs are left out: what they change stands in the policy (``after_failure``).
        """
        ref, others = incident.ref, (incidents.c.id != incident.id, actions.c.category == category)
        wheres: dict[str, tuple[ColumnElement[bool], ...]] = {
            TASK: (*others, actions.c.dag_id == ref.dag_id, actions.c.task_id == ref.task_id),
            CATEGORY: others,
        }
        if incident.fingerprint:
            wheres[FINGERPRINT] = (*others, incidents.c.id.in_(newest_of(incident.fingerprint, _counts())))
        found: dict[str, dict[str, Decayed]] = {}
        with transaction(self._engine, reading=True) as connection:
            for level, where in wheres.items():
                for kind, seen in _counted(connection, where).items():
                    found.setdefault(kind, {})[level] = seen
        return found

    def of_fingerprint(self, fingerprint: str) -> Mapping[str, Decayed]:
        """How every kind of action ended for the newest incidents of one fingerprint, at a price that does not grow with their number."""
        with transaction(self._engine, reading=True) as connection:
            return _counted(connection, (incidents.c.id.in_(newest_of(fingerprint)),))


def weight(seen_at: datetime, at: datetime) -> float:
    """What an outcome counts at this time; one from the future, which a clock that went back left, counts as new."""
    return float(0.5 ** (max(at - seen_at, timedelta(0)) / HALF_LIFE))


def newest_of(fingerprint: str, *where: ColumnElement[bool]) -> Select[tuple[int]]:
    """Ids of the newest incidents of one fingerprint, among those that ``where`` picks."""
    ids = select(incidents.c.id).where(incidents.c.fingerprint == fingerprint, *where).order_by(incidents.c.opened_at.desc())
    return select(ids.limit(NEWEST).subquery().c.id)


def _counts() -> ColumnElement[bool]:
    """Of a storm only the probe."""
    is_probe = incidents.c.id.in_(select(storms.c.probe_id).where(storms.c.id == incidents.c.storm_id))
    return or_(incidents.c.storm_id.is_(None), is_probe)


def _counted(connection: Connection, where: tuple[ColumnElement[bool], ...]) -> dict[str, Decayed]:
    found: dict[str, Decayed] = {}
    at = now()
    query = (
        select(actions.c.kind, outcomes.c.kind.label("ended"), outcomes.c.seen_at, incidents.c.fingerprint)
        .join(outcomes, outcomes.c.action_id == actions.c.id)
        .join(incidents, incidents.c.id == actions.c.incident_id)
        .where(actions.c.state == str(ActionState.DONE), actions.c.kind != str(ActionKind.ESCALATE))
        .where(actions.c.done_at > at - LOOK_BACK, outcomes.c.kind.in_(ENDED))
        .where(_counts(), *where)
        .order_by(actions.c.done_at.desc())
        .limit(MOST)
    )
    for episode in _episodes(connection.execute(query).all()):
        helped = [row.ended == SUCCESS for row in episode]
        share = weight(episode[0].seen_at, at) / len(episode)
        before = found.get(episode[0].kind, Decayed())
        found[episode[0].kind] = Decayed(before.successes + share * sum(helped), before.failures + share * (len(helped) - sum(helped)))
    return found


def _episodes(rows: Iterable[Any]) -> list[list[Any]]:
    """Outcomes of one action about one failure that followed each other closely, each newest first."""
    found: list[list[Any]] = []
    current: dict[tuple[str, str], list[Any]] = {}
    for row in sorted(rows, key=lambda row: row.seen_at, reverse=True):
        alike = (row.kind, row.fingerprint)
        if not row.fingerprint or alike not in current or current[alike][-1].seen_at - row.seen_at > EPISODE:
            current[alike] = []
            found.append(current[alike])
        current[alike].append(row)
    return found
