"""The same cause has the same fingerprint, another cause another one."""

from __future__ import annotations

import pytest

from airflow_oncall.capture.fingerprint import fingerprint


@pytest.mark.parametrize(
    ("tonight", "tomorrow"),
    [
        ("Executor 12 lost on 10.0.0.5:34567", "Executor 7 lost on 10.9.8.7:1234"),
        ("connection to server at db-1.prod.internal failed", "connection to server at db.stage.internal failed"),
        ('could not translate host name "pgmain" to address', 'could not translate host name "pgspare" to address'),
        ("No such file: /data/2026/11/21/orders.csv", "No such file: /data/2026/11/22/returns.csv"),
        (r"cannot open C:\data\a.csv", r"cannot open C:\data\b.csv"),
        ("GET https://api.example.com/v1/orders?page=2 gave 503", "GET https://api.example.com/v1/users gave 503"),
        ("at 2026-11-21T03:45:22Z: timed out", "at 2026-12-01 23:00:00.123+02:00: timed out"),
        ("Sat Nov 21 03:45:22 2026 lock timeout", "Mon Dec 1 13:05:02 2026 lock timeout"),
        ("request 6f1c2d3e-aaaa-bbbb-cccc-0123456789ab failed", "request 00000000-dddd-eeee-ffff-ba9876543210 failed"),
        ("application_1700000000000_0042 killed", "application_1800000000000_0001 killed"),
        ("<object at 0x7f00deadbeef>", "<object at 0x7fffcafebabe>"),
        ("pod spark-a1b2c-exec-1 evicted", "pod spark-z9y8x-exec-22 evicted"),
        ("blob deadbeef missing", "blob cafebabe missing"),
    ],
)
def test_what_changes_from_failure_to_failure_does_not_count(tonight: str, tomorrow: str) -> None:
    assert fingerprint(("a.Error",), tonight, "op") == fingerprint(("a.Error",), tomorrow, "op")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("KeyError: 'customer'", "KeyError: 'order'"),
        ("Connection refused", "Connection reset by peer"),
        ("java.lang.OutOfMemoryError: heap", "java.lang.StackOverflowError: heap"),
        ("deadlock detected", "lock timeout"),
    ],
)
def test_another_message_is_another_cause(one: str, other: str) -> None:
    assert fingerprint((), one, None) != fingerprint((), other, None)


def test_another_exception_or_operator_is_another_cause() -> None:
    assert len({fingerprint(chain, "m", operator) for chain in (("a.A",), ("a.B",), ("a.A", "a.B")) for operator in ("X", "Y", None)}) == 9


def test_where_a_long_message_is_cut_does_not_show() -> None:
    def row(number: int) -> str:
        return " ".join(f"row {number + index} bad" for index in range(5000))

    assert fingerprint((), row(1), None) == fingerprint((), row(100_000), None)
