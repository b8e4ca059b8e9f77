"""Masks of the operator: they add to the shipped ones, and a wrong file takes none of them away."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import pytest

from airflow_oncall import conf
from airflow_oncall.capture import masking
from airflow_oncall.capture.redact import explain, redact
from airflow_oncall.datafile import parse
from airflow_oncall.errors import BadDataFile

CUSTOMERS = """
patterns:
  - name: customer number
    pattern: '\\b(KD-)[0-9]{6,10}\\b'
    replacement: '\\1***'
"""
BOTH = CUSTOMERS + "  - {name: iban, pattern: 'DE[0-9]+'}\n"
PLAIN, MASKED = "KD-12345678 DE12", "KD-*** ***"
Write = Callable[[str], Path]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An AIRFLOW_HOME without a file of the operator's, in a process that has looked at none."""
    monkeypatch.setattr(conf, "airflow_home", lambda: tmp_path)
    monkeypatch.setattr(conf, "include_paths", lambda: [tmp_path / "include"])
    monkeypatch.setattr(masking, "LOOK_EVERY", 0.0)
    new_process(monkeypatch)
    (tmp_path / "include").mkdir()
    return tmp_path


@pytest.fixture
def write(home: Path) -> Write:
    """Writes the operator's file, as an editor that puts a new one in its place."""

    def written(text: str) -> Path:
        path = home / "include" / masking.NAME
        part = path.with_suffix(".new")
        part.write_text(text, encoding="utf-8")
        return part.replace(path)

    return written


def new_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(masking, "_known", masking._InForce())


def masked(text: str) -> str:
    return redact(text, 1000)


def test_patterns_of_the_operator_mask_beside_the_shipped_ones(write: Write) -> None:
    write(CUSTOMERS)
    assert masked("KD-12345678 has password=hunter22") == "KD-*** has password=***"


def test_without_a_file_the_shipped_patterns_mask(home: Path) -> None:
    assert masked("KD-12345678 has password=hunter22") == "KD-12345678 has password=***"
    assert masking.in_force().problem == ""


def test_a_changed_file_is_in_force_without_a_restart(write: Write) -> None:
    write(CUSTOMERS)
    assert "12345678" not in masked("KD-12345678")
    write(BOTH)
    assert masked(PLAIN) == MASKED


def test_values_that_say_something_are_not_masked(write: Write) -> None:
    write("never_masked: [expired, required]")
    assert masked("token: expired") == "token: expired"
    assert masked("password = 'required'") == "password = 'required'"
    assert masked("token: expired2") == "token: ***"
    assert masked("token: not expired") == "token: *** expired"


@pytest.mark.parametrize(
    ("wrong", "place"),
    [
        pytest.param("patterns: [{name: a, pattern: '(?=a)b'}]", "line 1: field 'patterns.0.pattern': RE2", id="a look-around"),
        pytest.param("patterns:\n  - name: a\n    pattern: '(a'", "line 3: field 'patterns.0.pattern': RE2", id="an open group"),
        pytest.param("patterns: [{name: a, pattern: 'a*'}]", "empty text", id="fits everything"),
        pytest.param("patterns: [{name: a, pattern: '((a{1000}){1000}){1000}'}]", "RE2 does not take it", id="too large"),
        pytest.param("patterns: [{name: a, pattern: ab, replacement: '\\7'}]", "names a group", id="a group that is not there"),
        pytest.param("patterns: [{name: a, pattern: ab, flags: i}]", "flags", id="a field that does not exist"),
        pytest.param("patterns: [{name: a}]", "patterns.0.pattern", id="without a pattern"),
        pytest.param("never_masked: ['']", "never_masked.0", id="an empty word"),
        pytest.param("patterns: [", "not YAML", id="not YAML"),
        pytest.param("- a", "valid dictionary", id="a list"),
        pytest.param("# " + "x" * masking.LARGEST, "larger than", id="too long"),
    ],
)
def test_what_is_wrong_is_named_with_its_place(write: Write, wrong: str, place: str) -> None:
    path = write(wrong)
    with pytest.raises(BadDataFile, match=r"masking\.yaml") as caught:
        masking.read(path)
    assert place in str(caught.value)


def test_a_wrong_file_leaves_the_last_good_masks_in_force_and_adds_its_good_ones(write: Write, caplog: pytest.LogCaptureFixture) -> None:
    write(CUSTOMERS)
    masked("")
    write("patterns: [{name: iban, pattern: 'DE[0-9]{20}'}, {name: broken, pattern: '('}]\nnever_masked: [hunter22]")
    with caplog.at_level(logging.ERROR):
        found = masked("KD-12345678 DE12345678901234567890 password=hunter22")
    assert found == "KD-*** *** password=***"
    assert "masking.yaml, line 1: field 'patterns.1.pattern'" in caplog.text
    caplog.clear()
    masked("again")
    assert not caplog.records, "told once, not with every text"


@pytest.fixture
def both(write: Write) -> Path:
    """A file with two patterns, which are in force."""
    path = write(BOTH)
    assert masked(PLAIN) == MASKED
    return path


def emptied(path: Path) -> None:
    path.write_text("")


def cut(path: Path) -> None:
    path.write_text(CUSTOMERS)


HALF_SAVED = pytest.mark.parametrize("half_saved", [emptied, cut, Path.unlink])


