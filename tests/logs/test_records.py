from __future__ import annotations

from datetime import datetime, timedelta, timezone
from textwrap import dedent
from zoneinfo import ZoneInfo

import pytest

from airflow_oncall.capture.logs.records import cut, last_start, spans
from airflow_oncall.capture.logs.scanner import Scanner
from airflow_oncall.capture.logs.source import RECORD_LIMIT
from airflow_oncall.capture.logs.stamps import happened_at
from tests.logs.shop_logs import HEALTHY, shipped

SCANNER = Scanner(shipped())


def records(text: str) -> list[tuple[str, str]]:
    block = dedent(text).encode()
    return [(span.signature.id, block[span.start : span.end].decode()) for span in spans(block, SCANNER.hits(block))]


def test_a_traceback_below_its_log_line_is_one_record_named_by_its_cause() -> None:
    [(signature, text)] = records("""\
        [2026-11-20, 04:05:05 UTC] {load.py:1} INFO - begin
        [2026-11-20, 04:05:06 UTC] {load.py:7} ERROR - Task failed with exception
        Traceback (most recent call last):
          File "/opt/shop/load.py", line 7, in load
        psycopg.OperationalError: connection to server at "db", port 5432 failed: Connection refused

        The above exception was the direct cause of the following exception:

        Traceback (most recent call last):
          File "/opt/shop/load.py", line 9, in load
        shop.LedgerError: no ledger
        [2026-11-20, 04:05:07 UTC] {load.py:9} INFO - end
        """)
    assert signature == "postgres-cannot-connect"
    assert text.startswith("[2026-11-20, 04:05:06 UTC]")
    assert text.endswith("shop.LedgerError: no ledger")


def test_a_java_stack_without_prefixes_is_one_record_and_the_output_around_it_is_not() -> None:
    [(_, text)] = records("""\
        loading
        java.lang.IllegalStateException: closed
        \tat shop.Ledger.post(Ledger.java:7)
        Caused by: java.io.IOException: Stream closed
        \t... 3 more
        done
        """)
    assert text.splitlines()[0] == "java.lang.IllegalStateException: closed"
    assert text.splitlines()[-1] == "\t... 3 more"


@pytest.mark.parametrize("prefix", ["2026-11-20T04:05:06.1Z stderr F ", "[2026-11-20 04:05:06] ERROR - "])
def test_a_traceback_whose_every_line_has_a_prefix_is_one_record(prefix: str) -> None:
    lines = ["Traceback (most recent call last):", '  File "/opt/shop/load.py", line 7', "    post(order)", "KeyError: 'amount'"]
    [(signature, text)] = records("".join(f"{prefix}{line}\n" for line in lines) + "2026-11-20T04:05:07.0Z stderr F done\n")
    assert signature == "python-code"
    assert len(text.splitlines()) == len(lines)


def test_postgres_detail_and_statement_belong_to_their_error() -> None:
    found = records("""\
        2026-11-20 04:05:06.123 UTC [7] etl@shop ERROR:  deadlock detected
        2026-11-20 04:05:06.123 UTC [7] etl@shop DETAIL:  Process 7 waits.
        \tProcess 8 waits.
        2026-11-20 04:05:06.123 UTC [7] etl@shop STATEMENT:  update orders
        2026-11-20 04:05:06.123 UTC [8] etl@shop ERROR:  relation "x" does not exist
        """)
    assert [(signature, len(text.splitlines())) for signature, text in found] == [("postgres-deadlock", 4), ("postgres-object-missing", 1)]


def test_trouble_that_a_program_prints_is_not_owned_by_the_information_above_it() -> None:
    assert records("26/11/20 04:05:06 INFO Main: started\npsql: error: connection failed\n") == [
        ("command-line-error", "psql: error: connection failed")
    ]


@pytest.mark.parametrize("head", ["", "2026-11-20 04:05:06 ERROR shop: x\n", "KeyError: 1\n\nDuring handling of the above exception:\n\n"])
def test_the_last_record_starts_at_the_line_that_owns_the_traceback(head: str) -> None:
    frame = '  File "/opt/shop/load.py", line 7\n'
    first = f"Traceback (most recent call last):\n{frame}" if head.startswith("KeyError") else ""
    block = f"{HEALTHY}{first}{head}Traceback (most recent call last):\n{frame}".encode()
    assert last_start(block, 0, len(block)) == len(HEALTHY)


