"""Other people's code: whatever it raises is known, and it holds nothing up."""

from __future__ import annotations

import os
import subprocess
import sys
import threading

import pytest

from airflow_oncall.aside import aside, raised

LEAVES_A_CALL_BEHIND = """
import threading
from airflow_oncall.aside import aside
try:
    aside(threading.Event().wait, 0.01, "hanging")
except TimeoutError as late:
    print(late)
"""


def test_what_a_call_returns_is_returned() -> None:
    assert aside(lambda: 42, 60, "answering") == (None, 42)


def test_the_thread_has_the_name_that_it_was_given() -> None:
    assert aside(lambda: threading.current_thread().name, 60, "oncall-mail") == (None, "oncall-mail")


@pytest.mark.parametrize("error", [ValueError("no such channel"), SystemExit(3), KeyboardInterrupt(), TimeoutError("its own")], ids=repr)
def test_whatever_a_call_raises_is_told(error: BaseException) -> None:
    def fails() -> None:
        raise error

    assert raised(fails) is error
    assert aside(fails, 60, "failing") == (error, None)


def test_a_call_that_hangs_is_left_behind_and_does_not_hold_up_the_end_of_the_process() -> None:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(part for part in sys.path if part)}
    left = subprocess.run(
        [sys.executable, "-c", LEAVES_A_CALL_BEHIND], capture_output=True, text=True, timeout=60, check=False, env=environment
    )
    assert (left.returncode, left.stdout) == (0, "hanging did not end in 0.01 s\n"), left.stderr
