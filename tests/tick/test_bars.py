"""Once an hour bars follow outcomes, never silently."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select, update
from tests.act.test_decide import policy_with
from tests.learn.past import Past
from tests.tick.scene import NETWORK, Scene

from airflow_oncall.incident import OutcomeKind
from airflow_oncall.store.records import now
from airflow_oncall.store.sql import Store
from airflow_oncall.store.tables import outcomes
from airflow_oncall.upkeep import adapt_bars

pytestmark = pytest.mark.usefixtures("separate_occasions")
ADAPTING = policy_with(adapt={"enabled": True, "least_outcomes": 20})


@pytest.fixture
def disappointing(store: Store) -> Store:
    """30 repairs that were thought to help with 80 %, of which 6 did."""
    past = Past(store)
    for number in range(30):
        past.repaired(past.failed(), OutcomeKind.SUCCESS if number < 6 else OutcomeKind.FAILED_SAME)
    return store


def audited(store: Store) -> list[dict[str, Any]]:
    with store.engine.connect() as connection:
        return [dict(row) for row in connection.exec_driver_sql("SELECT actor, what FROM oncall_audit WHERE what = 'bar moved'").mappings()]


def test_a_bar_moves_by_a_step_with_its_reason_and_an_audit_row(disappointing: Store) -> None:
    (bar,) = adapt_bars(disappointing, ADAPTING)
    assert (bar.category, bar.action, bar.base, bar.auto) == ("network_connectivity", "clear_task", 0.6, 0.65)
    assert "6 of 30 actions" in bar.reason
    assert disappointing.bars.get("network_connectivity", "clear_task") == bar
    assert audited(disappointing) == [{"actor": "upkeep", "what": "bar moved"}]


def test_what_one_cause_did_at_one_time_moves_a_bar_as_one_outcome(disappointing: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("airflow_oncall.store.outcomes.EPISODE", timedelta(hours=1))
    (outage,) = disappointing.bars.tried(now() - timedelta(days=1))
    assert (outage.probability, outage.helped) == (0.8, 0.2)
    assert adapt_bars(disappointing, ADAPTING) == []


def test_what_followed_a_storms_probe_moves_no_bar(store: Store) -> None:
    past = Past(store)
    members = [past.failed() for _ in range(5)]
    past.were_a_storm(members, probe=members[0])
    for member in members:
        past.repaired(member)
    assert len(store.bars.tried(now() - timedelta(days=1))) == 1


def test_the_same_outcomes_move_it_once(disappointing: Store) -> None:
    adapt_bars(disappointing, ADAPTING)
    assert adapt_bars(disappointing, ADAPTING) == []


def test_new_outcomes_move_it_again(disappointing: Store) -> None:
    adapt_bars(disappointing, ADAPTING)
    with disappointing.engine.begin() as connection:
        for number in connection.execute(select(outcomes.c.id)).scalars().all():
            later = update(outcomes).where(outcomes.c.id == number)
            connection.execute(later.values(seen_at=now() + timedelta(minutes=5, seconds=number)))
    (bar,) = adapt_bars(disappointing, ADAPTING)
    assert (bar.base, bar.auto) == (0.6, 0.7)
    assert len(disappointing.bars.all()) == 1


def test_another_bar_in_the_policy_begins_anew(disappointing: Store) -> None:
    adapt_bars(disappointing, ADAPTING)
    stricter = policy_with(adapt={"enabled": True, "least_outcomes": 20}, thresholds={"auto": 0.7, "ask": 0.2})
    (bar,) = adapt_bars(disappointing, stricter)
    assert (bar.base, bar.auto) == (0.7, 0.75)


def test_nothing_moves_where_the_policy_does_not_allow_it(disappointing: Store) -> None:
    assert adapt_bars(disappointing, policy_with()) == []
    assert (disappointing.bars.all(), audited(disappointing)) == ([], [])


def test_the_report_shows_the_bars_that_moved(disappointing: Store) -> None:
    adapt_bars(disappointing, ADAPTING)
    (shown,) = disappointing.report.summary()["bars"]
    assert (shown["category"], shown["auto"], shown["base"]) == ("network_connectivity", 0.65, 0.6)


def test_a_moved_bar_decides(failed: Scene) -> None:
    failed.policy = ADAPTING
    failed.brain.says = NETWORK.__class__("network_connectivity", 0.9, True, 0.62)
    past = Past(failed.store)
    for number in range(30):
        past.repaired(past.failed(), OutcomeKind.SUCCESS if number < 6 else OutcomeKind.FAILED_SAME)
    adapt_bars(failed.store, ADAPTING)
    failed.policy = policy_with(
        adapt={"enabled": True},
        breaker={"failures": 99, "of": 99},
        budgets={"attempts_per_task_instance": 9, "attempts_per_hour": 99},
        risk={"never_succeeded": 0},
    )
    failed.tick()
    newest = failed.store.reading.incidents(limit=1)[0]
    assert newest.detail.startswith("Below the bar of 65%")
