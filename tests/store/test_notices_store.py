"""The outbox: nothing stands in it twice, whoever is first, and it knows what a notifier was given."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import func, select
from tests.cast import vendor_was_down

from airflow_oncall.store.notices import FAILURES_OF_ONE, Notice, Occasion
from airflow_oncall.store.records import now
from airflow_oncall.store.sql import Store
from airflow_oncall.store.tables import notices

PLACE = "routes.default.0"


@pytest.fixture
def escalated(store: Store) -> Notice:
    """What is to be told of the vendor that was down."""
    incident_id = store.intake.record(vendor_was_down)
    assert incident_id
    return Notice(incident_id, 1, Occasion.ESCALATED, PLACE, "a person is needed")


def rows(store: Store) -> int:
    with store.engine.connect() as connection:
        return connection.scalar(select(func.count()).select_from(notices)) or 0


def test_workers_that_put_the_same_in_at_once_make_one_notice(store: Store, escalated: Notice) -> None:
    with ThreadPoolExecutor(4) as workers:
        list(workers.map(lambda _: store.notices.add([escalated, replace(escalated, place="routes.default.1")]), range(8)))
    assert rows(store) == 2


def test_a_later_step_is_not_due_yet(store: Store, escalated: Notice) -> None:
    store.notices.add([escalated, replace(escalated, place="routes.default.1", after=15)])
    assert store.notices.places_due() == [PLACE]


def test_a_message_about_several_counts_once(store: Store, escalated: Notice) -> None:
    store.notices.add([replace(escalated, number=number) for number in (1, 2, 3)])
    first, *rest = store.notices.due(PLACE, 10)
    store.notices.told([first])
    store.notices.told(rest)
    assert store.notices.told_since(PLACE, now() - timedelta(hours=1)) == 2
    assert store.notices.places_due() == []


def test_what_failed_comes_after_what_was_not_tried(store: Store, escalated: Notice) -> None:
    store.notices.add([escalated, replace(escalated, number=2)])
    first, second = store.notices.due(PLACE, 10)
    store.notices.failed([first], "refused", hung=False)
    store.notices.tell_later([first.id], second.made_at or now())
    assert [notice.id for notice in store.notices.due(PLACE, 10)] == [second.id, first.id]


def test_of_what_is_over_and_of_what_is_not_neither_hides_the_other(store: Store, escalated: Notice) -> None:
    over = replace(escalated, occasion=Occasion.RESOLVED)
    for number in range(1, 4):
        store.notices.add([replace(over, number=number)])
        store.notices.add([replace(escalated, number=number)])
    found = [(notice.occasion, notice.number) for notice in store.notices.due(PLACE, 2)]
    assert found == [(Occasion.ESCALATED, 1), (Occasion.ESCALATED, 2), (Occasion.RESOLVED, 1), (Occasion.RESOLVED, 2)]


@pytest.mark.parametrize(("failures", "hung", "rests"), [(1, True, True), (1, False, False), (FAILURES_OF_ONE, False, True)])
def test_a_notifier_rests_when_it_hangs_or_keeps_failing_until_it_works(
    store: Store, escalated: Notice, failures: int, hung: bool, rests: bool
) -> None:
    store.notices.add([replace(escalated, number=number) for number in range(5)])
    waiting = store.notices.due(PLACE, 10)
    for notice in waiting[:failures]:
        store.notices.failed([notice], "refused", hung=hung)
    (trouble,) = store.notices.troubles()
    assert (trouble.failures, trouble.rests_until is not None) == (failures, rests)
    assert store.notices.places_due() == ([] if rests else [PLACE])
    store.notices.told([waiting[-1]])
    assert store.notices.troubles() == []


def test_the_end_is_told_once_to_each_who_was_told(store: Store, escalated: Notice) -> None:
    store.notices.add([escalated, replace(escalated, number=2), replace(escalated, place="routes.default.1")])
    store.notices.told(store.notices.due(PLACE, 10))
    store.notices.finish()
    assert [notice.occasion for notice in store.notices.due(PLACE, 10)] == [], "it is still open"
    claimed = store.queue.claim(escalated.incident_id, timedelta(minutes=1))
    assert claimed
    store.ledger.closed_by_hand(claimed, "ann", "mended")
    for _ in range(2):
        store.notices.finish()
    (last,) = store.notices.due(PLACE, 10)
    assert (last.occasion, last.detail) == (Occasion.RESOLVED, "closed by ann: mended")
    assert [notice.occasion for notice in store.notices.due("routes.default.1", 10)] == [Occasion.ESCALATED]
    store.notices.told([last])
    store.notices.finish()
    assert store.notices.due(PLACE, 10) == []


@pytest.mark.parametrize("then", ["killed", "hung", "raised"])
def test_the_end_is_told_to_whom_a_message_may_have_reached_though_nobody_wrote_it_down(store: Store, escalated: Notice, then: str) -> None:
    store.notices.add([escalated])
    (notice,) = store.notices.due(PLACE, 10)
    store.notices.begin([notice])
    if then != "killed":
        store.notices.failed([notice], "no answer", hung=then == "hung")
    claimed = store.queue.claim(escalated.incident_id, timedelta(minutes=1))
    assert claimed
    store.ledger.closed_by_hand(claimed, "ann", "mended")
    store.notices.drop([notice.id])
    store.notices.finish()
    assert [last.occasion for last in store.notices.due(PLACE, 10)] == ([] if then == "raised" else [Occasion.RESOLVED])
