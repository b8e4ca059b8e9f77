"""A fresh AIRFLOW_HOME and an interpreter, set up by what the README tells an operator to paste."""

from __future__ import annotations

import json
import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).parents[2]
_IN_ONE_PROCESS = """
import contextlib, io, json, sys
from airflow.__main__ import main

answers = []
for command in json.load(sys.stdin):
    out, code, sys.argv = io.StringIO(), 0, ["airflow", *command]
    with contextlib.redirect_stdout(out):
        try:
            main()
        except SystemExit as end:
            code = end.code or 0
    answers.append([code, out.getvalue()])
print("\\n@", json.dumps(answers), sep="")
"""


def readme_block(way: str, language: str) -> str:
    """The first code block of this language below the README's heading that begins with ``way``."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    found = re.search(rf"^### {re.escape(way)}.*?^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    assert found, f"the README has no {language} block below '### {way}'"
    return found[1]


class Answer(NamedTuple):
    """What one command said on standard output."""

    code: int
    text: str

    @property
    def rows(self) -> list[dict[str, Any]]:
        """The text as Airflow's ``--output json``; it may log a line or two before."""
        rows: list[dict[str, Any]] = json.loads(self.text[self.text.index("[{") :])
        return rows


@dataclass
class Installation:
    """``python`` decides which packages are installed, ``home`` which folders and settings lie in AIRFLOW_HOME."""

    python: Path
    home: Path
    patience: float = 240
    """Seconds after which a run of the interpreter hangs."""

    def __post_init__(self) -> None:
        (self.home / "dags").mkdir(parents=True, exist_ok=True)

    def copy_folders(self) -> None:
        """Run the README's first way, in a home that has a plugin and an ignore file already; nothing is fetched."""
        (self.home / "plugins").mkdir()
        (self.home / "plugins" / ".airflowignore").write_text("drafts/\n")
        (self.home / "plugins" / "somebody_elses.py").write_text("")
        commands = [line for line in readme_block("1.", "bash").splitlines() if not line.startswith("pip ")]
        env = {**os.environ, "AIRFLOW_HOME": str(self.home)}
        subprocess.run(["bash", "-euc", "\n".join(commands)], check=True, cwd=ROOT, env=env)

    def configure(self, ini: str) -> None:
        """Write airflow.cfg."""
        (self.home / "airflow.cfg").write_text(ini.replace("/opt/airflow-oncall", str(ROOT)))

    def run(self, *arguments: str, given: str = "", **settings: str) -> subprocess.CompletedProcess[str]:
        """Run the interpreter in this home; what it inherits of our own Airflow is left out."""
        inherited = {name: value for name, value in os.environ.items() if not name.upper().startswith(("AIRFLOW", "_AIRFLOW", "PYTHON"))}
        own = {"AIRFLOW_HOME": str(self.home), "AIRFLOW__CORE__LOAD_EXAMPLES": "False", "COLUMNS": "200", "NO_COLOR": "1"}
        command = [str(self.python), *arguments]
        env = inherited | own | settings
        return subprocess.run(command, input=given, capture_output=True, text=True, cwd=self.home, env=env, timeout=self.patience)

    def airflow(self, *commands: str) -> list[Answer]:
        """What ``airflow COMMAND`` answers, for each; one process for all, because each costs Airflow's start."""
        done = self.run("-c", _IN_ONE_PROCESS, given=json.dumps([command.split() for command in commands]))
        assert done.returncode == 0, done.stderr
        return [Answer(*answer) for answer in json.loads(done.stdout.rpartition("\n@")[2])]

    def script(self, source: str) -> Any:
        """What this Python source prints as JSON in its last line."""
        done = self.run("-c", source)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout.strip().splitlines()[-1])
