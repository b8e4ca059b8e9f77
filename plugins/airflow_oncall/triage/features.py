"""What a failure's text says, in the parts that a judgement needs. One feature code for rules, training and serving.

Text -> lines (:mod:`.lines`) -> exception chains (:mod:`.chains`) -> clauses: the few lines that may name the cause,
most decisive first. Airflow's own "Task failed with exception" says nothing and is left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import pairwise

from airflow_oncall.regexes import RegexSet
from airflow_oncall.triage.chains import Raised, read_chains
from airflow_oncall.triage.codes import codes
from airflow_oncall.triage.lines import ALARM_LEVELS, QUIET_LEVELS, Line, read_lines

PLAIN = 0.8
"""Weight of a program's output line without any alarming word: a rule may know it, by itself it says nothing."""
SHAPED = 0.9
"""Weight of one that is worded as an error."""
SHAPE_CHARACTERS = 120
"""Of a line with a level, what is looked at for an error's wording; further behind are its data."""
CLAUSE_LIMIT = 30
"""Clauses kept; what stands at the text's end is kept first."""
TOKEN_CLAUSES, TOKEN_CHARACTERS = 8, 500
"""Clauses that models read, and how much of each."""

CALM_LEVELS = frozenset({"INFO", "DEBUG"})
"""Levels at which one program tells of its own work; a server's ``LOG`` goes on for other clients."""