@HALF_SAVED
def test_a_file_that_is_being_saved_unmasks_nothing(both: Path, write: Write, half_saved: Callable[[Path], None]) -> None:
    half_saved(both)
    assert masked(PLAIN) == MASKED
    write(BOTH + "never_masked: [expired]")
    assert masked(f"{PLAIN} token: expired") == f"{MASKED} token: expired"
    assert masking.in_force().problem == ""


@HALF_SAVED
def test_a_process_that_begins_while_the_file_is_being_saved_unmasks_nothing(
    both: Path, half_saved: Callable[[Path], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    half_saved(both)
    monkeypatch.setattr(masking, "LOOK_EVERY", 3600.0)
    new_process(monkeypatch)
    assert masked(PLAIN) == MASKED


def test_a_save_that_takes_long_unmasks_nothing(both: Path) -> None:
    for _ in range(3):
        both.write_text(CUSTOMERS)
        assert masked(PLAIN) == MASKED
        both.write_text(f"{CUSTOMERS}# more is to come")
        assert masked(PLAIN) == MASKED


def test_a_pattern_that_was_taken_out_masks_until_two_looks_saw_the_same_file(both: Path, write: Write) -> None:
    write(f"{CUSTOMERS}never_masked: [expired]")
    assert masked(f"{PLAIN} token: expired") == f"{MASKED} token: ***"
    assert masked(f"{PLAIN} token: expired") == "KD-*** DE12 token: expired"


def test_a_process_that_begins_long_after_a_pattern_was_taken_out_does_not_wait_for_a_second_look(
    both: Path, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    write("patterns: []")
    new_process(monkeypatch)
    assert masked(PLAIN) == PLAIN, "what LOOK_EVERY calls long is no time at all here"


def test_patterns_that_were_taken_out_do_not_come_back_when_the_file_is_wrong(
    both: Path, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    write("patterns: []")
    assert [masked(PLAIN), masked(PLAIN)] == [MASKED, PLAIN]
    write("patterns: [")
    assert masked(PLAIN) == PLAIN
    new_process(monkeypatch)
    assert masked(PLAIN) == PLAIN


@pytest.mark.parametrize("gone", [emptied, Path.unlink])
def test_patterns_of_a_file_that_is_gone_stay_in_force_until_a_file_takes_them_out(
    both: Path, write: Write, gone: Callable[[Path], None], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    gone(both)
    assert [masked(PLAIN) for _ in range(3)] == [MASKED] * 3
    assert "`patterns` any more; those of the last good version stay in force" in masking.in_force().problem
    assert [record.levelname for record in caplog.records] == ["ERROR"], "told once"
    assert "write `patterns: []` into it" in caplog.text
    new_process(monkeypatch)
    assert masked(PLAIN) == MASKED
    write("patterns: []")
    assert [masked(PLAIN), masked(PLAIN)] == [MASKED, PLAIN]
    assert masking.in_force().problem == ""


def test_a_process_that_begins_when_the_file_is_wrong_has_the_last_good_masks_of_its_host(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(CUSTOMERS)
    masked("")
    write("patterns: [")
    new_process(monkeypatch)
    assert masked("KD-12345678 has password=hunter22") == "KD-*** has password=***"
    assert "not YAML" in masking.in_force().problem


def test_a_file_that_is_cut_right_after_it_was_read_leaves_a_whole_copy(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(BOTH)

    def parsed_then_emptied(kind: type[masking.MaskingFile], name: str, text: str) -> masking.MaskingFile:
        found = parse(kind, name, text)
        emptied(path)
        return found

    monkeypatch.setattr(masking, "parse", parsed_then_emptied)
    assert masked(PLAIN) == MASKED
    new_process(monkeypatch)
    assert masked(PLAIN) == MASKED, "the file says nothing any more, so this is what the copy says"


def test_a_file_that_cannot_be_read_is_no_reason_to_fail(home: Path) -> None:
    (home / "include" / masking.NAME).mkdir()
    assert masked("password=hunter22") == "password=***"
    assert "cannot be read" in masking.in_force().problem


def test_a_host_that_keeps_no_copy_masks_all_the_same(write: Write, home: Path) -> None:
    (home / "oncall").write_text("a file where the folder should be")
    write(CUSTOMERS)
    assert masked("KD-12345678") == "KD-***"


@pytest.mark.parametrize("pattern", ["(a+)+x", "(.*)*secret", "(a|aa)+x", "([a-z]+)*[0-9]x"])
def test_an_evil_pattern_takes_linear_time(write: Write, pattern: str) -> None:
    """With Python's own ``re``, the first of these texts would take longer than the universe is old."""
    write(f"patterns: [{{name: evil, pattern: '{pattern}'}}]")
    assert masking.in_force().problem == ""
    assert masked("a" * 5000 + "!").startswith("aaa")


def test_every_rule_says_what_it_masks(write: Write) -> None:
    write(CUSTOMERS + "never_masked: [expired]")
    found = list(explain("KD-12345678 password=hunter22 token: expired"))
    assert found == [("value of a secret's name", "password=hunter22"), ("customer number", "KD-12345678")]


def test_text_in_any_alphabet_is_masked(write: Write) -> None:
    write("patterns: [{name: name, pattern: 'Björn', replacement: 'ß'}]")
    assert masked("für Björn \u202e\U0001f600 und Björn") == "für ß \u202e\U0001f600 und ß"
