"""Log text -> lines without their log prefixes: Airflow 2 and 3, Spark log4j, PostgreSQL, pgbouncer, JSON lines, plain output.

Bounded on purpose: of a huge text only its head and tail are looked at, and no line is longer than :data:`LINE_LIMIT`.
"""

from __future__ import annotations

import csv
import json
import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

HEAD, TAIL = 64_000, 192_000
"""Characters looked at of a text longer than both together: causes stand near its end, what was started near its head."""
LINE_LIMIT = 2_000

ALARM_LEVELS = frozenset({"ERROR", "FATAL", "PANIC", "CRITICAL", "SEVERE"})
QUIET_LEVELS = frozenset({"INFO", "LOG", "DEBUG", "NOTICE", "TRACE", "NOISE"})
COMPANIONS = frozenset({"DETAIL", "HINT", "CONTEXT", "STATEMENT", "QUERY", "LOCATION"})
"""PostgreSQL's lines that accompany an error; only DETAIL says more about the cause."""

_LEVEL = r"(?P<level>TRACE|DEBUG\d?|INFO|NOTICE|WARN(?:ING)?|ERROR|CRITICAL|FATAL|SEVERE|LOG|PANIC|NOISE)"
_PROGRAM_LEVEL = r"(?P<level>DEBUG|INFO|NOTICE|WARN(?:ING)?|ERROR|CRITICAL|FATAL)"
_STAMP = r"\d{4}-\d\d-\d\d[T ,]{1,2}\d\d:\d\d:\d\d\S{0,16}"
_PREFIXES = tuple(
    re.compile(pattern)
    for pattern in (
        # Airflow 2: [2024-01-01, 00:00:00 UTC] {file.py:1} LEVEL - text; Airflow 3 text: [..] LEVEL - text
        rf"\[\d{{4}}-[^\]]{{5,45}}\] (?:\{{\{{?(?P<source>[^:}}\s]{{1,80}}):\d+\}}\}}? )?{_LEVEL} - ?(?P<text>.*)",
        r"\[\d{4}-[^\]]{5,45}\] \{\{?(?P<source>[^:}\s]{1,80}):\d+\}\}? (?P<text>.*)",
        rf"\{{\{{?(?P<source>[^:}}\s]{{1,80}}):\d+\}}\}}? {_LEVEL} - (?P<text>.*)",
        rf"\[\d{{4}}-[^\]]{{5,45}}: {_LEVEL}/[^\]]{{1,60}}\] (?P<text>.*)",  # Celery worker
        rf"\d\d/\d\d/\d\d \d\d:\d\d:\d\d {_LEVEL} (?P<source>[\w$.\-]{{1,120}}): (?P<text>.*)",  # Spark log4j
        rf"{_STAMP} - (?P<source>[\w.\-]{{1,120}}) - {_LEVEL} - (?P<text>.*)",
        rf"{_STAMP} \[[^\]]{{1,80}}\] {_LEVEL} +(?P<source>[\w$.\-]{{1,120}}) ?(?:\[[^\]]{{0,80}}\] ?)?[:-] (?P<text>.*)",
        rf"{_STAMP} +{_LEVEL} +(?:\[[^\]]{{1,80}}\] )?(?P<source>[\w$.\-/]{{1,120}}) ?[:-] (?P<text>.*)",
        rf"{_STAMP} \w{{2,5}} \[\d+\] {_LEVEL} (?P<source>[CS]-\w+): (?P<text>.*)",  # pgbouncer
        rf"{_STAMP} \w{{2,5}} \[\d+\] {_LEVEL} (?P<text>.*)",
        rf"{_STAMP} \[(?i:{_LEVEL}) *\] (?P<text>.*)",  # structlog console
        rf"{_LEVEL}:(?P<source>[\w.\-]{{1,120}}):(?P<text>.*)",
        rf"{_LEVEL} (?P<source>[A-Z][\w$.]{{2,80}}): (?P<text>.*)",
        rf"(?:{_STAMP} )?{_LEVEL}: +(?P<text>.*)",
        r"(?P<source>[\w.\-]{1,60}) +\| (?P<text>.*)",  # docker compose
        # Whatever else a program puts before its level: a time, a thread, a name.
        rf"(?:\[?{_STAMP}\]? +(?:\[[^\]]{{1,60}}\] +)?|\[[^\]]{{1,60}}\] +|"
        r"(?!(?:no|zero|any|an|the|of|with|without|some|other|all) )[a-z][\w.\-]{1,80} )"
        rf"{_PROGRAM_LEVEL}"
        r"(?: (?P<source>[a-z]\w*(?:[._]\w+)+))?(?: - |: | (?!\d))(?P<text>.*)",
        rf"{_PROGRAM_LEVEL}(?: (?P<source>[a-z]\w*(?:[._]\w+)+))?(?: - |: )(?P<text>.*)",
        r"(?P<level>DEBUG|INFO|WARN(?:ING)?) (?P<source>[a-z]\w*(?:[._]\w+)+) (?P<text>.*)",
        r"(?P<level>DEBUG|INFO|WARN(?:ING)?) (?P<text>\D.*)",
        r"\S{10,40} (?:stdout|stderr) [FP] (?P<text>.*)",  # container runtime
        rf"{_STAMP}(?: UTC)?[ \t]+(?P<text>\D.*)",
        r"\d\d:\d\d:\d\d(?:\.\d+)?  ?(?P<text>.*)",  # dbt
    )
)
_INDENTED_STAMP = re.compile(r"\s+(?=\[?\d{4}-\d\d-\d\d[T ,])")
_STAGES = re.compile(r"(?:\[Stage [^\]]{1,60}\])+")
_ANSI = re.compile(r"\x1b\[[0-9;]{0,12}m")
_POSTGRES = re.compile(
    r"(?P<prefix>.{0,200}?)\b(?P<level>DEBUG\d?|INFO|NOTICE|WARNING|ERROR|LOG|FATAL|PANIC|DETAIL|HINT|CONTEXT|STATEMENT|QUERY|LOCATION):  "
    r"(?:(?P<sqlstate>[0-9A-Z]{5}): )?(?P<text>.*)"
)
_STATE_BEFORE = re.compile(r" ([0-9A-Z]{5}): *$|\[\d+\].*\[([0-9A-Z]{5})\]:? *$|\[(?=[0-9A-Z]*[A-Z])([0-9A-Z]{5})\]:? *$")
"""``%e`` of log_line_prefix; five digits in brackets are a process id, unless that one stands before."""
_CLIENT = re.compile(r"(?:error|failed|exception)\)?: ", re.IGNORECASE)
_CSV = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+ \w+,")
_BYTES = re.compile(r"b(?P<quote>['\"])(?P<text>.*?)(?:\\n)?(?P=quote)\s*")
"""A line that was logged as bytes, the way Airflow 1 and early providers show what a pod printed."""
_TAILS = re.compile(r"(?:: source=\"(?P<quoted>[^\"]*)\"| source=(?P<plain>\S+) loc=\S+|\s{2,}\[(?P<console>[\w.]+)\](?: \w+=\S+)*)\s*$")


