"""A machine whose clock was years ahead for a moment keeps nobody waiting once it is right again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone

from tests.act.test_decide import policy_with
from tests.tick.scene import ORDERS, RATE_LIMIT, Scene
from tests.tick.storm_scene import StormScene

from airflow_oncall.incident import State, StormState
from airflow_oncall.store import records
from airflow_oncall.store.notices import Notice, Occasion
from airflow_oncall.store.queue import LONGEST_WAIT
from airflow_oncall.store.records import Clock, now
from airflow_oncall.store.sql import Store


class YearsAhead(Clock):
    """A clock that is wrong."""

    @staticmethod
    def read() -> datetime:
        """Ten years from now."""
        return datetime.now(timezone.utc) + timedelta(days=3650)


@contextmanager
def wrong_clock() -> Iterator[None]:
    """What is written inside is written by that clock."""
    before, records.clock = records.clock, YearsAhead()
    try:
        yield
    finally:
        records.clock = before


def test_a_repair_that_waits_is_made_by_the_next_tick(failed: Scene) -> None:
    failed.brain.says, failed.policy = RATE_LIMIT, policy_with(risk={"run_age_hours": 100_000})
    with wrong_clock():
        failed.tick()
    assert failed.state == State.WAITING
    failed.tick()
    assert failed.airflow.clears == [(ORDERS,)]


def test_the_claim_of_a_worker_that_died_then_is_free(failed: Scene) -> None:
    failed.tick()
    with wrong_clock():
        assert failed.another_worker().queue.claim(failed.incident.id, timedelta(minutes=3))
    assert failed.store.queue.claim(failed.incident.id, timedelta(minutes=3)) is None
    failed.store.queue.bring_back()
    assert failed.store.queue.claim(failed.incident.id, timedelta(minutes=3))


def test_a_storm_that_waits_for_its_next_probe_goes_on(struck: StormScene) -> None:
    struck.run_what_waits(fails="connection reset")
    assert struck.storm.state is StormState.WAITING
    with wrong_clock():
        struck.store.storms.move(struck.storm, StormState.WAITING, "a probe failed", 60)
    struck.tick()
    assert struck.storm.probes == 2


def test_a_lease_of_then_is_free(store: Store) -> None:
    with wrong_clock():
        assert store.leases.take("training", "a machine of tomorrow", timedelta(hours=1))
    assert not store.leases.take("training", "another", timedelta(hours=1))
    store.queue.bring_back()
    assert store.leases.take("training", "another", timedelta(hours=1))


def test_a_notifier_that_rested_then_is_tried_again(failed: Scene) -> None:
    failed.tick()
    notice = Notice(failed.incident.id, 1, Occasion.ESCALATED, "routes.default.0", "a person is needed")
    with wrong_clock():
        failed.store.notices.failed([notice], "no answer in 30 s", hung=True)
    failed.store.queue.bring_back()
    (trouble,) = failed.store.notices.troubles()
    assert trouble.rests_until
    assert trouble.rests_until <= now()


def test_what_was_to_be_told_then_is_told(failed: Scene) -> None:
    failed.tick()
    notices = failed.store.notices
    notice = Notice(failed.incident.id, 1, Occasion.ESCALATED, "routes.default.0", "a person is needed")
    with wrong_clock():
        notices.add([notice])
    assert notices.places_due() == []
    failed.store.queue.bring_back()
    assert notices.places_due() == ["routes.default.0"]


def test_what_a_notifier_was_told_then_leaves_room_for_the_hour(failed: Scene) -> None:
    failed.tick()
    notices = failed.store.notices
    notices.add([Notice(failed.incident.id, 1, Occasion.ESCALATED, "routes.default.0", "a person is needed")])
    sent = notices.due("routes.default.0", 1)
    with wrong_clock():
        notices.told(sent)
    assert notices.told_since("routes.default.0", now() - timedelta(hours=1)) == 0


def test_the_longest_step_of_a_route_is_left_alone(failed: Scene) -> None:
    failed.tick()
    after = 14 * 1440
    failed.store.notices.add([Notice(failed.incident.id, 1, Occasion.ESCALATED, "routes.default.0", "a person is needed", after=after)])
    failed.store.queue.bring_back()
    assert failed.store.notices.places_due() == []


def test_the_longest_wait_that_a_policy_may_ask_for_is_left_alone(failed: Scene) -> None:
    failed.tick()
    claimed = failed.store.queue.claim(failed.incident.id, timedelta(minutes=3))
    assert claimed is not None
    a_day = failed.store.ledger.move(claimed, State.WAITING, due_in=86_400)
    failed.store.queue.bring_back()
    assert failed.incident.due_at == a_day.due_at
    assert a_day.due_at is not None
    assert a_day.due_at < now() + LONGEST_WAIT
