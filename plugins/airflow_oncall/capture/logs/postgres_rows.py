"""Rows of PostgreSQL's server log: csvlog, jsonlog and stderr text become the same rows, and rows that tell of trouble records.

A block of bytes may end anywhere: what is not complete is left for the next block. A row that cannot be read is left out and told
of, and reading goes on at the next one that can. No text inside a field is taken for a row: csvlog's rows are read to their end,
jsonlog escapes line ends, and stderr puts a tab before every further line.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, NamedTuple

from airflow_oncall.capture.logs.postgres_prefix import DEFAULT_PREFIX, PARTS, SEVERITIES, SEVERITY, LinePrefix, identifiers, moment
from airflow_oncall.capture.logs.source import RECORD_LIMIT, Record
from airflow_oncall.capture.redact import redact

Format = Literal["csvlog", "jsonlog", "stderr"]

ERRORS = ("ERROR", "FATAL", "PANIC")
_COLUMNS = (
    "time", "user", "database", "pid", "connection", "session_id", "line", "tag", "session_start", "vxid", "xid", "severity",
    "sqlstate", "message", "DETAIL", "HINT", "QUERY", "internal_position", "CONTEXT",
    "STATEMENT", "position", "LOCATION", "application_name", "backend_type", "leader_pid", "query_id",
)  # fmt: skip
_JSON_NAMES = {
    "timestamp": "time", "dbname": "database", "remote_host": "host", "remote_port": "port", "error_severity": "severity",
    "state_code": "sqlstate", "detail": "DETAIL", "hint": "HINT", "internal_query": "QUERY", "context": "CONTEXT",
    "statement": "STATEMENT", "cursor_position": "position", "backtrace": "BACKTRACE",
}  # fmt: skip
_IDENTIFIERS = ("sqlstate", "database", "user", "host", "port", "pid", "application_name", "session_id", "query_id", "backend_type")
_FEWEST_COLUMNS = 23
"""Of PostgreSQL 9 to 12; later versions append columns."""
_MOST_COLUMNS = 35
"""A row that was cut short behind its message has more, together with the one that is glued to it."""
_TIME = rb"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} [^,\"\n]{1,20}"
_QUOTED = rb'(?:"(?:[^"]|""){0,300}")?'  # names of users and databases may hold line ends
CSV_ROW = re.compile(
    rb"%b,%b,%b,\d*,%b,[0-9a-f.]*,\d*,%b,[^,\n]*,[^,\n]*,\d*,[^,\"\n]{1,40},[0-9A-Z]{5}," % (_TIME, _QUOTED, _QUOTED, _QUOTED, _QUOTED)
    + rb'"(?:"")*(?:[^"]|$)'
)
"""Begin of a row up to its message."""
_FIELD = re.compile(rb'"([^"]*(?:""[^"]*)*)"(?!")|(?!")([^",\n]*)')
_UNFIT = re.compile(rf".{{0,512}}?\b{SEVERITY}")
_NAMED = {
    "postgres-lock-wait": ("WARN", r"process \d+ still waiting for \w+ on "),
    "postgres-deadlock": ("ERROR", r"process \d+ detected deadlock while waiting"),
    "postgres-checkpoints-frequent": ("WARN", r"checkpoints are occurring too frequently"),
    "postgres-process-died": (
        "ERROR",
        r"\(PID \d+\) was terminated by (?:signal|exception)|^server process \(PID \d+\) exited with exit code",
    ),
    "postgres-crash-recovery": ("ERROR", r"database system was not properly shut down|all server processes terminated; reinitializing"),
    "postgres-session-killed": ("ERROR", r"terminating connection because of crash of another server process"),
    "postgres-disk-full": ("ERROR", r"No space left on device|Disk quota exceeded"),
    "postgres-no-memory": ("ERROR", r"out of memory|Cannot allocate memory|could not fork new process"),
    "postgres-connection-lost": (
        "WARN",
        r"could not (?:receive data from|send data to) client|unexpected EOF on client connection with an open",
    ),
    "postgres-archiving-failed": ("WARN", r"archive command (?:failed|was terminated)"),
    "postgres-wraparound": ("ERROR", r"must be vacuumed within \d+ transactions"),
}
_TROUBLE = {signature: (severity, re.compile(pattern)) for signature, (severity, pattern) in _NAMED.items()}
"""What PostgreSQL logs below ERROR though it is trouble. Searched in the message's first line, where the server speaks."""
_QUOTING = ("statement: ", "execute ", "duration: ", "AUDIT: ")
"""Begins of messages that show what a client sent."""


@dataclass(frozen=True)
class Dialect:
    """How one file is read."""

    format: Format
    prefix: LinePrefix = field(default_factory=lambda: LinePrefix(DEFAULT_PREFIX))
    """For ``stderr``."""
    zone: str = ""
    """The server's ``log_timezone``."""


