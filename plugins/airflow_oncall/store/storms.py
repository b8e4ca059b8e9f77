"""Storms in SQL: who belongs to one, which member is its probe, and what was released.

Every change is one transaction. A change of a storm names the state it was seen in, so of two workers that act on the
same sight one finds that nothing is left to do (:class:`StormMoved`); members are only taken while nobody claims them.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import JSON, ColumnElement, Connection, Engine, and_, exists, func, insert, literal, select, update

from airflow_oncall import telemetry
from airflow_oncall.errors import StoreError
from airflow_oncall.incident import Diagnosis, Incident, Kind, OutcomeKind, State, Storm, StormState, Verdict
from airflow_oncall.store.audit import note
from airflow_oncall.store.engine import rows, transaction
from airflow_oncall.store.intake import upsert
from airflow_oncall.store.ledger import LostClaim
from airflow_oncall.store.queue import free
from airflow_oncall.store.records import diagnosis_values, incident_of, now, storm_of
from airflow_oncall.store.tables import actions, audit, decisions, diagnoses, incidents, occurrences, open_only, outcomes, storms

AT_ONCE = 500
"""Members that one transaction takes in or releases."""
SPREAD = timedelta(hours=1)
"""Held members are looked at once in this time, not all in the same minute."""
IN_FLIGHT = (State.OPEN, State.DIAGNOSED, State.WAITING, State.ACTING, State.VERIFYING, State.WATCHING)
"""A member in one of these goes its own way; ``asked`` waits for a person."""
FAILED = tuple(map(str, (OutcomeKind.FAILED_SAME, OutcomeKind.FAILED_OTHER, OutcomeKind.EXPIRED)))
"""With whatever text: the repair of a member that ended like this did not help."""


class StormMoved(StoreError):
    """Another worker took the storm on since it was read; nothing was written."""


@dataclass(frozen=True)
class Flood:
    """Open incidents with one fingerprint of which nothing is known yet."""

    fingerprint: str
    first_id: int


@dataclass(frozen=True)
class Progress:
    """How the members of a storm stand. The last three count since the newest probe or wave."""

    held: int = 0
    in_flight: int = 0
    guarded: int = 0
    """Members that were let go and that a guard has wait."""
    asked: int = 0
    left: int = 0
    """Members that are a person's."""
    succeeded: int = 0
    failed: int = 0
    """Those that were members until they failed with another cause, too."""
    moved: int = 0
    """Others moved these, so they prove nothing."""

    @property
    def is_over(self) -> bool:
        """Whether no member needs the storm any more."""
        return not (self.held or self.in_flight or self.guarded or self.asked)

    @property
    def wave_failed(self) -> bool:
        """Whether half of the wave, or more, failed again, or nothing that is left of it can prove anything."""
        return 0 < self._wave <= 2 * self.failed or (self.moved > 0 and not (self._wave or self.guarded))

    @property
    def wave_succeeded(self) -> bool:
        """Whether half of what no guard has wait was seen to succeed, or nothing of the wave is left to wait for."""
        return self.succeeded * 2 >= self._wave and (self.succeeded > 0 or not (self.guarded or self.moved))

    @property
    def only_guarded(self) -> bool:
        """Whether guards have all of the wave wait."""
        return self.guarded > 0 and not (self._wave or self.moved)

    @property
    def _wave(self) -> int:
        return self.in_flight + self.succeeded + self.failed


