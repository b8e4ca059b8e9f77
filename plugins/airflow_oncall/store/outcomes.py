"""How actions ended, by what they were done about: the same failure, the same task, the same category.

Old outcomes count less: by half for every :data:`HALF_LIFE`. What makes tasks fail, and what helps, changes with releases,
data and infrastructure, which is a matter of weeks: after a month an outcome still counts half, after half a year nothing.
What one cause did at one time is one piece of evidence, however many task instances waited for it to go away: of a storm only
probes count, and outcomes of one failure with less than :data:`EPISODE` between them share the weight of one.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, Engine, Select, Update, func, select, update

from airflow_oncall.incident import ActionKind, ActionState, Incident, OutcomeKind
from airflow_oncall.store.engine import transaction
from airflow_oncall.store.records import now
from airflow_oncall.store.tables import actions, evidence_only, incidents, occurrences, outcomes, storms

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

    def experience(self, incident: Incident, category: str, without: Collection[str] = ()) -> Experience:
        """How every kind of action ended for other incidents of this category, at each level at which any was seen.

        Its own repairs are left out: what they change stands in the policy (``after_failure``). ``without``: fingerprints that
        are counted elsewhere, so that the wider levels leave them out.
        """
        ref, of_category = incident.ref, actions.c.category == category
        wheres: dict[str, tuple[ColumnElement[bool], ...]] = {
            TASK: (of_category, actions.c.dag_id == ref.dag_id, actions.c.task_id == ref.task_id),
            CATEGORY: (of_category,),
        }
        if incident.fingerprint:
            wheres[FINGERPRINT] = (actions.c.fingerprint == incident.fingerprint,)
        found: dict[str, dict[str, Decayed]] = {}
        with transaction(self._engine, reading=True) as connection:
            for level, where in wheres.items():
                # What is left out is left out here: the query might else read far back for what is not.
                rows = [row for row in _newest(connection, *where) if row.category == category and row.incident_id != incident.id]
                counted = [row for row in rows if level == FINGERPRINT or row.fingerprint not in without]
                for kind, seen in _counted(counted).items():
                    found.setdefault(kind, {})[level] = seen
        return found

    def of_fingerprint(self, fingerprint: str) -> Mapping[str, Decayed]:
        """How every kind of action ended for one fingerprint, at a price that does not grow with the number of its incidents."""
        with transaction(self._engine, reading=True) as connection:
            return _counted(_newest(connection, actions.c.fingerprint == fingerprint))


def weight(seen_at: datetime, at: datetime) -> float:
    """What an outcome counts at this time; one from the future, which a clock that went back left, counts as new."""
    return float(0.5 ** (max(at - seen_at, timedelta(0)) / HALF_LIFE))


def newest_of(fingerprint: str) -> Select[tuple[int]]:
    """Ids of the newest incidents of one fingerprint."""
    ids = select(incidents.c.id).where(incidents.c.fingerprint == fingerprint).order_by(incidents.c.opened_at.desc())
    return select(ids.limit(NEWEST).subquery().c.id)


def becomes_evidence(action_id: int) -> Update:
    """Marks an action whose end was seen as evidence about the failure that it answered, if it is: of a storm only the probe is."""
    ended = select(outcomes.c.id).where(outcomes.c.action_id == actions.c.id, outcomes.c.kind.in_(ENDED))
    follows = select(incidents.c.id).join(storms, storms.c.id == incidents.c.storm_id)
    follows = follows.where(incidents.c.id == actions.c.incident_id, storms.c.probe_id.is_distinct_from(incidents.c.id))
    answered = (occurrences.c.incident_id == actions.c.incident_id, occurrences.c.try_number == actions.c.answers_try)
    seen = select(occurrences.c.fingerprint).where(*answered).order_by(occurrences.c.id.desc()).limit(1).scalar_subquery()
    done = (actions.c.state == str(ActionState.DONE), actions.c.kind != str(ActionKind.ESCALATE), ~actions.c.in_wave)
    mark = update(actions).where(actions.c.id == action_id, *done, ended.exists(), ~follows.exists())
    return mark.values(is_evidence=True, fingerprint=func.coalesce(seen, ""))


def episodes(rows: Iterable[Any]) -> list[list[Any]]:
    """Outcomes of one action about one failure that followed each other closely, each newest first."""
    found: list[list[Any]] = []
    current: dict[tuple[str, str, str], list[Any]] = {}
    for row in sorted(rows, key=lambda row: row.seen_at, reverse=True):
        alike = (row.category, row.kind, row.fingerprint)
        if not row.fingerprint or alike not in current or current[alike][-1].seen_at - row.seen_at > EPISODE:
            current[alike] = []
            found.append(current[alike])
        current[alike].append(row)
    return found


def _newest(connection: Connection, *where: ColumnElement[bool]) -> Sequence[Any]:
    """The newest evidence that ``where`` picks, by an index of its own."""
    told = (actions.c[name] for name in ("incident_id", "category", "kind", "fingerprint"))
    query = (
        select(*told, outcomes.c.kind.label("ended"), outcomes.c.seen_at)
        .join(outcomes, outcomes.c.action_id == actions.c.id)
        .where(evidence_only, actions.c.done_at > now() - LOOK_BACK, *where)
        .order_by(actions.c.done_at.desc())
        .limit(MOST)
    )
    return connection.execute(query).all()


def _counted(rows: Iterable[Any]) -> dict[str, Decayed]:
    found: dict[str, Decayed] = {}
    at = now()
    for episode in episodes(rows):
        helped = [row.ended == SUCCESS for row in episode]
        share = weight(episode[0].seen_at, at) / len(episode)
        before = found.get(episode[0].kind, Decayed())
        found[episode[0].kind] = Decayed(before.successes + share * sum(helped), before.failures + share * (len(helped) - sum(helped)))
    return found
