"""What is recognised, what is alike, and how much that counts."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from tests.knowledge.people import FROZEN, MISSING, People, entry

from airflow_oncall.act.economics import Statistic
from airflow_oncall.incident import UNKNOWN, Diagnosis, OutcomeKind
from airflow_oncall.knowledge import base
from airflow_oncall.knowledge.base import MOST_WEIGHT, KnowledgeBase
from airflow_oncall.knowledge.book import Book
from airflow_oncall.store.sql import Store

NOBODY_KNOWS = Diagnosis(UNKNOWN, 0.0, None, 0.3, anomaly=True, evidence=(FROZEN,))
ALIKE = FROZEN.replace("company 4711", "branch 12")


@pytest.fixture
def known(sqlite_store: Store, models_path: Path) -> KnowledgeBase:
    """What one process knows, which looks for news every time."""
    return KnowledgeBase(sqlite_store)


@pytest.fixture(autouse=True)
def looks_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is waited for."""
    monkeypatch.setattr(base, "LOOK_EVERY", 0.0)


@pytest.mark.parametrize("by", [{"pattern": "ledger .* is frozen"}, {"fingerprint": "frozen"}], ids=["pattern", "fingerprint"])
def test_what_was_taught_is_recognised_the_next_time(known: KnowledgeBase, book: Book, by: dict[str, str]) -> None:
    assert known.recognise(NOBODY_KNOWS, "frozen", FROZEN) == NOBODY_KNOWS
    book.add(entry(actions=["clear_task"], confidence=0.8, **by))
    found = known.recognise(NOBODY_KNOWS, "frozen", FROZEN)
    assert (found.category, found.probability, found.transient, found.transient_probability) == ("missing_data", 0.8, True, 0.8)
    assert (found.anomaly, found.decided_by) == (False, "knowledge")
    assert found.evidence[0].startswith("Known as ledger-frozen: its ")


def test_what_is_only_alike_is_not_recognised(known: KnowledgeBase, book: Book) -> None:
    book.add(entry(example=FROZEN, actions=["clear_task"]))
    assert known.recognise(NOBODY_KNOWS, "other", ALIKE) == NOBODY_KNOWS


def test_a_proposal_counts_for_nothing_until_it_is_confirmed(known: KnowledgeBase, book: Book) -> None:
    book.propose([entry(actions=["clear_task"], fingerprint="frozen", pattern="is frozen")])
    assert known.recognise(NOBODY_KNOWS, "frozen", FROZEN) == NOBODY_KNOWS
    assert known.similar_to("frozen", FROZEN) == base.Alike()
    book.confirm(["ledger-frozen"])
    assert known.recognise(NOBODY_KNOWS, "frozen", FROZEN).category == "missing_data"
    assert known.similar_to("frozen", FROZEN).evidence


def test_a_removed_entry_is_forgotten(known: KnowledgeBase, book: Book) -> None:
    book.add(entry(pattern="is frozen", example=FROZEN, actions=["clear_task"]))
    assert known.similar_to("x", FROZEN).lines
    book.remove("ledger-frozen")
    assert known.recognise(NOBODY_KNOWS, "x", FROZEN) == NOBODY_KNOWS
    assert known.similar_to("x", FROZEN) == base.Alike()


def test_the_fingerprint_is_believed_before_a_pattern_and_the_surest_pattern_before_others(known: KnowledgeBase, book: Book) -> None:
    book.add(entry("doubtful", pattern="frozen", category="code_error", confidence=0.3))
    book.add(entry("sure", pattern="ledger", category="data_quality", confidence=0.9))
    assert known.recognise(NOBODY_KNOWS, "f", FROZEN).category == "data_quality"
    book.add(entry("exact", fingerprint="f", category="missing_data", confidence=0.1))
    assert known.recognise(NOBODY_KNOWS, "f", FROZEN).category == "missing_data"


@pytest.mark.parametrize(
    ("actions", "transient", "chance"),
    [([], None, 0.3), (["escalate"], False, 0.2), (["retry_with_more_memory"], None, 0.3), (["clear_run"], True, 0.8)],
)
def test_what_helps_says_whether_a_rerun_does(
    known: KnowledgeBase, book: Book, actions: list[str], transient: bool | None, chance: float
) -> None:
    book.add(entry(actions=actions, confidence=0.8))
    found = known.recognise(NOBODY_KNOWS, "", FROZEN)
    assert (found.transient, found.transient_probability) == (transient, chance)