_NOISE = re.compile(
    r"Task failed with exception|Marking task as|Task exited with return code \d|Top level error|"
    r"Post task execution logs|Pre task execution logs|"
    r"\d+ downstream tasks|Log message source|::(?:end)?group::|Exporting env vars|"
    r"\[SQL:|\[parameters:|\(Background on this error|Rescheduling task|Retrying|Immediate failure requested|Dependencies all met|"
    r"TaskInstance Finished|Exception in thread|Driver stacktrace|Traceback \(most recent|LINE \d+:|\s*\^|"
    r"(?i:insert into|select .{1,80}? from|update \S+ set|delete from|create (?:temp\w* )?table|drop table|merge into) |"
    r"During handling of|The above exception|\d+/\d+ checks? PASSED|Process exited abnormally|HINT:|Finished with exit|Stacktrace:"
)
_JOB = re.compile(r"Failed to execute (?:job|task) .{0,200}?\((?P<text>.{3,})\)$")
_ALARM = re.compile(
    r"(?i)\b(?:error|errors|failed|failure|failing|fatal|exception|denied|refused|cannot|can't|can not|could not|"
    r"couldn't|unable|not found|no such|killed|kill|"
    r"abort(?:ed|ing)?|timed? ?-?out|exceed(?:ed|s)?|exhausted|invalid|missing|unauthori[sz]ed|forbidden|"
    r"terminat(?:ed|ing)|lost|reset|unreachable|"
    r"does not exist|doesn't exist|not exist|not set|not defined|undefined|unknown|expired|evicted|preempted|"
    r"throttl\w+|oom\w*|out of|too many|"
    r"unexpected(?:ly)?|corrupt\w*|malformed|duplicate|violat\w+|deadlock\w*|zombies?|heartbeat|sigterm|sigkill|"
    r"unavailable|overloaded|not enough|"
    r"insufficient|disk full|no space|rejected|not allowed|not permitted|unrecogni[sz]ed|unsupported|bad|crash\w*|"
    r"shut(?:ting)? down|shutdown|"
    r"segmentation fault|stopped|panic|but only|mismatch|unresolved|stalled|stuck|not ready|not running|disconnect\w*|broken|"
    r"skipped|cancell?(?:ed|ing))\b|"
    r"return code (?:-?[1-9]|Negsignal)|SQL ?STATE|"
    r"closed (?:the )?connection|still waiting|too frequently|exit code -?[1-9]|OOMKilled|"
    r"\b(?:http\S*|status|code|error|response)\W{1,3}[45]\d\d\b|\([45]\d\d\)"
)
_SHAPED = re.compile(
    r"(?i)^\W{0,3}(?:[\w./\-]+:? ?)?(?:\(?\d+\)? )?(?:error|fatal|failed|failure|exception|panic|abort(?:ed|ing)?|critical|cannot|"
    r"can't|could not|couldn't|unable|invalid|unknown|no such|not found|access denied|permission denied|killed|segmentation fault|bad)\b"
    r"(?:[:,;]|\W*$|[^\w\-./]+\w+\W+\w)|"
    r"(?:error|exception|failure|fault)\w*\b ?[:(\[](?! ?(?:0|none|null|false)\b)|"
    r": (?:fatal|cannot|could not|no such|not found|permission denied|command not found|failed)\b|"
    r"\b(?:failed|fails) (?:with|to|because|due|on|in|at)\b|"
    r"\b(?:was|were|is|been|got|has) (?:killed|terminated|evicted|refused|rejected|denied|aborted|lost|timed|failed|exited)\b|"
    r"\bexit(?:ed)?(?: with)? (?:code|status):? -?[1-9]|"
    r"return(?:ed)?(?: a)?(?: non-zero)?(?: exit)? (?:code|status):? (?:-?[1-9]|Negsignal)|"
    r": line \d+: |^(?:\S{1,60}: \*\*\* |curl: \(|gzip: |tar: |Warning  [A-Z]|Host key ver|Back-off )|, aborting\.?$|\d/\d+ checks FAILED|"
    r"closed by remote host|err! |"
    r"['\"](?:error|failed|cannot)\b(?! ?['\"])|\bforbidden\b|failed: |"
    r"\bORA-\d|SQLSTATE|\[Errno|\b(?:does not|doesn't|do not|not) (?:exist|found|respond)|timed out|isn't defined|"
    r"\b(?:refused|denied|exceeded|exhausted|unavailable|unreachable|disconnected|deadlock detected|out of memory|no space left|OOMKilled|"
    r"violates|evicted|preempted|zombie|too many|cannot|can't|could not|unable to|not enough|undefined|unexpected\w*|corrupt\w*)\b"
)
"""How programs word an error where they give no level; ``timeout = 30`` or ``failed.csv`` is none."""
_SUCCESS = re.compile(
    r"Marking task as SUCCESS|exited with return code 0|exitCode 0\b|finished with exit code 0|"
    r"Done\. Returned value was|Task succeeded|\bPASS=\d+ WARN=\d+ ERROR=0"
)
_TRACED = re.compile(r"\++ (?:[A-Z_]\w*=\S* )*(?:\S*/)?([a-z][\w\-]*)(?= |$)")
"""A command that a shell traces (``set -x``): the exit status that follows is the tool's own code."""
_RAISED = "sqlstate:P0001"
_LAST_GROUP = "::group::Post Execute"
_SETTLED = re.compile(
    r"Marking task as SUCCESS|Task exited with return code 0\b|\bfinal_state=success\b|"
    r"^Skipping task\.(?:\s|$)"
)
"""Airflow's own word that the task instance succeeded, whatever went wrong on the way."""
_FAILED = re.compile(
    r"Marking task as (?:FAILED|UP_FOR_RETRY)|return(?:ed)?(?: a)?(?: non-zero)? (?:exit )?(?:code|status) "
    r"(?:-?[1-9](?!00 \(task deferral)|"
    r"Negsignal)|Task failed with exception|final status: FAILED|State of this instance has been externally set to (?!success)"
)
_GAVE_UP = re.compile(
    r"^\S*: \*\*\* |\bexit(?:ed)?(?: with)? (?:status|code):? (?:-?[1-9])|^Execution halted|ERR! code|\bBUILD FAILED|"
    r"(?i:(?<![?&\w])\w*(?:state|status|result)['\"]?[=:]\s?['\"]?(?:failed|failure|error|fatal)\b)|\bexit_code[=:]\s?-?[1-9]|"
    r"\bin state FAILED\b|, abort(?:ing|ed)\.?$|\bDagRun failed\b|\brc=-?[1-9]"
)
"""What a program, or the shell that ran it, says of its failure, where that is among the last lines."""
_LAST_LINES = 3
_DONE = re.compile(
    r"(?i)^\W*(?:[\w.\-]+:? )?(?:all )?(?:done|finished|completed?|succeeded|success(?:fully)?|recovered)\b|"
    r"\b(?:completed?|finished|succeeded|recovered|done|ok|all good|(?:up)?loaded|published|written|up to date|healthy|passed|"
    r"exit(?: code)?:? 0)(?: successfully)?\W*$|"
    r"\bsuccessfully \w|\bJob \d+ finished: |\b\d+ passed\b|"
    r"^\W*0 (?:errors|failures|failed),|, 0 (?:errors|failures|failed)\W*$|"
    r"\b\w+ed (?:at|on|after) (?:(?:attempt|try) \d|\d+ (?:attempts|tries|retries)\b)"
)
"""What a job says that came to its end."""
_IN_ORDER = re.compile(
    r"(?i)\b(?:status|state|result|outcome)['\"]?[=:]\s?['\"]?(?:success(?:ful|fully)?|succeeded|skipped|completed|ok|done|passed)\b|"
    r"^\W*(?:\w+ ){0,3}exit(?:ed)?(?: with)? (?:status|code):? 0\W*$"
)
"""The same of a job that reports on itself: what it caught, it knew about."""
_WINDING_UP = re.compile(r"(?i)\b(?:clos|clean|delet|remov|releas|stop|shut|terminat|exit|disconnect|rollback|rolling back)\w*")
"""What a program does on its way out, whether it failed or not."""
_NOUGHT = re.compile(
    r"(?i)[\"']?\b\w*(?:errors?|fail(?:ed|ures?)|rejected|timeouts?|exceptions?|missing(?: \w+)?)[\"']?[=:]\s?"
    r"(?:0|none|null|false|\[\]|\w*(?:set|list|map)\(\))(?![.\d])|"
    r"(?<![=\w])(?:0|no) \w*(?:errors?|failed|failures?|rejected|timeouts?|exceptions?|duplicates?|missing|lost)\b|"
    r"\b\d+ \w+ (?:ignored|skipped)\b"
)
_THING = re.compile(r"\S*/\S*|\b[\w\-]+\.[a-z]\w{1,4}\b")
"""A path, an address or a file: its name may hold any word."""
_DATABASE = re.compile(
    r"(?i)\b(?:psycopg\w*|databaseerror|io[./]sql|pg8000|asyncpg|pymysql|mysqldb|_mysql_exceptions|mysql\.connector|"
    r"org\.postgresql|com\.mysql|org\.mariadb|oracledb|cx_oracle|oracle\.jdbc|"
    r"pyodbc|pymssql|com\.microsoft\.sqlserver|snowflake|sqlalchemy|clickhouse\w*|redshift_connector|trino|prestodb|"
    r"pyhive|impala|pymongo|mongodb?|"
    r"cassandra|duckdb|sqlite3|psql|postgres\w*|mysql\w*|mariadb|pgbouncer|pg_dump|pg_basebackup|jdbc\w*|hive2|"
    r"vertica\w*|hdbcli|teradatasql|"
    r"database server|sql server|neo4j|couchbase)\b|\bORA-\d|\b(?:port |:)(?:5432|5433|6432|3306|1433|1521|27017|9042|5439|50000|8123)\b"
)
_OUTPUT = re.compile(
    r"subprocess|logging_mixin|pod_|spark_submit|ssh|docker|virtualenv|process_utils|task\.std|stdout|stderr|"
    r"unusual_prefix|dbt|hooks|operators|bash|ecs|databricks"
)
"""Airflow loggers that pass on what another program printed; they write all of it as INFO."""
_MASKS = tuple(
    (re.compile(pattern), mask)
    for pattern, mask in (
        (r"\b[a-z][a-z0-9+.\-]{1,10}://[^\s\"'<>)\]]{1,300}", " url "),
        (r"\b[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}\b", " uuid "),
        (r"\b\d{4}-\d\d-\d\d(?:[T ,]{1,2}\d\d:\d\d(?::\d\d)?\S{0,16})?", " time "),
        (r"\b\d{1,3}(?:\.\d{1,3}){3}(?::\d{1,5})?\b", " address "),
        (r"(?<![\w.])/(?:[\w.\-@%+=]{1,80}/){1,40}[\w.\-@%+=]{0,80}", " path "),
        (r"\b0x[0-9a-fA-F]+\b|\b[0-9a-f]{12,64}\b", " hex "),
        (r"\b[\w\-]{1,60}(?:\.[\w\-]{1,60}){1,8}\.(?:com|net|org|io|internal|local|cloud|dev|amazonaws)\b(?::\d+)?", " host "),
        (r"\d+(?:\.\d+)?", " # "),
    )
)  # fmt: skip
_WORD = re.compile(r"[^\W\d_]\w{1,39}|#")
_PIECE = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]{2,}|[A-Z][a-z]+")


