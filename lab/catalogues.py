"""Corpus rows rendered from the lists of errors that engines ship, marked ``made: rendered``.

A code becomes a category by the tables of this module; a code that no table names is left out, as nobody knows its cause from the code.
"""

from __future__ import annotations

import builtins
import errno
import gzip
import http
import json
import os
import platform
import re
import signal
import subprocess
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from typing import Any

from lab.engines.script import LAB_PYTHON
from lab.record import Row

MOST_ROWS = 600
SPARK_CONDITIONS = 80
BOTO_SHAPES = 80
_SITE = LAB_PYTHON.parents[1] / "lib"

Verdict = tuple[str, bool | None]


@dataclass(frozen=True)
class Entry:
    """One error of one catalogue, in the wordings that logs have for it."""

    source: str
    version: str
    code: str
    verdict: Verdict
    texts: tuple[str, ...]
    identifiers: Mapping[str, str]


# Longest prefix decides; a class that holds several causes (08 has both refused and protocol errors) is split by code.
SQLSTATES: Mapping[str, Verdict | None] = {
    "08": ("database_connectivity", True), "08P01": None, "0A": ("code_error", False), "22": ("data_quality", False),
    "23": ("data_quality", False), "25P03": ("database_performance", True), "25P04": ("database_performance", True),
    "28": ("authentication", False), "2200": ("data_quality", False), "3D": ("configuration_error", False),
    "3F": ("missing_data", False), "40": ("database_performance", True), "40003": None, "42": ("code_error", False),
    "42501": ("authentication", False), "42P01": ("missing_data", False), "42809": ("code_error", False),
    "53100": ("storage_exhaustion", False), "53200": ("memory_exhaustion", False), "53300": ("database_connectivity", True),
    "53400": ("configuration_error", False), "55P03": ("database_performance", True), "55006": ("database_performance", True),
    "57014": ("database_performance", True), "57P01": ("database_connectivity", True), "57P02": ("database_connectivity", True),
    "57P03": ("database_connectivity", True), "57P05": ("database_connectivity", True), "58030": ("infrastructure_failure", True),
    "F0000": ("configuration_error", False),
}  # fmt: skip
SPARK_STATES: Mapping[str, Verdict] = {
    "22": ("data_quality", False), "23": ("data_quality", False), "42": ("code_error", False), "0A": ("code_error", False),
    "42K03": ("missing_data", True), "42P01": ("missing_data", False), "42501": ("authentication", False),
    "53200": ("memory_exhaustion", False), "58030": ("infrastructure_failure", True), "28000": ("authentication", False),
}  # fmt: skip
HTTP_CODES: Mapping[int, Verdict] = {
    400: ("code_error", False), 401: ("authentication", False), 403: ("authentication", False), 404: ("missing_data", False),
    405: ("code_error", False), 407: ("authentication", False), 408: ("network_timeout", True), 410: ("missing_data", False),
    415: ("code_error", False), 422: ("data_quality", False), 429: ("rate_limit", True), 500: ("infrastructure_failure", True),
    502: ("infrastructure_failure", True), 503: ("infrastructure_failure", True), 504: ("network_timeout", True),
    507: ("storage_exhaustion", False), 511: ("authentication", False),
}  # fmt: skip
BOTO_NAMES: tuple[tuple[str, Verdict], ...] = (
    (r"Throttl|TooManyRequests|SlowDown|ThroughputExceeded|RequestLimitExceeded|RateExceeded|RequestThrottled", ("rate_limit", True)),
    (r"AccessDenied|Unauthorized|NotAuthorized|ExpiredToken|InvalidToken|AccessForbidden|Permission", ("authentication", False)),
    (r"Timeout|TimedOut", ("network_timeout", True)),
    (r"NotFound|NoSuch|DoesNotExist|NonExistent", ("missing_data", False)),
    (r"InternalServ|InternalFailure|InternalError|ServiceUnavailable|ServerException", ("infrastructure_failure", True)),
)
BOTO_SERVICES = ("s3", "sqs", "sns", "dynamodb", "kinesis", "glue", "athena", "redshift-data", "emr", "secretsmanager", "ssm", "lambda",
                 "ecs", "batch", "stepfunctions", "kms")  # fmt: skip
