"""Real PostgreSQL servers of two major versions, broken on purpose: what the client says, and what the server logs for it."""

from __future__ import annotations

import json
import re
import shutil
import tempfile
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from string import Template
from typing import Literal

import psycopg
from pydantic import BaseModel, ConfigDict
from typing_extensions import Self

from lab.engines.base import Raised, Recording
from lab.engines.postgres_clients import CLIENTS, NO_WRAP
from lab.engines.postgres_server import ROLES, ROOT_RUNS_AS, SUPERUSER, TRUST, Cluster, free_port, small_disk, waited_for
from lab.engines.postgres_states import STATES
from lab.engines.script import ScriptEngine
from lab.scenario import Scenario
from lab.scrub import scrub

PORTS = {16: 5432, 18: 5433}
STANDBY_PORTS = {16: 5434, 18: 5435}
DATABASES = ("sales", "dwh", "billing", "crm", "reporting", "events", "ledger")
PREFIXES = (
    "%m [%p] ",
    "%m [%p] %q%u@%d ",
    "%t [%p]: [%l-1] user=%u,db=%d,app=%a,client=%h ",
    "%t:%r:%u@%d:[%p]:",
    "%m [%p]: db=%d,user=%u,host=%h,state=%e ",
)
LOGS = ("stderr", "csvlog", "stderr", "jsonlog")
VERBOSITIES = ("default", "default", "verbose", "terse", "default", "default")


class Plan(BaseModel):
    """``options`` of a PostgreSQL scenario: what is prepared and broken around the client that ``run`` is."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    setup: str = ""
    """SQL done first with the client's rights; ``RESET ROLE`` in it makes the rest the superuser's."""
    holds: str = ""
    """SQL of another session, whose transaction stays open until the client has ended."""
    during: str = ""
    """SQL that the superuser repeats while the client runs, until its first value is true."""
    settings: Mapping[str, str] = {}
    hba: str = TRUST
    server: Literal["up", "down", "starting", "stopping", "recovering", "frozen", "crashing", "ending", "standby"] = "up"
    """See ``postgres_states``; with ``standby`` the client speaks to a copy, and all else happens on its primary."""
    limits: Mapping[str, int] = {}
    """Resource limits of sessions that begin while the client runs, by name: ``AS``, ``FSIZE``, ``NPROC``."""
    disk: int = 0
    """Megabytes of a small file system at ``$disk``, which is also the tablespace ``$space``; skipped where this user may not mount one."""
    versions: tuple[int, ...] = tuple(PORTS)
    logs: str = ""
    """What the server's log must show to be recorded too, where that is not what the scenario ``shows``."""
    wrap: str = ""
    path: str = ""
    env: Mapping[str, str] = {}


@dataclass(frozen=True)
class _Run:
    """One provocation: where it happens, and what its placeholders stand for."""

    scenario: Scenario
    plan: Plan
    cluster: Cluster
    target: Cluster
    log: str
    values: Mapping[str, str]

    def filled(self, text: str) -> str:
        return self.scenario.fill(text, self.values)


