"""Dresses a program's output as the logs that show it: Airflow 2 and 3, containers, plain; with healthy noise before it.

The dress changes from variation to variation, so that no model can lean on it.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

from lab.engines.base import Recording

DAGS = ("nightly_orders", "crm_sync", "finance_close", "ml_features", "clickstream", "inventory", "geo_export", "hr_import")
TASKS = ("extract", "load_rows", "publish", "transform.clean", "wait_for_input", "aggregate", "validate", "notify_partner")
NOISE = (
    "read {n} rows in {m} ms",
    "0 errors so far, {n} rows checked",
    "retry policy: 3 attempts, timeout {m} s",
    "connected",
    "partition {n} of {m} done",
    "memory in use: {m} MB",
    "no failed records in batch {n}",
    "writing to the staging area",
    "cache warmed, {n} keys",
    "starting step {n}",
)
_SIGNALS = {-6: "SIGABRT", -9: "SIGKILL", -11: "SIGSEGV", -15: "SIGTERM"}


@dataclass(frozen=True)
class Dressed:
    """A log excerpt and the identifiers that its surroundings show."""

    text: str
    style: str
    identifiers: Mapping[str, str]


@dataclass
class _Scene:
    """One run of one task: who it is and what time it is."""

    dag_id: str
    task_id: str
    run_id: str
    at: datetime
    dice: random.Random

    def tick(self) -> datetime:
        self.at += timedelta(milliseconds=self.dice.randint(3, 4_000))
        return self.at

    def noise(self) -> list[str]:
        return [
            line.format(n=self.dice.randint(1, 900), m=self.dice.randint(1, 9_000))
            for line in self.dice.sample(NOISE, self.dice.randint(0, 4))
        ]

    @property
    def identifiers(self) -> dict[str, str]:
        return {"dag_id": self.dag_id, "task_id": self.task_id, "run_id": self.run_id}


def dress(recording: Recording, key: str, turn: int) -> Dressed:
    """The recording in the style whose ``turn`` it is; ``key`` seeds names and noise, so that the corpus comes out the same."""
    if not recording.dressable:
        return Dressed(recording.text, "as written", {})
    style, wear = STYLES[turn % len(STYLES)]
    scene = _scene(key)
    text, shows_names = wear(recording, scene)
    return Dressed(text, style, scene.identifiers if shows_names else {})


def _scene(key: str) -> _Scene:
    dice = random.Random(key)
    at = datetime(2031, dice.randint(1, 12), dice.randint(1, 28), dice.randint(0, 23), dice.randint(0, 59), tzinfo=timezone.utc)
    run_id = dice.choice(("scheduled__{}", "manual__{}")).format(at.isoformat())
    return _Scene(dice.choice(DAGS), dice.choice(TASKS), run_id, at, dice)


def _plain(recording: Recording, scene: _Scene) -> tuple[str, bool]:
    return recording.text, False


def _noisy(recording: Recording, scene: _Scene) -> tuple[str, bool]:
    lines = [f"{scene.tick():%Y-%m-%d %H:%M:%S},{scene.dice.randint(0, 999):03} - jobs - INFO - {line}" for line in scene.noise()]
    return "\n".join([*lines, recording.text]), False


def _airflow_2(recording: Recording, scene: _Scene) -> tuple[str, bool]:
    def entry(source: str, level: str, text: str) -> str:
        return f"[{scene.tick():%Y-%m-%dT%H:%M:%S}.{scene.dice.randint(0, 999):03}+0000] {{{source}}} {level} - {text}"

    output, trace = _split(recording)
    lines = [entry("taskinstance.py:2480", "INFO", f"Executing <Task(PythonOperator): {scene.task_id}> on {scene.at.isoformat()}")]
    lines += [entry("logging_mixin.py:190", "INFO", line) for line in (*scene.noise(), *output)]
    names = f"dag_id={scene.dag_id}, task_id={scene.task_id}, run_id={scene.run_id}"
    if _failed(recording):
        lines += [entry("taskinstance.py:2907", "ERROR", "Task failed with exception"), *trace] if trace else []
        lines += [entry("taskinstance.py:1206", "INFO", f"Marking task as FAILED. {names}")] if trace else []
    else:
        lines += [entry("taskinstance.py:1206", "INFO", f"Marking task as SUCCESS. {names}")]
    lines += [entry("local_task_job_runner.py:240", "INFO", f"Task exited with return code {_code(recording)}")]
    return "\n".join(lines), not _failed(recording) or bool(trace)


def _airflow_3_json(recording: Recording, scene: _Scene) -> tuple[str, bool]:
    def entry(level: str, event: str, **more: object) -> str:
        return json.dumps({"timestamp": f"{scene.tick().isoformat()}", "level": level, "event": event, **more}, ensure_ascii=False)

    output, trace = _split(recording)
    lines = [entry("info", line, logger="task.stdout") for line in (*scene.noise(), *output)]
    if recording.raised and trace:
        detail = [{"exc_type": one.kind.rpartition(".")[2], "exc_value": one.message, "is_cause": False} for one in recording.raised]
        lines += [entry("error", "Task failed with exception", logger="task", error_detail=detail)]
    elif _failed(recording):
        code = recording.exit_code
        lines += [
            entry(
                "error",
                "Process terminated by signal" if code and code < 0 else "Process exited abnormally",
                exit_code=code,
                logger="supervisor",
            )
        ]
    else:
        lines += [entry("info", "Task finished", logger="task", final_state="success")]
    return "\n".join(lines), False


def _airflow_3_text(recording: Recording, scene: _Scene) -> tuple[str, bool]:
    def entry(level: str, text: str, source: str = "task") -> str:
        return f"[{scene.tick():%Y-%m-%d %H:%M:%S}] {level} - {text} source={source} loc=task_runner.py:1079"

    output, trace = _split(recording)
    lines = [entry("INFO", line, "task.stdout") for line in (*scene.noise(), *output)]
    lines += [entry("ERROR", "Task failed with exception"), *trace] if trace else []
    return "\n".join(lines), False


def _container(recording: Recording, scene: _Scene) -> tuple[str, bool]:
    lines = (*scene.noise(), *recording.text.split("\n"))
    return "\n".join(f"{scene.tick():%Y-%m-%dT%H:%M:%S}.{scene.dice.randint(0, 999_999_999):09}Z stderr F {line}" for line in lines), False


Wear = Callable[[Recording, _Scene], tuple[str, bool]]
STYLES: Sequence[tuple[str, Wear]] = (
    ("plain", _plain),
    ("airflow 2", _airflow_2),
    ("airflow 3 json", _airflow_3_json),
    ("noisy", _noisy),
    ("airflow 3 text", _airflow_3_text),
    ("container", _container),
)


def _failed(recording: Recording) -> bool:
    return bool(recording.raised) or recording.exit_code not in (0, None)


def _code(recording: Recording) -> str:
    code = recording.exit_code or 0
    return f"Negsignal.{_SIGNALS[code]}" if code in _SIGNALS else str(code)


def _split(recording: Recording) -> tuple[list[str], list[str]]:
    """The program's output and, where an exception ended it, the traceback after it."""
    lines = recording.text.rstrip("\n").split("\n")
    start = next((n for n, line in enumerate(lines) if line.startswith("Traceback (most recent call last)")), 0)
    return (lines[:start], lines[start:]) if recording.raised else (lines, [])
