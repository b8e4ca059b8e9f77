"""What people are to be told of incidents and storms: an outbox, so that each is told once, and again only after a crash.

    waiting ─┬─ told ── its subject is over ──> done, and a last notice to whoever was told
             ├─ failed too often ─────────────> failed
             └─ nothing to tell any more ─────> dropped; told, where nobody knows whether a message went

A notice is one occasion for one notifier, which is named by its place in the policy. A unique index makes the same one
twice impossible; only who holds the lease of a notifier sends through it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from itertools import groupby
from typing import Any

from sqlalchemy import Connection, Engine, and_, case, delete, distinct, exists, func, literal_column, or_, select, update

from airflow_oncall.store.audit import note
from airflow_oncall.store.engine import transaction
from airflow_oncall.store.intake import upsert
from airflow_oncall.store.records import now
from airflow_oncall.store.tables import incidents, notices, notifiers, open_only, storms

MOST_TRIES = 8
"""After so many tries, about two hours, a notice is given up."""
FAILURES_OF_ONE = 3
"""So many failures in a row are the notifier's and not those of one message: it rests."""
LONGEST_REST = timedelta(hours=1)


class Occasion(str, Enum):
    """Why people are told."""

    ASKED = "asked"
    ESCALATED = "escalated"
    HANDED_OVER = "handed_over"  # a storm whose probes failed
    LEFT = "left"  # what a storm that is over leaves to people
    RESOLVED = "resolved"  # the last word to whoever was told before

    def __str__(self) -> str:
        return self.value


class NoticeState(str, Enum):
    """Where a notice stands, see the module."""

    WAITING = "waiting"
    TOLD = "told"
    DONE = "done"
    FAILED = "failed"
    DROPPED = "dropped"

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True)
class Notice:
    """One occasion for one notifier."""

    incident_id: int
    """Of a storm its probe."""
    number: int
    """Of the decision that it is about."""
    occasion: Occasion
    place: str
    """Of the notifier in the policy, e.g. ``routes.default.0``."""
    detail: str
    """What is to be told, as it was known when the notice was made."""
    storm_id: int | None = None
    """The storm that people are told of in place of the incident."""
    after: int = 0
    """Minutes that it waits for somebody to answer first."""
    id: int = 0
    tries: int = 0
    made_at: datetime | None = None
    """When it was stored."""
    message_id: int | None = None
    """Of a message that told of it, or perhaps did; ``None`` where none did."""


@dataclass(frozen=True)
class Trouble:
    """A notifier that failed and was not seen to succeed since."""

    place: str
    failures: int
    """In a row."""
    problem: str
    rests_until: datetime | None


