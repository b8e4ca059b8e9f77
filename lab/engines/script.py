"""Python programs as tasks run them: real clients, real libraries, the real operating system; a process of its own each."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path

from typing_extensions import Self

from lab.engines.base import NotPossible, NotProvoked, Raised, Recording
from lab.scenario import Scenario
from lab.smalldisk import REFUSAL

HARNESS = Path(__file__).parents[1] / "harness.py"
LAB_PYTHON = Path(__file__).parents[2] / ".venv-lab" / "bin" / "python"
"""Where the client libraries are; ``make lab`` makes it."""
SECONDS = 120
PATHS = ("/opt/airflow/dags/jobs/orders.py", "/opt/airflow/dags/etl.py", "/usr/local/airflow/dags/sales/daily.py", "/srv/pipelines/step.py")
"""What tracebacks show as the script, unless the scenario says so: names that give nothing away."""
WRAPS = ("none", "none", "from", "during")


class ScriptEngine:
    """``scenario.run`` is a Python script. Options: ``wrap`` (see the harness), ``env`` and ``path`` (what tracebacks show).

    Subclasses start servers for their scripts and name them in :meth:`surroundings`.
    """

    interpreter: Path = LAB_PYTHON
    view = "client"

    def __init__(self) -> None:
        self._runs = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        return

    @property
    def version(self) -> str:
        """The interpreter."""
        return f"Python {platform.python_version()}"

    def surroundings(self) -> Mapping[str, str]:
        """Values for placeholders that only the running engine knows, e.g. ``$port``."""
        return {}

    def provoke(self, scenario: Scenario, values: Mapping[str, str]) -> Iterable[Recording]:
        """Run the script; what it printed, its exceptions and its end are the recording."""
        known = {**self.surroundings(), **values}
        wrap = str(scenario.options.get("wrap", WRAPS[self._runs % len(WRAPS)]))
        self._runs += 1
        with tempfile.TemporaryDirectory(prefix="lab-") as folder:
            yield self._run(Path(folder), scenario, known, wrap)

    def _run(self, folder: Path, scenario: Scenario, values: Mapping[str, str], wrap: str) -> Recording:
        script, report = folder / "script.py", folder / "raised.json"
        script.write_text(scenario.fill(scenario.run, values), encoding="utf-8")
        shown = scenario.fill(str(scenario.options.get("path", PATHS[self._runs % len(PATHS)])), values)
        given = {name: scenario.fill(str(value), values) for name, value in scenario.options.get("env", {}).items()}
        try:
            done = subprocess.run(
                [self._python(), str(HARNESS), str(script), shown, str(report), wrap],
                cwd=folder, env=_environment() | given, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=SECONDS, check=False,
            )  # fmt: skip
        except subprocess.TimeoutExpired as error:
            raise NotProvoked(f"scenario {scenario.id!r} did not end in {SECONDS} s") from error
        output = done.stdout.decode("utf-8", "replace")
        if REFUSAL in output:
            raise NotPossible(f"{REFUSAL}; run as root, or let users have namespaces of their own")
        raised = tuple(Raised(*pair) for pair in json.loads(report.read_text(encoding="utf-8"))) if report.exists() else ()
        names = {name: scenario.fill(value, values) for name, value in scenario.identifiers.items()}
        return Recording(output, self.view, raised=raised, exit_code=done.returncode, identifiers=names)

    def _python(self) -> str:
        return str(self.interpreter if self.interpreter.exists() else sys.executable)


def _environment() -> dict[str, str]:
    """Little of this machine's: no proxies, no credentials, no Airflow."""
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "TMPDIR", "JAVA_HOME") if name in os.environ}
    return kept | {"HOME": tempfile.gettempdir(), "PYTHONUNBUFFERED": "1", "PYTHONDONTWRITEBYTECODE": "1", "PYTHONWARNINGS": "ignore"}