@dataclass
class Row:
    """One message with what belongs to it; ``start`` and ``end`` are bytes in the block."""

    start: int
    end: int
    severity: str
    message: str
    happened_at: datetime | None = None
    identifiers: dict[str, str] = field(default_factory=dict)
    parts: dict[str, str] = field(default_factory=dict)

    @property
    def trouble(self) -> tuple[str, str] | None:
        """Signature and severity, where this is no everyday message."""
        if self.severity in ERRORS:
            return f"postgres-{self.severity.lower()}", self.severity
        if self.severity in {"LOG", "WARNING"}:
            first = self.message.partition("\n")[0][:2_000]
            if not first.startswith(_QUOTING):
                return next(((name, severity) for name, (severity, pattern) in _TROUBLE.items() if pattern.search(first)), None)
        return None

    def record(self, file: str, offset: int) -> Record | None:
        """The record of a row whose block begins at ``offset`` of the file, if it is trouble."""
        if (found := self.trouble) is None:
            return None
        lines = [f"{self.severity}:  {self.message}", *(f"{name}:  {self.parts[name]}" for name in PARTS if self.parts.get(name))]
        text = cut("\n".join(lines).replace("\0", "\N{REPLACEMENT CHARACTER}"))
        said = {"statement": self.parts["STATEMENT"]} if self.parts.get("STATEMENT") else {}
        return Record(f"{file}:{offset + self.start}", text, self.happened_at, *found, self.identifiers | said)


class Parsed(NamedTuple):
    """What a block holds."""

    rows: list[Row]
    end: int
    """Bytes of complete rows; what follows is for the next block."""
    problems: list[str]


def parse(block: bytes, dialect: Dialect, *, settled: bool) -> Parsed:
    """Read a block. ``settled``: nothing more is coming to its last message; else that one may still get its DETAIL."""
    complete = block[: block.rfind(b"\n") + 1]
    if dialect.format == "csvlog":
        return _parse_csv(complete, dialect)
    return _parse_json(complete, dialect) if dialect.format == "jsonlog" else _parse_stderr(complete, dialect, settled)


def format_of(name: str, head: bytes) -> Format:
    """Format of a file by its name, else by its first line."""
    stem = name.lower()
    if stem.endswith(".csv") or CSV_ROW.match(head):
        return "csvlog"
    return "jsonlog" if stem.endswith(".json") or head.startswith(b'{"timestamp":') else "stderr"


def cut(text: str) -> str:
    """At most ``RECORD_LIMIT`` characters: what is too long loses its middle."""
    if len(text) <= RECORD_LIMIT:
        return text
    half = RECORD_LIMIT // 2 - 20
    return f"{text[:half]}\n[{len(text) - 2 * half} characters]\n{text[-half:]}"


def _decoded(raw: bytes) -> str:
    return raw.decode("utf-8", "replace")


class _Broken:
    """Rows that cannot be read: one sentence for all of a block."""

    def __init__(self) -> None:
        self._count, self._first = 0, (0, "")

    def add(self, at: int, raw: bytes) -> None:
        if not self._count:
            self._first = at, redact(_decoded(raw[:400]).rstrip("\n"), 200)
        self._count += 1

    def problems(self, format: Format) -> list[str]:
        if not self._count:
            return []
        return [f"{self._count} broken {format} row(s) left out, the first {self._first[0]} bytes on: {self._first[1]!r}"]


def _lines(block: bytes) -> Iterator[tuple[int, bytes]]:
    """Lines with their places; without their line ends."""
    start = 0
    while (end := block.find(b"\n", start)) >= 0:
        yield start, block[start:end]
        start = end + 1


# -- csvlog ----------------------------------------------------------------------------------------------------------------------


def _parse_csv(block: bytes, dialect: Dialect) -> Parsed:
    """A row is read to its end before another begin is looked for: what clients wrote into its fields may look like one."""
    rows, broken = list[Row](), _Broken()
    at = 0
    while at < len(block):
        if CSV_ROW.match(block, at):
            if (found := _csv_values(block, at)) is None:
                break
            values, end = found
            if block[end : end + 1] == b"\n" and _FEWEST_COLUMNS <= len(values) <= _MOST_COLUMNS:
                rows.append(_csv_row(at, end + 1, values, dialect))
                at = end + 1
                continue
        following = CSV_ROW.search(block, at + 1)
        end = following.start() if following else len(block)
        broken.add(at, block[at:end])
        at = end
    return Parsed(rows, at, broken.problems("csvlog"))


def _csv_values(block: bytes, at: int) -> tuple[list[bytes], int] | None:
    """Values of the row that begins there, and where they end: before a line end, if the row is whole. ``None``: a quote is open."""
    values = list[bytes]()
    while True:
        found = _FIELD.match(block, at)
        if found is None:
            return None
        values.append(found[1].replace(b'""', b'"') if found[1] is not None else found[2])
        at = found.end()
        if block[at : at + 1] != b"," or len(values) > _MOST_COLUMNS:
            return values, at
        at += 1


def _csv_row(start: int, end: int, values: list[bytes], dialect: Dialect) -> Row:
    found = dict(zip(_COLUMNS, map(_decoded, values), strict=False))
    host, _, port = found["connection"].rpartition(":") if found["connection"] != "[local]" else ("[local]", "", "")
    return _row(start, end, {**found, "host": host, "port": port}, dialect)