@dataclass(frozen=True)
class Clause:
    """One line (or one exception with its message) that may name the cause."""

    text: str
    weight: float
    """How decisive its place is: 1.0 for the innermost cause, less for wrappers, warnings and plain output."""
    exception: str = ""
    level: str = ""
    source: str = ""
    codes: frozenset[str] = frozenset()

    @property
    def quiet(self) -> bool:
        """The program itself did not call it a problem."""
        return self.level in QUIET_LEVELS and not self.exception and not _OUTPUT.search(self.source)


@dataclass(frozen=True)
class Features:
    """What a text says about a failure."""

    chain: tuple[str, ...] = ()
    """Class names of the last exception chain, outermost first; the last one is the cause that was raised first."""
    innermost: str = ""
    outermost: str = ""
    codes: frozenset[str] = frozenset()
    clauses: tuple[Clause, ...] = ()
    """Most decisive first."""
    service: str = ""
    """``database`` where client library, port or operator tell that a database was spoken to."""
    ended: str = ""
    """``failed`` or ``success`` where the text itself says so, ``settled`` where Airflow says that the task instance succeeded.

    ``done``: its last line says that a job came to its end, so that what stands before was caught."""
    behind: int = 0
    """Calm log records behind the last line that alarms: the program went on."""
    alarmed: bool = False
    """The text holds an exception, an error-level line or a failing end."""
    looked_at: int = field(default=0, compare=False)
    """Characters that were looked at."""

    @property
    def went_on(self) -> bool:
        """The program worked on behind its trouble, or came to its end, and nobody says that it failed."""
        return self.ended in ("success", "done") or (self.behind > 0 and self.ended == "")


