from __future__ import annotations

import pytest

from airflow_oncall.errors import BadDataFile
from airflow_oncall.incident import CATEGORIES
from airflow_oncall.triage.features import read_features
from airflow_oncall.triage.rulefile import parse_rules
from airflow_oncall.triage.rules import RuleBook

GOOD = """\
- id: partner-busy
  category: rate_limit
  patterns: ['partner is busy']
  test: ['ERROR: partner is busy']
"""


def category(rules: RuleBook, text: str) -> str:
    findings = rules.judge(read_features(text))
    return findings[0].category if findings else "unknown"


def test_every_shipped_rule_passes_its_own_test_lines(rules: RuleBook) -> None:
    assert {rule.category for rule in rules.rules} == {*CATEGORIES, "none"}


def test_a_good_file_is_read_with_the_categorys_defaults() -> None:
    (rule,) = parse_rules({"site.yaml": GOOD}).rules
    assert (rule.id, rule.category, rule.transient, rule.quiet) == ("partner-busy", "rate_limit", True, False)


@pytest.mark.parametrize(
    ("old", "new", "line", "field", "problem"),
    [
        ("category: rate_limit", "category: rate_limits", 2, "category", "rate_limits"),
        ("category: rate_limit", "colour: red\n  category: rate_limit", 2, "colour", "unknown"),
        ("['partner is busy']", "['partner (is busy']", 3, "patterns", "not a regular expression"),
        ("test: ['ERROR: partner is busy']", "transient: true", 1, "test", "missing"),
        ("ERROR: partner is busy", "ERROR: partner is idle", 4, "test", "does not make rule 'partner-busy' fire"),
        ("  patterns: ['partner is busy']\n", "", 1, "patterns", "missing"),
        ("category: rate_limit", "category: rate_limit\n  probability: 1.5", 3, "probability", "1.5"),
        ("category: rate_limit", "category: rate_limit\n  helps: often", 3, "helps", "often"),
        ("category: rate_limit", "category: rate_limit\n  transient: perhaps", 3, "transient", "perhaps"),
        ("category: rate_limit", "category: rate_limit\n  quiet: 1.5", 3, "quiet", "1.5"),
        ("category: rate_limit", "category: rate_limit\n  service: cats", 3, "service", "cats"),
        ("category: rate_limit", "category: rate_limit\n  exceptions: 7", 3, "exceptions", "7"),
    ],
)
def test_an_error_names_file_line_and_field(old: str, new: str, line: int, field: str, problem: str) -> None:
    with pytest.raises(BadDataFile, match=r"site\.yaml") as caught:
        parse_rules({"site.yaml": GOOD.replace(old, new)})
    assert (caught.value.line, caught.value.field) == (line, field)
    assert problem in str(caught.value)


def test_the_same_id_in_two_files_is_an_error() -> None:
    with pytest.raises(BadDataFile, match=r"more.yaml, line 1: field 'id': 'partner-busy' is taken"):
        parse_rules({"site.yaml": GOOD, "more.yaml": GOOD})


@pytest.mark.parametrize("text", ["a: [", "just words", "- just words", "a: 1"])
def test_what_is_no_list_of_rules_is_an_error_with_a_line(text: str) -> None:
    with pytest.raises(BadDataFile) as caught:
        parse_rules({"site.yaml": text})
    assert caught.value.line is not None


def test_an_empty_file_holds_no_rules() -> None:
    assert parse_rules({"site.yaml": "# nothing yet\n"}).rules == ()


def test_the_cause_beats_its_wrappers(rules: RuleBook) -> None:
    text = (
        "Traceback (most recent call last):\nsocket.timeout: timed out\n\n"
        "The above exception was the direct cause of the following exception:\n\nTraceback (most recent call last):\n"
        "airflow.exceptions.AirflowException: Bash command failed. The command returned a non-zero exit code 3."
    )
    assert category(rules, text) == "network_timeout"


def test_a_status_that_only_carries_a_cause_gives_way_to_it(rules: RuleBook) -> None:
    assert (
        category(rules, "googleapiclient.errors.HttpError: <HttpError 403 rateLimitExceeded: Quota exceeded for queries per minute>")
        == "rate_limit"
    )


def test_the_service_tells_a_database_from_the_network(rules: RuleBook) -> None:
    assert category(rules, "psycopg.OperationalError: connection failed: Connection refused") == "database_connectivity"
    assert category(rules, "requests.exceptions.ConnectionError: [Errno 111] Connection refused") == "network_connectivity"
    spark = (
        "py4j.protocol.Py4JJavaError: An error occurred while calling o1.load.\n"
        ": org.postgresql.util.PSQLException: Connection to wh:5432 refused.\nCaused by: java.net.ConnectException: Connection refused"
    )
    assert category(rules, spark) == "database_connectivity"


