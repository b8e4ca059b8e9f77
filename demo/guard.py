"""Ends process trees: at once when asked, or when the process that started them has died.

Run as a script it is the safety net of :class:`demo.deployment.Deployment`: it reads one process id per line from
standard input, and when that closes (its parent ended, in whichever way, ``kill -9`` included) it ends those trees.
"""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Iterable
from contextlib import suppress

import psutil

GRACE_SECONDS = 10.0
"""Airflow's scheduler needs a few seconds to end its workers in order."""


def end_trees(pids: Iterable[int], grace: float = GRACE_SECONDS, first: signal.Signals = signal.SIGTERM) -> None:
    """Signal ``first`` to every process, SIGKILL to whatever is left of them and of their descendants after ``grace`` seconds.

    Descendants are noted before the first signal: a task process has a process group of its own, and once its parents
    are gone nothing leads to it any more.
    """
    family: set[psutil.Process] = set()
    for pid in pids:
        with suppress(psutil.NoSuchProcess):
            process = psutil.Process(pid)
            family |= {process, *process.children(recursive=True)}
            process.send_signal(first)
    left = _left_after(grace, family)
    for process in left:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    _left_after(grace, left)


def _left_after(seconds: float, family: set[psutil.Process]) -> set[psutil.Process]:
    """Those that still run by then."""
    deadline = time.monotonic() + seconds
    while (family := {process for process in family if _runs(process)}) and time.monotonic() < deadline:
        time.sleep(0.05)
    return family


def _runs(process: psutil.Process) -> bool:
    try:
        process.wait(timeout=0)  # our own child is collected by this
    except psutil.TimeoutExpired:
        with suppress(psutil.NoSuchProcess):
            return bool(process.status() != psutil.STATUS_ZOMBIE)  # a container without init never collects an orphan
    return False


def main() -> None:
    """Collect process ids until standard input closes, then end them."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    end_trees([int(line) for line in sys.stdin])


if __name__ == "__main__":
    main()