def test_where_both_agree_the_surer_word_stays(known: KnowledgeBase, book: Book) -> None:
    book.add(entry(confidence=0.5))
    assert known.recognise(replace(MISSING, probability=0.95), "", FROZEN).probability == 0.95


def test_an_entry_of_an_action_that_is_gone_counts_for_nothing(known: KnowledgeBase, book: Book, sqlite_store: Store) -> None:
    from airflow_oncall.store.knowledge import Draft

    gone = entry().kept() | {"actions": ["of_a_removed_package"]}
    sqlite_store.knowledge.write([Draft("ledger-frozen", gone)], "ada", "added")
    assert known.recognise(NOBODY_KNOWS, "", FROZEN) == NOBODY_KNOWS
    assert known.similar_to("", FROZEN) == base.Alike()


def test_people_see_entries_and_incidents_alike(known: KnowledgeBase, book: Book, people: People) -> None:
    book.add(entry(actions=["clear_task"], confidence=0.8, notes="wait for\nthe books", runbook="https://wiki.example/books"))
    mine = people.approved(people.saw("frozen"))
    other = people.repaired_by_hand(people.saw("frozen-elsewhere", ALIKE))
    known.catch_up()
    entry_line, own_line, alike_line = known.similar_to("frozen", FROZEN).lines
    assert entry_line == (
        "Known as ledger-frozen (its pattern fits), missing_data: clear_task (80%). wait for the books. https://wiki.example/books"
    )
    assert own_line.startswith(f"Incident {mine.id}, ")
    assert "books/" not in own_line + alike_line, "not everybody who reads this may see that DAG"
    assert own_line.endswith("(same fingerprint): clear_task helped, approved by ada")
    assert alike_line.startswith(f"Incident {other.id}, ")
    assert alike_line.endswith("% alike): people repaired it")


def test_nothing_known_is_nothing_alike(known: KnowledgeBase) -> None:
    assert known.similar_to("", "") == base.Alike()


@pytest.mark.usefixtures("separate_occasions")
def test_outcomes_of_what_is_alike_are_evidence_and_ones_own_are_not(known: KnowledgeBase, people: People) -> None:
    for end in (OutcomeKind.SUCCESS, OutcomeKind.FAILED_SAME, OutcomeKind.FAILED_SAME):
        people.approved(people.saw("elsewhere"), end)
        people.approved(people.saw("own"), OutcomeKind.SUCCESS)
    known.catch_up()
    assert known.similar_to("own", FROZEN).evidence == {"clear_task": Statistic(1.0, 2.0)}


@pytest.mark.usefixtures("separate_occasions")
def test_much_evidence_of_what_is_alike_is_bounded(known: KnowledgeBase, people: People) -> None:
    for _ in range(int(MOST_WEIGHT) + 4):
        people.approved(people.saw("elsewhere"))
    known.catch_up()
    assert known.similar_to("own", FROZEN).evidence == {"clear_task": Statistic(MOST_WEIGHT, 0.0)}


def test_a_confirmed_entry_counts_as_two_outcomes(known: KnowledgeBase, book: Book) -> None:
    book.add(entry(actions=["clear_task"], confidence=0.75))
    assert known.similar_to("", FROZEN).evidence == {"clear_task": Statistic(1.5, 0.5)}


def test_what_was_seen_elsewhere_corrects_the_confidence(known: KnowledgeBase, book: Book) -> None:
    book.add(entry(actions=["clear_task"], confidence=0.75, elsewhere={"clear_task": {"failures": 8}}))
    assert known.similar_to("", FROZEN).evidence == {"clear_task": Statistic(0.5, 1.5)}


def test_a_search_shows_proposals_as_what_they_are(known: KnowledgeBase, book: Book) -> None:
    book.add(entry("sure", example=FROZEN))
    book.propose([entry("guess", example=FROZEN)])
    assert {(one.entry.name, one.is_proposed) for one in known.search(ALIKE)} == {("sure", False), ("guess", True)}


def test_a_log_that_two_patterns_fit_shows_both_before_what_is_alike(known: KnowledgeBase, book: Book) -> None:
    book.add(entry("by-ledger", pattern="ledger"))
    book.add(entry("by-books", pattern="books are closed"))
    book.add(entry("alike", example=ALIKE))
    assert [one.entry.name for one in known.search(FROZEN, limit=3)] == ["by-books", "by-ledger", "alike"]