GRPC_CODES: Mapping[str, Verdict] = {
    "UNAVAILABLE": ("network_connectivity", True), "DEADLINE_EXCEEDED": ("network_timeout", True), "NOT_FOUND": ("missing_data", False),
    "PERMISSION_DENIED": ("authentication", False), "UNAUTHENTICATED": ("authentication", False),
    "RESOURCE_EXHAUSTED": ("rate_limit", True), "INVALID_ARGUMENT": ("code_error", False), "UNIMPLEMENTED": ("code_error", False),
    "DATA_LOSS": ("data_quality", False), "INTERNAL": ("infrastructure_failure", True),
}  # fmt: skip
ERRNOS: Mapping[str, Verdict] = {
    "ENOSPC": ("storage_exhaustion", False), "EDQUOT": ("storage_exhaustion", False), "EFBIG": ("storage_exhaustion", False),
    "ENOMEM": ("memory_exhaustion", False), "EACCES": ("authentication", False), "EPERM": ("authentication", False),
    "ENOENT": ("missing_data", True), "EIO": ("infrastructure_failure", True), "EROFS": ("infrastructure_failure", None),
    "ESTALE": ("infrastructure_failure", True), "ENODEV": ("infrastructure_failure", None), "ENOTCONN": ("network_connectivity", True),
    "ECONNREFUSED": ("network_connectivity", True), "ECONNRESET": ("network_connectivity", True), "EPIPE": ("network_connectivity", True),
    "ECONNABORTED": ("network_connectivity", True), "EHOSTUNREACH": ("network_connectivity", True),
    "EHOSTDOWN": ("network_connectivity", True),
    "ENETUNREACH": ("network_connectivity", True), "ENETDOWN": ("network_connectivity", True), "ETIMEDOUT": ("network_timeout", True),
    "EADDRINUSE": ("configuration_error", None), "EADDRNOTAVAIL": ("configuration_error", False), "ENOEXEC": ("configuration_error", False),
    "EKEYEXPIRED": ("authentication", False), "EKEYREJECTED": ("authentication", False), "EREMOTEIO": ("infrastructure_failure", True),
}  # fmt: skip
SIGNALS: Mapping[str, Verdict] = {
    "SIGKILL": ("infrastructure_failure", True), "SIGTERM": ("infrastructure_failure", True), "SIGHUP": ("infrastructure_failure", True),
    "SIGSEGV": ("infrastructure_failure", None), "SIGABRT": ("infrastructure_failure", None), "SIGBUS": ("infrastructure_failure", None),
    "SIGILL": ("infrastructure_failure", None), "SIGQUIT": ("infrastructure_failure", True),
}  # fmt: skip
EXCEPTIONS: Mapping[str, Verdict] = {
    "AssertionError": ("code_error", False), "AttributeError": ("code_error", False), "ImportError": ("code_error", False),
    "LookupError": ("code_error", False), "NameError": ("code_error", False), "NotImplementedError": ("code_error", False),
    "RecursionError": ("code_error", False), "SyntaxError": ("code_error", False), "TypeError": ("code_error", False),
    "ZeroDivisionError": ("code_error", False), "MemoryError": ("memory_exhaustion", False), "UnicodeError": ("data_quality", False),
    "FileNotFoundError": ("missing_data", True), "PermissionError": ("authentication", False), "TimeoutError": ("network_timeout", True),
    "ConnectionError": ("network_connectivity", True),
}  # fmt: skip
_WORDS = ("orders", "col_a", "daily_load", "eu-1", "42", "region", "2031-04-02", "amount", "v2", "ledger")


