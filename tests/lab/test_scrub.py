"""What the lab takes out of a recording, and what it leaves."""

from __future__ import annotations

import getpass
import platform
import sys
import tempfile
from pathlib import Path

from lab.scrub import HEAD, LIMIT, scrub

ROOT = Path(__file__).parents[2]


def test_frames_lose_the_source_lines_they_quote_and_keep_place_and_error() -> None:
    text = 'Traceback (most recent call last):\n  File "/opt/etl.py", line 3, in go\n    total = a + b\n            ~~^~~\nTypeError: no'
    assert scrub(text) == 'Traceback (most recent call last):\n  File "/opt/etl.py", line 3, in go\nTypeError: no'


def test_paths_of_this_machine_become_those_of_a_deployment() -> None:
    text = f"{ROOT}/jobs/a.py, {tempfile.gettempdir()}/lab-x1/in.csv and {Path.home()}/in.csv"
    assert scrub(text) == "/opt/airflow/jobs/a.py, /opt/airflow/work/in.csv and /home/airflow/in.csv"


def test_a_library_stands_where_an_image_has_it() -> None:
    minor = f"python3.{sys.version_info.minor}"
    scrubbed = scrub(f'  File "{ROOT}/.venv-lab/lib/{minor}/site-packages/pandas/io/common.py", line 9, in get_handle')
    assert scrubbed == f'  File "/usr/local/lib/{minor}/site-packages/pandas/io/common.py", line 9, in get_handle'


def test_an_interpreter_stands_where_an_image_has_it() -> None:
    assert scrub(f"Executing cmd: {ROOT}/.venv/bin/python3 job.py ({sys.base_prefix}/bin/python3)") == (
        "Executing cmd: /usr/local/bin/python3 job.py (/usr/local/bin/python3)"
    )


def test_the_lab_s_own_frames_are_gone() -> None:
    assert "harness" not in scrub(f'  File "{ROOT}/lab/harness.py", line 35, in run\n    exec(code)\nValueError: x')


def test_a_long_text_keeps_its_beginning_and_its_end() -> None:
    text = "first\n" + "middle\n" * 2_000 + "last"
    scrubbed = scrub(text)
    assert scrubbed.startswith("first\n")
    assert scrubbed.endswith("\nlast")
    assert HEAD < len(scrubbed) <= LIMIT + 5


def test_an_ordinary_text_stays_as_it_is() -> None:
    text = "ERROR: deadlock detected\nDETAIL:  Process 118 waits for ShareLock"
    assert scrub(text) == text


def test_what_says_which_machine_this_is_goes() -> None:
    lines = (
        f"INFO SparkContext: OS info Linux, {platform.release()}, amd64",
        "WARN SparkConf: Note that spark.local.dir will be overridden",
        f"uname {platform.release()}",
    )
    scrubbed = scrub("\n".join(lines))
    assert platform.release() not in scrubbed
    assert scrubbed.startswith("uname ")


def test_the_user_is_another_where_a_program_names_him() -> None:
    assert scrub(f"authenticated user name ({getpass.getuser()}) does not match") == "authenticated user name (airflow) does not match"


def test_an_index_that_packages_come_from_here_is_not_told() -> None:
    assert scrub(f"uv pip install --{'index'}-url https://mirror.example.org/simple pandas") == "uv pip install pandas"
    assert scrub("Looking in indexes: https://mirror.example.org/simple\nno such package") == "no such package"


def test_an_index_that_a_scenario_invents_stays() -> None:
    assert scrub("Looking in indexes: https://pypi.corp.internal/simple") == "Looking in indexes: https://pypi.corp.internal/simple"
