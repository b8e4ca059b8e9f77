"""Airflow 3 task logs: DAG files parsed, run and supervised by a real Airflow in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from typing_extensions import Self

from lab.engines.base import Recording
from lab.scenario import Scenario

WORKER = Path(__file__).parents[1] / "airflow_worker.py"
FILES = ("daily_orders.py", "crm/sync.py", "etl_main.py", "reporting.py")
FRAMES = 3
"""Innermost frames kept of each exception in a JSON log; the corpus is about the error, not about Airflow's own call stack."""


class AirflowEngine:
    """``scenario.run`` is a DAG file. Options: ``file`` (its name), ``conf`` (of the run), ``env`` (of parser and task),
    ``later`` (what the file says when the task runs), ``task`` (whose log is recorded; every failed one, or all that ran, without it).
    """

    def __init__(self) -> None:
        self._ends = ExitStack()
        self._home = Path()
        self._worker: subprocess.Popen[str] | None = None
        self._version = ""

    def __enter__(self) -> Self:
        self._home = Path(self._ends.enter_context(tempfile.TemporaryDirectory(prefix="lab-", ignore_cleanup_errors=True)))
        (self._home / "dags").mkdir()
        log = self._ends.enter_context((self._home / "worker.log").open("w", encoding="utf-8"))
        command, pipe = [sys.executable, str(WORKER)], subprocess.PIPE
        worker = subprocess.Popen(command, env=self._environment(), cwd=self._home, stdin=pipe, stdout=pipe, stderr=log, text=True)
        # The end of its input ends it; waited for when the block ends.
        self._worker = self._ends.enter_context(worker)
        self._version = f"Airflow {self._answer()['version']}"
        return self

    def __exit__(self, *error: object) -> None:
        self._ends.close()

    @property
    def version(self) -> str:
        """As Airflow says it."""
        return self._version

    def provoke(self, scenario: Scenario, values: Mapping[str, str]) -> Iterable[Recording]:
        """Parse and run the DAG; a recording each of the log file and of the page that shows it, or of the import error."""
        request = _request(scenario, values)
        assert self._worker is not None
        print(json.dumps(request), file=self._worker.stdin, flush=True)
        names = {name: scenario.fill(value, values) for name, value in scenario.identifiers.items()}
        for log in _wanted(self._answer(), scenario.options.get("task")):
            yield from _recordings(log, names)

    def _answer(self) -> Any:
        assert self._worker is not None
        line = next(iter(self._worker.stdout or ()), "")
        if not line:
            raise RuntimeError(f"the lab's Airflow ended: {(self._home / 'worker.log').read_text(encoding='utf-8')[-2_000:]}")
        return json.loads(line)

    def _environment(self) -> dict[str, str]:
        kept = {name: os.environ[name] for name in ("PATH", "LANG", "TMPDIR") if name in os.environ}
        return kept | {
            "HOME": str(self._home),
            "AIRFLOW_HOME": str(self._home),
            "AIRFLOW__CORE__DAGS_FOLDER": f"{self._home}/dags",
            "AIRFLOW__CORE__PLUGINS_FOLDER": f"{self._home}/plugins",
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL": "1",
            "AIRFLOW__WORKERS__MISSING_DAG_RETRIES": "0",
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONWARNINGS": "ignore",
            "NO_COLOR": "1",
        }


def _request(scenario: Scenario, values: Mapping[str, str]) -> dict[str, Any]:
    options = scenario.options
    name = scenario.fill(str(options.get("file", FILES[sum(map(ord, scenario.id)) % len(FILES)])), values)
    return {
        "file": Path(name).name,
        "dag": scenario.fill(scenario.run, values),
        "later": scenario.fill(str(options.get("later", "")), values),
        "conf": options.get("conf", {}),
        "env": {key: scenario.fill(str(value), values) for key, value in options.get("env", {}).items()},
    }


def _wanted(logs: list[dict[str, str]], task: str | None) -> list[dict[str, str]]:
    if task:
        return [log for log in logs if log.get("task_id") == task]
    failed = [log for log in logs if log.get("state") in ("failed", "skipped", "up_for_retry")]
    return failed or logs


def _recordings(log: Mapping[str, str], names: Mapping[str, str]) -> Iterator[Recording]:
    identifiers = {**{name: log[name] for name in ("dag_id", "task_id", "run_id", "operator") if log.get(name)}, **names}
    if log["view"] != "task log":
        yield Recording(log["text"], log["view"], dressable=False, identifiers=identifiers)
        return
    entries = [_shortened(json.loads(line)) for line in log["text"].splitlines()]
    as_json = "\n".join(json.dumps(entry, ensure_ascii=False) for entry in entries)
    yield Recording(as_json, "task log file", dressable=False, identifiers=identifiers)
    as_text = "\n".join(line for entry in entries for line in _as_text(entry))
    yield Recording(as_text, "task log page", dressable=False, identifiers=identifiers)


def _shortened(entry: dict[str, Any]) -> dict[str, Any]:
    for error in entry.get("error_detail") or ():
        error["frames"] = error.get("frames", [])[-FRAMES:]
    return entry


def _as_text(entry: Mapping[str, Any]) -> Iterator[str]:
    """One entry as Airflow's web page shows and copies it."""
    at = str(entry["timestamp"]).replace("T", " ")[:19]
    place = f" loc={entry['filename']}:{entry['lineno']}" if "filename" in entry else ""
    yield f"[{at}] {str(entry['level']).upper()} - {entry['event']} source={entry['logger']}{place}"
    for error in entry.get("error_detail") or ():
        yield f"{error['exc_type']}: {error['exc_value']}"
        for frame in error["frames"]:
            yield f'File "{frame["filename"]}", line {frame["lineno"]} in {frame["name"]}'
            yield ""
