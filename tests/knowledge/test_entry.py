"""What may stand in an entry, whoever wrote it."""

from __future__ import annotations

import pytest
from tests.cast import MIDNIGHT
from tests.knowledge.people import entry

from airflow_oncall.knowledge.entry import HISTORY, TEXT_CHARACTERS, BadEntry, read_entry

GOOD = {"name": "ledger-frozen", "category": "missing_data", "pattern": "ledger .* is frozen"}


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"name": "Ledger Frozen"}, "field 'name': a name is made of a-z"),
        ({"name": "../../etc"}, "field 'name': a name is made of a-z"),
        ({"name": "a" * 101}, "field 'name'"),
        ({"category": "bad_luck"}, "'bad_luck' is no category"),
        ({"pattern": ""}, "it is known by nothing"),
        ({"pattern": "(frozen"}, "field 'pattern': RE2 does not take it: missing \\)"),
        ({"pattern": "(?=frozen)ledger"}, "it knows no look-arounds"),
        ({"pattern": "((x{100}){100}){100}"}, "RE2 does not take it"),
        ({"pattern": ".*"}, "it fits a log in which nothing failed"),
        ({"pattern": "."}, "it fits a log in which nothing failed"),
        ({"pattern": "[a-z]+"}, "it fits a log in which nothing failed"),
        ({"pattern": "\\d"}, "it fits a log in which nothing failed"),
        ({"pattern": "frozen" * 100}, "field 'pattern': String should have at most 500"),
        ({"pattern": "password=hunter22"}, "what looks like a secret"),
        ({"fingerprint": "a b"}, "field 'fingerprint'"),
        ({"actions": ["rm -rf"]}, "'rm -rf' is no action"),
        ({"actions": ["clear_task"] * 6}, "field 'actions'"),
        ({"confidence": 1.01}, "field 'confidence': Input should be less than or equal to 1"),
        ({"confidence": -0.1}, "field 'confidence': Input should be greater than or equal to 0"),
        ({"confidence": float("nan")}, "field 'confidence': Input should be a finite number"),
        ({"confidence": "high"}, "field 'confidence': Input should be a valid number; it has value high"),
        ({"runbook": "javascript:alert(1)"}, "begins with http:// or https://"),
        ({"runbook": "data:text/html,x"}, "begins with http:// or https://"),
        ({"runbook": "//evil.example/x"}, "begins with http:// or https://"),
        ({"runbook": "https://ada:hunter22@wiki/x"}, "what looks like a secret"),
        ({"runbook": "https://ada@wiki/x"}, "an address holds no user"),
        ({"runbook": "https://wiki/x](javascript:y)"}, "no brackets"),
        ({"runbook": "http://[wiki"}, "no address"),
        ({"tags": ["\x1b[31mred"]}, "control characters"),
        ({"tags": ["x"] * 21}, "field 'tags'"),
        ({"parent": "ledger-frozen"}, "it is its own parent"),
        ({"elsewhere": {"clear_task": {"successes": -1}}}, "field 'elsewhere.clear_task.successes'"),
        ({"elsewhere": {"clear_task": {"successes": 1e300}}}, "field 'elsewhere.clear_task.successes'"),
        ({"is_proposed": False}, "field 'is_proposed': Extra inputs are not permitted"),
    ],
)
def test_what_cannot_be_kept_is_refused_with_its_field(wrong: dict[str, object], message: str) -> None:
    with pytest.raises(BadEntry, match=message):
        read_entry(GOOD | wrong)


@pytest.mark.parametrize("data", [None, [], "text", 7])
def test_what_is_no_entry_at_all_is_refused(data: object) -> None:
    with pytest.raises(BadEntry, match="valid dictionary"):
        read_entry(data)


def test_a_refusal_does_not_show_the_secret() -> None:
    with pytest.raises(BadEntry) as refused:
        read_entry(GOOD | {"pattern": "password=hunter22"})
    assert "hunter22" not in str(refused.value)


def test_secrets_in_text_are_masked() -> None:
    found = entry(example="login with password=hunter22 failed", notes="token: abcdef123456")
    assert "hunter22" not in found.example
    assert "abcdef123456" not in found.notes


def test_control_characters_and_turned_writing_are_taken_out_of_text() -> None:
    assert entry(notes="\x1b[2Jfirst\r\nsecond\x00 \u202ethird\ttab\x07").notes == "first\nsecond third\ttab"


def test_a_huge_example_is_cut() -> None:
    assert len(entry(example="ledger is frozen. " * 1_000_000).example) < TEXT_CHARACTERS + 100


def test_what_is_kept_is_read_back_the_same() -> None:
    whole = entry(
        actions=["clear_task", "escalate"],
        confidence=0.9,
        runbook="https://wiki.example/books_closed?page=1",
        tags=["books"],
        elsewhere={"clear_task": {"successes": 3, "failures": 1}},
    ).changed(MIDNIGHT, confidence=0.8)
    assert read_entry(whole.kept()) == whole


def test_a_confidence_that_changes_goes_on_record() -> None:
    changed = (
        entry(confidence=0.7).changed(MIDNIGHT, confidence=0.9).changed(MIDNIGHT, notes="closed at six").changed(MIDNIGHT, confidence=0.5)
    )
    assert [one.confidence for one in changed.confidence_history] == [0.7, 0.9, 0.5]


def test_the_record_of_confidences_ends_somewhere() -> None:
    found = entry()
    for number in range(HISTORY + 20):
        found = found.changed(MIDNIGHT, confidence=number / 1000)
    assert len(found.confidence_history) == HISTORY
    assert found.confidence_history[-1].confidence == found.confidence


def test_a_pattern_is_found_by_its_words() -> None:
    assert entry(pattern=r"ledger\s+\w+ is frozen \d+").text.split() == ["ledger", "is", "frozen"]
