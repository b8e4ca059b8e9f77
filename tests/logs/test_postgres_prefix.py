"""``log_line_prefix``: what a line's head says under settings that servers have."""

from __future__ import annotations

from datetime import datetime, timezone

import pytest

from airflow_oncall.capture.logs.postgres_prefix import LinePrefix, moment

STAMP = "2026-11-21 10:00:00.123 UTC"


@pytest.mark.parametrize(
    ("setting", "line", "fields"),
    [
        ("%m [%p] ", f"{STAMP} [77] ERROR:  no", {"pid": "77"}),
        ("%m [%p] %q%u@%d ", f"{STAMP} [77] etl@sales ERROR:  no", {"pid": "77", "user": "etl", "database": "sales"}),
        ("%m [%p] %q%u@%d ", f"{STAMP} [77] ERROR:  no", {"pid": "77"}),
        ("%t:%r:%p:", "2026-11-21 10:00:00 CET:fe80::1(5123):9:ERROR:  no", {"host": "fe80::1", "port": "5123", "pid": "9"}),
        ("%h %r %p ", "[local] [local] 9 ERROR:  no", {"host": "[local]", "pid": "9"}),
        ("%-8u|%8d|", "etl     |   sales|ERROR:  no", {"user": "etl", "database": "sales"}),
        ("u=%u,d=%d,a=%a ", "u=,d=,a= ERROR:  no", {}),
        ("u=%u,d=%d ", "u=[unknown],d=[unknown] ERROR:  no", {}),
        ("%e %c %Q ", "40P01 69201f3a.1a 55 ERROR:  no", {"sqlstate": "40P01", "session_id": "69201f3a.1a", "query_id": "55"}),
        ("%e %Q ", "00000 0 LOG:  yes", {}),
        ("%p %p 100%% %Z%", "9 9 100% ERROR:  no", {"pid": "9"}),
        ("%b, %a: ", "client backend, my app: ERROR:  no", {"backend_type": "client backend", "application_name": "my app"}),
        ("%l|%v|%x|%i|%s|%P|%L|%p ", "3|4/17|0|SELECT|2026-11-21 10:00:00 CET||127.0.0.1|9 ERROR:  no", {"pid": "9"}),
        ("", "ERROR:  no", {}),
    ],
)
def test_a_prefix_says_who_wrote_the_line(setting: str, line: str, fields: dict[str, str]) -> None:
    head = LinePrefix(setting).read(line)
    assert head is not None
    assert head.fields == fields
    assert line[head.length :] in {"no", "yes"}


def test_a_line_of_another_prefix_does_not_fit() -> None:
    assert LinePrefix("%m [%p] ").read("[77] etl@sales ERROR:  no") is None
    assert LinePrefix("%m [%p] ").read("\tERROR:  a further line of a message") is None


def test_a_message_that_looks_like_the_prefix_is_still_a_message() -> None:
    head = LinePrefix("%m [%p] %q%u@%d ").read(f"{STAMP} [77] LOG:  checkpoint of boss@bank ERROR:  forged")
    assert head is not None
    assert (head.severity, head.fields) == ("LOG", {"pid": "77"})


def test_a_line_of_ten_megabytes_is_decided_by_its_begin() -> None:
    assert LinePrefix("%m [%p] ").read("x" * 10_000_000) is None


def test_a_prefix_of_many_names_ends_on_a_line_that_fits_in_no_way() -> None:
    """A backtracking engine would try every way to split the line into five names."""
    assert LinePrefix("%u %d %a %i %b ").read("a " * 500) is None


@pytest.mark.parametrize(
    ("text", "zone", "utc"),
    [
        (STAMP, "", (10, 0, 123000)),
        ("2026-11-21 10:00:00.5 CET", "Europe/Berlin", (9, 0, 500000)),
        ("2026-07-21 10:00:00 CEST", "Europe/Berlin", (8, 0, 0)),
        ("2026-10-25 02:30:00 CEST", "Europe/Berlin", (0, 30, 0)),
        ("2026-10-25 02:30:00 CET", "Europe/Berlin", (1, 30, 0)),
        ("2026-11-21 10:00:00 +0530", "", (4, 30, 0)),
        ("2026-11-21 10:00:00 -03", "America/Sao_Paulo", (13, 0, 0)),
        ("1795255200.250", "", (10, 0, 250000)),
    ],
)
def test_times_are_utc(text: str, zone: str, utc: tuple[int, int, int]) -> None:
    found = moment(text, zone)
    assert found is not None
    assert found.tzinfo is timezone.utc
    assert (found.hour, found.minute, found.microsecond) == utc


@pytest.mark.parametrize("text", ["", "2026-11-21 10:00:00 CET", "2026-13-45 99:00:00 UTC", "yesterday"])
def test_a_time_that_is_not_certain_is_none(text: str) -> None:
    assert moment(text, "") is None


def test_an_epoch_is_the_same_moment() -> None:
    assert moment("1795255200.000", "") == datetime(2026, 11, 21, 10, tzinfo=timezone.utc)
