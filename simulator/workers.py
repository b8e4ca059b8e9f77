"""Triage in processes of its own, forks of this one, which speak over a pipe to the simulated Airflow that lives on here."""

from __future__ import annotations

import os
import signal
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing import Pipe
from multiprocessing.connection import Connection as Channel
from multiprocessing.connection import wait

from simulator.rest import RestWorld
from simulator.wire import Answer, Wire, into

Job = Callable[[Channel], None]


@dataclass(frozen=True)
class End:
    """How a worker ended."""

    killed: bool
    peak_mb: float


def run_at_once(airflow: RestWorld, jobs: Sequence[Job], hear: Callable[[str], None] = lambda said: None) -> list[End]:
    """Carry out each job in a fork; all have ended when this returns. ``hear``: what they say beside their requests.

    Raises ``RuntimeError`` where a job fails of itself.
    """
    children = [_fork(job) for job in jobs]
    _serve(airflow, [channel for _, channel in children], hear)
    return [_end(child) for child, _ in children]


def over(channel: Channel) -> Wire:
    """The wire of a worker."""

    def send(*request: object) -> Answer:
        channel.send(request)
        answer: Answer = channel.recv()
        return answer

    return send


def _fork(job: Job) -> tuple[int, Channel]:
    ours, theirs = Pipe()
    child = os.fork()
    if child:
        theirs.close()
        return child, ours
    ours.close()
    failed = True
    try:
        job(theirs)
        failed = False
    finally:
        if failed:
            traceback.print_exc()
        os._exit(failed)


def _serve(airflow: RestWorld, channels: list[Channel], hear: Callable[[str], None]) -> None:
    """Be Airflow to these until they are closed. A request that was sent is done, also for one who died over it."""
    send = into(airflow)
    while channels:
        for channel in wait(channels):
            assert isinstance(channel, Channel)
            try:
                said = channel.recv()
                if isinstance(said, str):
                    hear(said)
                else:
                    channel.send(send(*said))
            except (EOFError, ConnectionError):
                channel.close()
                channels.remove(channel)


def _end(child: int) -> End:
    _, status, usage = os.wait4(child, 0)
    if os.WIFEXITED(status) and os.WEXITSTATUS(status):
        raise RuntimeError("a triage worker failed of itself; its traceback stands above")
    return End(os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL, usage.ru_maxrss / 1024)
