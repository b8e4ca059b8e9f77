"""Airflow keeps its runs and notes when the store is replaced: what another store asked and did is not taken for our own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.act.actions.bench import decided, step
from tests.databases import Databases, fresh_store
from tests.simulated_world import Dag
from tests.tick.scene import ORDERS, Scene

from airflow_oncall.act.actions.base import compose_note
from airflow_oncall.act.approval import APPROVE, conclude
from airflow_oncall.incident import Action, ActionState, State
from airflow_oncall.store.sql import Store

RUNBOOK = "restart_broker"


@pytest.fixture
def new_store(databases: Databases) -> Iterator[Store]:
    """Another store, empty."""
    yield from fresh_store(databases, "sqlite")


@pytest.fixture
def replaced(asked: Scene, new_store: Store) -> Scene:
    """A new store took the place of one that had asked about the nightly orders."""
    return Scene(new_store, asked.airflow, mode="ask")


def only_action(scene: Scene) -> Action:
    (action,) = scene.store.reading.actions(scene.incident.id)
    return action


def question_of(scene: Scene) -> tuple[str, str]:
    """The question's run of the other store: the first one that was ever started."""
    return next(key for key in scene.airflow.runs if key[0] == "oncall_approval")


def test_the_approval_of_another_store_approves_nothing(replaced: Scene) -> None:
    others = question_of(replaced)
    replaced.airflow.answers[others] = (APPROVE, "ann")
    replaced.airflow.end_run(*others, "success")
    replaced.tick()
    replaced.ticks(2)
    assert (replaced.state, replaced.airflow.clears) == (State.ASKED, [])
    assert len(replaced.airflow.did("trigger")) == 2, "it asked a question of its own"


def test_a_question_of_another_store_that_is_answered_now_changes_nothing(replaced: Scene) -> None:
    others = question_of(replaced)
    replaced.tick()
    replaced.airflow.answers[others] = (APPROVE, "ann")
    assert "asks no question of this store; nothing is done" in conclude(
        replaced.store, replaced.api, others[1], replaced.airflow.runs[others].conf
    )
    assert (replaced.state, replaced.airflow.clears) == (State.ASKED, [])


def test_a_question_of_our_own_is_carried_out_by_its_run(asked: Scene) -> None:
    ours = question_of(asked)
    asked.airflow.answers[ours] = (APPROVE, "ann")
    assert conclude(asked.another_worker("approval"), asked.api, ours[1], asked.airflow.runs[ours].conf) == "cleared try 1"
    assert asked.airflow.clears == [(ORDERS,)]


def test_the_note_of_another_store_does_not_show_that_we_cleared(asked: Scene, replaced: Scene) -> None:
    replaced.airflow.instances[ORDERS].note = compose_note(only_action(asked), "Approved by ann.", "")
    replaced.mode = "auto"
    replaced.tick()
    assert replaced.airflow.clears == [(ORDERS,)]


def test_a_runbook_that_another_store_ran_is_run_for_us_as_well(failed: Scene, new_store: Store) -> None:
    failed.airflow.dags[RUNBOOK] = Dag(tags=("oncall-runbook",))
    decided(failed, "run_runbook", runbook=RUNBOOK)
    step(failed)
    failed.airflow.end_run(*next(key for key in failed.airflow.runs if key[0] == RUNBOOK), "success")
    replaced = Scene(new_store, failed.airflow)
    decided(replaced, "run_runbook", runbook=RUNBOOK)
    assert step(replaced).state is ActionState.PLANNED
    assert (len(replaced.airflow.did("trigger")), replaced.airflow.clears) == (2, [])