class PostgresEngine(ScriptEngine):
    """``run`` is SQL where a variation names its ``client`` (see ``postgres_clients``), else a Python script. Options: :class:`Plan`.

    Placeholders: ``$host``, ``$port``, ``$socket``, ``$user``, ``$password``, ``$database``, ``$dsn``, ``$url``, ``$bin``, ``$disk``.
    """

    def __init__(self) -> None:
        super().__init__()
        self._folder = Path()
        self._clusters: dict[int, Cluster] = {}
        self._standbys: dict[int, Cluster] = {}
        self._product = "PostgreSQL"
        self._numbers = count()

    def __enter__(self) -> Self:
        # A short path: sockets lie in it, and socket paths end at 107 bytes. Others must pass: root's server runs as another user.
        self._folder = Path(tempfile.mkdtemp(prefix="lab-pg-", dir="/tmp"))
        self._folder.chmod(0o755)
        return self

    def __exit__(self, *error: object) -> None:
        self._end_standbys()
        for cluster in self._clusters.values():
            cluster.remove()
        shutil.rmtree(self._folder, ignore_errors=True)

    @property
    def version(self) -> str:
        """Of the server that ran the last provocation."""
        return self._product

    def provoke(self, scenario: Scenario, values: Mapping[str, str]) -> Iterable[Recording]:
        """The client's output, and the server's log where that shows the fault too."""
        number = next(self._numbers)
        run = self._prepared(scenario, values, number)
        with ExitStack() as stack:
            if run.plan.disk:
                stack.enter_context(small_disk(Path(run.values["disk"]), run.plan.disk))
            stack.enter_context(run.cluster.database(run.values["database"], run.values["owner"]))
            _set_up(run)
            begin = run.target.mark()
            with _broken(run):
                client = self._client(run)
            end = run.target.mark()
            logs = {kind: run.target.log(kind, begin, end) for kind in ("jsonlog", run.log)}
        return list(self._recordings(run, client, logs))

    # -- before ------------------------------------------------------------------------------------------------------------------

    def _prepared(self, scenario: Scenario, values: Mapping[str, str], number: int) -> _Run:
        plan = Plan.model_validate(scenario.options)
        cluster = self._cluster(plan.versions[number % len(plan.versions)])
        if plan.server == "standby":
            target = self._standby(cluster)
        else:
            self._end_standbys()
            dress = {"log_line_prefix": PREFIXES[number % len(PREFIXES)], "log_error_verbosity": VERBOSITIES[number % len(VERBOSITIES)]}
            cluster.configure({**dress, **{name: scenario.fill(value, values) for name, value in plan.settings.items()}}, plan.hba)
            target = cluster
        self._product = f"PostgreSQL {cluster.version}"
        log = LOGS[(number // len(PORTS)) % len(LOGS)]
        return _Run(scenario, plan, cluster, target, log, self._values(target, values, number))

    def _values(self, cluster: Cluster, values: Mapping[str, str], number: int) -> Mapping[str, str]:
        known = {
            "host": ("localhost", "127.0.0.1")[number % 2], "port": str(cluster.port), "socket": str(cluster.folder),
            "user": ROLES[number % len(ROLES)], "password": "", "database": DATABASES[number % len(DATABASES)],
            "bin": str(cluster.bin), "disk": str(self._folder / "disk"), "space": "volume1", "postmaster": str(cluster.pid), **values,
        }  # fmt: skip
        secret = known["password"]
        dsn = "host={host} port={port} dbname={database} user={user}".format(**known) + (f" password={secret}" if secret else "")
        login = f"{known['user']}:{secret}" if secret else known["user"]
        known = {"dsn": dsn, "url": f"postgresql://{login}@{known['host']}:{known['port']}/{known['database']}", **known}
        known["owner"] = known["user"] if known["user"] in ROLES else ROLES[0]
        return {name: Template(value).safe_substitute(known) for name, value in known.items()}

    def _cluster(self, major: int) -> Cluster:
        if major not in self._clusters:
            cluster = self._clusters[major] = Cluster(self._folder / str(major), major, free_port(PORTS[major]))
            cluster.create()
        return self._clusters[major]

    def _standby(self, cluster: Cluster) -> Cluster:
        major = cluster.major
        if major not in self._standbys:
            self._standbys[major] = Cluster(self._folder / f"{major}-standby", major, free_port(STANDBY_PORTS[major]))
            cluster.copy_to(self._standbys[major])
        return self._standbys[major]

    def _end_standbys(self) -> None:
        while self._standbys:
            self._standbys.popitem()[1].remove()

    # -- the client --------------------------------------------------------------------------------------------------------------

    def _client(self, run: _Run) -> Recording:
        wrap = run.plan.wrap
        scenario = run.scenario
        if client := run.values.get("client"):
            scenario = scenario.model_copy(update={"run": CLIENTS[client].replace("{sql}", scenario.run.strip())})
            wrap = "none" if client in NO_WRAP else wrap
        kept = {"env": run.plan.env} | ({"wrap": wrap} if wrap else {}) | ({"path": run.plan.path} if run.plan.path else {})
        (recording,) = super().provoke(scenario.model_copy(update={"options": kept}), run.values)
        return recording

    # -- what they say -----------------------------------------------------------------------------------------------------------

    def _recordings(self, run: _Run, client: Recording, logs: Mapping[str, str]) -> Iterator[Recording]:
        """Views that show the fault: a client that only learns that its session is gone does not say why."""
        seen = run.filled(run.scenario.shows)
        logged = run.filled(run.plan.logs) or seen
        views = [client] if re.search(seen, client.text) else []
        if re.search(logged, _unescaped(logs[run.log])):
            views.append(Recording(logs[run.log].rstrip("\n"), f"server {run.log}", dressable=False))
        state = _sqlstate(logs["jsonlog"], logged)
        for view in views or [client]:
            text = scrub(self._elsewhere(view.text))
            raised = tuple(Raised(one.kind, self._elsewhere(one.message)) for one in view.raised)
            names = {**view.identifiers, **_identifiers(text, run.values, state, view.dressable)}
            yield replace(view, text=text, raised=raised, identifiers=names)

    def _elsewhere(self, text: str) -> str:
        """Paths and users as packages of operating systems have them."""
        for major, cluster in self._clusters.items():
            text = text.replace(str(cluster.data), f"/var/lib/postgresql/{major}/main")
            text = text.replace(str(cluster.bin.parent), f"/usr/lib/postgresql/{major}")
            text = re.sub(rf"/[^\s\"']*/{cluster.bin.parent.name}(?=/)", f"/usr/lib/postgresql/{major}", text)  # as compiled in
        text = text.replace(str(self._folder / "disk"), "/mnt/volume1").replace(ROOT_RUNS_AS, SUPERUSER)
        return re.sub(rf"{re.escape(str(self._folder))}/[\w-]+", "/var/run/postgresql", text)


def _set_up(run: _Run) -> None:
    if run.plan.disk:
        run.cluster.admin.execute(run.filled("CREATE TABLESPACE $space LOCATION '$disk'").encode())
        run.cluster.admin.execute(run.filled("GRANT CREATE ON TABLESPACE $space TO PUBLIC").encode())
    if run.plan.setup:
        with closing(run.cluster.session(run.values["database"], run.values["owner"])) as session:
            session.execute(run.filled(run.plan.setup).encode())
    if run.plan.server in ("recovering", "crashing", "ending"):
        run.cluster.admin.execute("CHECKPOINT")  # else recovery tells of the lab's own databases
    if run.target is not run.cluster:
        position = run.cluster.admin.execute("SELECT pg_current_wal_lsn()").fetchone()
        assert position is not None
        there = "SELECT pg_last_wal_replay_lsn() >= %s::pg_lsn"
        waited_for(lambda: run.target.admin.execute(there, position).fetchone() == (True,))


@contextmanager
def _broken(run: _Run) -> Iterator[None]:
    """All that the plan says is wrong, for this block."""
    with ExitStack() as stack:
        if run.plan.holds:
            session = stack.enter_context(closing(run.cluster.session(run.values["database"], run.values["owner"])))
            session.execute("BEGIN")
            session.execute(run.filled(run.plan.holds).encode())
        stack.enter_context(run.cluster.limited(run.plan.limits))
        if run.plan.server in STATES:
            stack.enter_context(STATES[run.plan.server](run.cluster))
        if run.plan.during:
            stack.enter_context(_meanwhile(run))
        yield


@contextmanager
def _meanwhile(run: _Run) -> Iterator[None]:
    """Does what the plan wants done ``during`` the client's work, once that has begun."""
    ended = threading.Event()

    def repeat() -> None:
        while not ended.wait(0.05):
            with suppress(psycopg.Error):
                if _client_works(run) and _is_done(run):
                    return

    thread = threading.Thread(target=repeat)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _client_works(run: _Run) -> bool:
    working = "SELECT count(*) > 0 FROM pg_stat_activity WHERE datname = %s AND state = 'active' AND pid <> pg_backend_pid()"
    with closing(run.target.session()) as session:
        return session.execute(working, [run.values["database"]]).fetchone() == (True,)


def _is_done(run: _Run) -> bool:
    with closing(run.cluster.session(run.values["database"])) as session:
        results = [session.execute(statement.encode()) for statement in run.filled(run.plan.during).split(";")]
        found = results[-1].fetchone()
        return bool(found and found[0])


def _unescaped(log: str) -> str:
    """Quotes as in the message: csvlog doubles them, jsonlog puts a backslash before them."""
    return log.replace('""', '"').replace('\\"', '"')


def _sqlstate(jsonlog: str, shows: str) -> str:
    """Of the first error that is the fault, else of the first error."""
    errors = [one for one in map(json.loads, jsonlog.splitlines()) if one["error_severity"] in {"ERROR", "FATAL", "PANIC"}]
    ours = [one for one in errors if re.search(shows, one.get("message", ""))]
    return next((str(one.get("state_code", "")) for one in (*ours, *errors)), "")


def _identifiers(text: str, values: Mapping[str, str], state: str, client: bool) -> dict[str, str]:
    """Those that the text shows as what they are, not as another word; in a server's log hosts and ports are its clients'."""
    database, port, host = (re.escape(values[name]) for name in ("database", "port", "host"))
    patterns = {
        "sqlstate": rf"\b{state}\b" if state else r"(?!)",
        "database": rf'(?:database "?|dbname[=":]+|db=|[@:]|\d/){database}\b|,"{database}",',
    }
    if client:
        patterns |= {"port": rf"(?:port |port=|:|', |PGSQL\.){port}\b", "host": rf'(?:host=|at "|@|name "|\(\'){host}\b'}
    shown = {"sqlstate": state, **{name: values[name] for name in ("database", "port", "host")}}
    return {name: shown[name] for name, pattern in patterns.items() if re.search(pattern, text)}
