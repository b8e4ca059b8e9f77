"""How earlier actions ended: which are counted, at which level, and how much by their age."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import event, update
from tests.learn.past import RESET, Past

from airflow_oncall.incident import Incident, OutcomeKind
from airflow_oncall.store.outcomes import CATEGORY, EPISODE, FINGERPRINT, HALF_LIFE, LEVELS, LOOK_BACK, TASK, Decayed, weight
from airflow_oncall.store.records import now
from airflow_oncall.store.sql import Store
from airflow_oncall.store.tables import actions, incidents, outcomes

NETWORK = RESET.category


@pytest.fixture
def past(store: Store) -> Past:
    return Past(store)


def counted(past: Past, incident: Incident, category: str = NETWORK, action: str = "clear_task") -> dict[str, Decayed]:
    found = past.store.outcomes.experience(incident, category).get(action, {})
    return {level: Decayed(round(one.successes, 2), round(one.failures, 2)) for level, one in found.items()}


def everything_was(past: Past, ago: timedelta) -> None:
    with past.store.engine.begin() as connection:
        connection.execute(update(outcomes).values(seen_at=now() - ago))
        connection.execute(update(actions).values(done_at=now() - ago))


def test_outcomes_count_for_their_fingerprint_their_task_and_their_category(past: Past) -> None:
    past.repaired(past.failed("vendor-reset"))
    past.repaired(past.failed("vendor-slow"), OutcomeKind.FAILED_SAME)
    seen = counted(past, past.failed("vendor-reset"))
    assert seen == {FINGERPRINT: Decayed(1, 0), TASK: Decayed(1, 1), CATEGORY: Decayed(1, 1)}


def test_another_task_shares_the_fingerprint_and_the_category(past: Past) -> None:
    past.repaired(past.failed("vendor-reset"))
    with past.store.engine.begin() as connection:
        connection.execute(update(actions).values(task_id="other"))
    assert counted(past, past.failed("vendor-reset")) == {FINGERPRINT: Decayed(1, 0), CATEGORY: Decayed(1, 0)}


def test_a_failure_without_a_fingerprint_has_no_like(past: Past) -> None:
    past.repaired(past.failed(""))
    assert FINGERPRINT not in counted(past, past.failed(""))


def test_another_category_or_action_says_nothing(past: Past) -> None:
    past.repaired(past.failed())
    incident = past.failed()
    assert (counted(past, incident, "rate_limit"), counted(past, incident, action="clear_run")) == ({}, {})


def test_the_incidents_own_repairs_are_left_to_the_policy(past: Past) -> None:
    incident = past.failed()
    past.repaired(incident, OutcomeKind.FAILED_SAME)
    assert counted(past, incident) == {}


@pytest.mark.parametrize("ended", [OutcomeKind.SUPERSEDED, OutcomeKind.EXPIRED])
def test_what_does_not_tell_whether_it_helped_is_not_counted(past: Past, ended: OutcomeKind) -> None:
    past.repaired(past.failed(), ended)
    assert counted(past, past.failed()) == {}


def test_after_a_half_life_an_outcome_counts_half(past: Past) -> None:
    past.repaired(past.failed())
    everything_was(past, ago=HALF_LIFE)
    assert counted(past, past.failed())[FINGERPRINT] == Decayed(0.5, 0)
    assert past.store.outcomes.of_fingerprint("vendor-reset")["clear_task"].successes == pytest.approx(0.5, abs=0.01)


def test_what_is_older_than_half_a_year_is_forgotten(past: Past) -> None:
    past.repaired(past.failed())
    everything_was(past, ago=LOOK_BACK + timedelta(minutes=1))
    assert counted(past, past.failed()) == {}


def test_an_outcome_from_the_future_counts_as_new() -> None:
    assert weight(now() + timedelta(days=9), now()) == 1.0


@pytest.mark.usefixtures("separate_occasions")
def test_of_a_storm_only_the_probe_counts(past: Past) -> None:
    members = [past.failed() for _ in range(4)]
    past.were_a_storm(members, probe=members[2])
    for member in members:
        past.repaired(member)
    assert counted(past, past.failed()) == dict.fromkeys(LEVELS, Decayed(1, 0))
    assert past.store.outcomes.of_fingerprint("vendor-reset")["clear_task"].successes == pytest.approx(1, abs=0.01)


@pytest.mark.usefixtures("separate_occasions")
def test_a_member_that_failed_again_and_left_its_storm_is_no_evidence_either(past: Past) -> None:
    members = [past.failed() for _ in range(3)]
    past.were_a_storm(members, probe=members[0])
    for member in members:
        past.repaired(member, OutcomeKind.FAILED_SAME)
    with past.store.engine.begin() as connection:
        connection.execute(update(incidents).values(storm_id=None))
    assert counted(past, past.failed())[FINGERPRINT] == Decayed(0, 1)


def test_members_of_a_storm_do_not_hide_what_was_seen_before_it(past: Past, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("airflow_oncall.store.outcomes.MOST", 2)
    monkeypatch.setattr("airflow_oncall.store.outcomes.NEWEST", 2)
    past.repaired(past.failed())
    members = [past.failed() for _ in range(4)]
    past.were_a_storm(members, probe=past.failed())
    for member in members:
        past.repaired(member, OutcomeKind.FAILED_SAME)
    assert past.store.outcomes.of_fingerprint("vendor-reset")["clear_task"].successes == pytest.approx(1, abs=0.01)
    assert counted(past, past.failed()) == dict.fromkeys(LEVELS, Decayed(1, 0))


def test_an_action_counts_for_the_failure_that_it_answered(past: Past) -> None:
    past.repaired(past.failed("vendor-reset"), OutcomeKind.FAILED_OTHER, fails_with="vendor-slow")
    assert counted(past, past.failed("vendor-reset"))[FINGERPRINT] == Decayed(0, 1)
    assert FINGERPRINT not in counted(past, past.failed("vendor-slow"))


def test_failures_that_are_counted_elsewhere_are_left_out_of_the_wider_levels(past: Past) -> None:
    past.repaired(past.failed("vendor-reset"))
    past.repaired(past.failed("vendor-slow"), OutcomeKind.FAILED_SAME)
    found = past.store.outcomes.experience(past.failed("vendor-reset"), NETWORK, without={"vendor-slow"})["clear_task"]
    assert [(level, round(one.successes), round(one.failures)) for level, one in found.items()] == [(level, 1, 0) for level in found]
    assert set(found) == set(LEVELS)


def test_no_level_reads_what_is_no_evidence(sqlite_store: Store) -> None:
    incident, asked = Past(sqlite_store).failed(), list[tuple[Any, Any]]()
    event.listen(sqlite_store.engine, "before_cursor_execute", lambda *call: asked.append((call[2], call[3])))
    sqlite_store.outcomes.experience(incident, NETWORK)
    queries = [one for one in asked if "oncall_actions" in one[0]]
    with sqlite_store.engine.connect() as connection:
        plans = [str(connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {query}", values).all()) for query, values in queries]
    for plan, of in zip(plans, ("task", "category", "fingerprint"), strict=True):
        assert f"ix_oncall_actions_evidence_{of} (" in plan
        assert "TEMP B-TREE" not in plan


def test_what_failed_again_in_one_outage_is_one_piece_of_evidence(past: Past) -> None:
    for _ in range(4):
        past.repaired(past.failed(), OutcomeKind.FAILED_SAME)
    assert counted(past, past.failed())[FINGERPRINT] == Decayed(0, 1)


def test_an_outage_that_ended_in_repairs_counts_by_their_share(past: Past) -> None:
    for end in (OutcomeKind.FAILED_SAME, OutcomeKind.SUCCESS, OutcomeKind.SUCCESS, OutcomeKind.SUCCESS):
        past.repaired(past.failed(), end)
    assert counted(past, past.failed())[FINGERPRINT] == Decayed(0.75, 0.25)


def test_the_same_failure_on_another_occasion_counts_anew(past: Past) -> None:
    past.repaired(past.failed(), OutcomeKind.FAILED_SAME)
    everything_was(past, 2 * EPISODE)
    past.repaired(past.failed(), OutcomeKind.FAILED_SAME)
    assert counted(past, past.failed())[FINGERPRINT] == Decayed(0, 2)
