"""Experiments begin, end, and are counted by arm."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import select
from tests.learn.past import Past

from airflow_oncall.errors import StoreRefused
from airflow_oncall.incident import Action, ActionState, Decision, Outcome, OutcomeKind, State, Verdict
from airflow_oncall.store.experiments import HASH, ArmCounts, Experiment
from airflow_oncall.store.records import now
from airflow_oncall.store.sql import Store
from airflow_oncall.store.tables import audit


@pytest.fixture
def reach() -> Experiment:
    return Experiment("reach", "network_connectivity", ("clear_task", "clear_downstream"), HASH, "ann", now())


@pytest.fixture
def running(store: Store, reach: Experiment) -> Experiment:
    store.experiments.start(reach)
    return reach


def audited(store: Store) -> list[tuple[str, str, Any]]:
    with store.engine.connect() as connection:
        rows = connection.execute(select(audit.c.actor, audit.c.what, audit.c.detail).where(audit.c.what.like("experiment %"))).all()
    return [(row.actor, row.what, row.detail["name"]) for row in rows]


def planned(store: Store, arm: str, verdict: Verdict = Verdict.AUTO, state: State = State.ACTING) -> Action:
    incident = Past(store).failed()
    kind = arm.split("/")[1]
    decision = Decision(incident.id, 1, verdict, kind, incident.try_number, 0.8, ("it helps",), arm=arm)
    store.ledger.decided(incident, decision, state, 0, 1)
    action = store.ledger.open_action(incident.id)
    assert action is not None
    return action


def ended(store: Store, arm: str, kind: OutcomeKind) -> None:
    action = planned(store, arm)
    incident = store.reading.incident(action.incident_id)
    assert incident is not None
    done = store.ledger.acted(incident, action, ActionState.DONE, "done", State.VERIFYING, 0)
    store.ledger.ended(done, Outcome(incident.id, kind, now(), 1, action.id), [], State.RESOLVED, None, "seen")


def test_a_running_experiment_is_found_by_its_category(store: Store, running: Experiment) -> None:
    assert store.experiments.running("network_connectivity", "vendor-reset") == running
    assert store.experiments.running("rate_limit", "vendor-reset") is None


def test_a_fingerprints_own_experiment_comes_before_its_categorys(store: Store, running: Experiment) -> None:
    own = replace(running, name="vendor", fingerprint="vendor-reset")
    store.experiments.start(own)
    assert store.experiments.running("network_connectivity", "vendor-reset") == own
    assert store.experiments.running("network_connectivity", "another") == running


def test_a_stopped_one_assigns_nothing_and_keeps_its_name(store: Store, running: Experiment) -> None:
    assert store.experiments.stop("reach", "bob").stopped_at is not None
    assert store.experiments.running("network_connectivity", "") is None
    with pytest.raises(StoreRefused, match="'reach' was there before"):
        store.experiments.start(running)


def test_two_about_the_same_cannot_run_at_once(store: Store, running: Experiment) -> None:
    with pytest.raises(StoreRefused, match="'reach' about network_connectivity is running"):
        store.experiments.start(replace(running, name="again"))


def test_what_does_not_run_cannot_be_stopped(store: Store) -> None:
    with pytest.raises(StoreRefused, match="no experiment 'reach' is running"):
        store.experiments.stop("reach", "bob")


def test_begin_and_end_stand_in_the_audit_log(store: Store, running: Experiment) -> None:
    store.experiments.stop("reach", "bob", "we know enough")
    assert audited(store) == [("ann", "experiment started", "reach"), ("bob", "experiment stopped", "reach")]


def test_the_newest_is_listed_first(store: Store, running: Experiment) -> None:
    store.experiments.start(replace(running, name="waits", category="rate_limit"))
    assert [one.name for one in store.experiments.all()] == ["waits", "reach"]
    assert store.experiments.get("reach") == running
    assert store.experiments.get("another") is None


def test_trials_are_counted_by_arm_and_end(store: Store, running: Experiment) -> None:
    for kind in (OutcomeKind.SUCCESS, OutcomeKind.SUCCESS, OutcomeKind.FAILED_SAME, OutcomeKind.FAILED_OTHER, OutcomeKind.EXPIRED):
        ended(store, "reach/clear_task", kind)
    planned(store, "reach/clear_downstream")
    planned(store, "reach/clear_downstream", Verdict.ASK, State.ASKED)
    assert store.experiments.counts(running) == {"clear_task": ArmCounts(2, 2, 0, 1), "clear_downstream": ArmCounts(0, 0, 2, 0)}


def test_of_a_long_experiment_the_newest_decisions_of_each_arm_can_be_counted(store: Store, running: Experiment) -> None:
    for kind in (OutcomeKind.FAILED_SAME, OutcomeKind.SUCCESS, OutcomeKind.SUCCESS):
        ended(store, "reach/clear_task", kind)
    ended(store, "reach/clear_downstream", OutcomeKind.FAILED_SAME)
    assert store.experiments.counts(running, newest=2) == {"clear_task": ArmCounts(2, 0), "clear_downstream": ArmCounts(0, 1)}


def test_decisions_of_other_experiments_are_not_counted(store: Store, running: Experiment) -> None:
    ended(store, "other/clear_task", OutcomeKind.SUCCESS)
    assert set(store.experiments.counts(running).values()) == {ArmCounts()}