def test_a_record_of_endless_lines_is_bounded() -> None:
    block = b"2026-11-20 04:05:06 ERROR shop: x\n" + b"  and so on\n" * 100_000
    [span] = spans(block, SCANNER.hits(block))
    assert span.end - span.start < 2 * RECORD_LIMIT


@pytest.mark.parametrize("word", ["attempt 1 of 3", "trying again in 5 s", "going on without it"])
def test_what_a_program_deals_with_itself_is_no_record(word: str) -> None:
    assert records(f"2026-11-20 04:05:06 ERROR shop: Connection refused, {word}\nTraceback (most recent call last):\nKeyError: 1\n") == []


def test_the_last_attempt_is_a_record() -> None:
    assert len(records("2026-11-20 04:05:06 ERROR shop: Connection refused, attempt 3 of 3\n")) == 1


def test_what_is_too_long_keeps_its_head_its_trouble_and_its_tail() -> None:
    text = "head " + "x " * 200_000 + "TROUBLE " + "y " * 200_000 + "tail"
    short = cut(text, text.index("TROUBLE"))
    assert len(short) <= RECORD_LIMIT
    assert short.startswith("head ")
    assert "TROUBLE" in short
    assert short.endswith("tail")
    assert short.count("characters left out") == 2


def test_no_half_word_stands_beside_a_cut() -> None:
    text = "password=hunter2hunter2 " * 20_000
    words = {word for word in cut(text, 100_000).split() if "hunter" in word}
    assert words == {"password=hunter2hunter2"}


@pytest.mark.parametrize(
    "line",
    [
        "[2026-11-20, 04:05:06 UTC] {load.py:7} ERROR - x",
        "[2026-11-20T05:05:06.000+0100] {load.py:7} ERROR - x",
        "26/11/20 04:05:06 ERROR Loader: x",
        "2026-11-20 04:05:06.000 UTC [7] ERROR:  x",
        '{"timestamp": "2026-11-20T04:05:06Z", "level": "error"}',
    ],
)
def test_the_time_of_a_record_is_read_from_its_first_line(line: str) -> None:
    assert happened_at(line) == datetime(2026, 11, 20, 4, 5, 6, tzinfo=timezone.utc)


def test_a_time_without_a_zone_is_one_of_the_sources_zone() -> None:
    assert happened_at("2026-11-20 05:05:06,500 ERROR x", ZoneInfo("Europe/Vienna")) == datetime(
        2026, 11, 20, 4, 5, 6, tzinfo=timezone.utc
    ) + timedelta(milliseconds=500)


@pytest.mark.parametrize("line", ["no time at all", "2026-13-45 04:05:06 ERROR x", "2026-11-20 04:05:06.000 EET [7] ERROR:  x"])
def test_a_time_that_cannot_be_told_is_none(line: str) -> None:
    assert happened_at(line) is None


@pytest.mark.parametrize(
    "line",
    [
        "2026-11-20 04:05:06,000 WARNING stock: canceling statement due to lock timeout; again in 0.2 s",
        "2026-11-20 04:05:06,000 ERROR shop: cache-1 is unavailable: Connection refused; falling back to cache-2",
        "row 7 skipped: could not obtain lock on row in relation orders",
        "An error occurred (ParameterNotFound) when calling the GetParameter operation: /jobs/limit not found; default 5 is used",
    ],
)
def test_what_a_program_says_that_it_deals_with_itself_is_no_trouble(line: str) -> None:
    assert records(f"{line}\n") == []
    assert records(
        f"{line.replace('; ', '. ').replace('skipped', 'failed').replace('falling back', 'not going')}\n".partition("again")[0] + "\n"
    )


def test_a_counted_try_that_another_one_or_success_follows_is_no_trouble_and_the_last_one_is() -> None:
    tries = [f"2026-11-20 04:05:0{number},000 ERROR shop: try {number}: Read timed out. (read timeout=5)\n" for number in (1, 2, 3)]
    assert [text[-42:] for _, text in records("".join(tries))] == [tries[2].strip()[-42:]]
    assert records("".join(tries) + "2026-11-20 04:05:09,000 INFO shop: connected\n") == []


CAUGHT = """\
        2026-11-20 04:05:06,000 {level} shop: no rates of today yet
        Traceback (most recent call last):
          File "/opt/shop/load.py", line 7, in load
        KeyError: 'rates'
        2026-11-20 04:05:07,000 INFO shop: loaded
        """


def test_an_exception_that_python_only_warns_of_was_caught() -> None:
    assert records(CAUGHT.format(level="WARNING")) == []
    assert records(CAUGHT.format(level="ERROR"))
