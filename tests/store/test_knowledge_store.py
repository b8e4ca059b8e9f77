"""Entries in the store: every change a row, nothing lost, and the outcomes that speak for them."""

from __future__ import annotations

from datetime import timedelta

import pytest
from tests.knowledge.people import People

from airflow_oncall.incident import OutcomeKind
from airflow_oncall.store import outcomes
from airflow_oncall.store.knowledge import AT_ONCE, Draft, EntryChanged, Tally
from airflow_oncall.store.records import now
from airflow_oncall.store.sql import Store

FROZEN = {"name": "frozen", "category": "missing_data", "fingerprint": "f1", "pattern": "is frozen"}


@pytest.fixture
def people(store: Store) -> People:
    """Those who resolve incidents."""
    return People(store)


def test_an_entry_is_kept_with_its_first_version(store: Store) -> None:
    store.knowledge.write([Draft("frozen", FROZEN)], "ada", "added")
    (kept,) = store.knowledge.all()
    assert (kept.name, kept.entry, kept.is_proposed, kept.version) == ("frozen", FROZEN, False, 1)


def test_every_change_stays(store: Store) -> None:
    store.knowledge.write([Draft("frozen", FROZEN, is_proposed=True)], "upkeep", "proposed")
    store.knowledge.write([Draft("frozen", FROZEN | {"notes": "x"}, version=1)], "ada", "confirmed")
    store.knowledge.write([Draft("frozen", None, version=2)], "bob", "removed")
    history = store.knowledge.history("frozen")
    assert [(one.version, one.actor, one.what, one.is_proposed) for one in history] == [
        (1, "upkeep", "proposed", True),
        (2, "ada", "confirmed", False),
        (3, "bob", "removed", False),
    ]
    assert [one.entry for one in history] == [FROZEN, FROZEN | {"notes": "x"}, None]
    assert store.knowledge.all() == []


def test_a_removed_name_goes_on_counting_its_versions(store: Store) -> None:
    for entry in (FROZEN, None, FROZEN):
        store.knowledge.write([Draft("frozen", entry)], "ada", "changed")
    assert store.knowledge.get(["frozen"])["frozen"].version == 3


@pytest.mark.parametrize("version", [0, 2])
def test_a_change_of_something_that_changed_meanwhile_is_refused_whole(store: Store, version: int) -> None:
    store.knowledge.write([Draft("frozen", FROZEN)], "ada", "added")
    with pytest.raises(EntryChanged, match="'frozen' is at version 1 by now"):
        store.knowledge.write([Draft("other", FROZEN), Draft("frozen", None, version=version)], "bob", "changed")
    assert [one.name for one in store.knowledge.all()] == ["frozen"]


def test_a_new_entry_may_take_the_name_of_a_removed_one(store: Store) -> None:
    store.knowledge.write([Draft("frozen", FROZEN)], "ada", "added")
    store.knowledge.write([Draft("frozen", None)], "ada", "removed")
    store.knowledge.write([Draft("frozen", FROZEN, version=0)], "ada", "added")
    assert store.knowledge.get(["frozen"])["frozen"].version == 3


def test_entries_are_found_by_fingerprint_category_and_state(store: Store) -> None:
    other = {"name": "other", "category": "rate_limit", "example": "429"}
    store.knowledge.write([Draft("frozen", FROZEN), Draft("other", other, is_proposed=True)], "ada", "added")
    assert [one.name for one in store.knowledge.of_fingerprint("f1")] == ["frozen"]
    assert store.knowledge.of_fingerprint("") == []
    assert [one.name for one in store.knowledge.all(category="rate_limit")] == ["other"]
    assert [one.name for one in store.knowledge.all(is_proposed=True)] == ["other"]


def test_only_confirmed_patterns_count(store: Store) -> None:
    store.knowledge.write([Draft("frozen", FROZEN)], "ada", "added")
    store.knowledge.write([Draft("guess", FROZEN | {"pattern": "x"}, is_proposed=True)], "upkeep", "proposed")
    assert store.knowledge.patterns() == {"frozen": "is frozen"}
    store.knowledge.write([Draft("frozen", None)], "ada", "removed")
    assert store.knowledge.patterns() == {}


