from __future__ import annotations

import sys

import pytest

from airflow_oncall.capture.logs.scanner import Engine, Scanner
from airflow_oncall.capture.logs.signatures import Signature
from airflow_oncall.capture.logs.source import SourceFailed
from tests.logs.shop_logs import HEALTHY, shipped, trouble

MIXED = (
    HEALTHY + trouble(1) + "FATAL:  sorry, too many clients already\r\n" + HEALTHY + "java.lang.OutOfMemoryError: Java heap space"
).encode()
both = pytest.mark.parametrize("engine", ["re2", "fast"])


def found(scanner: Scanner, block: bytes) -> list[tuple[str, bytes]]:
    return [(hit.signature.id, block[hit.start : hit.end].strip()) for hit in scanner.hits(block)]


@both
def test_hits_are_whole_lines_in_their_order(engine: Engine) -> None:
    assert found(Scanner(shipped(), engine), MIXED) == [
        ("level-error", trouble(1).strip().encode()),
        ("postgres-too-many-connections", b"FATAL:  sorry, too many clients already"),
        ("jvm-out-of-memory", b"java.lang.OutOfMemoryError: Java heap space"),
    ]


@both
def test_only_what_lies_between_start_and_end_is_scanned(engine: Engine) -> None:
    scanner, start = Scanner(shipped(), engine), len(HEALTHY) + len(trouble(1))
    assert [hit.signature.id for hit in scanner.hits(bytearray(MIXED), start, start + 41)] == ["postgres-too-many-connections"]


@both
def test_a_match_never_reaches_over_the_end_of_a_line(engine: Engine) -> None:
    greedy = Signature(id="greedy", title="x", pattern="lost[^!]*found", match=["lost, found"], no_match=["lost"])
    assert found(Scanner([greedy], engine), b"lost\nfound\n") == []


@both
def test_what_is_logged_for_debugging_is_no_trouble(engine: Engine) -> None:
    quiet = b'2026-11-20 04:05:06,000 DEBUG urllib3: Connection refused, next address\nNOTICE:  relation "x" does not exist, skipping\n'
    assert found(Scanner(shipped(), engine), quiet) == []


def test_a_line_of_error_that_speaks_of_debugging_is_trouble() -> None:
    assert found(Scanner(shipped()), b"2026-11-20 04:05:06 ERROR: connection refused, set DEBUG to see more\n")


def test_without_signatures_there_is_no_scanner() -> None:
    with pytest.raises(SourceFailed, match="there are no signatures"):
        Scanner([])


def test_a_missing_hyperscan_is_answered_with_the_extra_that_brings_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "hyperscan", None)
    with pytest.raises(SourceFailed, match=r"airflow-oncall\[fast\]"):
        Scanner(shipped(), "fast")


MENTIONED = b"An error occurred (NoSuchKey) when calling the GetObject operation: The specified key does not exist."


@both
@pytest.mark.parametrize(
    "head", [b"2026-11-20 04:05:06,000 INFO shop: first run: ", b'{"level": "info", "logger": "shop", "event": "first run: ']
)
def test_what_a_program_mentions_at_level_info_is_no_trouble(engine: Engine, head: bytes) -> None:
    assert found(Scanner(shipped(), engine), head + MENTIONED) == []


@both
@pytest.mark.parametrize(
    "head",
    [
        b"2026-11-20 04:05:06,000 ERROR shop: ",
        b"",
        b"[2026-11-20, 04:05:06 UTC] {logging_mixin.py:190} INFO - ",
        b'{"level": "info", "logger": "task.stdout", "event": "',
        b"[2026-11-20, 04:05:06 UTC] {logging_mixin.py:190} INFO - 2026-11-20 04:05:06,000 ERROR shop: ",
    ],
)
def test_what_is_an_error_or_was_only_printed_is_trouble_whatever_level_the_printing_had(engine: Engine, head: bytes) -> None:
    [(signature, _)] = found(Scanner(shipped(), engine), head + MENTIONED)
    assert signature == "cloud-object-missing"


def test_a_line_of_level_info_is_trouble_where_its_signature_says_so() -> None:
    assert found(Scanner(shipped()), b"[2026-11-20, 04:05:06 UTC] {local_task_job_runner.py:302} INFO - Task exited with return code -9")