def normalise(text: str) -> str:
    """``text`` with numbers, ids, hosts, times and paths replaced by type words."""
    for pattern, mask in _MASKS:
        text = pattern.sub(mask, text)
    return re.sub(r"\s+", " ", text).strip()


def read_features(text: str, exception_chain: Sequence[str] = (), operator: str | None = None) -> Features:
    """Features of a log excerpt, traceback or message; ``exception_chain`` (outermost first) adds what the text may lack."""
    lines = read_lines(text)
    chains, used = read_chains(lines)
    clauses = [*_exception_clauses(chains), *_line_clauses(lines, used), *_given_clauses(exception_chain, chains)]
    unique = {clause.text: clause for clause in sorted(clauses, key=lambda clause: clause.weight)}
    ordered = sorted(unique.values(), key=lambda clause: -clause.weight)[:CLAUSE_LIMIT]
    last = chains[-1] if chains else []
    frames = [line.text for line in lines if line.text.lstrip().startswith("File ")][-20:]
    ended = _end(lines)
    context = " ".join([operator or "", *frames, *(clause.text for clause in ordered[:20])])
    return Features(
        chain=tuple(raised.name for raised in last) or tuple(exception_chain),
        innermost=last[-1].text if last else "",
        outermost=last[0].text if last else "",
        codes=frozenset().union(*(clause.codes for clause in ordered)),
        clauses=tuple(ordered),
        service="database" if _found(_DATABASE, context) or any(clause.source == "postgres" for clause in ordered) else "",
        ended=ended,
        behind=_behind(lines, used),
        alarmed=bool(chains or exception_chain or used) or any(line.level in ALARM_LEVELS for line in lines) or ended == "failed",
        looked_at=sum(len(line.text) for line in lines),
    )


