"""What is known to be true of incidents, in the form that learning reads, and the door for what people say.

Texts are read apart from the labels and only for the incidents that are asked for, because a log tail is large.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Engine, Table, and_, func, insert, select

from airflow_oncall.errors import StoreRefused
from airflow_oncall.incident import CATEGORIES, NO_INCIDENT, ActionState, Evidence, Label, OutcomeKind
from airflow_oncall.store.audit import note
from airflow_oncall.store.engine import rows, transaction
from airflow_oncall.store.records import now
from airflow_oncall.store.tables import actions, decisions, diagnoses, incidents, labels, occurrences, outcomes

FEEDBACK = "feedback"
TEACHING = (FEEDBACK, "approval", "rejection", "outcome", "self_healed")
"""Labels that training learns from."""
REMEMBERED = 200
"""Newest repairs of a task, and newest incidents of a fingerprint, that tell what the next repair is worth. Every decision asks, also
in a storm of ten thousand with one fingerprint, so what is read may not grow with the store; older ones would move the share by a few
hundredths, and are of a system that has changed since."""
_AT_ONCE = 200
_ENDED = (OutcomeKind.SUCCESS, OutcomeKind.FAILED_SAME, OutcomeKind.FAILED_OTHER)


@dataclass(frozen=True)
class Fact:
    """One label with what triage thought of the incident when it was given."""

    incident_id: int
    fingerprint: str
    name: str
    value: str
    given_by: str
    given_at: datetime
    detail: Mapping[str, Any]
    category: str | None
    decided_by: str | None


@dataclass(frozen=True)
class VerifiedAction:
    """One verified action: what was known when it was planned, and whether it resolved the incident."""

    at: datetime
    kind: str
    waited: bool
    try_number: int
    resolved: bool
    category: str
    probability: float
    transient_probability: float
    anomaly: bool
    fingerprint: str
    task: str
    """``dag_id/task_id``."""


class Labels:
    """Labels of all incidents."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def give_feedback(
        self,
        incident_id: int,
        given_by: str,
        *,
        category: str | None = None,
        action_correct: bool | None = None,
        false_positive: bool = False,
        comment: str = "",
    ) -> Label:
        """Store what a person says of an incident, open or closed. ``comment`` must be redacted already.

        ``category``: the true cause. ``action_correct``: whether the newest decision was right. ``false_positive``: there was no
        failure. Raises ``StoreRefused`` when nothing is said, the category does not exist, or the incident is not known.
        """
        said = _checked(category, action_correct, false_positive, comment)
        with transaction(self._engine) as connection:
            if connection.execute(select(incidents.c.id).where(incidents.c.id == incident_id)).first() is None:
                raise StoreRefused(f"incident {incident_id} is not in the store; `airflow oncall list` shows what is")
            newest = select(decisions.c.action).where(decisions.c.incident_id == incident_id).order_by(decisions.c.id.desc()).limit(1)
            said |= {"action": connection.execute(newest).scalar()}
            label = Label(incident_id, FEEDBACK, str(said["category"] or ""), given_by, now(), said)
            row = {"incident_id": incident_id, "name": label.name, "value": label.value, "given_by": given_by, "given_at": label.given_at}
            connection.execute(insert(labels).values(row | {"detail": said}))
            note(connection, given_by, FEEDBACK, said, incident_id=incident_id)
        return label

    def count(self, since: datetime | None = None) -> int:
        """Labels that training learns from, given after ``since``."""
        query = select(func.count()).select_from(labels).where(labels.c.name.in_(TEACHING), *_after(labels.c.given_at, since))
        return int(rows(self._engine, query)[0]["count_1"])

    def facts(self) -> list[Fact]:
        """Every label that training learns from, oldest first."""
        own = [labels.c[name] for name in ("incident_id", "name", "value", "given_by", "given_at", "detail")]
        query = (
            select(*own, incidents.c.fingerprint, diagnoses.c.category, diagnoses.c.decided_by)
            .join(incidents, incidents.c.id == labels.c.incident_id)
            .outerjoin(diagnoses, diagnoses.c.id == _diagnosed(labels, labels.c.given_at))
            .where(labels.c.name.in_(TEACHING))
            .order_by(labels.c.given_at, labels.c.id)
        )
        return [Fact(**row) for row in rows(self._engine, query)]

    def texts(self, incident_ids: Sequence[int]) -> dict[int, str]:
        """The evidence of the newest failed try of these incidents, as diagnosis reads it."""
        found: dict[int, str] = {}
        names = ("incident_id", "message", "traceback", "log_tail")
        for start in range(0, len(incident_ids), _AT_ONCE):
            newest = select(func.max(occurrences.c.id)).where(occurrences.c.incident_id.in_(incident_ids[start : start + _AT_ONCE]))
            query = select(*(occurrences.c[name] for name in names)).where(occurrences.c.id.in_(newest.group_by(occurrences.c.incident_id)))
            for row in rows(self._engine, query):
                evidence = Evidence(message=row["message"], traceback=row["traceback"], log_tail=row["log_tail"])
                found[row["incident_id"]] = evidence.text
        return found

    def verified_actions(self, since: datetime | None = None) -> list[VerifiedAction]:
        """Actions of ours whose end was seen, oldest first."""
        own = [actions.c[name] for name in ("planned_at", "kind", "answers_try", "dag_id", "task_id")]
        judged = [diagnoses.c[name] for name in ("category", "probability", "transient_probability", "anomaly")]
        decided = and_(decisions.c.incident_id == actions.c.incident_id, decisions.c.number == actions.c.decision_number)
        query = (
            select(*own, *judged, incidents.c.fingerprint, decisions.c.wait_seconds, outcomes.c.kind.label("ended"))
            .join(outcomes, outcomes.c.action_id == actions.c.id)
            .join(incidents, incidents.c.id == actions.c.incident_id)
            .join(decisions, decided)
            .join(diagnoses, diagnoses.c.id == _diagnosed(actions, actions.c.planned_at))
            .where(actions.c.state == str(ActionState.DONE), outcomes.c.kind.in_([str(kind) for kind in _ENDED]))
            .where(*_after(actions.c.planned_at, since))
            .order_by(actions.c.planned_at, actions.c.id)
        )
        return [_verified(row) for row in rows(self._engine, query)]

    def earlier_repairs(self, dag_id: str, task_id: str, fingerprint: str) -> tuple[int, int]:
        """How often a repair of this task, or of this fingerprint, was seen to succeed, and how often to fail: the richer history.

        Counted are the newest :data:`REMEMBERED` repairs of the task, and those of as many newest incidents of the fingerprint.
        """
        counts = func.count().filter(outcomes.c.kind == str(OutcomeKind.SUCCESS)).label("resolved"), func.count().label("n")
        query = (
            select(*counts)
            .select_from(actions)
            .join(outcomes, outcomes.c.action_id == actions.c.id)
            .join(incidents, incidents.c.id == actions.c.incident_id)
            .where(actions.c.state == str(ActionState.DONE), outcomes.c.kind.in_([str(kind) for kind in _ENDED]))
        )
        own = select(actions.c.id).where(actions.c.dag_id == dag_id, actions.c.task_id == task_id).order_by(actions.c.id.desc())
        like = select(incidents.c.id).where(incidents.c.fingerprint == fingerprint, incidents.c.fingerprint != "")
        task = query.where(actions.c.id.in_(own.limit(REMEMBERED)))
        alike = query.where(incidents.c.id.in_(like.order_by(incidents.c.opened_at.desc()).limit(REMEMBERED)))
        row = max((rows(self._engine, one)[0] for one in (task, alike)), key=lambda row: row["n"])
        return int(row["resolved"]), int(row["n"] - row["resolved"])

    def categories(self, since: datetime, until: datetime) -> dict[str, int]:
        """Number of diagnosed incidents by category, opened in this time."""
        opened = (incidents.c.opened_at > since, incidents.c.opened_at <= until, incidents.c.category.is_not(None))
        query = select(incidents.c.category, func.count().label("n")).where(*opened).group_by(incidents.c.category)
        return {row["category"]: row["n"] for row in rows(self._engine, query)}

    def unseen(self, since: datetime) -> tuple[int, int]:
        """Of the incidents opened after ``since``: how many have a fingerprint that no earlier one had, and how many there are."""
        earlier = select(incidents.c.fingerprint).where(incidents.c.opened_at <= since)
        fresh = func.count().filter(incidents.c.fingerprint.not_in(earlier)).label("fresh")
        (row,) = rows(self._engine, select(fresh, func.count().label("n")).where(incidents.c.opened_at > since))
        return int(row["fresh"]), int(row["n"])


