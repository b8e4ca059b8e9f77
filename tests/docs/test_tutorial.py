"""The tutorial works: its commands, run one after another in an empty home, print what it shows."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from doctest import ELLIPSIS, NORMALIZE_WHITESPACE, OutputChecker
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TUTORIAL = (ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8")
STEPS: list[tuple[str, str]] = re.findall(r"^```bash\n(.*?)^```\n+(?:^```text\n(.*?)^```\n)?", TUTORIAL, re.DOTALL | re.MULTILINE)
"""Each block of commands with the output that is shown below it."""
END = "@ the end of this step @"
WITHOUT_THE_WHEEL = 'airflow() { if [ "$1" = oncall ]; then shift; python -m airflow_oncall "$@"; else command airflow "$@"; fi; }'
LONGEST_SECONDS = 1200


@pytest.fixture
def printed(tmp_path: Path) -> list[str]:
    """What each block printed in one shell that ends at the first command that fails."""
    blocks = (f"{commands}echo '{END}'" for commands, _ in STEPS)
    script = "\n".join(["set -eu", "exec 2>&1", WITHOUT_THE_WHEEL, *blocks])
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    installed = {"PATH": path, "PYTHONPATH": str(ROOT / "plugins")}
    terminal = {"HOME": str(tmp_path), "COLUMNS": "120", "NO_COLOR": "1", "LANG": "C.UTF-8"}
    ours = {name: value for name, value in os.environ.items() if name.startswith("AIRFLOW")}  # the tutorial has to forget these
    done = subprocess.run(
        ["bash", "-c", script], stdout=subprocess.PIPE, text=True, cwd=tmp_path, env=ours | installed | terminal, timeout=LONGEST_SECONDS
    )
    assert done.returncode == 0, done.stdout
    return done.stdout.replace(str(tmp_path), "~").split(f"{END}\n")


def test_every_step_shows_what_it_prints() -> None:
    assert len(STEPS) >= 9
    assert all(shown for _, shown in STEPS)


@pytest.mark.slow
def test_the_commands_print_what_is_shown(printed: list[str]) -> None:
    alike = OutputChecker().check_output
    pairs = [(shown, said) for (_, shown), said in zip(STEPS, printed, strict=False)]  # behind the last mark is nothing
    wrong = [f"shown:\n{shown}\nprinted:\n{said}" for shown, said in pairs if not alike(shown, said, ELLIPSIS | NORMALIZE_WHITESPACE)]
    assert not wrong, "\n\n".join(wrong)
