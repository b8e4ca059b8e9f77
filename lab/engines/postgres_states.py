"""The states that a PostgreSQL server may be found in: each a block, after which it takes sessions again."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, closing, contextmanager

import psycopg

from lab.engines.postgres_server import Cluster, waited_for


@contextmanager
def up(_cluster: Cluster) -> Iterator[None]:
    """Nothing is wrong with it."""
    yield


@contextmanager
def down(cluster: Cluster) -> Iterator[None]:
    """Stopped: nobody listens on its port and there is no socket."""
    cluster.stop()
    try:
        yield
    finally:
        cluster.start()


@contextmanager
def starting(cluster: Cluster) -> Iterator[None]:
    """Starting from an archive whose first file takes long to come."""
    cluster.stop()
    signal_file = cluster.data / "recovery.signal"
    signal_file.touch()
    signal_file.chmod(0o644)
    settings = cluster.data / "postgresql.auto.conf"
    before = settings.read_text(encoding="utf-8")
    settings.write_text(before + "restore_command = 'exec sleep 60'\n", encoding="utf-8")
    cluster.start(wait=False)
    waited_for(lambda: "starting up" in _refusal(cluster))
    try:
        yield
    finally:
        cluster.stop(signal.SIGQUIT)
        signal_file.unlink()
        settings.write_text(before, encoding="utf-8")
        cluster.start()


@contextmanager
def stopping(cluster: Cluster) -> Iterator[None]:
    """Told to stop when its sessions have ended; the lab's own has not."""
    with closing(cluster.session()):
        os.kill(cluster.pid, signal.SIGTERM)
        waited_for(lambda: "shutting down" in _refusal(cluster))
        try:
            yield
        finally:
            cluster.stop()
    cluster.start()


@contextmanager
def recovering(cluster: Cluster) -> Iterator[None]:
    """One session was killed, and another does not end: the server waits for it before it recovers."""
    with closing(cluster.session()) as stuck, closing(cluster.session()) as killed:
        os.kill(stuck.info.backend_pid, signal.SIGSTOP)
        os.kill(killed.info.backend_pid, signal.SIGKILL)
        waited_for(lambda: "recovery mode" in _refusal(cluster))
        try:
            yield
        finally:
            os.kill(stuck.info.backend_pid, signal.SIGCONT)
    cluster.wait_ready()


@contextmanager
def frozen(cluster: Cluster) -> Iterator[None]:
    """Its postmaster does not run on: the kernel takes connections, nobody answers."""
    os.kill(cluster.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(cluster.pid, signal.SIGCONT)


@contextmanager
def crashing(cluster: Cluster) -> Iterator[None]:
    """Something kills a session in this block, so that the server ends all others and starts again."""
    yield
    cluster.wait_ready()


@contextmanager
def ending(cluster: Cluster) -> Iterator[None]:
    """Something stops the server in this block."""
    yield
    cluster.stop()
    cluster.start()


STATES: Mapping[str, Callable[[Cluster], AbstractContextManager[None]]] = {
    state.__name__: state for state in (up, down, starting, stopping, recovering, frozen, crashing, ending)
}


def _refusal(cluster: Cluster) -> str:
    """What a new session is told; empty when it is let in."""
    try:
        cluster.session().close()
    except psycopg.OperationalError as error:
        return str(error)
    return ""