# -- jsonlog ---------------------------------------------------------------------------------------------------------------------


def _parse_json(block: bytes, dialect: Dialect) -> Parsed:
    rows, broken = list[Row](), _Broken()
    for at, line in _lines(block):
        try:
            found = json.loads(line.decode("utf-8", "replace"))
        except (json.JSONDecodeError, RecursionError):
            found = None
        if isinstance(found, dict) and "error_severity" in found:
            rows.append(_row(at, at + len(line) + 1, _json_fields(found), dialect))
        elif line.strip():
            broken.add(at, line)
    return Parsed(rows, len(block), broken.problems("jsonlog"))


def _json_fields(found: dict[str, Any]) -> dict[str, str]:
    fields = {_JSON_NAMES.get(name, name): str(value) for name, value in found.items() if value is not None}
    if "file_name" in fields:
        fields["LOCATION"] = f"{fields.get('func_name', '')}, {fields['file_name']}:{fields.get('file_line_num', '')}"
    return fields


def _row(start: int, end: int, found: Mapping[str, str], dialect: Dialect) -> Row:
    message, sqlstate = found.get("message", ""), found.get("sqlstate", "")
    if position := found.get("position") or found.get("internal_position"):
        message += f" at character {position}"  # as the stderr log has it
    severity = found["severity"]
    if severity not in SEVERITIES:  # messages are in another language
        severity = "ERROR" if sqlstate[:2] not in {"", "00", "01", "02"} else "LOG"
    row = Row(start, end, severity, message)
    if row.trouble:  # of the many others nothing is asked
        row.happened_at = moment(found.get("time", ""), dialect.zone)
        row.identifiers = identifiers({name: found.get(name, "") for name in _IDENTIFIERS})
        row.parts = {name: found[name] for name in PARTS if found.get(name)}
    return row


# -- stderr ----------------------------------------------------------------------------------------------------------------------


def _parse_stderr(block: bytes, dialect: Dialect, settled: bool) -> Parsed:
    text = _StderrText(dialect)
    for at, line in _lines(block):
        text.add(at, at + len(line) + 1, _decoded(line.rstrip(b"\r")))
    rows = text.finished()
    end = len(block)
    if rows and not settled and rows[-1].trouble and rows[-1].end == end:
        end = rows.pop().start
    return Parsed(rows, end, text.problems())


class _StderrText:
    """Lines put together to rows."""

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect
        self._rows: list[Row] = []
        self._texts: dict[str, list[str]] = {}
        """Lines of the row being read, by part; its message is ''."""
        self._part: list[str] | None = None
        self._time = ""
        self._fitting = self._unfit = 0
        self._example = ""

    def add(self, start: int, end: int, line: str) -> None:
        if line.startswith("\t"):
            if self._part is not None:
                self._part.append(line[1:])
                self._rows[-1].end = end
            return
        head = self._dialect.prefix.read(line)
        if head is not None:
            self._fitting += 1
            self._begin(start, end, head.severity, line[head.length :], head.fields, head.time)
        elif line:
            self._add_unfit(start, end, line)

    def _add_unfit(self, start: int, end: int, line: str) -> None:
        """Output of something else that writes there, or the prefix is not what the server has; trouble is noticed all the same."""
        self._unfit += 1
        self._example = self._example or line
        if found := _UNFIT.match(line[:1_024]):
            self._begin(start, end, found["severity"], line[found.end() :], {}, "")

    def _begin(self, start: int, end: int, severity: str, text: str, fields: dict[str, str], time: str) -> None:
        if severity not in PARTS:
            self._close()
            self._rows.append(Row(start, end, severity, "", identifiers=fields))
            self._time = time
            self._part = self._texts[""] = [text]
        elif self._rows and self._rows[-1].identifiers.get("pid") == fields.get("pid"):
            self._part = self._texts[severity] = [text]
            self._rows[-1].end = end
        else:
            self._part = None  # its message was read before, or is another process's

    def _close(self) -> None:
        if self._rows and self._texts:
            row = self._rows[-1]
            row.message = "\n".join(self._texts.pop(""))
            if row.trouble:
                row.happened_at = moment(self._time, self._dialect.zone)
                row.parts = {name: "\n".join(lines) for name, lines in self._texts.items()}
                _take_verbose_sqlstate(row)
        self._texts = {}

    def finished(self) -> list[Row]:
        self._close()
        return self._rows

    def problems(self) -> list[str]:
        if self._unfit < 3 or self._unfit <= self._fitting:
            return []
        return [
            f"most lines do not fit log_line_prefix {self._dialect.prefix.setting!r}, e.g. {redact(self._example[:400], 200)!r}; "
            "give the source what `SHOW log_line_prefix` says on the server"
        ]


def _take_verbose_sqlstate(row: Row) -> None:
    """``log_error_verbosity = verbose`` writes the SQLSTATE before the message, and a LOCATION, which tells that it did."""
    state, colon, message = row.message.partition(": ")
    if "LOCATION" in row.parts and colon and re.fullmatch("[0-9A-Z]{5}", state):
        row.message = message
        row.identifiers = identifiers({**row.identifiers, "sqlstate": state})