def test_an_engines_own_code_beats_words_in_its_message(rules: RuleBook) -> None:
    assert category(rules, "[PATH_NOT_FOUND] Path does not exist: it must be specified. error") == "missing_data"


@pytest.mark.parametrize(
    "text",
    [
        "[2031-02-03, 04:05:06 UTC] {load.py:1} INFO - wrote error_log: 0 errors, 0 failed, timeout=300",
        "31/02/03 04:05:06 WARN NativeCodeLoader: Unable to load native-hadoop library for your platform",
        "31/02/03 04:05:06 INFO MemoryStore: Block broadcast_0 stored as values in memory (estimated size 1.0 KiB, free 366.3 MiB)",
        "2031-02-03 04:05:06 UTC [7] LOG:  could not receive data from client: Connection reset by peer",
        "2031-02-03 04:05:06 UTC [7] LOG:  statement: insert into failures values ('deadlock detected', 'timeout')",
        "[2031-02-03, 04:05:06 UTC] {taskinstance.py:1} INFO - Marking task as SUCCESS. dag_id=a, task_id=failed_rows",
        "insert into failed_payments (message) values ('permission denied')",
        "[2031-02-03 04:05:06] INFO - no ERROR lines source=task.stdout loc=task_runner.py:1079",
        "[2031-02-03 04:05:06] INFO - Pod error-digest has phase Succeeded source=task.stdout loc=task_runner.py:1079",
        "31/02/03 04:05:06 INFO DAGScheduler: waiting: HashSet(), failed: HashSet()",
        'INFO:httpx:HTTP Request: GET https://api.example/limits/exceeded "HTTP/1.1 200 OK"',
        "WARNING - no mirror answers, going on without it",
        "WARNING - fetch raised TimeoutError: read timed out; try 2 of 5 in 0.5 s",
        "failed logins: 0: sent",
        '[2031-02-03 04:05:06] INFO - 2031-02-03 04:05:05.1 UTC [7] LOG:  background worker "logical replication launcher" (PID 8) exited '
        "with exit code 1 source=task.stdout loc=task_runner.py:1079",
        "",
    ],
)
def test_healthy_text_is_no_incident(rules: RuleBook, text: str) -> None:
    assert category(rules, text) == "none"


def test_an_unknown_exception_is_known_by_no_rule(rules: RuleBook) -> None:
    assert rules.judge(read_features("shop.billing.LedgerFrozenProblem: period 7 is sealed\nTask exited with return code 1")) == []


CAUGHT = "WARNING: first partner is down\nConnectionRefusedError: [Errno 111] Connection refused\n"


@pytest.mark.parametrize(
    "end",
    [
        "done, 4 rows",
        "load finished",
        "INFO: successfully loaded 4 rows",
        "31/02/03 04:05:06 INFO DAGScheduler: Job 0 finished: sum",
        "loader: done, 4 rows",
        "sync complete",
        "4 files copied, 0 failed",
        "0 errors, 3 rows skipped",
        "4 rows complete, failed: 0",
        "fetched at attempt 2",
        "stored after 3 tries, no timeout left",
        "summary sent, exit 0",
        "2 of 2 checks passed",
    ],
)
def test_what_a_job_caught_before_it_came_to_its_end_is_no_incident(rules: RuleBook, end: str) -> None:
    assert (category(rules, CAUGHT), category(rules, CAUGHT + end)) == ("network_connectivity", "none")


@pytest.mark.parametrize(
    "end",
    [
        "finished with errors",
        "Task finished exit_code=1 final_state=failed",
        "ERROR: could not finish",
        "load started",
        "giving up after 3 attempts",
        "failed at attempt 2",
        "4 files copied, 1 failed",
        "INFO: 0 errors so far, 4 rows checked",
        "WARNING - State of this instance has been externally set to failed. Terminating instance.",
    ],
)
def test_an_end_that_is_none_leaves_the_incident(rules: RuleBook, end: str) -> None:
    assert category(rules, CAUGHT + end) == "network_connectivity"


def test_an_error_that_was_logged_as_one_stays_an_incident_in_a_job_that_came_to_its_end(rules: RuleBook) -> None:
    assert category(rules, "ERROR: disk full, No space left on device\ndone") == "storage_exhaustion"


@pytest.mark.parametrize("end", ["job finished status=success rows=4 failed=0", '{"rows": 4, "status": "success"}', "exited with status 0"])
def test_a_job_that_reports_success_caught_what_stands_before(rules: RuleBook, end: str) -> None:
    assert category(rules, "Traceback (most recent call last):\nKeyError: 'rate'\n" + end) == "none"


@pytest.mark.parametrize("end", ["step exited with status 3", "make: *** [Makefile:3: load] Error 2", "DagRun failed", "Execution halted"])
def test_an_end_in_failure_that_no_rule_knows_is_unknown(rules: RuleBook, end: str) -> None:
    assert category(rules, f"loading\n{end}") == "unknown"
