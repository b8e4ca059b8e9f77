"""Codes that programs put into their messages, as ``family:value`` words: ``sqlstate:23505``, ``http:403``, ``errno:13``."""

from __future__ import annotations

import re
import signal
from functools import cache

from airflow_oncall.regexes import RegexSet

_PATTERNS = tuple(
    (family, re.compile(pattern))
    for family, pattern in (
        ("sqlstate", r"SQL ?STATE\W{1,4}([0-9A-Z]{5})\b"),
        ("sqlstate", r"\b\d{4,6} \(([0-9A-Z]{5})\)"),
        ("sqlstate", r"\('([0-9A-Z]{5})', [\"']"),
        ("mysql", r"\((\d{4}), [b\"']|\bERROR (\d{4}) \([0-9A-Z]{5}\)|^(?:[\w.]+: )?(\d{4}) \([0-9A-Z]{5}\): "),
        ("snowflake", r"(?<!\d)(\d{6}) \([0-9A-Z]{5}\)"),
        ("ora", r"\bORA-0*(\d{1,5})\b"),
        ("mssql", r"\((\d{3,5})\) \(SQL|Error (\d{3,5}), Severity|\b\w+: \((\d{3,5}), b[\"']"),
        ("clickhouse", r"\b(?:Code:|ClickHouse error code) (\d{1,4})[.,]"),
        ("http", r"\b([45]\d\d) (?:Client|Server) Error\b"),
        ("http", r"\bHTTP(?:S)?(?: ?Error|/\d(?:\.\d)?| status| response| code)*(?: code)?[ :=]{1,2}\(?([45]\d\d)\b"),
        ("http", r"(?i)\b(?:status|response|error)[ _]?(?:code)?(?: was| of| is)?['\"]?[ :=(]{1,3}([45]\d\d)\b"),
        ("http", r"\b(?:HttpError|ApiException|ApiError)\W{1,3}([45]\d\d)\b|^\(([45]\d\d)\)|^[\w.]+: ([45]\d\d) \S|"
         r"(?:Error|Exception)\(([45]\d\d), ['\"]"),
        ("http", r"\b([45]\d\d) (?:Bad Request|Unauthorized|Forbidden|Not Found|Request Time-?out|Conflict|Gone|Too Many Requests|"
         r"Internal Server Error|Bad Gateway|Service (?:Temporarily )?Unavailable|Gateway Time-?out)"),
        ("http", r"\"(?:code|status|statusCode|status_code)\": ?([45]\d\d)\b|(?i:failed|error|reason)\W{1,3}\(([45]\d\d)\)"),
        ("http", r"\btoo many ([45]\d\d) error responses|\b([45]\d\d), message="),
        ("amqp", r"\((3[12]\d|4\d\d|5[0-4]\d)(?:, [\"']|\) ')[A-Z]+_[A-Z]+ - "),
        ("ftp", r"\berror_(?:temp|perm|reply): (\d{3})\b"),
        ("errno", r"\[Errno (-?\d{1,5})\]|\(os error (\d{1,3})\)|\berror=(\d{1,3}), |\berrno[:= ]+(\d{1,3})\b"),
        ("exit", r"(?i)\bexit(?:ed)?(?: with)?(?: a)?(?: non-?zero)?(?: exit)?[ _]?(?:code|status)(?: is|:|=)? ?(-?\d{1,3})\b"),
        ("exit", r"(?i)\breturn(?:ed|ing)?(?: a)?(?: non-zero)?(?: exit)? (?:code|status)[ :=]{1,2}(-?\d{1,3})\b|"
        r"\bCommand exited with code (\d{1,3})\b"),
        ("signal", r"\bSignals\.(SIG[A-Z]+)|\b(SIG(?:KILL|TERM|SEGV|ABRT|BUS|INT|HUP|XCPU|ILL|FPE|PIPE|QUIT))\b"),
        ("aws", r"An error occurred \(([\w.]+)\) when calling|\bError Code: (\w+);|<Code>(\w+)</Code>"),
        ("azure", r"\bErrorCode:(\w+)|\berror code:? (AADSTS\d+)|\b(AADSTS\d+)\b"),
        ("curl", r"\bcurl: \((\d{1,2})\)"),
        ("spark", r"\[([A-Z][A-Z0-9_]{3,}(?:\.[A-Z0-9_]+)*)\] "),
        ("grpc", r"\bStatusCode\.([A-Z_]+)|\bStatusRuntimeException: ([A-Z_]+)|\bcode = ([A-Z][a-zA-Z]+) desc"),
        ("k8s", r"\b(OOMKilled|CrashLoopBackOff|ImagePullBackOff|ErrImagePull|ErrImageNeverPull|Evicted|CreateContainerConfigError|"
         r"ContainerCannotRun|InvalidImageName|RunContainerError|CreateContainerError|FailedScheduling|Preempting|NodeLost|DeadlineExceeded)\b"),
    )
)  # fmt: skip
_SIGNAL_NUMBER = re.compile(r"(?i)\bsignal[ :=]+-?(\d{1,2})\b|\bnegsignal\.(SIG[A-Z]+)")
_SIGNALS = {int(item): item.name for item in signal.Signals}


@cache
def _together() -> RegexSet:
    return RegexSet([pattern for _, pattern in _PATTERNS])


def codes(text: str) -> frozenset[str]:
    """Every code in one line or clause."""
    found: set[str] = set()
    for family, pattern in map(_PATTERNS.__getitem__, _together().matching(text)):
        for match in pattern.finditer(text):
            value = next(filter(None, match.groups()), "")
            found.add(f"{family}:{value}")
    for number, name in _SIGNAL_NUMBER.findall(text):
        found.add(f"signal:{name or _SIGNALS.get(int(number), number)}")
    return frozenset(found)
