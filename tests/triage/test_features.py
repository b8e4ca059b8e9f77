from __future__ import annotations

import json

import pytest

from airflow_oncall.triage.features import normalise, read_features
from airflow_oncall.triage.lines import HEAD, LINE_LIMIT, TAIL, read_lines

CHAINED = """\
[2031-02-03, 04:05:06 UTC] {taskinstance.py:100} ERROR - Task failed with exception
Traceback (most recent call last):
  File "/srv/jobs/a.py", line 3, in connect
socket.gaierror: [Errno -2] Name or service not known

The above exception was the direct cause of the following exception:

Traceback (most recent call last):
  File "/srv/jobs/a.py", line 9, in run
shop.errors.SyncFailedError: could not sync
[2031-02-03, 04:05:06 UTC] {taskinstance.py:200} INFO - Marking task as FAILED. dag_id=a, task_id=b
"""
JAVA = """\
31/02/03 04:05:06 ERROR Executor: Exception in task 0.0 in stage 1.0 (TID 1)
java.io.IOException: outer
\tat com.shop.Job.run(Job.scala:1)
Caused by: java.lang.IllegalStateException: middle
\tat com.shop.Job.run(Job.scala:2)
\t... 12 more
Caused by: java.net.UnknownHostException: lake
"""

CSVLOG = (
    '2031-02-03 04:05:06.789 UTC,"app","shop",77,"h:1",a.b,1,"SELECT",2031-02-03 04:05:06 UTC,3/1,0,ERROR,42P01,"it broke",,,,,,,,,"psql"'
)


def test_python_chain_ends_with_the_exception_that_was_raised_first() -> None:
    features = read_features(CHAINED)
    assert features.chain == ("shop.errors.SyncFailedError", "socket.gaierror")
    assert features.innermost == "socket.gaierror: [Errno -2] Name or service not known"
    assert features.outermost.startswith("shop.errors.SyncFailedError")
    assert features.clauses[0].exception == "socket.gaierror"


def test_java_causes_are_read_inwards() -> None:
    assert read_features(JAVA).chain == ("java.io.IOException", "java.lang.IllegalStateException", "java.net.UnknownHostException")


def test_an_exception_quoted_inside_another_is_its_cause() -> None:
    text = "sqlalchemy.exc.OperationalError: (psycopg2.errors.DeadlockDetected) deadlock detected"
    assert read_features(text).chain == ("sqlalchemy.exc.OperationalError", "psycopg2.errors.DeadlockDetected")


def test_a_lookup_that_was_being_handled_weighs_less_than_what_followed() -> None:
    text = (
        "Traceback (most recent call last):\nKeyError: 'cached'\n\nDuring handling of the above exception, another exception occurred:\n\n"
        "Traceback (most recent call last):\nshop.errors.PartnerDownError: gone"
    )
    assert read_features(text).clauses[0].exception == "shop.errors.PartnerDownError"


def test_airflows_own_words_are_no_clause() -> None:
    assert not [clause for clause in read_features(CHAINED).clauses if "Task failed" in clause.text or "Marking task" in clause.text]


def test_airflow_3_json_lines_give_their_exception_chain() -> None:
    record = {
        "timestamp": "2031-02-03T04:05:06Z",
        "level": "error",
        "event": "Task failed with exception",
        "logger": "task",
        "error_detail": [
            {"exc_type": "RuntimeError", "exc_value": "sync failed", "is_cause": False, "frames": []},
            {"exc_type": "ConnectionResetError", "exc_value": "[Errno 104] Connection reset by peer", "is_cause": True, "frames": []},
        ],
    }
    features = read_features(json.dumps(record))
    assert features.chain == ("RuntimeError", "ConnectionResetError")
    assert "errno:104" in features.codes


@pytest.mark.parametrize(
    ("text", "level", "message"),
    [
        ("[2031-02-03, 04:05:06 UTC] {a.py:1} ERROR - it broke", "ERROR", "it broke"),
        ("[2031-02-03T04:05:06.123+0000] {{a.py:1}} WARNING - hm", "WARN", "hm"),
        ("[2031-02-03, 04:05:06] ERROR - it broke: source=\"task\"", "ERROR", "it broke"),
        ("2031-02-03T04:05:06.123456Z [error    ] it broke      [task] loc=a.py:3", "ERROR", "it broke"),
        ("31/02/03 04:05:06 ERROR Executor: it broke", "ERROR", "it broke"),
        ("[2031-02-03, 04:05:06 UTC] {subprocess.py:93} INFO - 31/02/03 04:05:06 ERROR Executor: it broke", "ERROR", "it broke"),
        ("2031-02-03 04:05:06.789 UTC [77] app@shop FATAL:  it broke", "FATAL", "it broke"),
        ("2031-02-03 04:05:06 UTC [77-1] app@shop ERROR:  42P01: it broke", "ERROR", "it broke"),
        (CSVLOG, "ERROR", "it broke"),
        ('{"timestamp":"2031","error_severity":"ERROR","state_code":"42P01","message":"it broke"}', "ERROR", "it broke"),
        ('{"ts":"2031","level":"ERROR","msg":"it broke","logger":"Executor"}', "ERROR", "it broke"),
        ("scheduler-1  | [2031-02-03, 04:05:06 UTC] {a.py:1} ERROR - it broke", "ERROR", "it broke"),
    ],
)  # fmt: skip
def test_log_prefixes_are_taken_off(text: str, level: str, message: str) -> None:
    line = read_lines(text)[0]
    assert (line.level, line.text.strip()) == (level, message)


