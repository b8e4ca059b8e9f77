"""Trouble that PostgreSQL's views show while it lasts: blocked chains, deadlocks, connections running out, transactions left idle.

A trouble is one record, from when it is first seen until it is over. Sessions are known by what the server never repeats (process id,
begin of session, begin of transaction), so neither another poll nor a clock that is set back makes it a second one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from airflow_oncall.capture.logs.postgres_prefix import identifiers
from airflow_oncall.capture.logs.postgres_rows import cut
from airflow_oncall.capture.logs.postgres_sql import Refused, session
from airflow_oncall.capture.logs.source import Batch, Cursor, Record, SourceFailed, unknown_cursor

if TYPE_CHECKING:
    from psycopg import Connection

_QUERY_LIMIT = 4_000
OLDEST = 140_000
"""PostgreSQL 14, whose ``pg_locks`` says since when a session waits."""
_LISTED = 20
_SESSIONS = """
SELECT a.pid, coalesce(datname, '') AS database, coalesce(usename, '') AS user, application_name, coalesce(state, '') AS state,
       coalesce(client_hostname, host(client_addr), '[local]') AS host, coalesce(client_port, -1) AS port, left(query, %s) AS query,
       backend_type, extract(epoch FROM backend_start)::text || '-' || coalesce(extract(epoch FROM xact_start)::text, '') AS begun,
       extract(epoch FROM clock_timestamp() - state_change)::float8 AS in_state,
       extract(epoch FROM clock_timestamp() - coalesce(w.since, query_start))::float8 AS waited,
       CASE WHEN wait_event_type = 'Lock' THEN pg_blocking_pids(a.pid) ELSE '{}' END AS blockers
FROM pg_stat_activity a
LEFT JOIN (SELECT pid, min(waitstart) AS since FROM pg_locks WHERE NOT granted GROUP BY pid) w ON w.pid = a.pid
WHERE a.pid <> pg_backend_pid()
"""
_SERVER = """
SELECT clock_timestamp() AS now, pg_postmaster_start_time()::text AS started, current_setting('max_connections')::int AS max,
       pg_has_role('pg_read_all_stats', 'USAGE') AS allowed, quote_ident(current_user) AS role
"""


@dataclass(frozen=True)
class Session:
    """A row of ``pg_stat_activity``."""

    pid: int
    database: str
    user: str
    application_name: str
    state: str
    host: str
    port: int
    query: str
    backend_type: str
    begun: str
    """Begin of the session and of its transaction."""
    in_state: float
    """Seconds since its state changed."""
    waited: float
    """Seconds since it waits for its lock."""
    blockers: Sequence[int]

    @property
    def key(self) -> str:
        """What no other session or transaction of this server ever has."""
        return f"{self.pid}-{self.begun}"

    @property
    def identifiers(self) -> dict[str, str]:
        """For a record."""
        port = str(self.port) if self.port > 0 else ""
        fields = {"database": self.database, "user": self.user, "host": self.host, "port": port, "pid": str(self.pid)}
        return identifiers({**fields, "application_name": self.application_name})

    def __str__(self) -> str:
        state = f", {self.state}" if self.state else ""
        return f"session {self.pid} ({self.user}@{self.database}, application {self.application_name!r}, host {self.host}{state})"


class Thresholds(BaseModel):
    """From where on something is trouble."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    blocked_seconds: float = Field(default=60, ge=0)
    """A session waits for another one's lock."""
    idle_seconds: float = Field(default=600, ge=0)
    """A transaction is open and its client does nothing."""
    connections_share: float = Field(default=0.9, gt=0, le=1)
    """Sessions in use of ``max_connections``."""


class PostgresLiveSettings(Thresholds):
    """What the server's views show. The role needs ``pg_read_all_stats``, which ``pg_monitor`` has."""

    kind: Literal["postgres_live"] = "postgres_live"
    conn_id: str
    """Airflow connection of the server."""

    def source(self, name: str) -> PostgresLiveSource:
        """The source of this name."""
        return PostgresLiveSource(name, self.conn_id, Thresholds(**self.model_dump(exclude={"kind", "conn_id"})))


class _Deadlocks(BaseModel):
    """Counter of one database as last seen."""

    model_config = ConfigDict(extra="forbid")

    count: int
    resets: int = 0
    """How often it began anew; statistics are also lost in a crash."""


class _Cursor(BaseModel):
    """What was seen at the last poll."""

    model_config = ConfigDict(extra="forbid")

    open: list[str] = []
    """Positions of the troubles that last."""
    full: int = 0
    """How often connections ran short."""
    deadlocks: dict[str, _Deadlocks] | None = None


@dataclass
class PostgresLiveSource:
    """See :class:`PostgresLiveSettings`."""

    name: str
    conn_id: str
    thresholds: Thresholds = field(default_factory=Thresholds)

    def read(self, cursor: Cursor) -> Iterator[Batch]:
        """See ``LogSource``. One look at the server is one batch."""
        try:
            before = _Cursor.model_validate(dict(cursor))
        except ValueError as error:
            raise unknown_cursor(self.name, cursor) from error
        look = _Look(before, self.thresholds)
        try:
            with session(self.name, self.conn_id) as connection:
                self._look(connection, look)
        except Refused as error:
            if not error.full:
                raise
            look.none_left(str(error))
        after = look.after.model_dump()
        if look.records or after != dict(cursor):
            yield Batch(look.records, after)

    def _look(self, connection: Connection[tuple[Any, ...]], look: _Look) -> None:
        from psycopg.rows import class_row, dict_row

        if connection.info.server_version < OLDEST:
            version = connection.info.parameter_status("server_version")
            raise SourceFailed(
                f"source {self.name!r}: its server is PostgreSQL {version}; postgres_live needs 14 or newer, use postgres_files"
            )
        server = connection.cursor(row_factory=dict_row).execute(_SERVER).fetchone()
        assert server is not None, "a SELECT without FROM has one row"
        if not server["allowed"]:
            said = f"may not see other sessions; GRANT pg_monitor TO {server['role']}"
            raise SourceFailed(f"source {self.name!r}: role {server['role']} of connection {self.conn_id!r} {said}")
        look.now = server["now"]
        sessions = connection.cursor(row_factory=class_row(Session)).execute(_SESSIONS, (_QUERY_LIMIT,)).fetchall()
        look.blocked(sessions)
        look.idle(sessions)
        look.connections([one for one in sessions if one.backend_type == "client backend"], server["max"])
        look.deadlocks(dict(connection.execute("SELECT datname, deadlocks FROM pg_stat_database WHERE datname IS NOT NULL").fetchall()))


