"""How logs are read: prefixes, indentation, what a log was cut from, and what is no part of a cause."""

from __future__ import annotations

from airflow_oncall.triage.chains import Raised, read_chains
from airflow_oncall.triage.features import read_features
from airflow_oncall.triage.lines import read_lines


def raised(text: str) -> list[Raised]:
    chains, _ = read_chains(read_lines(text))
    return [one for chain in chains for one in chain]


def test_a_log_that_was_pasted_with_indentation_reads_as_without() -> None:
    log = '      2031-02-03T04:05:06.1Z   File "/x/y.py", line 1, in load\n      2031-02-03T04:05:06.2Z shop.errors.NoStock: none left'
    assert [one.text for one in raised(log)] == ["shop.errors.NoStock: none left"]


def test_lines_that_were_logged_as_bytes_lose_their_quotes() -> None:
    (line,) = read_lines("[2031-02-03 04:05:06,789] {pod_launcher.py:156} INFO - b'the bucket is gone\\n'")
    assert line.text == "the bucket is gone"


def test_a_traceback_that_was_cut_off_at_its_raise_names_the_exception() -> None:
    log = 'INFO -   File "/x/client.py", line 5, in call\nINFO -     raise ConnectionTimeout("TIMEOUT", str(e), e)'
    assert [one.name for one in raised(log)] == ["ConnectionTimeout"]


def test_an_indented_line_outside_a_traceback_is_the_programs_own() -> None:
    clauses = read_features("Encountered an error:\nParsing Error\n        Env var required but not provided: 'X'").clauses
    assert "Env var required but not provided: 'X'" in [clause.text for clause in clauses]


def test_the_statement_that_sqlalchemy_quotes_is_no_part_of_the_message() -> None:
    (one,) = raised("sqlalchemy.exc.OperationalError: gone away [SQL: SELECT state, failed FROM jobs] [parameters: ('oom',)]")
    assert one.message == "gone away"


def test_an_error_of_the_lookup_kind_counts_less_than_the_one_raised_while_it_was_handled() -> None:
    handling = "During handling of the above exception, another exception occurred:"
    log = f"ValueError: invalid literal for int()\n\n{handling}\n\nhttp.client.IncompleteRead: x"
    weights = {clause.exception: clause.weight for clause in read_features(log).clauses}
    assert weights["ValueError"] < weights["http.client.IncompleteRead"]


def test_a_warning_weighs_less_than_an_error() -> None:
    error = "31/02/03 04:05:06 ERROR Executor: java.lang.OutOfMemoryError: heap"
    log = f"{error}\n31/02/03 04:05:07 WARN Hook: java.lang.InterruptedException: late"
    first, second = read_features(log).clauses[:2]
    assert (first.exception, second.exception) == ("java.lang.OutOfMemoryError", "java.lang.InterruptedException")


def test_a_deferred_task_did_not_fail() -> None:
    assert read_features("INFO - Task exited with return code 100 (task deferral)").ended == ""


def test_a_task_that_a_signal_ended_speaks_of_it() -> None:
    (clause,) = read_features(
        "[2031-02-03 04:05:06,789] {local_task_job.py:151} INFO - Task exited with return code Negsignal.SIGABRT"
    ).clauses
    assert "signal:SIGABRT" in clause.codes


def test_the_sqlstate_is_found_wherever_the_prefix_puts_it() -> None:
    spelled = (
        "2031-02-03 04:05:06 UTC app@shop/psql ([local]) 55P03: ERROR:  no",
        "2031-02-03 04:05:06 UTC [77]: [1-1] app@shop,app=psql [23505] ERROR:  no",
        "2031-02-03 04:05:06 UTC [77] ERROR:  22P02: no",
    )
    assert [read_lines(one)[0].sqlstate for one in spelled] == ["55P03", "23505", "22P02"]


def test_a_process_id_is_no_sqlstate() -> None:
    assert read_lines("2031-02-03 04:05:06 UTC [24895] ERROR:  no")[0].sqlstate == ""


def test_a_key_that_the_environment_lacks_is_told_from_a_programs_own() -> None:
    frame = "Traceback (most recent call last):\n  File \"<frozen os>\", line 679, in __getitem__\nKeyError: 'DSN'"
    assert "python:environ" in read_features(frame).codes
    assert "python:environ" not in read_features(frame.replace("<frozen os>", "/x/rows.py")).codes


def test_the_status_after_a_traced_command_is_the_tools_own() -> None:
    assert "curl:7" in read_features("+ curl -s http://shop\nstep exited with status 7").codes


def test_a_message_that_a_procedure_raised_itself_carries_its_sqlstate() -> None:
    stamp = "2031-02-03 04:05:06 UTC [7]"
    log = f"{stamp} ERROR:  the month is sealed\n{stamp} CONTEXT:  PL/pgSQL function seal() line 3 at RAISE"
    assert "sqlstate:P0001" in read_features(log).codes
