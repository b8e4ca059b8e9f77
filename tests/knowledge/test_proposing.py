"""From what people did to an entry that waits for a yes."""

from __future__ import annotations

from tests.knowledge.people import FROZEN, People

from airflow_oncall.knowledge.book import Book
from airflow_oncall.knowledge.entry import read_entry
from airflow_oncall.knowledge.proposing import decisive, propose


def test_what_people_approved_three_times_is_proposed(people: People) -> None:
    for _ in range(3):
        people.approved(people.saw("0a1b2c3d"))
        people.a_day_passes()
    assert propose(people.store) == ["missing-data-0a1b2c3d"]
    kept = Book(people.store, "ada").get("missing-data-0a1b2c3d")
    found = read_entry(kept.entry)
    assert kept.is_proposed
    assert (found.fingerprint, found.category, found.actions, found.confidence) == ("0a1b2c3d", "missing_data", ("clear_task",), 0.8)
    assert found.example == FROZEN
    assert "resolved by ada" in found.notes


def test_what_people_cleared_after_one_outage_is_no_habit(people: People) -> None:
    for incident in [people.saw() for _ in range(4)]:
        people.repaired_by_hand(incident)
    assert propose(people.store) == []


def test_it_is_proposed_once(people: People) -> None:
    for _ in range(3):
        people.repaired_by_hand(people.saw())
        people.a_day_passes()
    assert len(propose(people.store)) == 1
    assert propose(people.store) == []


def test_what_was_rejected_does_not_come_back(people: People) -> None:
    for _ in range(3):
        people.repaired_by_hand(people.saw())
        people.a_day_passes()
    (name,) = propose(people.store)
    Book(people.store, "ada").remove(name)
    assert propose(people.store) == []


def test_what_triage_did_alone_is_no_word_of_people(people: People) -> None:
    for _ in range(5):
        people.approved(people.saw(), by=None)
        people.a_day_passes()
    assert propose(people.store) == []


def test_a_name_that_is_taken_leaves_the_entry_that_has_it(people: People) -> None:
    from tests.knowledge.people import entry

    Book(people.store, "ada").add(entry("missing-data-frozen", notes="mine"))
    for _ in range(3):
        people.repaired_by_hand(people.saw())
        people.a_day_passes()
    assert propose(people.store) == []
    assert Book(people.store, "ada").get("missing-data-frozen").entry["notes"] == "mine"


def test_an_example_is_what_may_name_the_cause() -> None:
    text = f'INFO starting\nTraceback (most recent call last):\n  File "x.py", line 3, in close\n{FROZEN}\nINFO Marking task as FAILED'
    assert decisive(text).startswith(FROZEN)
    assert "starting" not in decisive(text)
