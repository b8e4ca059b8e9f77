"""Experiments: actions that compete for one cause, and how those ended that each arm was given."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Connection, Engine, and_, func, insert, select, update

from airflow_oncall.errors import StoreRefused
from airflow_oncall.incident import ActionState
from airflow_oncall.store.audit import note
from airflow_oncall.store.engine import transaction
from airflow_oncall.store.outcomes import ENDED, SUCCESS
from airflow_oncall.store.records import now
from airflow_oncall.store.tables import actions, decisions, experiments, of_an_arm, outcomes

HASH, THOMPSON = "hash", "thompson"
_REFUSED = (str(ActionState.SUPERSEDED), str(ActionState.REFUSED), str(ActionState.DROPPED))


@dataclass(frozen=True)
class Experiment:
    """Actions that compete for incidents of one category, or of one fingerprint of it."""

    name: str
    category: str
    arms: tuple[str, ...]
    assignment: str
    """``hash``: equal shares. ``thompson``: the more promising an arm, the larger its share."""
    started_by: str
    started_at: datetime
    fingerprint: str = ""
    """Empty: all of the category, but for fingerprints that have an experiment of their own."""
    stopped_at: datetime | None = None
    detail: str = ""


class ArmCounts(NamedTuple):
    """What became of the actions of one arm."""

    successes: int = 0
    failures: int = 0
    under_way: int = 0
    """Their end was not seen yet."""
    not_done: int = 0
    """Rejected by a person, overtaken, or refused by Airflow: they tell nothing."""


class Experiments:
    """Starts and stops experiments, and reads them."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def start(self, experiment: Experiment) -> None:
        """Begin it. Raises ``StoreRefused`` when the name is taken or another one about the same is running."""
        with transaction(self._engine) as connection:
            if connection.execute(select(experiments.c.id).where(experiments.c.name == experiment.name)).first():
                raise StoreRefused(f"an experiment {experiment.name!r} was there before; its results keep the name, take another one")
            same = (experiments.c.category == experiment.category, experiments.c.fingerprint == experiment.fingerprint, _running)
            other = connection.execute(select(experiments.c.name).where(*same)).scalar()
            if other:
                raise StoreRefused(f"experiment {other!r} about {experiment.category} is running; stop it first")
            names = ("name", "category", "fingerprint", "assignment", "started_by", "started_at", "detail")
            row: dict[str, Any] = {name: getattr(experiment, name) for name in names} | {"arms": list(experiment.arms)}
            connection.execute(insert(experiments).values(row))
            told = {name: row[name] for name in ("name", "category", "fingerprint", "arms", "assignment", "detail")}
            note(connection, experiment.started_by, "experiment started", told)

    def stop(self, name: str, actor: str, reason: str = "") -> Experiment:
        """End it; what it decided so far stays. Raises ``StoreRefused`` when no such experiment is running."""
        with transaction(self._engine) as connection:
            stopped = update(experiments).where(experiments.c.name == name, _running).values(stopped_at=now()).returning(experiments)
            row = connection.execute(stopped).mappings().first()
            if row is None:
                raise StoreRefused(f"no experiment {name!r} is running; `airflow oncall experiments list` shows those there are")
            note(connection, actor, "experiment stopped", {"name": name, "detail": reason})
            return _experiment(row)

    def get(self, name: str) -> Experiment | None:
        """One experiment, running or not."""
        return next(iter(self._read(experiments.c.name == name)), None)

    def all(self) -> list[Experiment]:
        """Every experiment, the newest first."""
        return self._read()[::-1]

    def running(self, category: str, fingerprint: str) -> Experiment | None:
        """The experiment that an incident is part of: that of its fingerprint before that of its category."""
        about = experiments.c.fingerprint.in_({fingerprint, ""})
        found = self._read(_running, experiments.c.category == category, about)
        return max(found, key=lambda one: bool(one.fingerprint), default=None)

    def counts(self, experiment: Experiment, newest: int | None = None) -> dict[str, ArmCounts]:
        """Of every arm what became of its actions, also of those that a person had to approve; of so many of its newest decisions."""
        with transaction(self._engine, reading=True) as connection:
            return {arm: _counts(connection, experiment, arm, newest) for arm in experiment.arms}

    def _read(self, *where: Any) -> list[Experiment]:
        with transaction(self._engine, reading=True) as connection:
            rows: Sequence[Any] = connection.execute(select(experiments).where(*where).order_by(experiments.c.id)).mappings().all()
        return [_experiment(row) for row in rows]


_running = experiments.c.stopped_at.is_(None)


def _counts(connection: Connection, experiment: Experiment, arm: str, newest: int | None) -> ArmCounts:
    given = (of_an_arm, decisions.c.arm == f"{experiment.name}/{arm}", decisions.c.made_at >= experiment.started_at)
    drawn = select(decisions.c.incident_id, decisions.c.number).where(*given).order_by(decisions.c.made_at.desc()).limit(newest).subquery()
    query = (
        select(actions.c.state, outcomes.c.kind, func.count().label("n"))
        .join(drawn, and_(drawn.c.incident_id == actions.c.incident_id, drawn.c.number == actions.c.decision_number))
        .outerjoin(outcomes, outcomes.c.action_id == actions.c.id)
        .group_by(actions.c.state, outcomes.c.kind)
    )
    found = ArmCounts()
    for row in connection.execute(query):
        field = _field(row.state, row.kind)
        found = found._replace(**{field: getattr(found, field) + row.n})
    return found


def _field(state: str, ended: str | None) -> str:
    if ended == SUCCESS:
        return "successes"
    if ended in ENDED:
        return "failures"
    return "not_done" if ended or state in _REFUSED else "under_way"


def _experiment(row: Any) -> Experiment:
    names = ("name", "category", "assignment", "started_by", "started_at", "fingerprint", "stopped_at", "detail")
    return Experiment(arms=tuple(row["arms"]), **{name: row[name] for name in names})
