"""Reading the audit log, checking that nobody changed it, and cutting off its oldest part."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, Engine, and_, exists, func, or_, select, update

from airflow_oncall.store.audit import BEGINNING, CUT, ERASED, HEAD, digest_of, hash_of, note
from airflow_oncall.store.engine import transaction
from airflow_oncall.store.retention import in_batches
from airflow_oncall.store.tables import audit, audit_head

AT_ONCE = 5_000


class AuditRow(NamedTuple):
    """One row, as people see it."""

    id: int
    at: datetime
    actor: str
    what: str
    incident_id: int | None
    detail: Any


class AuditCheck(NamedTuple):
    """What a check of the whole log found."""

    rows: int
    erased: int
    """Rows whose detail was deleted with the data of a DAG, as a later row says."""
    head: str
    """Hash of the newest row. Kept elsewhere, it shows whether the log was written anew."""
    row: int | None = None
    """The first row at which the log is not what was written."""
    problem: str = ""


class Problem(NamedTuple):
    """A row at which the log is not what was written, and how."""

    row: int
    text: str


class AuditLog:
    """Rows are added by :func:`airflow_oncall.store.audit.note` only, and none is ever changed but by :func:`erase`."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def rows(
        self, *, limit: int, before: int | None = None, actor: str | None = None, what: str | None = None, incident_id: int | None = None
    ) -> list[AuditRow]:
        """Rows, the newest first."""
        asked = {"actor": actor, "what": what, "incident_id": incident_id}
        which = [audit.c[name] == value for name, value in asked.items() if value is not None]
        if before is not None:
            which.append(audit.c.id < before)
        query = select(*(audit.c[name] for name in AuditRow._fields)).where(*which).order_by(audit.c.id.desc()).limit(limit)
        with transaction(self._engine, reading=True) as connection:
            return [AuditRow(*row) for row in connection.execute(query)]

    def head(self) -> str:
        """Hash of the newest row."""
        with transaction(self._engine, reading=True) as connection:
            return str(connection.execute(select(audit_head.c.hash).where(HEAD)).scalar_one())

    def verify(self, known: str = "") -> AuditCheck:
        """Read the whole log, also while others add to it. ``known``: a hash that the log had once, which must still be in it."""
        check = _Check(known)
        for row in self._all(check):
            check.look(row)
        at_the_end = None if check.broken else self._ends(check)
        return check.result(at_the_end, self._oldest())

    def cut(self, before: datetime) -> int:
        """Delete what is older than this, and leave a row that says so, from which the check begins; the number of deleted rows.

        Killed midway, the next call goes on.
        """
        with transaction(self._engine) as connection:
            kept = select(func.min(audit.c.id)).where(audit.c.at >= before).scalar_subquery()
            query = select(audit.c.id, audit.c.hash).where(audit.c.at < before, (audit.c.id < kept) | kept.is_(None))
            last = connection.execute(query.order_by(audit.c.id.desc()).limit(1)).first()
            if last is not None:
                note(connection, "retention", CUT, {"through": last.id, "hash": last.hash})
        through = self._cut_through()
        if through is None:
            return 0
        some = select(audit.c.id).where(audit.c.id <= through).order_by(audit.c.id)
        return in_batches(self._engine, audit, some)

    def _oldest(self) -> int:
        with transaction(self._engine, reading=True) as connection:
            return connection.execute(select(func.min(audit.c.id))).scalar() or 0

    def _cut_through(self) -> int | None:
        query = select(audit.c.detail).where(audit.c.what == CUT).order_by(audit.c.id.desc()).limit(1)
        with transaction(self._engine, reading=True) as connection:
            newest = connection.execute(query).scalar()
        return newest["through"] if newest else None

    def _all(self, check: _Check) -> Iterator[Any]:
        """Every row; ``check`` is told the head as it was when the row was read."""
        head = select(audit_head.c.hash).where(HEAD).scalar_subquery().label("head")
        last = 0
        while True:
            with transaction(self._engine, reading=True) as connection:
                page = connection.execute(select(audit, head).where(audit.c.id > last).order_by(audit.c.id).limit(AT_ONCE)).mappings().all()
            if not page:
                return
            check.head = page[-1]["head"]
            yield from page
            last = page[-1]["id"]

    def _ends(self, check: _Check) -> Problem | None:
        """Whether the log ends where its head says."""
        if check.last is None:
            empty = select(audit_head.c.hash).where(HEAD, ~exists().where(audit.c.id > 0))  # in one look: rows may come meanwhile
            with transaction(self._engine, reading=True) as connection:
                lost = connection.execute(empty).scalar() not in (BEGINNING, None)
            return Problem(1, "every row was removed") if lost else None
        if check.last["hash"] == check.head:
            return None
        with transaction(self._engine, reading=True) as connection:
            end = connection.execute(select(audit.c.id).where(audit.c.hash == check.head)).scalar()
            if end is None:
                return Problem(check.last["id"] + 1, "rows at the end were removed")
            added = connection.execute(select(func.min(audit.c.id)).where(audit.c.id > end)).scalar_one()
        return Problem(added, "it was added past the store's own code")


