"""Identifiers that a text names explicitly: of Airflow, Spark, PostgreSQL, Kubernetes and the network."""

from __future__ import annotations

import re

from airflow_oncall.triage.lines import window

_ID = r"[\w.\-]{1,250}"
_RUN = r"[\w.\-:+~]{1,250}"
_NAMED_RUN = rf"(?=[A-Za-z]){_RUN}"
"""A run's id, not the date that stands in its place in old logs."""
_COMMAND, _NEXT = r"\bairflow['\"]?,? ['\"]?(?:tasks['\"]?,? ['\"]?)?run['\"]?,? ['\"]?", r"['\"]?,? ['\"]?"
_HOST = r"[\w\-]{1,63}(?:\.[\w\-]{1,63}){0,10}"
_PATTERNS: dict[str, tuple[str, ...]] = {
    "dag_id": (
        rf"\bdag_id=['\"]?({_ID})",
        rf"['\"]dag_id['\"]: ?['\"]({_ID})['\"]",
        rf"{_COMMAND}({_ID}){_NEXT}",
        rf"<DagRun ({_ID}) @ ",
        r"<TaskInstance: ([\w\-]+)\.",
    ),
    "run_id": (
        rf"\brun_id=['\"]?({_RUN})",
        rf"['\"](?:dag_)?run_id['\"]: ?['\"]({_RUN})['\"]",
        rf"{_COMMAND}{_ID}{_NEXT}{_ID}{_NEXT}({_NAMED_RUN})",
        rf"<TaskInstance: {_ID} ({_NAMED_RUN}) ",
        rf"<DagRun {_ID} @ [^<>]{{10,40}}: ({_NAMED_RUN}),",
    ),
    "task_id": (
        rf"\btask_id=['\"]?({_ID})",
        rf"['\"]task_id['\"]: ?['\"]({_ID})['\"]",
        rf"Failed to execute job \d+ for task ({_ID})",
        rf"{_COMMAND}{_ID}{_NEXT}({_ID})",
        rf"\btemplate for task '({_ID})'",
    ),
    "application_id": (r"\b(application_\d{10,}_\d{3,})\b", r"\b(app-\d{14}-\d{4})\b", r"\b(local-\d{10,}|"
    r"spark-application-\d+|spark-[0-9a-f]{32})\b"),
    "executor_id": (
        r"\bLost executor (\w+) on",
        r"\bexecutor (driver|\d+)\)",
        r"\(executor (\w+) exited",
        r"\bexecutor with id (\d+)",
        r"\bExecutor updated: app-\d+-\d+/(\d+)",
        r"\b(?:Removed?|Removing|Killing|Requesting to kill) executor (\d+)",
        r"\bExecutor (\d+) (?:is|on|failed|exited|heartbeat)",
        r"\bexecutor ?[Ii][Dd][ =:]+(\w+)",
        r"\bapp-\d{14}-\d{4}/(\d+)\b",
    ),
    "stage_id": (r"\bin stage (\d+)\.\d+", r"\bstage (\d+)\.\d+ \(", r"\bResultStage (\d+)", r"\bShuffleMapStage (\d+)"),
    "sqlstate": (
        r"SQL ?STATE\W{1,4}([0-9A-Z]{5})\b",
        r"\b(?:ERROR|FATAL|PANIC|WARNING|LOG):  ([0-9A-Z]{5}): ",
        r"\b\d{4,6} \(([0-9A-Z]{5})\): ",
        r"\"state_code\": ?\"([0-9A-Z]{5})\"",
        r",(?:ERROR|FATAL|PANIC|WARNING|LOG),([0-9A-Z]{5}),",
        r"\(SQLSTATE ([0-9A-Z]{5})\)",
        r" ([0-9A-Z]{5}): (?:ERROR|FATAL|PANIC|WARNING|LOG):  ",
        r"\[\d+\][^\n]*\[([0-9A-Z]{5})\]:? (?:ERROR|FATAL|PANIC|WARNING|LOG):  ",
        r"\[(?=[0-9A-Z]*[A-Z])([0-9A-Z]{5})\]:? (?:ERROR|FATAL|PANIC|WARNING|LOG):  ",
    ),
    "database": (
        r"\bdb=([A-Za-z_][\w\-]*)",
        r"\bdatabase=['\"]?([\w\-]+)",
        r"\bdbname[=:]['\"]?\s?\"?([\w\-]+)",
        r"(?:^|[\s:])[\w\-]{1,63}@([A-Za-z_][\w\-]{0,62}):?(?:\[\d+\]:)?\s?"
        r"(?=(?:LOG|ERROR|FATAL|PANIC|WARNING|DETAIL|HINT|STATEMENT|NOTICE|CONTEXT):  )",
        r"(?:^|[\s:])[\w\-]{1,63}@([A-Za-z_][\w\-]{0,62})[/,][^\n]{0,80}?"
        r"(?:LOG|ERROR|FATAL|PANIC|WARNING|DETAIL|HINT|STATEMENT|NOTICE|CONTEXT):  ",
        r"\"dbname\": ?\"([^\"]{1,63})\"",
        r"\bC-0x[0-9a-f]+: ([\w\-]+)/[\w\-]+@",
        r"\bdatabase \"([^\"]{1,63})\"",
        r"\b(?:on database|Database) ['\"]([\w\-]+)['\"]",
        r"\bUnknown database '([\w\-]+)'",
        r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+ \w+,\"[^\"]{0,63}\",\"([^\"]{1,63})\",",
        r"jdbc:\w+://[\w.\-]+(?::\d+)?/([\w\-]+)",
        r"\b(?:postgres(?:ql)?|mysql)(?:\+\w+)?://[^\s/]{1,200}/([\w\-]+)",
    ),
    "namespace": (r"\bnamespace[=: ]+['\"]?([a-z0-9][a-z0-9\-]{0,62})\b",),
    "pod": (
        r"\b[Pp]od[=: ]+['\"]?([a-z0-9][a-z0-9\-.]{4,252})\b",
        r"\bpod_name[=: ]+['\"]?([a-z0-9][a-z0-9\-.]{2,252})",
        r"\bpods? \"([a-z0-9\-.]+)\"",
    ),
    "exit_code": (
        r"(?i)\bexit(?:ed)?(?: with)?(?: a)?(?: non-?zero)?(?: exit)?[ _]?(?:code|status)(?: is|:|=)? ?(-?\d{1,3})\b",
        r"(?i)\breturned non-zero exit status (-?\d{1,3})\b",
        r"\bCommand exited with (?:return )?code (\d{1,3})\b",
        r"\"exit_code\": ?(-?\d{1,3})\b",
        r"\bExit code is (-?\d{1,3})\b",
    ),
}  # fmt: skip
_PLACES = (
    rf"\bserver at \"({_HOST})\"(?: \([\d.:a-f]+\))?, port (\d{{1,5}})",
    rf"\bhost=['\"]({_HOST})['\"], ?port=(\d{{1,5}})",
    rf"\bhost=({_HOST}),port=(\d{{1,5}})",
    rf"\bBlockManagerId\(\w+, ({_HOST}), (\d{{1,5}})",
    rf"\bConnection to ({_HOST}):(\d{{1,5}}) refused",
    rf"\bconnecting to ({_HOST}):(\d{{1,5}})\b",
    rf"\b[Ff]ailed to connect to /?({_HOST})(?:/[\d.]+)?:(\d{{1,5}})\b",
    rf"\b(?:Connection|connection) refused: /?({_HOST})(?:/[\d.]+)?:(\d{{1,5}})\b",
    rf"\bserver at ({_HOST})(?:/[\d.]+)?:(\d{{1,5}})\b",
    rf"\bhost \"({_HOST})\"(?: \([\d.:a-f]+\))?,? (?:and accepting TCP/IP connections on )?port (\d{{1,5}})",
    rf"\b(?:to|at|from|with|host|server|address|endpoint):? '?/?({_HOST})(?:/[\d.]+)?:(\d{{2,5}})\b(?!:)",
    rf"\b[a-z][a-z0-9+.\-]{{1,20}}(?::\w+)?://(?:[^\s@/]{{1,120}}@)?({_HOST}):(\d{{1,5}})\b",
)
_HOSTS = (
    rf"\bLost executor \w+ on ({_HOST}):",
    rf"\(TID \d+\) \(({_HOST}) executor",
    rf"\(TID \d+, ({_HOST}), executor",
    rf"\bon host: ({_HOST})\b",
    rf"\bExecutor app-\S+ on ({_HOST})\b",
    rf"\bcould not translate host name\s+\"({_HOST})\"",
    rf"\bFailed to resolve '({_HOST})'",
    rf"\bUnknownHostException: ({_HOST})\b",
    rf"\bhost(?:name)? [\"']({_HOST})[\"']",
    rf"\b(?:MySQL server on|on server) '({_HOST})'",
    rf"\bIPv4 address \"({_HOST})\"",
    r"\bclient=(\d{1,3}(?:\.\d{1,3}){3})\b",
    rf"\bno pg_hba.conf entry for host \"({_HOST})\"",
)
_COMPILED = {name: tuple(re.compile(pattern, re.MULTILINE) for pattern in patterns) for name, patterns in _PATTERNS.items()}
_PLACE = tuple(map(re.compile, _PLACES))
_HOST_ONLY = tuple(map(re.compile, _HOSTS))
_PORT_ONLY = tuple(map(re.compile, (r"\brunning on port (\d{2,5})\b", r"\bport[ =:]+(\d{2,5})\b", r"\bon port \"?(\d{2,5})\b")))


def identifiers(text: str) -> dict[str, str]:
    """Only what is explicitly there; of several candidates the first form that fits, at its first place."""
    text = window(text)
    found = {name: value for name, patterns in _COMPILED.items() if (value := _first(patterns, text))}
    if "task_id" not in found and "dag_id" in found and (named := _instance(text, found["dag_id"])):
        found["task_id"] = named
    found |= _place(text)
    return {name: value for name, value in found.items() if value}


def _first(patterns: tuple[re.Pattern[str], ...], text: str) -> str:
    for pattern in patterns:
        if match := pattern.search(text):
            return match[1].rstrip(".,:;'\"")
    return ""


def _instance(text: str, dag_id: str) -> str:
    """The task of ``<TaskInstance: dag.task ...>``: both ids may hold dots, so the DAG has to be known."""
    return _first((re.compile(rf"<TaskInstance: {re.escape(dag_id)}\.({_ID}) "),), text)


def _place(text: str) -> dict[str, str]:
    for pattern in _PLACE:
        if match := pattern.search(text):
            return {"host": match[1], "port": match[2]}
    return {name: value for name, value in (("host", _first(_HOST_ONLY, text)), ("port", _first(_PORT_ONLY, text))) if value}
