from __future__ import annotations

import random

from airflow_oncall.capture.logs.decode import decode, is_binary, wide


def test_utf_8_stays_what_it_is() -> None:
    assert decode("Überweisung fehlgeschlagen: 5 €".encode()) == "Überweisung fehlgeschlagen: 5 €"


def test_what_is_no_utf_8_is_read_as_windows_writes_it() -> None:
    assert decode("Überweisung – 5 €".encode("cp1252")) == "Überweisung – 5 €"


def test_every_byte_becomes_some_letter() -> None:
    assert len(decode(bytes(range(256)))) == 256


def test_a_byte_order_mark_tells_wide_letters() -> None:
    assert wide("x".encode("utf-16-le")) is None
    assert wide(b"\xff\xfex\0") == "utf-16-le"
    assert wide(b"\xfe\xff\0x") == "utf-16-be"


def test_random_bytes_are_no_text() -> None:
    assert is_binary(random.Random(7).randbytes(10_000))


def test_a_log_with_colours_and_other_alphabets_is_text() -> None:
    assert not is_binary(("\x1b[31mОшибка\x1b[0m: диск переполнен\r\n" * 100).encode())


def test_a_hole_that_truncation_left_at_the_start_does_not_make_a_log_binary() -> None:
    assert not is_binary(b"\0" * 6_000 + b"2026-11-20 04:05:06 ERROR x\n" * 10)
