"""Takes this machine out of a recording: its paths, its names, its user, and the source lines of libraries."""

from __future__ import annotations

import getpass
import platform
import re
import socket
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

LIMIT = 4_000
"""Characters kept of a recording: causes stand near the end."""
HEAD = 1_000
_ROOT = Path(__file__).parents[1]
_FRAME = re.compile(r'\s*(?:\|\s*)?File "(?P<path>[^"]+)", line \d+')
_SITE = re.compile(r"[^\s\"'(\[]*/(?:\.venv[\w-]*|dist|\.pyenv/versions/[\w.]+)/(?P<rest>(?:lib/python3\.\d+|bin)/)")
_STDLIB = re.compile(rf"{re.escape(sys.base_prefix)}/(?=(?:lib/python3\.\d+|bin)/)")
_HOME = re.compile(rf"(?<![\w./-]){re.escape(str(Path.home()))}(?![\w.-])")
_KERNEL = re.compile(re.escape(platform.release()))
_LINES = re.compile(r": OS info |spark\.local\.dir will be overridden|^Looking in indexes: (?!https?://[\w.-]+\.(?:internal|example)/)")
"""Lines that say what machine or lab this is and nothing else."""
_INDEX = re.compile(r"\s*(?:'|\")?--(?:extra-)?index[-]url(?:'|\")?[ =,]+\S+")
_USER = re.compile(
    rf"(?P<before>authenticated user name \(|acls(?: groups)? to: |permissions: |HADOOP_USER_NAME=){re.escape(getpass.getuser())}\b"
)
_TEMPORARY = re.compile(rf"(?:{re.escape(tempfile.gettempdir())}|/tmp|/var/tmp)/(?:lab-|tmp|pytest-|oncall-)[\w.-]*")


def scrub(text: str) -> str:
    """``text`` as it would stand in a log elsewhere, at most :data:`LIMIT` characters."""
    text = "\n".join(line for line in _without_source(text.split("\n")) if not _LINES.search(line))
    text = _STDLIB.sub("/usr/local/", _SITE.sub(r"/usr/local/\g<rest>", text))
    text = _TEMPORARY.sub("/opt/airflow/work", text).replace(str(_ROOT), "/opt/airflow")
    text = _HOME.sub("/home/airflow", text)
    text = _USER.sub(r"\g<before>airflow", _INDEX.sub("", _KERNEL.sub("6.8.0-generic", text)))
    for name, neutral in _names():
        text = re.sub(rf"(?<![\w.-]){re.escape(name)}(?![\w-])", neutral, text)
    text = text.replace("\x00", "").strip("\n")
    return text if len(text) <= LIMIT else f"{text[:HEAD]}\n...\n{text[-(LIMIT - HEAD) :]}"


def _names() -> Iterator[tuple[str, str]]:
    for host in sorted({socket.gethostname(), socket.getfqdn()} - {"localhost"}, key=len, reverse=True):
        yield host, "worker-1.internal"
    if getpass.getuser() != "root":
        yield getpass.getuser(), "airflow"


def _without_source(lines: list[str]) -> Iterator[str]:
    """Frames without the code they quote: that is other people's text, and judges nothing."""
    in_frame = False
    for line in lines:
        if found := _FRAME.match(line):
            in_frame = True
            if found["path"].endswith("lab/harness.py"):
                continue
        elif in_frame and re.match(r"\s*(?:\|\s*)?\s{4,}\S", line):
            continue
        else:
            in_frame = False
        yield line