def test_statements_and_hints_of_postgresql_are_never_causes() -> None:
    text = "2031-02-03 04:05:06 UTC [7] ERROR:  it broke\n2031-02-03 04:05:06 UTC [7] STATEMENT:  select 'deadlock detected'\n\tfrom failed"
    assert [clause.text for clause in read_features(text).clauses] == ["it broke"]


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("SQLSTATE: 23505", "sqlstate:23505"),
        ("requests.exceptions.HTTPError: 403 Client Error: Forbidden for url: x", "http:403"),
        ("OSError: [Errno 28] No space left on device", "errno:28"),
        ("error: Command exited with code 137", "exit:137"),
        ("Task exited with return code Negsignal.SIGKILL", "signal:SIGKILL"),
        ("server process (PID 1) was terminated by signal 11: failed", "signal:SIGSEGV"),
        ("An error occurred (SlowDown) when calling the PutObject operation", "aws:SlowDown"),
        ("[PATH_NOT_FOUND] Path does not exist", "spark:PATH_NOT_FOUND"),
        ("ORA-00942: table or view does not exist", "ora:942"),
        ("pymysql.err.IntegrityError: (1062, \"Duplicate entry\")", "mysql:1062"),
    ],
)  # fmt: skip
def test_codes_are_read(text: str, code: str) -> None:
    assert code in read_features(text).codes


def test_normalised_text_says_the_same_of_two_days_and_hosts() -> None:
    one = normalise("2031-02-03 04:05:06 cannot read /data/a/17.csv from 10.0.0.1:5432 in 31 s")
    other = normalise("2032-12-01 00:00:00 cannot read /data/b/9.csv from 10.9.8.7:5432 in 2 s")
    assert one == other


def test_a_huge_text_is_looked_at_in_its_head_and_tail_only() -> None:
    text = "x" * 25_000_000 + "\nfiller: failed\n" * 1_500_000 + "\nMemoryError"
    features = read_features(text)
    assert features.looked_at <= HEAD + TAIL
    assert features.chain == ("MemoryError",)


def test_long_lines_are_cut() -> None:
    (line,) = read_lines("error " * 5_000)
    assert line.text.startswith("error error")
    assert len(line.text) <= LINE_LIMIT + 10


def test_nul_bytes_and_any_unicode_are_read() -> None:
    assert read_features("ValueError: \x00 \ud83d\ude00 naïve \u202e").chain == ("ValueError",)


def test_exception_classes_from_airflow_fill_in_what_the_text_lacks() -> None:
    features = read_features("", ["airflow.sdk.exceptions.AirflowException", "builtins.KeyError"])
    assert features.clauses[0].exception == "builtins.KeyError"
    assert features.alarmed


def test_operator_tells_that_a_database_was_spoken_to() -> None:
    assert read_features("Connection refused").service == ""
    assert read_features("Connection refused", operator="PostgresOperator").service == "database"
    assert read_features("psycopg2.OperationalError: Connection refused").service == "database"


CAUGHT = "2031-02-03 04:05:06,007 WARNING loader: no file yet\nTraceback (most recent call last):\nFileNotFoundError: orders.csv\n"


@pytest.mark.parametrize(
    ("rest", "behind"),
    [
        ("", 0),
        ("2031-02-03 04:05:07,007 INFO loader: 4 rows in orders", 1),
        ("2031-02-03 04:05:07,007 INFO loader: asked again\n2031-02-03 04:05:08,007 INFO loader: wrote out/errors/1.csv, 0 failed", 2),
        ("2031-02-03 04:05:07,007 INFO loader: closing the connection", 0),
        ("2031-02-03 04:05:07,007 INFO loader: asked again\n2031-02-03 04:05:08,007 ERROR loader: no answer", 0),
        ("a line without a level", 0),
        ("[2031-02-03 04:05:07] INFO - which file it was source=task.stdout loc=task_runner.py:1079", 0),
        ("[2031-02-03 04:05:07] INFO - 2031-02-03 04:05:07,007 INFO loader: 4 rows source=task.stdout loc=task_runner.py:1079", 1),
        ('{"level": "info", "event": "4 rows in orders", "logger": "loader"}', 1),
    ],
)
def test_calm_records_of_a_program_that_went_on_are_counted(rest: str, behind: int) -> None:
    assert read_features(CAUGHT + rest).behind == behind