@dataclass(frozen=True)
class Line:
    """One line of text without its log prefix."""

    text: str
    level: str = ""
    """Upper-case level; empty where the line carries none (a program's own output)."""
    source: str = ""
    """Logger or file that wrote it."""
    sqlstate: str = ""
    starts: bool = False
    """A log record starts here; the lines after it that start none belong to it."""
    levels: int = 0
    """How many prefixes named a level: with more than one, the last is the program's own and the others passed it on."""

    @property
    def is_companion(self) -> bool:
        """PostgreSQL's HINT, STATEMENT.. line: never a cause itself."""
        return self.level in COMPANIONS and self.level != "DETAIL"


def window(text: str) -> str:
    """The part of ``text`` that is looked at: all of it, or its head and tail."""
    if len(text) > HEAD + TAIL:
        text = f"{text[:HEAD]}\n{text[-TAIL:]}"
    return text.replace("\x00", " ").replace("\r\n", "\n").replace("\r", "\n")


def read_lines(text: str) -> list[Line]:
    """All lines of the window, prefixes taken off; JSON records become their message and exception lines."""
    lines: list[Line] = []
    last = Line("")
    for raw in textwrap.dedent(window(text)).split("\n"):
        for line in _read(raw):
            if line.starts:
                last = line
            elif last.starts and not line.level:
                line = replace(line, level=last.level, source=last.source)
            lines.append(line)
    return lines