def _diagnosed(table: Table, moment: Any) -> Any:
    """The diagnosis that was in force for a row of ``table`` at ``moment``."""
    earlier = diagnoses.alias()
    mine = (earlier.c.incident_id == table.c.incident_id, earlier.c.made_at <= moment)
    return select(func.max(earlier.c.id)).where(*mine).correlate(table).scalar_subquery()


def _checked(category: str | None, action_correct: bool | None, false_positive: bool, comment: str) -> dict[str, Any]:
    if category is not None and category not in (*CATEGORIES, NO_INCIDENT):
        raise StoreRefused(f"category {category!r} does not exist; one of {', '.join(CATEGORIES)}, or {NO_INCIDENT}")
    if false_positive and category not in (None, NO_INCIDENT):
        raise StoreRefused(f"a false positive has no category, but {category!r} is given; say one of the two")
    if category is None and action_correct is None and not false_positive and not comment:
        raise StoreRefused("nothing is said; give a category, whether the action was correct, that it is a false positive, or a comment")
    true_category = NO_INCIDENT if false_positive else category
    return {"category": true_category, "action_correct": action_correct, "false_positive": false_positive, "comment": comment}


def _after(column: Any, since: datetime | None) -> Iterable[ColumnElement[bool]]:
    return () if since is None else (column > since,)


def _verified(row: Any) -> VerifiedAction:
    names = ("category", "probability", "transient_probability", "anomaly", "fingerprint")
    return VerifiedAction(
        at=row["planned_at"],
        kind=row["kind"],
        waited=row["wait_seconds"] > 0,
        try_number=row["answers_try"],
        resolved=row["ended"] == str(OutcomeKind.SUCCESS),
        task=f"{row['dag_id']}/{row['task_id']}",
        **{name: row[name] for name in names},
    )