class _Look:
    """What one look found, compared with the look before."""

    def __init__(self, before: _Cursor, thresholds: Thresholds) -> None:
        self._before, self._thresholds = before, thresholds
        self.after = _Cursor(full=before.full, deadlocks=before.deadlocks)
        self.records: list[Record] = []
        self.now: datetime | None = None

    def blocked(self, sessions: Sequence[Session]) -> None:
        """One trouble for each session that others wait for and that waits for none itself."""
        by_pid = {one.pid: one for one in sessions}
        chains: dict[int, list[Session]] = {}
        for one in sessions:
            if one.blockers and one.waited >= self._thresholds.blocked_seconds:
                chains.setdefault(_root(one, by_pid), []).append(one)
        for pid, waiting in chains.items():
            waiting.sort(key=lambda one: -one.waited)
            blocker = by_pid.get(pid)
            # A prepared transaction has no session: its oldest victim stands for it.
            key, who = (blocker.key, str(blocker)) if blocker else (f"0-{min(one.key for one in waiting)}", "a prepared transaction")
            lines = [f"{who} blocks {len(waiting)} session(s), the longest for {waiting[0].waited:.0f} s"]
            lines += [f"BLOCKER:  {blocker.query}"] if blocker else []
            lines += [f"BLOCKED:  {one}: {one.query}" for one in waiting[:_LISTED]]
            about = {**(blocker or waiting[0]).identifiers, "blocked_pids": ",".join(str(one.pid) for one in waiting[:_LISTED])}
            self._tell(f"blocked-{key}", "postgres-blocked", lines, about)

    def idle(self, sessions: Sequence[Session]) -> None:
        """Transactions that hold their locks and snapshot while nobody works."""
        for one in sessions:
            if one.state.startswith("idle in transaction") and one.in_state >= self._thresholds.idle_seconds:
                lines = [f"{one} is idle in its transaction for {one.in_state:.0f} s", f"LAST STATEMENT:  {one.query}"]
                self._tell(f"idle-{one.key}", "postgres-idle-in-transaction", lines, one.identifiers, "WARN")

    def connections(self, clients: Sequence[Session], most: int) -> None:
        """Sessions in use, ours included."""
        used = len(clients) + 1
        if used < most * self._thresholds.connections_share:
            return
        holders: dict[str, int] = {}
        for one in clients:
            who = f"{one.user}@{one.database}, application {one.application_name!r}, host {one.host}, {one.state or 'starting'}"
            holders[who] = holders.get(who, 0) + 1
        most_first = sorted(holders.items(), key=lambda item: -item[1])[:_LISTED]
        self._tell_full([f"{used} of {most} connections are in use", *(f"{count} of {who}" for who, count in most_first)], "WARN")

    def none_left(self, said: str) -> None:
        """The server had no connection for us; what else lasts cannot be seen."""
        self.after.open = list(self._before.open)
        self._tell_full([said], "ERROR")

    def deadlocks(self, counts: Mapping[str, int]) -> None:
        """What the counters grew by; the first look only takes them down."""
        last, self.after.deadlocks = self._before.deadlocks, {}
        for database, count in counts.items():
            known = (last or {}).get(database, _Deadlocks(count=count if last is None else 0))
            anew = count < known.count
            new = count if anew else count - known.count
            resets = known.resets + anew
            self.after.deadlocks[database] = _Deadlocks(count=count, resets=resets)
            if new:
                lines = [f"{new} deadlock(s) in database {database} since the last look; the server log names the statements"]
                self._tell(f"deadlocks-{database}-{resets}-{count}", "postgres-deadlocks", lines, {"database": database}, lasts=False)

    def _tell_full(self, lines: Sequence[str], severity: str) -> None:
        lasting = f"connections-{self._before.full}"
        if lasting in self._before.open:
            self._lasts(lasting)
        else:
            self.after.full += 1
            self._tell(f"connections-{self.after.full}", "postgres-connections-short", lines, {}, severity)

    def _lasts(self, position: str) -> None:
        if position not in self.after.open:
            self.after.open.append(position)

    def _tell(
        self, position: str, signature: str, lines: Sequence[str], about: Mapping[str, str], severity: str = "ERROR", *, lasts: bool = True
    ) -> None:
        if lasts:
            self._lasts(position)
        if position not in self._before.open:
            self.records.append(Record(position, cut("\n".join(lines)), self.now, signature, severity, about))


def _root(session: Session, by_pid: Mapping[int, Session]) -> int:
    """Process id at the end of a chain of blockers; the smallest of a ring, 0 for a prepared transaction."""
    seen: list[int] = []
    pid = session.pid
    while pid not in seen:
        seen.append(pid)
        one = by_pid.get(pid)
        if one is None or not one.blockers:
            return pid
        pid = min(one.blockers)
    return min(seen[seen.index(pid) :])
