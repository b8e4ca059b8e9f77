"""What people did again and again becomes a proposal."""

from __future__ import annotations

from datetime import timedelta

import pytest
from tests.cast import MIDNIGHT

from airflow_oncall.learn.proposals import belief, find_proposals
from airflow_oncall.store.knowledge import Resolution, Tally


def resolved(
    number: int,
    category: str = "missing_data",
    action: str | None = "clear_task",
    by: str = "ada",
    fingerprint: str = "F1",
    failed: timedelta | None = None,
    took: timedelta = timedelta(minutes=20),
) -> Resolution:
    """A failure so long after the first one, and so long unresolved; else each on another day."""
    opened_at = MIDNIGHT + (timedelta(days=number) if failed is None else failed)
    return Resolution(number, fingerprint, category, action, by, opened_at, opened_at + took)


def test_three_resolutions_of_one_kind_are_proposed() -> None:
    (proposal,) = find_proposals([resolved(1), resolved(2, by="bob"), resolved(3)], known=())
    assert (proposal.fingerprint, proposal.category, proposal.actions, proposal.newest) == ("F1", "missing_data", ("clear_task",), 3)
    assert proposal.name == "missing-data-f1"
    assert proposal.notes == "Proposed: on 3 occasions this was resolved by ada, bob; the newest incidents are 1, 2, 3."


def test_two_are_a_coincidence() -> None:
    assert find_proposals([resolved(1), resolved(2)], known=()) == []


def test_what_failed_in_one_outage_is_one_occasion_however_late_it_was_resolved() -> None:
    outage = [resolved(number, failed=timedelta(minutes=number), took=timedelta(hours=3 * number)) for number in range(1, 6)]
    assert find_proposals(outage, known=()) == []
    (proposal,) = find_proposals([*outage, resolved(6), resolved(7)], known=())
    assert (proposal.resolved, proposal.newest) == (3, 7)


def test_what_failed_right_after_a_repair_is_the_same_occasion() -> None:
    again = [resolved(number, failed=timedelta(minutes=70 * number)) for number in range(4)]
    assert find_proposals(again, known=()) == []
    apart = [resolved(number, failed=timedelta(minutes=90 * number)) for number in range(4)]
    assert [one.resolved for one in find_proposals(apart, known=())] == [4]


def test_what_is_known_is_not_proposed_again() -> None:
    assert find_proposals([resolved(number) for number in range(5)], known={"F1"}) == []


def test_failures_without_a_fingerprint_have_nothing_in_common() -> None:
    assert find_proposals([resolved(number, fingerprint="") for number in range(5)], known=()) == []


def test_people_who_do_not_agree_on_the_category_propose_nothing() -> None:
    assert find_proposals([resolved(1), resolved(2, "data_quality"), resolved(3, "code_error")], known=()) == []


@pytest.mark.parametrize("category", ["", "unknown", "none"])
def test_what_nobody_could_name_is_not_proposed(category: str) -> None:
    assert find_proposals([resolved(number, category) for number in range(3)], known=()) == []


def test_what_was_done_by_hand_recommends_no_action() -> None:
    (proposal,) = find_proposals([resolved(number, action=None) for number in range(3)], known=())
    assert proposal.actions == ()
    assert "3 of them by hand" in proposal.notes


def test_the_action_most_often_used_comes_first() -> None:
    (proposal,) = find_proposals([resolved(1, action="resize_pool"), resolved(2), resolved(3)], known=())
    assert proposal.actions == ("clear_task", "resize_pool")


def test_what_was_resolved_most_often_comes_first() -> None:
    often = [resolved(number, fingerprint="F2") for number in range(10, 15)]
    found = find_proposals([*(resolved(number) for number in range(3)), *often], known=())
    assert [one.fingerprint for one in found] == ["F2", "F1"]


@pytest.mark.parametrize(("tally", "expected"), [(None, 0.5), (Tally(3, 0), 0.8), (Tally(0, 4), 0.1667)])
def test_belief_begins_in_the_middle(tally: Tally | None, expected: float) -> None:
    assert belief(tally) == expected
