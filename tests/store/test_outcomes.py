"""How earlier actions ended: which are counted, at which level, and how much by their age."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import insert, update
from tests.learn.past import RESET, Past

from airflow_oncall.incident import Incident, OutcomeKind
from airflow_oncall.store.outcomes import CATEGORY, EPISODE, FINGERPRINT, HALF_LIFE, LOOK_BACK, TASK, Decayed, weight
from airflow_oncall.store.records import now
from airflow_oncall.store.sql import Store
from airflow_oncall.store.tables import actions, incidents, outcomes, storms

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


def test_of_a_storm_only_the_probe_counts(past: Past) -> None:
    members = [past.failed() for _ in range(4)]
    for member in members:
        past.repaired(member)
    with past.store.engine.begin() as connection:
        row = {"cause": "network", "state": "closed", "opened_at": now(), "closed_at": now(), "probe_id": members[2].id}
        storm_id = connection.execute(insert(storms).values(row).returning(storms.c.id)).scalar()
        connection.execute(update(incidents).where(incidents.c.id.in_([one.id for one in members])).values(storm_id=storm_id))
    assert counted(past, past.failed())[FINGERPRINT] == Decayed(1, 0)
    assert past.store.outcomes.of_fingerprint("vendor-reset")["clear_task"].successes == pytest.approx(1, abs=0.01)


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
