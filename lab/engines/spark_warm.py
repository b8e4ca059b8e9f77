"""The warm driver's process: started with what it needs, given jobs, and never waited for without end."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from lab.engines import spark_events
from lab.engines.base import Raised
from lab.engines.script import LAB_PYTHON
from lab.engines.spark_views import Said

PROGRAM = Path(__file__).with_name("spark_driver.py")
EXECUTOR_LOGS = "*/*/stderr"
QUIET, LOOKS = 4, 40
SUBMIT = "--driver-java-options '{java} -Dlab.structured={structured}' pyspark-shell"


class WarmDriver:
    """A process of ``spark_driver.py`` and the files that it writes to."""

    def __init__(self, folder: Path, environment: Mapping[str, str], java: str, prefix: Sequence[str]) -> None:
        self._logs = (folder / "driver.log", folder / "structured.log")
        self._events = folder / "events"
        self._work = folder / "spark" / "work"
        for log in self._logs:
            log.touch()
        with self._logs[0].open("ab") as stderr:
            self._process = subprocess.Popen(
                [*prefix, str(LAB_PYTHON), str(PROGRAM)], cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr,
                env={**environment, "PYSPARK_SUBMIT_ARGS": SUBMIT.format(java=java, structured=self._logs[1])}, start_new_session=True,
            )  # fmt: skip

    @property
    def alive(self) -> bool:
        """Whether it can take a job."""
        return self._process.poll() is None

    def run(self, job: Mapping[str, Any], seconds: float) -> Said | None:
        """Run a job; ``None`` where its JVM was dead already. A driver that dies of it, or takes longer, is no longer ``alive``."""
        before = [log.stat().st_size for log in self._logs]
        executors = {log: log.stat().st_size for log in self._work.glob(EXECUTOR_LOGS)}
        events = spark_events.sizes(self._events)
        answer = self._ask(job, seconds)
        if not answer.get("run", True):
            return None
        self._settle()
        log, structured = (_since(*pair) for pair in zip(self._logs, before, strict=True))
        return Said(
            log,
            structured=structured,
            trace=answer["trace"],
            raised=tuple(Raised(*pair) for pair in answer["raised"]),
            exit_code=1 if answer["raised"] else 0,
            executors=tuple(_since(log, executors.get(log, 0)) for log in sorted(self._work.glob(EXECUTOR_LOGS))),
            events=spark_events.since(self._events, events),
        )

    def _ask(self, job: Mapping[str, Any], seconds: float) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(job).encode() + b"\n")
        self._process.stdin.flush()
        ready, _, _ = select.select([self._process.stdout], [], [], seconds)
        line = self._process.stdout.readline() if ready else b""
        answer: dict[str, Any] = json.loads(line) if line else {"raised": [], "trace": "", "alive": False}
        if not answer["alive"]:
            self.stop()
        return answer

    def _settle(self) -> None:
        """Wait until the log is quiet: what belongs to this job is not to be read as the next one's."""
        sizes = [-1]
        while len(sizes) < LOOKS and (len(sizes) < QUIET or len(set(sizes[-QUIET:])) > 1):
            time.sleep(0.05)
            sizes.append(self._logs[0].stat().st_size)

    def stop(self) -> None:
        """End it and all that it started."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.communicate()


def _since(path: Path, offset: int) -> str:
    with path.open("rb") as file:
        file.seek(offset)
        return file.read().decode("utf-8", "replace")