class Storms:
    """Storms as one triage worker sees and changes them."""

    def __init__(self, engine: Engine, worker: str) -> None:
        self._engine = engine
        self._worker = worker

    # reading

    def floods(self, least: int, window: timedelta) -> list[Flood]:
        """Fingerprints that at least so many undiagnosed task incidents share, failed within the window; the largest first."""
        n = func.count().label("n")
        recent = incidents.c.updated_at >= now() - window
        query = select(incidents.c.fingerprint, func.min(incidents.c.id).label("first")).where(self._fresh(), recent)
        query = query.group_by(incidents.c.fingerprint).having(n >= least).order_by(n.desc())
        return [Flood(row["fingerprint"], row["first"]) for row in rows(self._engine, query)]

    def cause_of(self, incident_id: int, window: timedelta) -> tuple[str, int, bool]:
        """An incident's cause, how many open ones within the window have it, and whether a storm of it is on."""
        alike = incidents.alias()
        recent = and_(alike.c.cause == incidents.c.cause, alike.c.closed_at.is_(None), alike.c.updated_at >= now() - window)
        number = select(func.count()).select_from(alike).where(recent).scalar_subquery()
        storm = exists().where(storms.c.cause == incidents.c.cause, storms.c.closed_at.is_(None))
        row = rows(self._engine, select(incidents.c.cause, number.label("n"), storm.label("is_on")).where(incidents.c.id == incident_id))[0]
        return row["cause"], row["n"], bool(row["is_on"])

    def get(self, storm_id: int) -> Storm | None:
        """One storm."""
        found = self._storms(storms.c.id == storm_id)
        return found[0] if found else None

    def open(self) -> list[Storm]:
        """Storms that are on, oldest first."""
        return self._storms(storms.c.closed_at.is_(None))

    def newest(self, limit: int) -> list[Storm]:
        """Newest first, those that are over, too."""
        return self._storms(storms.c.id.in_(select(storms.c.id).order_by(storms.c.id.desc()).limit(limit)))[::-1]

    def of(self, incident: Incident) -> Storm | None:
        """The storm that an incident is a member of, while that storm is on."""
        storm = self.get(incident.storm_id) if incident.storm_id else None
        return storm if storm and storm.state is not StormState.CLOSED else None

    def probed_by(self, incident: Incident) -> Storm | None:
        """The storm whose probe it is."""
        storm = self.of(incident)
        return storm if storm and storm.probe_id == incident.id else None

    def in_wave(self, incident: Incident) -> bool:
        """Whether it is a member of a storm whose cause was seen to be gone, as far as anybody knows now."""
        if not incident.storm_id:
            return False
        releasing = select(storms.c.id).where(storms.c.id == incident.storm_id, storms.c.state == str(StormState.RELEASING))
        return bool(rows(self._engine, releasing))

    def dags(self, storm: Storm) -> list[str]:
        """DAGs of its members."""
        query = select(incidents.c.dag_id).where(incidents.c.storm_id == storm.id).distinct().order_by(incidents.c.dag_id)
        return [row["dag_id"] for row in rows(self._engine, query)]

    def first_member(self, storm: Storm) -> Incident | None:
        """The oldest of its members; ``None`` where it has none any more."""
        query = select(incidents).where(incidents.c.storm_id == storm.id).order_by(incidents.c.id).limit(1)
        return next(map(incident_of, rows(self._engine, query)), None)

    def progress(self, storm: Storm) -> Progress:
        """How its members stand."""
        mine = incidents.c.storm_id == storm.id
        states = {row["state"]: row["n"] for row in rows(self._engine, _counted(incidents.c.state).where(mine))}
        ended = _counted(outcomes.c.kind).join(incidents, incidents.c.id == outcomes.c.incident_id)
        ended = ended.where(mine, outcomes.c.action_id.is_not(None), outcomes.c.seen_at >= _since(storm))
        kinds = {row["kind"]: row["n"] for row in rows(self._engine, ended)}
        guarded = rows(self._engine, select(func.count().label("n")).where(_guarded(storm)))[0]["n"]
        return Progress(
            held=states.get(str(State.HELD), 0),
            in_flight=sum(states.get(str(state), 0) for state in IN_FLIGHT) - guarded,
            guarded=guarded,
            asked=states.get(str(State.ASKED), 0),
            left=states.get(str(State.ESCALATED), 0),
            succeeded=kinds.get(str(OutcomeKind.SUCCESS), 0),
            failed=sum(kinds.get(kind, 0) for kind in FAILED) + self._failed_and_left(storm),
            moved=kinds.get(str(OutcomeKind.SUPERSEDED), 0),
        )

    def _failed_and_left(self, storm: Storm) -> int:
        """Repairs that this storm released and that failed with what is no member's cause."""
        for_it = decisions.c.basis["storm"].as_integer() == storm.id
        decided = and_(decisions.c.incident_id == actions.c.incident_id, decisions.c.number == actions.c.decision_number)
        query = (
            select(func.count().label("n"))
            .select_from(actions)
            .join(outcomes, outcomes.c.action_id == actions.c.id)
            .join(incidents, incidents.c.id == actions.c.incident_id)
            .join(decisions, decided)
            .where(actions.c.done_at >= _since(storm), outcomes.c.kind.in_(FAILED))
            .where(incidents.c.storm_id.is_distinct_from(storm.id), for_it)
        )
        return int(rows(self._engine, query)[0]["n"])

    def guarded_dags(self, storm: Storm) -> set[str]:
        """DAGs of members that were let go and that a guard has wait."""
        return {row["dag_id"] for row in rows(self._engine, select(incidents.c.dag_id).where(_guarded(storm)).distinct())}

    def answered_as(self, storm: Storm) -> set[str]:
        """Name and id of whoever answered its question, as far as they are known."""
        answers = (audit.c.incident_id.is_(None), audit.c.at >= storm.opened_at, audit.c.what == f"storm {storm.answer}")
        query = select(audit.c.detail).where(*answers, audit.c.detail["storm"].as_integer() == storm.id)
        newest = rows(self._engine, query.order_by(audit.c.id.desc()).limit(1))
        return {storm.answered_by, *(newest[0]["detail"].get("known_as", ()) if newest else ())}

    def candidates(self, storm: Storm, limit: int, resting: Collection[str] = (), *, with_other_text: bool = False) -> list[Incident]:
        """Held members that could be the probe, one a task: those of which least was tried come first, but of resting DAGs last.

        ``with_other_text``: none that has the fingerprint of a member that is a person's.
        """
        theirs = select(incidents.c.fingerprint).where(incidents.c.storm_id == storm.id, incidents.c.state == str(State.ESCALATED))
        which = [incidents.c.fingerprint.not_in(theirs)] if with_other_text else []
        order = (incidents.c.dag_id.in_(resting), incidents.c.decisions, incidents.c.id)
        place = func.row_number().over(partition_by=(incidents.c.dag_id, incidents.c.task_id), order_by=order)
        ranked = select(incidents.c.id, place.label("place")).where(self._held(storm, *which)).subquery()
        best = select(ranked.c.id).where(ranked.c.place == 1)
        found = rows(self._engine, select(incidents).where(incidents.c.id.in_(best)).order_by(*order).limit(limit))
        return [incident_of(row) for row in found]

    # members

    def gather_flood(self, flood: Flood, cause: str, diagnosis: Diagnosis, mode: str) -> int:
        """Take all incidents of a flood into the storm of this cause, which begins with the first; the number taken."""
        return self._gather(and_(self._fresh(), incidents.c.fingerprint == flood.fingerprint), cause, diagnosis, mode, undiagnosed=True)

    def gather_cause(self, cause: str, diagnosis: Diagnosis, mode: str) -> int:
        """Take all diagnosed incidents of this cause into a storm; the number taken."""
        diagnosed = and_(incidents.c.state == str(State.DIAGNOSED), incidents.c.storm_id.is_(None), free(self._worker))
        return self._gather(and_(open_only, diagnosed, incidents.c.cause == cause), cause, diagnosis, mode)

    def join(self, incident: Incident, cause: str, diagnosis: Diagnosis, mode: str) -> int:
        """Take one diagnosed incident into the storm of its cause; 1, or 0 where it is not ours to move any more."""
        mine = and_(incidents.c.id == incident.id, incidents.c.state == str(State.DIAGNOSED), incidents.c.claimed_by == self._worker)
        return self._gather(and_(open_only, mine), cause, diagnosis, mode)

    def put_back(self, incident: Incident, due_in: float, detail: str) -> Incident:
        """Hold a released member again while a question of its storm is open."""
        mine = and_(incidents.c.id == incident.id, incidents.c.claimed_by == self._worker, incidents.c.claimed_until > now())
        values = {"state": str(State.HELD), "due_at": now() + timedelta(seconds=due_in), "looks": 1, "detail": detail}
        with transaction(self._engine) as connection:
            statement = update(incidents).where(mine, incidents.c.try_number == incident.try_number).values(values)
            row = connection.execute(statement.returning(incidents)).mappings().first()
        if row is None:
            raise LostClaim(f"incident {incident.id} is no longer ours to hold: it was claimed by another or a newer try failed")
        return incident_of(row)

    # the storm itself

    def probe(self, storm: Storm, incident_id: int, state: StormState, detail: str) -> None:
        """Send one held member ahead of the others."""
        also = {"probe_id": incident_id, "probes": storm.probes + 1, "wave": 0, "since": now(), "due_at": None}
        with transaction(self._engine) as connection:
            ids = _choose(connection, self._held(storm, incidents.c.id == incident_id), 1)
            if not ids:
                raise StormMoved(f"incident {incident_id} is no longer held by storm {storm.id}, or another worker has it")
            self._change(connection, storm, state, detail, **also)
            _let_go(connection, ids)

    def release(self, storm: Storm, size: int, asking_too: bool, detail: str, resting: Collection[str] = ()) -> int:
        """Let the next wave go; without ``asking_too`` only members that were not put back, and none of resting DAGs.

        The number of those that went.
        """
        which = self._held(storm, incidents.c.dag_id.not_in(resting), *(() if asking_too else (incidents.c.looks == 0,)))
        with transaction(self._engine) as connection:
            ids = _choose(connection, which, size)
            if ids:
                self._change(connection, storm, StormState.RELEASING, detail, wave=storm.wave + 1, since=now(), due_at=None)
                _let_go(connection, ids)
        return len(ids)

    def move(self, storm: Storm, state: StormState, detail: str, due_in: float | None = None) -> None:
        """Set the state and, where it waits, until when. It only closes while no member is held."""
        also: dict[str, Any] = {"due_at": None if due_in is None else now() + timedelta(seconds=due_in)}
        with transaction(self._engine) as connection:
            # The row is locked before its members are counted: who joins locks it first, too.
            connection.execute(select(storms.c.id).where(storms.c.id == storm.id).with_for_update())
            if state is StormState.CLOSED:
                also |= {"closed_at": now()}
                held = and_(incidents.c.storm_id == storm.id, incidents.c.state == str(State.HELD))
                if connection.execute(select(incidents.c.id).where(held).limit(1)).first():
                    raise StormMoved(f"storm {storm.id} has a member again that waits for it")
            self._change(connection, storm, state, detail, **also)

    def probe_again(self, storm: Storm, user: str, reason: str) -> None:
        """Let the next probe come now, as the first one; where its question was rejected, it may be asked again."""
        answer = {} if storm.answer == "approved" else {"answer": "", "answered_by": ""}
        with transaction(self._engine) as connection:
            self._change(connection, storm, StormState.WAITING, _said("released", user, reason), probes=0, due_at=now(), **answer)
            _audit(connection, storm, "storm released", {"by": user, "reason": reason}, actor=user)

    def disband(self, storm: Storm, user: str, reason: str) -> int:
        """End it: whoever it holds is decided about as if there were none; the number of those."""
        with transaction(self._engine) as connection:
            self._change(connection, storm, StormState.CLOSED, _said("disbanded", user, reason), due_at=None, closed_at=now())
            ids = _choose(connection, self._held(storm), storm.members)
            _let_go(connection, ids, looks=1)  # as what waited: it is looked at before it is decided about
            _audit(connection, storm, "storm disbanded", {"by": user, "reason": reason, "members": len(ids)}, actor=user)
        return len(ids)

    def answered(self, storm: Storm, approved: bool, user: str, known_as: Collection[str] = ()) -> None:
        """Keep what a person said to its question: it holds for every member that would be asked about.

        ``known_as``: name and id, by either of which a policy may name approvers.
        """
        answer = "approved" if approved else "rejected"
        with transaction(self._engine) as connection:
            connection.execute(update(storms).where(storms.c.id == storm.id).values(answer=answer, answered_by=user))
            _audit(connection, storm, f"storm {answer}", {"by": user, "known_as": sorted(known_as)}, actor=user)

    # inner workings

    def _fresh(self) -> ColumnElement[bool]:
        """Failed task instances that nobody has looked into; what a person marked failed is no part of a storm."""
        newest = and_(occurrences.c.incident_id == incidents.c.id, occurrences.c.try_number == incidents.c.try_number)
        by_hand = exists().where(newest, occurrences.c.by_hand).correlate(incidents)
        known = and_(incidents.c.kind == str(Kind.TASK), incidents.c.state == str(State.OPEN), incidents.c.fingerprint != "")
        return and_(open_only, known, free(self._worker), ~by_hand)

    def _gather(self, which: ColumnElement[bool], cause: str, diagnosis: Diagnosis, mode: str, *, undiagnosed: bool = False) -> int:
        taken = 0
        while ids := self._gather_some(which, cause, diagnosis, mode, undiagnosed, spread=taken // AT_ONCE % 20 / 20):
            taken += ids
            if ids < AT_ONCE:
                break
        return taken

    def _gather_some(
        self, which: ColumnElement[bool], cause: str, diagnosis: Diagnosis, mode: str, undiagnosed: bool, spread: float
    ) -> int:
        with transaction(self._engine) as connection:
            ids = _choose(connection, which, AT_ONCE)
            if not ids:
                return 0
            storm_id = self._begin(connection, cause, diagnosis.category)
            detail = f"held: member of storm {storm_id} ({cause})"
            values = {"state": str(State.HELD), "storm_id": storm_id, "cause": cause, "category": diagnosis.category, "looks": 0}
            values |= {"detail": detail, "updated_at": now(), "due_at": now() + SPREAD * (1 + spread) / 2}
            fresh = _undiagnosed_by_source(connection, ids)
            mine = update(incidents).where(incidents.c.id.in_(ids))
            connection.execute(mine.values(values | {"decisions": incidents.c.decisions + 1}))
            if undiagnosed:
                _copy_diagnosis(connection, ids, diagnosis)
            _note_members(connection, ids, detail, diagnosis, mode)
        for source, number in fresh:
            telemetry.count("incidents", number, source=source, category=diagnosis.category)
        telemetry.count("decisions", len(ids), verdict=str(Verdict.WAIT))
        return len(ids)

    def _begin(self, connection: Connection, cause: str, category: str) -> int:
        """The storm of this cause that is on; a new one where none is."""
        row = {"cause": cause, "category": category, "state": str(StormState.PROBING), "opened_at": now()}
        statement = upsert(self._engine, storms).values(row)
        same = storms.c.cause  # a change without effect locks the row and gives its id back
        statement = statement.on_conflict_do_update(index_elements=["cause"], index_where=open_only, set_={"cause": same})
        return int(connection.execute(statement.returning(storms.c.id)).scalar_one())

    def _held(self, storm: Storm, *which: ColumnElement[bool]) -> ColumnElement[bool]:
        return and_(incidents.c.storm_id == storm.id, incidents.c.state == str(State.HELD), free(self._worker), *which)

    @staticmethod
    def _change(connection: Connection, storm: Storm, state: StormState, detail: str, **also: Any) -> None:
        as_seen = {"state": str(storm.state), "probes": storm.probes, "wave": storm.wave, "closed_at": None}
        mine = (storms.c.id == storm.id, *(storms.c[name].is_not_distinct_from(value) for name, value in as_seen.items()))
        changed = connection.execute(update(storms).where(*mine).values(also | {"state": str(state), "detail": detail}))
        if changed.rowcount != 1:
            raise StormMoved(f"storm {storm.id} is no longer {storm.state}: another worker took it on")
        if (state, detail) != (storm.state, storm.detail):  # a look that found no news is no history
            _audit(connection, storm, f"storm {state}", {"detail": detail})

    def _storms(self, which: ColumnElement[bool]) -> list[Storm]:
        members = select(func.count()).where(incidents.c.storm_id == storms.c.id)
        held = members.where(incidents.c.state == str(State.HELD)).scalar_subquery().label("held")
        query = select(storms, members.scalar_subquery().label("members"), held).where(which).order_by(storms.c.id)
        return [storm_of(row) for row in rows(self._engine, query)]


def _since(storm: Storm) -> datetime:
    return storm.since or storm.opened_at


def _guarded(storm: Storm) -> ColumnElement[bool]:
    """Members that were looked at after they were let go, and not decided about."""
    return and_(incidents.c.storm_id == storm.id, incidents.c.state == str(State.DIAGNOSED), incidents.c.looks > 0)


def _choose(connection: Connection, which: ColumnElement[bool], limit: int) -> list[int]:
    """Lock some incidents that nobody else is about to change: those that waited least often first."""
    some = select(incidents.c.id).where(which).order_by(incidents.c.looks, incidents.c.id).limit(limit)
    return list(connection.execute(some.with_for_update(skip_locked=True)).scalars())


def _let_go(connection: Connection, ids: list[int], looks: int = 0) -> None:
    values = {"state": str(State.DIAGNOSED), "due_at": now(), "looks": looks, "updated_at": now()}
    for start in range(0, len(ids), AT_ONCE):
        some = ids[start : start + AT_ONCE]
        connection.execute(update(incidents).where(incidents.c.id.in_(some)).values(values))
        _note(connection, some, "released", {"state": str(State.DIAGNOSED)})


def _said(what: str, user: str, reason: str) -> str:
    return f"{what} by {user}" + (f": {reason}" if reason else "")


def _counted(column: Any) -> Any:
    return select(column, func.count().label("n")).group_by(column)


def _undiagnosed_by_source(connection: Connection, ids: list[int]) -> list[tuple[str, int]]:
    fresh = _counted(incidents.c.source).where(incidents.c.id.in_(ids), incidents.c.category.is_(None))
    return [(row.source, row.n) for row in connection.execute(fresh)]


def _copy_diagnosis(connection: Connection, ids: list[int], diagnosis: Diagnosis) -> None:
    """What one member was found to have is what they all have: the same text failed them."""
    given = diagnosis_values(diagnosis) | {"made_at": now(), "decided_by": "storm"}
    values = {name: literal(value, diagnoses.c[name].type) for name, value in given.items()}
    whom = {"incident_id": incidents.c.id, "try_number": incidents.c.try_number}
    _insert_for(connection, diagnoses, ids, whom | values)


def _note_members(connection: Connection, ids: list[int], detail: str, diagnosis: Diagnosis, mode: str) -> None:
    reasons = [
        f"One member of the storm is repaired before the others: {detail}.",
        f"Category {diagnosis.category} with probability {diagnosis.probability:.0%}, by {diagnosis.decided_by}.",
    ]
    decided = {
        "incident_id": incidents.c.id,
        "number": incidents.c.decisions,
        "answers_try": incidents.c.try_number,
        "verdict": literal(str(Verdict.WAIT)),
        "probability": literal(diagnosis.transient_probability),
        "wait_seconds": literal(0),
        "mode": literal(mode),
        "reasons": literal(reasons, JSON),
        "made_at": literal(now(), decisions.c.made_at.type),
    }
    _insert_for(connection, decisions, ids, decided)
    _note(connection, ids, "decided wait", {"state": str(State.HELD), "detail": detail})


def _note(connection: Connection, ids: list[int], what: str, detail: dict[str, Any]) -> None:
    for incident_id in ids:
        note(connection, "triage", what, detail, incident_id=incident_id)


def _insert_for(connection: Connection, table: Any, ids: list[int], values: dict[str, Any]) -> None:
    """One row an incident, made in the database."""
    moved = select(*values.values()).where(incidents.c.id.in_(ids)).order_by(incidents.c.id)
    connection.execute(insert(table).from_select(list(values), moved))


def _audit(connection: Connection, storm: Storm, what: str, detail: dict[str, Any], actor: str = "triage") -> None:
    note(connection, actor, what, detail | {"storm": storm.id})
