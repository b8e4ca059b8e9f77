"""``run_runbook``: a remediation is a DAG, and how it ends is how the repair ended."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import update
from tests.act.actions.bench import decided, plan, step
from tests.simulated_world import Dag
from tests.tick.scene import ORDERS, Scene

from airflow_oncall.act.actions.base import Impossible, Plan
from airflow_oncall.incident import ActionState, OutcomeKind, State
from airflow_oncall.store import records
from airflow_oncall.store.records import now
from airflow_oncall.store.tables import incidents

RUNBOOK = "restart_broker"


@pytest.fixture
def ready(failed: Scene) -> Scene:
    """There is a runbook for the orders."""
    failed.airflow.dags[RUNBOOK] = Dag(tags=("oncall-runbook",))
    return failed


def end(scene: Scene, state: str) -> None:
    """The runbook's only run ends."""
    ((dag_id, run_id),) = [key for key in scene.airflow.runs if key[0] == RUNBOOK]
    scene.airflow.end_run(dag_id, run_id, state)


def start(scene: Scene) -> None:
    """The runbook's only run begins."""
    (run,) = [run for key, run in scene.airflow.runs.items() if key[0] == RUNBOOK]
    run.state, run.started_at = "running", scene.airflow.now()


def test_a_runbook_gets_the_incident_and_the_rules_own_words(ready: Scene) -> None:
    action = decided(ready, "run_runbook", {"host": "broker-0"}, runbook=RUNBOOK, conf={"service": "broker"})
    step(ready)
    (run,) = [run for key, run in ready.airflow.runs.items() if key[0] == RUNBOOK]
    assert run.run_id == action.own_run_id
    assert run.conf["service"] == "broker"
    assert run.conf["incident"] == {
        "id": ready.incident.id,
        "dag_id": ORDERS.dag_id,
        "run_id": ORDERS.run_id,
        "task_id": ORDERS.task_id,
        "map_index": -1,
        "try_number": 1,
        "category": "network_connectivity",
        "identifiers": {"host": "broker-0"},
        "evidence": ["Connection reset by peer"],
    }
    assert action.attempts == 1


def test_when_it_succeeds_the_task_runs_again_and_its_end_counts(ready: Scene) -> None:
    decided(ready, "run_runbook", runbook=RUNBOOK)
    step(ready)
    assert step(ready).state is ActionState.PLANNED
    assert ready.airflow.clears == []
    end(ready, "success")
    assert step(ready).state is ActionState.DONE
    assert ready.airflow.clears == [(ORDERS,)]
    ready.airflow.schedule()
    ready.airflow.succeed(ORDERS)
    step(ready)
    assert (ready.state, ready.outcomes()) == (State.RESOLVED, [OutcomeKind.SUCCESS])


def test_where_nothing_follows_its_own_success_is_the_end(ready: Scene) -> None:
    action = decided(ready, "run_runbook", runbook=RUNBOOK, then="nothing")
    assert action.attempts == 0
    step(ready)
    end(ready, "success")
    step(ready)
    step(ready)
    assert (ready.state, ready.outcomes(), ready.airflow.clears) == (State.RESOLVED, [OutcomeKind.SUCCESS], [])


def test_when_it_fails_the_task_is_left_alone_and_a_person_goes_on(ready: Scene) -> None:
    action = decided(ready, "run_runbook", runbook=RUNBOOK)
    step(ready)
    end(ready, "failed")
    assert step(ready).state is ActionState.DONE
    step(ready)
    assert (ready.state, ready.outcomes(), ready.airflow.clears) == (State.ESCALATED, [OutcomeKind.FAILED_SAME], [])
    assert f"runbook {RUNBOOK} failed, see its run {action.own_run_id}" in ready.incident.detail


def test_one_that_never_ends_is_left_to_a_person(ready: Scene) -> None:
    decided(ready, "run_runbook", runbook=RUNBOOK, minutes=5)
    step(ready)
    start(ready)
    assert step(ready).state is ActionState.PLANNED
    (run,) = [run for key, run in ready.airflow.runs.items() if key[0] == RUNBOOK]
    run.started_at = ready.airflow.now() - timedelta(minutes=6)
    assert step(ready).state is ActionState.DONE
    step(ready)
    assert (ready.state, ready.outcomes(), ready.airflow.clears) == (State.ESCALATED, [OutcomeKind.EXPIRED], [])
    assert "did not end in 5 min" in ready.incident.detail


def time_passes(scene: Scene, monkeypatch: pytest.MonkeyPatch, ahead: timedelta) -> None:
    """It is so much later than it really is, for the store and for Airflow."""
    scene.airflow.clock_ahead = ahead
    monkeypatch.setattr(records.clock, "read", scene.airflow.now)
    scene.later()


