"""Records that a program deals with itself, also where another program took its output line by line."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable

import pytest

from airflow_oncall.capture.logs.records import last_start, spans
from airflow_oncall.capture.logs.scanner import Scanner
from tests.logs.shop_logs import shipped

SCANNER = Scanner(shipped())
TRACEBACK = (
    "Traceback (most recent call last):",
    '  File "/opt/shop/load.py", line 7, in load',
    "shop.errors.LedgerFrozen: ledger 4 is frozen",
)
DONE = "2026-11-20 04:05:07,000 INFO shop: 7 rows loaded"


def records(lines: Iterable[str]) -> list[str]:
    block = ("\n".join(lines) + "\n").encode()
    return [block[span.start : span.end].decode() for span in spans(block, SCANNER.hits(block))]


def container(line: str) -> str:
    return f"2026-11-20T04:05:06.123456789Z stderr F {line}"


def airflow_2(line: str) -> str:
    return f"[2026-11-20T04:05:06.000+0000] {{logging_mixin.py:190}} INFO - {line}"


def airflow_3(line: str) -> str:
    return f"[2026-11-20 04:05:06] INFO - {line} source=task.stdout loc=task_runner.py:1079"


def airflow_3_json(line: str) -> str:
    return json.dumps({"timestamp": "2026-11-20T04:05:06.000000Z", "level": "info", "event": line, "logger": "task.stdout"})


taken_by = pytest.mark.parametrize("taken", [container, airflow_2, airflow_3, airflow_3_json])
Taken = Callable[[str], str]


@taken_by
def test_a_traceback_that_another_program_took_line_by_line_belongs_to_the_log_line_above_it(taken: Taken) -> None:
    lines = [taken(line) for line in ("2026-11-20 04:05:06,000 ERROR shop: no ledger", *TRACEBACK, DONE)]
    assert records(lines) == ["\n".join(lines[:4])]


@taken_by
def test_what_the_program_above_it_warns_of_was_caught(taken: Taken) -> None:
    assert records(taken(line) for line in ("2026-11-20 04:05:06,000 WARNING shop: no ledger yet", *TRACEBACK, DONE)) == []


@taken_by
def test_what_the_program_tries_again_is_no_trouble(taken: Taken) -> None:
    assert records(taken(line) for line in ("ERROR:shop:attempt 1 of 3 failed, trying again", *TRACEBACK, DONE)) == []


@taken_by
@pytest.mark.parametrize("before", [DONE, "2026-11-20 04:05:06,000 INFO shop: retrying is on"])
def test_a_traceback_below_what_a_program_said_by_the_way_is_trouble(taken: Taken, before: str) -> None:
    lines = [taken(line) for line in (before, *TRACEBACK, DONE)]
    assert records(lines) == ["\n".join(lines[1:4])]


@taken_by
def test_the_last_record_of_a_file_begins_at_the_log_line_above_the_traceback(taken: Taken) -> None:
    first = taken(DONE) + "\n"
    block = (first + "".join(taken(line) + "\n" for line in ("ERROR:shop:no ledger", *TRACEBACK[:2]))).encode()
    assert last_start(block, 0, len(block)) == len(first)


@pytest.mark.parametrize("taken", [container, airflow_3_json, str])
def test_a_program_whose_last_words_are_a_warning_and_a_traceback_went_down_with_it(taken: Taken) -> None:
    lines = [taken(line) for line in ("2026-11-20 04:05:06,000 WARNING shop: no ledger yet", *TRACEBACK)]
    assert len(records(lines)) == 1


STACK = ("java.io.FileNotFoundException: File /data/none does not exist", "\tat shop.Files.status(Files.java:7)")


def test_a_java_program_that_warns_of_an_exception_and_goes_on_has_caught_it() -> None:
    warned = ("26/11/20 04:05:06 WARN Files: no metadata", *STACK)
    assert records([*warned, "26/11/20 04:05:07 INFO Files: read without"]) == []
    assert len(records(warned)) == 1


@pytest.mark.parametrize("told", ["26/11/20 04:05:06 ERROR Files: no metadata", "26/11/20 04:05:06 WARN TaskSetManager: Lost executor 4"])
def test_a_java_program_that_names_its_trouble_is_believed(told: str) -> None:
    assert len(records([told, *STACK, "26/11/20 04:05:07 INFO Files: bye"])) == 1


LOST = "26/11/20 04:05:06 WARN TaskSetManager: Lost task 4.{} in stage 2.0 (TID {}) (node-1 executor 1): java.io.IOException: Stream closed"
STARTED = "26/11/20 04:05:07 INFO TaskSetManager: Starting task 4.{} in stage 2.0 (TID 9) (node-2,executor 2, partition 4)"


def test_a_spark_task_that_is_started_again_is_no_trouble_and_its_last_try_is() -> None:
    lines = [LOST.format(0, 7), STARTED.format(1), LOST.format(1, 9)]
    assert records(lines) == [lines[2]]
    assert records([LOST.format(0, 7), STARTED.format(1).replace("task 4.", "task 5.")]) == [LOST.format(0, 7)]


@pytest.mark.parametrize(
    "line",
    [
        "2026-11-20 04:05:06,000 WARNING shop: first way failed (ModuleNotFoundError(\"No module named 'fast'\")), using the second",
        '{"timestamp": "2026-11-20T04:05:06Z", "level": "warning", "event": "no price: KeyError: 1", "logger": "shop"}',
        '2026-11-20 04:05:06.000 UTC [7] LOG:  background worker "replication" (PID 8) exited with exit code 1',
    ],
)
def test_an_exception_or_exit_code_that_is_mentioned_below_the_level_of_errors_is_no_trouble(line: str) -> None:
    assert records([line, DONE]) == []
    error = line.replace("WARNING", "ERROR").replace('"warning"', '"error"').replace("LOG:", "ERROR:")
    assert records([error, DONE]) == [error]


POSTGRES = "2026-11-20 04:05:06.000 UTC [1] "
SERVER_LINES = (
    POSTGRES + "LOG:  startup process (PID 28) exited with exit code 1",
    POSTGRES + "LOG:  aborting startup due to startup process failure",
    POSTGRES + "LOG:  archive command failed with exit code 1",
    POSTGRES + 'WARNING:  archiving write-ahead log file "000000010000000000000001" failed too many times, will try again later',
)
KILLED = tuple(
    f"2026-11-20 04:05:06,000 {told} exited with code {code}"
    for told in ("INFO container loader", "WARNING kubelet: container")
    for code in (134, 137, 139)
)
THE_WAY_OUT_FAILED = (
    "ERROR db: Connection refused; giving up after retrying 5 times",
    "ERROR app: ConnectionError: not retrying",
    "ERROR app: MemoryError (retrying is disabled)",
    "ERROR app: attempt 2 of 5 failed, no more tries: Connection refused",
    "CRITICAL app: OutOfMemoryError: Java heap space, retrying failed too",
    "FATAL loader: No space left on device, skipped 40 files",
    "FATAL db: falling back failed: could not connect to server: Connection refused",
    POSTGRES + "PANIC:  could not write to file: No space left on device, data set aside is lost",
    "SEVERE: No space left on device, retrying",
    '{"timestamp": "2026-11-20T04:05:06Z", "level": "critical", "event": "No space left on device, skipped 40 files", "logger": "shop"}',
)


@pytest.mark.parametrize("line", [*SERVER_LINES, *KILLED, *THE_WAY_OUT_FAILED])
def test_a_failure_is_told_whatever_its_program_says_besides_and_whatever_follows(line: str) -> None:
    assert records([line, DONE]) == [line]


@taken_by
@pytest.mark.parametrize(
    "line", ["ERROR:db:Connection refused; giving up after retrying 5 times", "CRITICAL:db:disk is full, skipped 4 files"]
)
def test_a_failure_is_told_where_another_program_took_the_line(taken: Taken, line: str) -> None:
    assert records([taken(line), taken(DONE)]) == [taken(line)]


def test_an_exception_while_retrying_is_told() -> None:
    lines = ["2026-11-20 04:05:06,000 ERROR app: Exception while retrying", *TRACEBACK[:2], "MemoryError"]
    assert records([*lines, DONE]) == ["\n".join(lines)]


@pytest.mark.parametrize(
    "line",
    [
        "2026-11-20 04:05:06,000 WARNING celery.worker: PermissionError: [Errno 13] Permission denied: '/x'",
        "2026-11-20 04:05:06 | WARNING | shop.load:post:7 - KeyError: 'amount'",
        "WARNING plugins: ModuleNotFoundError: No module named 'x'",
        '{"timestamp": "2026-11-20T04:05:06Z", "level": "warning", "event": "no price: KeyError: 1", "logger": "shop"}',
    ],
)
def test_a_program_whose_last_words_warn_of_an_exception_went_down_with_it(line: str) -> None:
    assert records([DONE, line]) == [line]
    assert records([DONE, line, "", "  "]) == [line]
    assert records([line, DONE]) == []


@pytest.mark.parametrize(
    "raised", ["psycopg.OperationalError: connection failed: FATAL:  sorry, too many connections", "MemoryError", "OSError: disk is full"]
)
def test_a_trouble_that_has_a_name_is_told_also_where_python_only_warns_of_it(raised: str) -> None:
    lines = ["2026-11-20 04:05:06,000 WARNING shop: no ledger", *TRACEBACK[:2], raised]
    assert records([*lines, DONE]) == ["\n".join(lines)]


@pytest.mark.parametrize(
    "line",
    [
        "2026-11-20 04:05:06,000 WARNING db: connection failed: FATAL:  the database system is starting up; retrying in 5 s",
        "2026-11-20 04:05:06,000 ERROR shop: RESOURCE_EXHAUSTED: Quota exceeded, retrying in 5 s",
    ],
)
def test_a_program_that_tries_again_is_believed_whatever_it_quotes(line: str) -> None:
    assert records([line, DONE]) == []