def _read(raw: str) -> Iterator[Line]:
    stripped = raw.lstrip()
    if stripped.startswith("{") and (record := _json(stripped)) is not None:
        yield from _record_lines(record)
        return
    raw = _ANSI.sub("", raw[:LINE_LIMIT]) if len(raw) <= LINE_LIMIT else raw[: LINE_LIMIT // 2] + " ... " + raw[-LINE_LIMIT // 2 :]
    yield _csv(raw) or _strip(raw)


def _strip(raw: str) -> Line:
    """Take off up to four prefixes: a container's, Airflow's, then the program's own; the innermost level counts."""
    line = Line(_STAGES.sub("", raw) if "[Stage " in raw else raw)
    for _ in range(4):
        shorter = _postgres(line) or _match(line)
        if shorter is None:
            break
        line = shorter
    if quoted := _BYTES.fullmatch(line.text):
        line = replace(line, text=quoted["text"])
    if line.starts and (tail := _TAILS.search(line.text)):
        # The engine that wrote a line says more than the pipe that it came through.
        source = line.source if line.source == "postgres" else next(filter(None, tail.groups()), line.source)
        line = replace(line, text=line.text[: tail.start()], source=source)
    return line


def _match(line: Line) -> Line | None:
    start = _INDENTED_STAMP.match(line.text)
    for pattern in _PREFIXES:
        if found := pattern.match(line.text, start.end() if start else 0):
            given = found.groupdict()
            level, source = _level(given.get("level")), given.get("source") or line.source
            return Line(given["text"], level or line.level, source, line.sqlstate, True, line.levels + bool(level))
    return None


def _postgres(line: Line) -> Line | None:
    found = _POSTGRES.match(line.text) if ":  " in line.text else None
    # A client library quotes the server's line behind its own words, which say more than the quote.
    if not found or _CLIENT.search(found["prefix"]):
        return None
    before = _STATE_BEFORE.search(found["prefix"])
    state = found["sqlstate"] or next(filter(None, before.groups() if before else ()), "")
    return Line(found["text"], _level(found["level"]), "postgres", state, starts=True)


def _level(word: str | None) -> str:
    word = (word or "").upper().rstrip("12345")
    return "WARN" if word == "WARNING" else word


def _csv(raw: str) -> Line | None:
    """One line of PostgreSQL's csvlog."""
    if not _CSV.match(raw):
        return None
    try:
        row = next(csv.reader([raw]), [])
    except csv.Error:
        return None
    return Line(row[13], _level(row[11]), "postgres", row[12], starts=True) if len(row) > 13 else None


def _json(raw: str) -> dict[str, Any] | None:
    try:
        value = json.loads(raw)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) and any(key in value for key in ("event", "message", "msg", "error_severity")) else None


def _record_lines(record: dict[str, Any]) -> Iterator[Line]:
    """Lines of an Airflow 3, Spark or PostgreSQL JSON record."""
    level = _level(str(record.get("error_severity") or record.get("level") or record.get("levelname") or record.get("severity") or ""))
    source = "postgres" if "error_severity" in record else str(record.get("logger") or record.get("logger_name") or "")
    text = str(record.get("event") or record.get("message") or record.get("msg") or "")
    extra = " ".join(f"{key}={record[key]}" for key in ("exit_code", "signal", "signal_name", "final_state") if key in record)
    for number, part in enumerate(f"{text} {extra}".strip().split("\n")):
        yield Line(part[:LINE_LIMIT], level, source, str(record.get("state_code") or ""), number == 0, int(bool(level)))
    for part in _exception_lines(record):
        yield Line(part[:LINE_LIMIT], level, source)
    if record.get("detail") and "error_severity" in record:
        yield Line(str(record["detail"])[:LINE_LIMIT], "DETAIL", source, starts=True)


def _exception_lines(record: dict[str, Any]) -> Iterator[str]:
    details = record.get("error_detail")
    if isinstance(details, list):
        for number, detail in enumerate(item for item in details if isinstance(item, dict)):
            head = f"{detail.get('exc_type', 'Exception')}: {detail.get('exc_value', '')}".split("\n")
            yield ("Caused by: " if number else "") + head[0]
            yield from head[1:]
    thrown = record.get("exception")
    if isinstance(thrown, dict):
        yield f"{thrown.get('class', 'Exception')}: {thrown.get('msg', '')}".split("\n")[0]
        for frame in thrown.get("stacktrace") or ():
            if isinstance(frame, str) and frame.startswith("Caused by"):
                yield frame
    elif isinstance(thrown, str):
        yield from thrown.split("\n")