def test_the_limit_of_one_that_was_approved_late_counts_from_when_it_was_triggered(ready: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    decided(ready, "run_runbook", runbook=RUNBOOK, minutes=5)
    time_passes(ready, monkeypatch, timedelta(hours=2))
    step(ready)
    assert step(ready).state is ActionState.PLANNED
    time_passes(ready, monkeypatch, timedelta(hours=2, minutes=6))
    assert step(ready).state is ActionState.DONE
    assert "did not end in 5 min" in ready.incident.detail


def test_a_runbook_that_takes_days_is_looked_at_once_a_minute(ready: Scene) -> None:
    decided(ready, "run_runbook", runbook=RUNBOOK, minutes=5000)
    step(ready)
    start(ready)
    with ready.store.engine.begin() as connection:
        connection.execute(update(incidents).values(looks=1024))
    assert step(ready).state is ActionState.PLANNED
    due = ready.incident.due_at
    assert due is not None
    assert due - now() <= timedelta(seconds=60)


def test_one_that_was_paused_before_it_began_is_left_to_a_person(ready: Scene) -> None:
    decided(ready, "run_runbook", runbook=RUNBOOK)
    step(ready)
    ready.airflow.dags[RUNBOOK].is_paused = True
    assert step(ready).state is ActionState.DONE
    step(ready)
    assert (ready.state, ready.outcomes()) == (State.ESCALATED, [OutcomeKind.EXPIRED])
    assert "was paused before its run" in ready.incident.detail


@pytest.mark.parametrize("trouble", ["paused", "missing", "untagged"])
def test_one_that_cannot_run_any_more_when_it_is_approved_is_refused(ready: Scene, trouble: str) -> None:
    decided(ready, "run_runbook", runbook=RUNBOOK)
    if trouble == "missing":
        del ready.airflow.dags[RUNBOOK]
    elif trouble == "paused":
        ready.airflow.dags[RUNBOOK].is_paused = True
    else:
        ready.airflow.dags[RUNBOOK].tags = ()
    assert step(ready).state is ActionState.REFUSED
    assert (ready.state, ready.airflow.did("trigger")) == (State.ESCALATED, [])


@pytest.mark.parametrize(
    ("runbook", "reason"),
    [
        ("", "parameter runbook has no default; name a DAG that is tagged oncall-runbook"),
        ("no_such_dag", "runbook 'no_such_dag' is no DAG of this Airflow; is its file in the DAG folder, without import errors?"),
        ("nightly", "DAG 'nightly' is no runbook: tag it oncall-runbook"),
        ("oncall_triage", "oncall_triage is no runbook: it is a DAG of airflow-oncall itself"),
    ],
)
def test_what_is_no_runbook_is_told_before_anything_is_decided(ready: Scene, runbook: str, reason: str) -> None:
    assert plan(ready, "run_runbook", runbook=runbook) == Impossible(reason)


def test_a_paused_runbook_is_told_before_anything_is_decided(ready: Scene) -> None:
    ready.airflow.dags[RUNBOOK].is_paused = True
    assert plan(ready, "run_runbook", runbook=RUNBOOK) == Impossible(f"runbook '{RUNBOOK}' is paused; unpause it")


@pytest.mark.parametrize("said", [{"then": "dance"}, {"minutes": 0}, {"minutes": "5"}, {"conf": "x"}])
def test_parameters_that_cannot_be_are_told(ready: Scene, said: dict[str, object]) -> None:
    planned = plan(ready, "run_runbook", runbook=RUNBOOK, **said)
    assert isinstance(planned, Impossible)
    assert planned.reason.startswith("parameters: then")


def test_the_failure_of_a_runbook_is_not_repaired_by_a_runbook(ready: Scene) -> None:
    ready.airflow.dags[ORDERS.dag_id].tags = ("oncall-runbook",)
    assert plan(ready, "run_runbook", runbook=RUNBOOK) == Impossible("a runbook failed; a runbook is not repaired by a runbook")


def test_a_task_that_a_person_cleared_while_the_runbook_ran_is_not_cleared_again(ready: Scene) -> None:
    decided(ready, "run_runbook", runbook=RUNBOOK)
    step(ready)
    ready.airflow.clear_by_hand(ORDERS)
    end(ready, "success")
    assert step(ready).state is ActionState.SUPERSEDED
    assert ready.airflow.clears == []


def test_a_run_that_a_person_deleted_while_it_went_is_not_started_again(ready: Scene) -> None:
    decided(ready, "run_runbook", runbook=RUNBOOK)
    step(ready)
    ready.airflow.runs = {key: run for key, run in ready.airflow.runs.items() if key[0] != RUNBOOK}
    assert step(ready).state is ActionState.DONE
    step(ready)
    assert len(ready.airflow.did("trigger")) == 1
    assert (ready.state, ready.outcomes()) == (State.ESCALATED, [OutcomeKind.EXPIRED])


def test_a_plan_says_all_that_the_rule_left_out(ready: Scene) -> None:
    planned = plan(ready, "run_runbook", runbook=RUNBOOK)
    assert planned == Plan(1, {"runbook": RUNBOOK, "then": "clear", "minutes": 60, "conf": {}})