def made() -> Iterator[Row]:
    """All rows of all catalogues, at most :data:`MOST_ROWS`."""
    sources = (http_status, grpc, errnos, signals, exceptions, botocore, spark, postgres)
    return islice((row for source in sources for entry in source() for row in _rows(entry)), MOST_ROWS)


def postgres() -> Iterator[Entry]:
    """SQLSTATE conditions, as psycopg ships them."""
    from psycopg import errors

    kinds = {getattr(one, "sqlstate", None): one for one in vars(errors).values() if isinstance(one, type)}
    states = sorted(state for state in kinds if isinstance(state, str))
    for number, (state, kind) in enumerate((state, kinds[state]) for state in states):
        verdict = _by_prefix(SQLSTATES, state)
        words = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", kind.__name__).lower()
        if verdict:
            texts = (f"psycopg.errors.{kind.__name__}: {words}", f"ERROR:  {state}: {words}\nLOCATION:  exec_simple_query")
            # The two classes with most codes would outweigh all others.
            shown = (texts[number % 2],) if verdict[0] in ("code_error", "data_quality") else texts
            yield Entry("postgres", f"psycopg {version('psycopg')}", state, verdict, shown, {"sqlstate": state})


def spark() -> Iterator[Entry]:
    """Error conditions in the jar of the pyspark wheel, taken evenly over the alphabet."""
    found = [one for jar in _SITE.glob("python3*/site-packages/pyspark/jars/spark-common-utils_*.jar") for one in _spark_entries(jar)]
    yield from found[:: -(-len(found) // SPARK_CONDITIONS) or 1]


def _spark_entries(jar: Path) -> Iterator[Entry]:
    with zipfile.ZipFile(jar) as archive:
        conditions = json.loads(archive.read("error/error-conditions.json"))
    product = f"Spark {jar.stem.rpartition('-')[2]}"
    for name, condition in sorted(conditions.items()):
        state = condition.get("sqlState", "")
        verdict = _by_prefix(SPARK_STATES, state)
        if verdict and not name.startswith(("_LEGACY", "INTERNAL_ERROR")):
            kind = "AnalysisException" if verdict[0] == "code_error" else "SparkRuntimeException"
            message = _filled(" ".join(condition["message"]))
            texts = (f"org.apache.spark.{kind}: [{name}] {message} SQLSTATE: {state}",)
            yield Entry("spark", product, name, verdict, texts, {"sqlstate": state})


def http_status() -> Iterator[Entry]:
    """Status codes as three clients word them."""
    for code, verdict in HTTP_CODES.items():
        status = http.HTTPStatus(code)
        side = "Client" if code < 500 else "Server"
        address = "https://api.partner.invalid/v1/orders?page=3"
        texts = (
            f"requests.exceptions.HTTPError: {code} {side} Error: {status.phrase} for url: {address}",
            f"urllib.error.HTTPError: HTTP Error {code}: {status.phrase}",
            f"httpx.HTTPStatusError: {side} error '{code} {status.phrase}' for url '{address}'",
        )
        yield Entry("http", f"Python {platform.python_version()}", str(code), verdict, texts, {"http_status": str(code)})


def botocore() -> Iterator[Entry]:
    """Error shapes of the service models, each with the first operation that declares it."""
    found = [one for service in BOTO_SERVICES for one in _boto_entries(service)]
    yield from found[:: -(-len(found) // BOTO_SHAPES) or 1]


def _boto_entries(service: str) -> Iterator[Entry]:
    for path in sorted(_SITE.glob(f"python3*/site-packages/botocore/data/{service}/*/service-2.json.gz"))[-1:]:
        model = json.loads(gzip.decompress(path.read_bytes()))
        seen: set[str] = set()
        for operation, described in model["operations"].items():
            for shape in (error["shape"] for error in described.get("errors", ())):
                code = model["shapes"][shape].get("error", {}).get("code", shape)
                verdict = next((verdict for pattern, verdict in BOTO_NAMES if re.search(pattern, code)), None)
                if verdict and code not in seen:
                    seen.add(code)
                    texts = (f"botocore.errorfactory.{shape}: An error occurred ({code}) when calling the {operation} operation: Unknown",)
                    yield Entry("botocore", f"{service} {path.parent.name}", f"{service}-{code}", verdict, texts, {})


def grpc() -> Iterator[Entry]:
    """Status codes of grpcio, where the lab's libraries are."""
    script = "import grpc, json; print(json.dumps([grpc.__version__, [code.name for code in grpc.StatusCode]]))"
    if not LAB_PYTHON.exists():
        return
    release, names = json.loads(subprocess.run([LAB_PYTHON, "-c", script], capture_output=True, check=True).stdout)
    for name in names:
        if name in GRPC_CODES:
            lines = ("<_InactiveRpcError of RPC that terminated with:", f"\tstatus = StatusCode.{name}", '\tdetails = ""', ">")
            texts = ("grpc._channel._InactiveRpcError: " + "\n".join(lines), f"rpc error: code = {name.title().replace('_', '')} desc = ")
            yield Entry("grpc", f"grpcio {release}", name, GRPC_CODES[name], texts, {})


def errnos() -> Iterator[Entry]:
    """The operating system's error numbers, as Python and as Java word them."""
    for name, verdict in ERRNOS.items():
        if number := getattr(errno, name, None):
            kind, words = type(OSError(number, "")).__name__, os.strerror(number)
            texts = (f"{kind}: [Errno {number}] {words}", f"java.io.IOException: {words}")
            yield Entry("errno", platform.system(), name, verdict, texts, {"errno": str(number)})


def signals() -> Iterator[Entry]:
    """Signals that end a process, as its parent and as Airflow word them."""
    for name, verdict in SIGNALS.items():
        number = int(signal.Signals[name])
        texts = (
            f"subprocess.CalledProcessError: Command './job.sh' died with <Signals.{name}: {number}>.",
            f"{{local_task_job_runner.py:243}} INFO - Task exited with return code Negsignal.{name}",
        )
        yield Entry("signal", platform.system(), name, verdict, texts, {})


def exceptions() -> Iterator[Entry]:
    """Python's own exception tree: a class that no table names is judged as its nearest parent."""
    for name, kind in sorted(vars(builtins).items()):
        if isinstance(kind, type) and issubclass(kind, Exception) and kind.__name__ == name:
            verdict = next((EXCEPTIONS[one.__name__] for one in kind.__mro__ if one.__name__ in EXCEPTIONS), None)
            if verdict:
                trace = f'Traceback (most recent call last):\n  File "/opt/airflow/dags/etl.py", line 31, in run\n{name}'
                yield Entry("python", f"Python {platform.python_version()}", name, verdict, (name, trace), {})


def _by_prefix(table: Mapping[str, Any], code: str) -> Verdict | None:
    verdict: Verdict | None = next((table[code[:length]] for length in range(len(code), 1, -1) if code[:length] in table), None)
    return verdict


def _filled(message: str) -> str:
    words = iter(_WORDS * 10)
    return re.sub(r"<\w+>", lambda _: next(words), message)


def _rows(entry: Entry) -> Iterable[Row]:
    category, transient = entry.verdict
    for number, text in enumerate(entry.texts):
        yield {
            "text": text,
            "category": category,
            "also": [],
            "transient": transient,
            "identifiers": {name: value for name, value in entry.identifiers.items() if value in text},
            "provenance": {
                "made": "rendered",
                "engine": entry.source,
                "version": entry.version,
                "scenario": f"catalogue-{entry.source}-{entry.code}",
                "variation": number,
                "view": "rendered",
                "surroundings": "as written",
            },
        }
