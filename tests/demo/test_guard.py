"""Nothing the demo started may outlive it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from typing import IO

import psutil
import pytest

from demo import guard

DEAF_PARENT = """
import signal, subprocess, sys
signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
print(child.pid, flush=True)
child.wait()
"""


def first_line(stream: IO[bytes] | None) -> str:
    assert stream is not None
    return stream.readline().decode().strip()


@pytest.fixture
def deaf_parent() -> Iterator[subprocess.Popen[bytes]]:
    """A process that ignores SIGTERM, with a child in a session of its own."""
    with subprocess.Popen([sys.executable, "-c", DEAF_PARENT], stdout=subprocess.PIPE) as process:
        yield process
        with suppress(ProcessLookupError):
            process.kill()


def test_a_whole_tree_ends_even_if_it_ignores_sigterm(deaf_parent: subprocess.Popen[bytes]) -> None:
    child = psutil.Process(int(first_line(deaf_parent.stdout)))

    guard.end_trees([deaf_parent.pid], grace=0.2)

    assert not psutil.pid_exists(deaf_parent.pid)
    assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE


def test_the_guard_ends_what_it_was_told_of_when_its_parent_is_gone() -> None:
    with (
        subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]) as watched,
        subprocess.Popen([sys.executable, "-I", guard.__file__], stdin=subprocess.PIPE) as safety_net,
    ):
        assert safety_net.stdin is not None
        safety_net.stdin.write(b"%d\n" % watched.pid)
        safety_net.stdin.close()

        assert watched.wait(timeout=30) == -15
        assert safety_net.wait(timeout=30) == 0


def test_ending_what_has_already_ended_does_no_harm() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        ended.wait()

    guard.end_trees([ended.pid])