class Notices:
    """The outbox."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def add(self, made: Sequence[Notice]) -> None:
        """Store notices; those that are there already stay as they are."""
        if not made:
            return
        with transaction(self._engine) as connection:
            self._insert(connection, [_row(notice) for notice in made])
            for notice in made:
                if notice.occasion is Occasion.LEFT:  # it is the storm's last word, so what was told before needs no other
                    before = (notices.c.storm_id == notice.storm_id, notices.c.place == notice.place, _is(NoticeState.TOLD))
                    connection.execute(update(notices).where(*before).values(state=str(NoticeState.DONE)))

    def finish(self) -> None:
        """Make the last notice about each subject that is over, for every notifier that told of it."""
        closed = or_(and_(notices.c.storm_id.is_(None), incidents.c.closed_at.is_not(None)), storms.c.closed_at.is_not(None))
        said = (incidents.c.detail.label("of_incident"), storms.c.detail.label("of_storm"))
        joined = notices.join(incidents, incidents.c.id == notices.c.incident_id).outerjoin(storms, storms.c.id == notices.c.storm_id)
        told = select(notices, *said).select_from(joined).where(_is(NoticeState.TOLD), closed)
        found = self._rows(told)
        if found:
            with transaction(self._engine) as connection:
                self._insert(connection, list(_last_words(found)))
                self._set(connection, [row["id"] for row in found], NoticeState.DONE)

    def places_due(self) -> list[str]:
        """Notifiers for which something is due, but for those that rest."""
        rests = exists().where(notifiers.c.place == notices.c.place, notifiers.c.rests_until > now())
        return [row["place"] for row in self._rows(select(notices.c.place).where(*_due(), ~rests).distinct())]

    def due(self, place: str, limit: int) -> list[Notice]:
        """Due notices of one notifier, so many at most of what people have to know and of what is over, so that neither hides the other.

        Those that failed least often come first, so that one that always fails stops no other.
        """
        query = select(notices).where(*_due(), notices.c.place == place).order_by(notices.c.tries, notices.c.due_at, notices.c.id)
        is_over = notices.c.occasion == str(Occasion.RESOLVED)
        return [_notice(row) for kind in (~is_over, is_over) for row in self._rows(query.where(kind).limit(limit))]

    def told_since(self, place: str, since: datetime) -> int:
        """Messages that one notifier took since then."""
        told = (notices.c.place == place, notices.c.told_at >= since, notices.c.told_at <= now())  # not by a clock that was ahead
        query = select(func.count(distinct(notices.c.message_id)).label("n")).where(*told)
        return int(self._rows(query)[0]["n"])

    def tell_later(self, ids: Sequence[int], until: datetime) -> None:
        """Nothing was tried: they are due later."""
        with transaction(self._engine) as connection:
            connection.execute(update(notices).where(notices.c.id.in_(ids)).values(due_at=until))

    def begin_later(self, first: Notice, at: datetime) -> None:
        """All that is not told yet of this occasion begins then; later steps wait their time from there."""
        same = (notices.c.incident_id == first.incident_id, notices.c.number == first.number, notices.c.occasion == str(first.occasion))
        with transaction(self._engine) as connection:
            for row in connection.execute(select(notices.c.id, notices.c.after).where(_is(NoticeState.WAITING), *same)).all():
                begins = at + timedelta(minutes=row.after)
                connection.execute(update(notices).where(notices.c.id == row.id).values(due_at=begins))

    def begin(self, sending: Sequence[Notice]) -> None:
        """One message about all of these is being sent; killed meanwhile, nobody knows whether it went."""
        ids = [notice.id for notice in sending]
        with transaction(self._engine) as connection:
            connection.execute(update(notices).where(notices.c.id.in_(ids)).values(message_id=ids[0]))

    def drop(self, ids: Sequence[int]) -> None:
        """There is nothing to tell any more; what may have gone all the same counts as told, so that its end is told, too."""
        if not ids:
            return
        state = case((notices.c.message_id.is_(None), str(NoticeState.DROPPED)), else_=str(NoticeState.TOLD))
        with transaction(self._engine) as connection:
            connection.execute(update(notices).where(notices.c.id.in_(ids)).values(state=state))

    def told(self, sent: Sequence[Notice]) -> None:
        """One message told of all of these."""
        ids, place = [notice.id for notice in sent], sent[0].place
        with transaction(self._engine) as connection:
            self._set(connection, ids, NoticeState.TOLD, told_at=now(), message_id=ids[0])
            connection.execute(delete(notifiers).where(notifiers.c.place == place))
            for notice in sent:
                occasion = str(notice.occasion).replace("_", " ")
                note(connection, "triage", "told", {"detail": f"{place} was told: {occasion}"}, incident_id=notice.incident_id)

    def failed(self, unsent: Sequence[Notice], problem: str, *, hung: bool) -> None:
        """One message about all of these did not go: they are tried again, each time later, and given up in the end.

        What is wrong is written on their incidents at the first and at the last time. A message that hung may have gone.
        """
        place = unsent[0].place
        with transaction(self._engine) as connection:
            for notice in unsent:
                tries = notice.tries + 1
                state = NoticeState.WAITING if tries < MOST_TRIES else NoticeState.FAILED
                message_id = unsent[0].id if hung else notice.message_id
                self._set(connection, [notice.id], state, tries=tries, due_at=now() + _grown(tries), message_id=message_id)
                if tries == 1 or state is NoticeState.FAILED:
                    given_up = f"{problem}; given up after {tries} tries" if tries > 1 else problem
                    _write_on_incident(connection, notice, given_up)
            self._count_failure(connection, place, problem, hung=hung)

    def troubles(self) -> list[Trouble]:
        """Notifiers that do not work, in alphabetical order."""
        rows = self._rows(select(notifiers).order_by(notifiers.c.place))
        return [Trouble(row["place"], row["failures"], row["problem"], row["rests_until"]) for row in rows]

    def given_up_since(self, since: datetime) -> int:
        """Notices that were given up; nobody was told by that way."""
        query = select(func.count().label("n")).where(_is(NoticeState.FAILED), notices.c.made_at >= since)
        return int(self._rows(query)[0]["n"])

    # inner workings

    def _insert(self, connection: Connection, rows: list[dict[str, Any]]) -> None:
        if rows:
            connection.execute(upsert(self._engine, notices).on_conflict_do_nothing(index_elements=_SAME), rows)

    @staticmethod
    def _set(connection: Connection, ids: Sequence[int], state: NoticeState, **also: Any) -> None:
        connection.execute(update(notices).where(notices.c.id.in_(ids)).values(state=str(state), **also))

    def _count_failure(self, connection: Connection, place: str, problem: str, *, hung: bool) -> None:
        known = connection.execute(select(notifiers.c.failures).where(notifiers.c.place == place)).scalar() or 0
        failures = known + 1
        rest = now() + _grown(failures + 1) if hung or failures >= FAILURES_OF_ONE else None
        fresh = {"failures": failures, "problem": problem, "rests_until": rest, "changed_at": now()}
        statement = upsert(self._engine, notifiers).values(place=place, **fresh)
        connection.execute(statement.on_conflict_do_update(index_elements=["place"], set_=fresh))

    def _rows(self, query: Any) -> Sequence[Any]:
        with transaction(self._engine, reading=True) as connection:
            return connection.execute(query).mappings().all()


_SAME = ["incident_id", "number", "occasion", "place"]


def _is(state: NoticeState) -> Any:
    # Written out, not bound: SQLite uses a partial index only where the text of the statement names its condition.
    return notices.c.state == literal_column(f"'{state}'")


def _due() -> tuple[Any, ...]:
    return _is(NoticeState.WAITING), notices.c.due_at <= now()


def _grown(failures: int) -> timedelta:
    """The wait after so many failures: a minute, then twice as long each time."""
    return min(timedelta(minutes=2 ** min(failures - 1, 10)), LONGEST_REST)


def _row(notice: Notice) -> dict[str, Any]:
    at = now()
    names = ("incident_id", "number", "place", "storm_id", "detail", "after")
    own = {name: getattr(notice, name) for name in names}
    due = at + timedelta(minutes=notice.after)
    return own | {"occasion": str(notice.occasion), "state": str(NoticeState.WAITING), "made_at": at, "due_at": due}


def _notice(row: Any) -> Notice:
    names = ("id", "incident_id", "number", "place", "storm_id", "detail", "after", "tries", "made_at", "message_id")
    return Notice(occasion=Occasion(row["occasion"]), **{name: row[name] for name in names})


def _last_words(found: Sequence[Any]) -> Iterator[dict[str, Any]]:
    """One a subject and notifier, unless it had its last word already."""
    for _, rows in groupby(sorted(found, key=lambda row: (_thread(row), row["id"])), key=_thread):
        mine = list(rows)
        if not any(row["occasion"] in (Occasion.LEFT, Occasion.RESOLVED) for row in mine):
            first = mine[0]
            detail = first["of_storm"] if first["storm_id"] else first["of_incident"]
            yield _row(Notice(first["incident_id"], first["number"], Occasion.RESOLVED, first["place"], detail, first["storm_id"]))


def _thread(row: Any) -> tuple[int, int, str]:
    """What one notifier tells of one subject."""
    return row["storm_id"] or 0, 0 if row["storm_id"] else row["incident_id"], row["place"]


def _write_on_incident(connection: Connection, notice: Notice, problem: str) -> None:
    mine = and_(incidents.c.id == notice.incident_id, open_only)
    detail = connection.execute(select(incidents.c.detail).where(mine)).scalar()
    if detail is not None and problem not in detail:
        connection.execute(update(incidents).where(mine).values(detail=f"{detail}; {problem}" if detail else problem))
    note(connection, "triage", "not told", {"detail": problem}, incident_id=notice.incident_id)
