"""A small corpus for tests: enough to train all models in a moment."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from airflow_oncall import conf
from airflow_oncall.learn.dataset import Example

_SAID: dict[str, tuple[bool | None, tuple[str, ...]]] = {
    "memory_exhaustion": (
        None,
        (
            "java.lang.OutOfMemoryError: Java heap space in worker {n}",
            "MemoryError: unable to allocate {n} GiB for the heap",
            "ERROR - worker {n} ran out of memory, heap is full",
            "java.lang.OutOfMemoryError: GC overhead limit, heap space {n}",
            "numpy.MemoryError: heap allocation of {n} bytes in worker",
            "ERROR - heap space of worker {n} is out of memory",
        ),
    ),
    "network_timeout": (
        True,
        (
            "requests.exceptions.ReadTimeout: read timed out after {n} s",
            "socket.timeout: the read operation timed out, waited {n}",
            "ERROR - gateway timeout, upstream timed out after {n}",
            "TimeoutError: upstream request timed out in {n} ms",
            "httpx.ReadTimeout: upstream read timed out ({n})",
            "ERROR - request {n} timed out waiting for upstream",
        ),
    ),
    "code_error": (
        False,
        (
            "TypeError: unsupported operand in line {n}",
            "NameError: name 'frame{n}' is not defined",
            "AttributeError: object has no attribute 'rows{n}'",
            "TypeError: object of line {n} is not callable",
            "NameError: object name is not defined in line {n}",
            "AttributeError: operand has no attribute, line {n}",
        ),
    ),
    "authentication": (
        False,
        (
            "PermissionError: access denied for role loader{n}",
            "ERROR - password authentication failed for role {n}",
            "botocore.exceptions.ClientError: access denied to role {n}",
            "ERROR - token of role {n} expired, access denied",
            "HTTPError: 403 Forbidden, role {n} has no access",
            "ERROR - role {n} may not log in, password expired",
        ),
    ),
    "none": (
        None,
        (
            "INFO - loaded {n} rows, all checks passed",
            "INFO - step {n} finished, returned value was None",
            "INFO - {n} partitions written, all went well",
            "INFO - all checks of step {n} passed",
            "INFO - {n} rows written in step, finished",
            "INFO - returned {n} partitions, finished well",
        ),
    ),
}


def few_examples() -> list[Example]:
    """Four categories and healthy lines, six scenarios each, three rows a scenario."""
    return list(_rows())


def few_lines() -> str:
    """The same as a file of the corpus."""
    return "".join(map(_line, _rows()))


def include_few(folder: Path) -> Path:
    """An include folder of the operator's with a corpus that trains in a moment; what else is shipped stays in force."""
    (folder / "corpus").mkdir(parents=True)
    for shipped in (conf.shipped_include() / "corpus").iterdir():  # a file of the operator's takes the place of the shipped one
        (folder / "corpus" / shipped.name).touch()
    (folder / "corpus" / "few.jsonl").write_text(few_lines(), encoding="utf-8")
    return folder


def _line(example: Example) -> str:
    engine, scenario = example.group.split(":")
    row = {"text": example.text, "category": example.category, "transient": example.transient}
    return json.dumps({**row, "provenance": {"engine": engine, "scenario": scenario}}) + "\n"


def _rows() -> Iterator[Example]:
    for category, (transient, sayings) in _SAID.items():
        for number, saying in enumerate(sayings):
            for n in (3, 41, 702):
                yield Example(saying.format(n=n), category, transient, f"few:{category}-{number}")
