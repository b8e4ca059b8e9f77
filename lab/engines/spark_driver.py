"""One warm Spark driver that runs jobs as they come: a line of JSON on stdin each, a line of JSON on stdout when it is done.

Runs in ``.venv-lab``. A job's code finds ``spark``, ``sc``, ``F`` and ``T`` as in a notebook; with ``"settings": null`` there is no
session, and the code makes its own. What the job, Spark and Python workers print goes to stderr, as on a cluster.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
import traceback
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from lab.harness import StepFailed, chain, run

Job = dict[str, Any]
SESSION = {"spark.master": "local[2]", "spark.app.name": "nightly", "spark.ui.enabled": "false", "spark.sql.shuffle.partitions": "2"}
NOTEBOOK = """from pyspark.sql import SparkSession, functions as F, types as T
spark = SparkSession.builder.getOrCreate()
sc = spark.sparkContext
"""


class Driver:
    """Keeps a session while jobs want the same settings; starts another, in the same JVM, when they do not."""

    def __init__(self) -> None:
        self._settings: dict[str, str] | None = None
        self._core: ModuleType = import_module("pyspark")
        self._sql: ModuleType = import_module("pyspark.sql")
        # The first job's settings would else be the JVM's own, and so every later job's too.
        self._core.SparkContext._ensure_initialized()

    def run(self, job: Job) -> Job:
        """Run one job; what ended it, and whether this driver can take another. Nothing is run where the JVM died since the last one."""
        if not self._alive():
            return {"alive": False, "run": False}
        environment = dict(os.environ)
        try:
            code = self._prepare(job["settings"]) + job["code"]
            _empty(Path(job["disk"]))
            run(compile(code, job["path"], "exec"), job["wrap"])
        except Exception as error:  # noqa: BLE001 - whatever it is, it is the recording
            trace = "".join(traceback.format_exception(error))
            sys.stderr.write(trace)
            return {"raised": chain(error), "trace": trace, "alive": self._alive()}
        finally:
            os.environ.clear()
            os.environ.update(environment)
        return {"raised": [], "trace": "", "alive": self._alive()}

    def _prepare(self, settings: dict[str, str] | None) -> str:
        """Have the session that the job wants, if any; the lines that fetch it."""
        active = self._core.SparkContext._active_spark_context
        if settings is None or settings != self._settings or active is None or active._jsc is None:
            self._settings = None
            self._stop()
        if settings is None:
            return ""
        builder = self._sql.SparkSession.builder
        for name, value in {**SESSION, **settings}.items():
            builder = builder.config(name, value)
        self._use(builder.getOrCreate().newSession())
        self._settings = settings
        return NOTEBOOK

    def _use(self, session: Any) -> None:
        """Have ``getOrCreate`` find this session, on both sides: one job's views and settings are not the next one's."""
        self._sql.SparkSession.builder._options.clear()
        self._sql.SparkSession._instantiatedSession = session
        sessions = session._get_j_spark_session_class(self._core.SparkContext._jvm)
        sessions.setDefaultSession(session._jsparkSession)
        sessions.setActiveSession(session._jsparkSession)

    def _stop(self) -> None:
        """Nothing stays: a builder keeps its options, a session that failed to start keeps its context."""
        session = self._sql.SparkSession
        context = self._core.SparkContext._active_spark_context
        if context is not None:
            context.stop()
        session._instantiatedSession = None
        session.builder._options.clear()
        jvm = self._core.SparkContext._jvm
        if jvm is not None:
            session._get_j_spark_session_class(jvm).clearDefaultSession()
            session._get_j_spark_session_class(jvm).clearActiveSession()
            contexts = getattr(getattr(jvm.org.apache.spark, "SparkContext$"), "MODULE$")
            _wait(lambda: bool(contexts.getActive().isEmpty()))

    def _alive(self) -> bool:
        jvm = self._core.SparkContext._jvm
        if jvm is None:
            return True
        try:
            jvm.java.lang.System.nanoTime()
        except Exception:  # noqa: BLE001 - py4j's errors are many, and all mean that the JVM is gone
            return False
        return True


def _empty(folder: Path) -> None:
    for path in folder.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def _wait(over: Callable[[], bool], seconds: float = 10.0) -> None:
    end = time.monotonic() + seconds
    while not over() and time.monotonic() < end:
        time.sleep(0.05)


def main() -> None:
    """See the module; ends with its input, or with its JVM."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    StepFailed.__module__ = "__main__"
    driver = Driver()
    for line in sys.stdin:
        answer = driver.run(json.loads(line))
        answers.write(json.dumps(answer) + "\n")
        answers.flush()
        if not answer["alive"]:
            return


if __name__ == "__main__":
    main()