def test_more_entries_than_go_at_once_are_one_change(store: Store) -> None:
    names = [f"entry-{number:04}" for number in range(AT_ONCE + 7)]
    store.knowledge.write([Draft(name, FROZEN) for name in names], "ada", "imported")
    assert [one.name for one in store.knowledge.all()] == names
    first = store.knowledge.changes(limit=AT_ONCE)
    rest = store.knowledge.changes(first[-1].id)
    assert [one.name for one in (*first, *rest)] == names


def test_the_past_is_known(store: Store) -> None:
    store.knowledge.write([Draft("frozen", FROZEN)], "ada", "added")
    then = now()
    store.knowledge.write([Draft("frozen", FROZEN | {"notes": "later"}), Draft("new", FROZEN)], "ada", "changed")
    assert {name: change.version for name, change in store.knowledge.as_of(then).items()} == {"frozen": 1}
    assert store.knowledge.as_of(then - timedelta(days=1)) == {}


def test_a_fingerprint_stays_known_when_its_entry_is_removed(store: Store) -> None:
    store.knowledge.write([Draft("frozen", FROZEN)], "ada", "added")
    store.knowledge.write([Draft("frozen", None, version=1)], "ada", "removed")
    assert store.knowledge.known_fingerprints() == {"f1"}
    assert store.knowledge.of_fingerprint("f1") == []


def test_outcomes_are_counted_by_fingerprint_and_action(store: Store, people: People) -> None:
    for end in (OutcomeKind.SUCCESS, OutcomeKind.SUCCESS, OutcomeKind.FAILED_SAME):
        people.approved(people.saw(), end)
    people.repaired_by_hand(people.saw("other"))
    assert store.knowledge.tallies(["frozen", "other", ""]) == {"frozen": {"clear_task": Tally(2, 1)}}


def test_how_incidents_ended_well_is_told_newest_first(store: Store, people: People) -> None:
    approved, by_hand = people.approved(people.saw()), people.repaired_by_hand(people.saw())
    people.approved(people.saw(), OutcomeKind.FAILED_SAME)
    endings = store.knowledge.endings("frozen", 5)
    assert [(one.incident_id, one.action, one.approved_by) for one in endings] == [
        (by_hand.id, None, None),
        (approved.id, "clear_task", "ada"),
    ]


@pytest.mark.usefixtures("separate_occasions")
def test_triage_looks_back_at_the_newest_only(store: Store, people: People, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outcomes, "NEWEST", 2)
    monkeypatch.setattr(outcomes, "MOST", 2)
    people.approved(people.saw(), OutcomeKind.FAILED_SAME)
    newest = [people.approved(people.saw()) for _ in range(2)]
    seen = store.outcomes.of_fingerprint("frozen")["clear_task"]
    assert (round(seen.successes, 3), seen.failures) == (2, 0)
    assert [one.incident_id for one in store.knowledge.endings("frozen", 5)] == [one.id for one in reversed(newest)]


def test_ends_are_read_from_a_place_on(store: Store, people: People) -> None:
    first, second = people.approved(people.saw()), people.repaired_by_hand(people.saw("other"))
    ended = store.knowledge.ended(0)
    assert [(incident_id, fingerprint) for _, incident_id, fingerprint in ended] == [(first.id, "frozen"), (second.id, "other")]
    assert store.knowledge.ended(ended[0][0]) == ended[1:]


def test_what_people_resolved_is_told_once_an_incident(store: Store, people: People) -> None:
    approved, by_hand = people.approved(people.saw()), people.repaired_by_hand(people.saw())
    people.approved(people.saw(), OutcomeKind.FAILED_SAME)
    people.approved(people.saw(), by=None)
    found = store.knowledge.resolutions(now() - timedelta(hours=1))
    assert [(one.incident_id, one.action, one.by) for one in found] == [
        (approved.id, "clear_task", "ada"),
        (by_hand.id, None, "a person"),
    ]
    assert all(one.opened_at <= one.at for one in found)
    assert store.knowledge.resolutions(now()) == []


def test_what_was_called_right_afterwards_counts_as_resolved_by_people_with_the_category_they_named(store: Store, people: People) -> None:
    alone = people.approved(people.saw(), by=None)
    store.labels.give_feedback(alone.id, "bob", action_correct=True)
    store.labels.give_feedback(alone.id, "bob", category="data_quality")
    (found,) = store.knowledge.resolutions(now() - timedelta(hours=1))
    assert (found.incident_id, found.action, found.by, found.category) == (alone.id, "clear_task", "feedback", "data_quality")