@cache
def _ready(pattern: re.Pattern[str]) -> RegexSet:
    return RegexSet([pattern])


def _found(pattern: re.Pattern[str], text: str) -> bool:
    """Whether one of the long lists of words above occurs in ``text``; several times faster than Python's search."""
    return bool(_ready(pattern).matching(text))


def _end(lines: Sequence[Line]) -> str:
    said = _said_of_the_end(lines)
    if said not in ("", "success"):
        return said
    written = [line for line in lines if line.text.strip()]
    if any(line.source != "postgres" and _GAVE_UP.search(line.text) for line in written[-_LAST_LINES:]):
        return "failed"
    last = written[-1] if written else Line("")
    text = _NOUGHT.sub("", last.text)
    if last.level in ALARM_LEVELS or _found(_ALARM, text):
        return said
    return "settled" if _IN_ORDER.search(text) else "done" if _DONE.search(text) or _DONE.search(last.text) else said


def _behind(lines: Sequence[Line], used: frozenset[int]) -> int:
    calm = 0
    for number in reversed(range(len(lines))):
        line, text = lines[number], lines[number].text.strip()
        if not text or line.is_companion or _NOISE.match(text):
            continue
        if number in used or line.level in ALARM_LEVELS or _found(_ALARM, _THING.sub("", _NOUGHT.sub("", text))):
            break
        calm += _is_calm(line)
    return calm


def _is_calm(line: Line) -> bool:
    """A record of a program's own work, at a level that it gave itself."""
    own = line.levels > bool(_OUTPUT.search(line.source))
    return line.starts and own and line.level in CALM_LEVELS and not _WINDING_UP.search(line.text)


def _said_of_the_end(lines: Sequence[Line]) -> str:
    for line in reversed(lines):
        if _SETTLED.search(line.text):
            return "settled"
        if _FAILED.search(line.text):
            return "failed"
        if _SUCCESS.search(line.text):
            return "settled" if _left_in_order(lines) else "success"
    return "settled" if _left_in_order(lines) else ""


def _left_in_order(lines: Sequence[Line]) -> bool:
    """An Airflow 3 task that got as far as its last group of log lines, and had not failed until then."""
    return any(line.text.startswith(_LAST_GROUP) for line in lines) and not any("Task failed with" in line.text for line in lines)


def _exception_clauses(chains: Sequence[Sequence[Raised]]) -> Iterator[Clause]:
    for age, chain in enumerate(reversed(chains)):
        for depth, raised in enumerate(reversed(chain)):
            weight = max(0.85, 1.0 - 0.03 * depth) * (0.6 if raised.handled else 1.0) * max(0.9, 1.0 - 0.01 * age)
            weight *= 0.95 if raised.level == "WARN" else 1.0
            text = raised.text
            found = codes(text) | ({"python:environ"} if raised.environment else set())
            yield Clause(text, weight, raised.name, raised.level, raised.source, found)