class _Gap(NamedTuple):
    """A place where rows are missing, which may have been cut off."""

    problem: Problem
    after: int
    """The row before it; 0: there is none."""
    row: int
    """The row behind it."""
    follows: str
    """Hash of the row that it followed."""


@dataclass
class _Check:
    """A walk through the log, oldest row first."""

    known: str
    head: str = BEGINNING
    rows: int = 0
    last: Any = None
    before: str = BEGINNING
    """Hash of the row before the last one."""
    gaps: list[_Gap] = field(default_factory=list)
    broken: Problem | None = None
    emptied: dict[int, Problem] = field(default_factory=dict)
    """Rows without detail of which no row so far says why."""
    erased: int = 0
    cut: Any = None

    def look(self, row: Any) -> None:
        """Look at one more row. Behind the first wrong one, only what later rows say of the log itself counts."""
        if not self.broken:
            self.broken = self._own(row) or self._link(row)
        if not row["salt"]:
            self.emptied[row["id"]] = Problem(row["id"], "its detail was taken out, and no later row says so")
        elif row["what"] == ERASED:
            self.erased += sum(self.emptied.pop(number, None) is not None for number in self._said(row, "rows").get("rows", ()))
        elif row["what"] == CUT and (cut := self._said(row, "through", "hash")) and (not self.cut or cut["through"] > self.cut["through"]):
            self.cut = cut
        self.known = "" if row["hash"] == self.known else self.known
        self.rows, self.before, self.last = self.rows + 1, row["prev_hash"], row

    def result(self, at_the_end: Problem | None, oldest: int) -> AuditCheck:
        """What was found, with what only the end of the log tells; ``oldest``: the first row that is there by now."""
        gaps = [gap.problem for gap in self.gaps if not self._was_cut(gap, oldest)]
        found = sorted(filter(None, (self.broken, at_the_end, *gaps, *self.emptied.values())))
        if found:
            return AuditCheck(self.rows, self.erased, self.head, *found[0])
        if self.known and not self.gaps:
            gone = f"no row has the hash {self.known}: the log was written anew, or that hash is of another store"
            return AuditCheck(self.rows, self.erased, self.head, None, gone)
        return AuditCheck(self.rows, self.erased, self.head)

    def _said(self, row: Any, *names: str) -> Mapping[str, Any]:
        """What a row says of the log itself; nothing where somebody else wrote or changed it."""
        return row["detail"] if self._own(row) is None and {*names} <= {*row["detail"]} else {}

    def _own(self, row: Any) -> Problem | None:
        if not row["hash"]:
            return Problem(row["id"], "it was written past the store's own code, or by a process from before the upgrade")
        whole = digest_of(row["salt"], row["detail"]) == row["digest"] if row["salt"] else not row["detail"]
        return None if whole and hash_of(row) == row["hash"] else Problem(row["id"], "it was changed")

    def _link(self, row: Any) -> Problem | None:
        if self.last is None:
            if row["prev_hash"] != BEGINNING:
                self._miss(row, row["id"] - 1, "it and what was before it were removed")
            return None
        if row["prev_hash"] == self.last["hash"]:
            return None
        if row["prev_hash"] == self.before:
            return Problem(self.last["id"], "it was inserted")
        missing = self.last["id"] + 1
        if missing == row["id"]:
            return Problem(row["id"], "it does not follow the row before it")
        self._miss(row, missing, "it was removed")
        return None

    def _miss(self, row: Any, missing: int, text: str) -> None:
        self.gaps.append(_Gap(Problem(missing, text), self.last["id"] if self.last else 0, row["id"], row["prev_hash"]))

    def _was_cut(self, gap: _Gap, oldest: int) -> bool:
        """Rows may be missing where another one says that they were cut off, and where all before them are gone by now, too.

        The row behind them is one that a cut has not come to yet, or follows the last one that was cut off.
        """
        return bool(self.cut) and gap.after < oldest and (gap.row <= self.cut["through"] or gap.follows == self.cut["hash"])


def rows_about(incident_ids: Sequence[int]) -> ColumnElement[bool]:
    """Rows about incidents that are there: one that names a DAG is of an incident that was purged, and SQLite gives ids again."""
    return audit.c.incident_id.in_(incident_ids) & audit.c.dag_id.is_(None)


def rows_about_storms(opened: Mapping[int, datetime]) -> ColumnElement[bool]:
    """Rows about these storms as a whole, each from when it was opened: SQLite gives ids again."""
    number = audit.c.detail["storm"].as_integer()
    theirs = or_(*((number == storm_id) & (audit.c.at >= at) for storm_id, at in opened.items()))
    return and_(audit.c.incident_id.is_(None), audit.c.at >= min(opened.values()), theirs)


def erase(connection: Connection, which: ColumnElement[bool], actor: str) -> int:
    """Take out what these rows tell, and leave a row that says which they were; their number."""
    told = update(audit).where(which, audit.c.salt != "").values(detail={}, salt="", dag_id=None)
    erased = list(connection.execute(told.returning(audit.c.id)).scalars())
    if erased:
        note(connection, actor, ERASED, {"rows": sorted(erased)})
    return len(erased)