def _line_clauses(lines: Sequence[Line], used: frozenset[int]) -> Iterator[Clause]:
    tool = ""
    for number, line in enumerate(lines):
        text = line.text.strip()
        if text.startswith("+") and (traced := _TRACED.match(text)):
            tool = traced[1]
            continue
        if line.is_companion or len(text) < 4:
            continue
        if job := _JOB.search(text):
            text = job["text"]
        elif number in used or _NOISE.match(text):
            continue
        weight = _weight(line, text)
        if weight:
            found = codes(text) | ({f"sqlstate:{line.sqlstate}"} if line.sqlstate else set())
            found |= {f"{tool}:{code[5:]}" for code in found if tool and code.startswith("exit:")}
            if line.source == "postgres" and any(after.text.endswith("at RAISE") for after in lines[number + 1 : number + 3]):
                found |= {_RAISED}
            yield Clause(text[:1_200], weight, "", line.level, line.source, frozenset(found))


def _weight(line: Line, text: str) -> float:
    if line.level in ALARM_LEVELS:
        return 0.94
    if not _found(_ALARM, text) and not _hints(text):
        return 0.0 if line.level else PLAIN
    if line.level == "WARN":
        return 0.88
    if line.level in {"LOG", "DEBUG", "NOTICE", "DETAIL"}:
        return 0.75
    shaped = _SHAPED.search(text[: SHAPE_CHARACTERS if line.level else 4 * SHAPE_CHARACTERS])
    if line.level:
        return 0.84 if shaped and _OUTPUT.search(line.source) else 0.8
    return SHAPED if shaped else PLAIN


def _hints(text: str) -> bool:
    """Wordings of programs that give no alarm in words; plain substrings are found faster than by the expression above."""
    return (
        ": line " in text
        or "curl: (" in text
        or ": *** " in text
        or "ERR! " in text
        or " format" in text
        or "unbound variable" in text
        or "syntax error" in text
        or "does not look like" in text
        or "onflicting" in text
    )


def _given_clauses(exception_chain: Sequence[str], chains: Sequence[Sequence[Raised]]) -> Iterator[Clause]:
    seen = {raised.short for chain in chains for raised in chain}
    for depth, name in enumerate(reversed(exception_chain)):
        if name.rsplit(".", 1)[-1] not in seen:
            yield Clause(name, max(0.85, 0.98 - 0.03 * depth), name)


def tokens(source: str | Features) -> list[str]:
    """What models read of a failure: the one tokenizer of training and serving.

    Words and pairs of words of the decisive clauses, exception classes (``class:``, their module as ``from:``, their
    camel-case pieces as words), codes (``sqlstate:40P01`` and its family ``sqlstate:40``), the service and the way it ended.
    """
    features = read_features(source) if isinstance(source, str) else source
    found: list[str] = []
    for clause in features.clauses[:TOKEN_CLAUSES]:
        found += _clause_tokens(clause)
    found += [f"service:{features.service}"] if features.service else []
    return [*found, f"ended:{features.ended or 'open'}", "alarmed" if features.alarmed else "calm"]


def _clause_tokens(clause: Clause) -> Iterator[str]:
    module, _, name = clause.exception.replace("$", ".").rpartition(".")
    # The module stands for itself: its parts are words of every failure of that house.
    words = _WORD.findall(normalise(clause.text[:TOKEN_CHARACTERS].removeprefix(f"{module}.")))
    lower = [word.lower() for word in words]
    yield from lower
    yield from (f"{one} {other}" for one, other in pairwise(lower))
    for word in words:
        yield from (piece.lower() for piece in _pieces(word))
    if clause.exception:
        yield f"class:{name}"
        yield from [f"from:{module.split('.')[0]}"] if module else ()
    for code in clause.codes:
        yield code
        yield from [code[:11]] if code.startswith("sqlstate:") else ()
    if clause.level:
        yield f"level:{clause.level}"


def _pieces(word: str) -> list[str]:
    """``LedgerFrozenError`` -> Ledger, Frozen, Error; nothing for a plain word."""
    pieces = _PIECE.findall(word)
    return pieces if len(pieces) > 1 else []
