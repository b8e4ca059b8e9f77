"""Guards through whole ticks: what holds an incident, what goes on when it ends, and what all of it costs Airflow."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from itertools import count, cycle
from typing import Any

import pytest
from simulator.world import Backfill
from sqlalchemy import update
from tests.act.test_approval import reply
from tests.act.test_decide import policy_with
from tests.clocks import MovedClock
from tests.tick.scene import BUG, MEMORY, NETWORK, ORDERS, Oracle, Scene, judgement_of, proven

from airflow_oncall import facts, tick
from airflow_oncall.act.policy import Policy
from airflow_oncall.errors import AirflowApiError
from airflow_oncall.incident import Evidence, Incident, Kind, Occurrence, OutcomeKind, State, TaskRef
from airflow_oncall.judgement import Judged
from airflow_oncall.rest import AirflowApi
from airflow_oncall.store.limits import BudgetUsedUp, Limit
from airflow_oncall.store.records import now
from airflow_oncall.store.tables import actions, outcomes

OTHERS = [TaskRef(f"other_{number}", "r", "t") for number in range(3)]


def hourly(most: int, **also: int) -> Policy:
    return policy_with(budgets={"attempts_per_task_instance": 9, "attempts_per_hour": most, **also})


def states(scene: Scene) -> list[str]:
    """Of all incidents, oldest first."""
    return [str(one.state) for one in reversed(scene.store.reading.incidents())]


def an_hour_passes(scene: Scene) -> None:
    with scene.store.engine.begin() as connection:
        connection.execute(update(actions).values(done_at=now() - timedelta(hours=1, minutes=1)))


def test_what_does_not_fit_into_the_hour_waits_for_it_and_is_repaired_then(scene: Scene) -> None:
    scene.policy = hourly(1)
    for ref in OTHERS[:2]:
        scene.airflow.fail(ref)
    scene.ticks(2)
    assert (len(scene.airflow.clears), sorted(states(scene))) == (1, [State.DIAGNOSED, State.VERIFYING])
    an_hour_passes(scene)
    scene.ticks(1)
    assert len(scene.airflow.clears) == 2


@pytest.mark.parametrize("budget", ["attempts_per_hour", "attempts_per_dag_and_hour", "actions_in_flight"])
def test_a_budget_of_nothing_has_a_person_told_and_nothing_done(failed: Scene, budget: str) -> None:
    failed.policy = policy_with(budgets={"attempts_per_task_instance": 9, "attempts_per_hour": 9, budget: 0})
    failed.ticks(2)
    assert (failed.state, failed.airflow.clears) == (State.ESCALATED, [])
    assert "is 0: nothing is repaired" in failed.incident.detail


def test_a_backfill_is_waited_for(failed: Scene) -> None:
    failed.airflow.backfills.append(Backfill(ORDERS.dag_id))
    failed.ticks(2)
    assert (failed.state, failed.airflow.clears) == (State.DIAGNOSED, [])
    failed.airflow.backfills.clear()
    failed.ticks(1)
    assert failed.airflow.clears == [(ORDERS,)]


def test_code_that_changed_since_the_failure_is_asked_about(failed: Scene) -> None:
    failed.airflow.dags[ORDERS.dag_id].version = 2
    failed.tick()
    assert failed.state == State.ASKED
    assert "code changed since it failed" in failed.incident.detail


def test_a_run_that_began_long_ago_is_asked_about(failed: Scene) -> None:
    failed.airflow.runs[ORDERS.dag_id, ORDERS.run_id].started_at = now() - timedelta(days=5)
    failed.tick()
    assert "Its run is older than 72 h" in failed.incident.detail


def test_a_run_is_as_old_as_ever_when_a_clear_began_it_anew(failed: Scene) -> None:
    failed.airflow.runs[ORDERS.dag_id, ORDERS.run_id].started_at = now() - timedelta(days=5)
    failed.tick()
    reply(failed, "Approve")
    failed.airflow.schedule()
    failed.airflow.fail(ORDERS)
    failed.ticks(3)
    assert (failed.state, failed.incident.decisions) == (State.ASKED, 2)
    assert "Its run is older than 72 h" in failed.incident.detail


def test_a_run_is_as_old_for_its_other_tasks(failed: Scene) -> None:
    failed.airflow.runs[ORDERS.dag_id, ORDERS.run_id].started_at = now() - timedelta(days=5)
    failed.tick()
    reply(failed, "Approve")
    failed.airflow.schedule()
    failed.airflow.fail(replace(ORDERS, task_id="ship_orders"))
    failed.ticks(1)
    assert "Its run is older than 72 h" in failed.store.reading.incidents([State.ASKED])[0].detail


def test_a_task_that_never_succeeded_has_to_be_surer_to_be_mended(failed: Scene) -> None:
    failed.brain.says = replace(NETWORK, transient_probability=0.65)
    failed.tick()
    assert (failed.state, failed.airflow.clears) == (State.ASKED, [])
    assert "Below the bar of 70% for a task that never succeeded" in failed.incident.detail


def test_a_task_that_succeeded_before_is_mended_at_the_usual_bar(failed: Scene) -> None:
    proven(failed)
    failed.brain.says = replace(NETWORK, transient_probability=0.65)
    failed.tick()
    assert failed.airflow.clears == [(ORDERS,)]


def test_an_action_that_cannot_be_done_here_is_a_persons(failed: Scene) -> None:
    failed.policy = policy_with(categories={"memory_exhaustion": {"action": "clear_run"}})
    failed.brain.says = replace(MEMORY, transient=True, transient_probability=0.9)
    failed.tick()
    assert (failed.state, failed.airflow.clears) == (State.ESCALATED, [])
    assert "clear_run cannot be done here" in failed.incident.detail


def test_the_failed_try_tells_how_long_an_attempt_takes_where_none_succeeded_yet(scene: Scene) -> None:
    scene.airflow.fail(ORDERS)
    incident = scene.notice(Occurrence(ORDERS, "listener", now(), 1, Kind.TASK, evidence=Evidence(duration=120.0)))
    scene.tick()
    (decision,) = scene.store.reading.decisions(incident.id)
    assert decision.basis["minutes"] == 2.0


@pytest.fixture
def starved(failed: Scene) -> Scene:
    """The orders ran out of memory, for which the policy has two actions."""
    rule = {"action": "retry_with_more_memory", "parameters": {"cap": "16g", "factor": 2}, "otherwise": "clear_task", "repeat": False}
    failed.policy = policy_with(categories={"memory_exhaustion": rule})
    failed.brain.says = replace(MEMORY, transient=True, transient_probability=0.8)
    return failed


def test_a_task_that_declares_its_memory_gets_more(starved: Scene) -> None:
    starved.airflow.dags[ORDERS.dag_id].tasks[ORDERS.task_id].params = {"oncall_memory": "4g"}
    starved.tick()
    assert starved.airflow.instances[ORDERS].state_store == {"oncall_memory": "8192m"}
    assert starved.airflow.clears == [(ORDERS,)]


def test_a_task_that_does_not_declare_its_memory_is_cleared_as_it_is(starved: Scene) -> None:
    starved.tick()
    assert starved.airflow.instances[ORDERS].state_store == {}
    assert starved.airflow.clears == [(ORDERS,)]
    assert starved.store.reading.decisions(starved.incident.id)[0].action == "clear_task"


def test_a_task_that_would_run_out_of_memory_again_and_declares_none_is_a_persons(starved: Scene) -> None:
    starved.brain.says = MEMORY
    starved.tick()
    assert (starved.state, starved.airflow.clears) == (State.ESCALATED, [])
    assert "permanent" in starved.incident.detail


def test_what_is_over_at_once_or_stays_is_not_repaired_twice_without_a_person(starved: Scene) -> None:
    starved.tick()
    starved.airflow.schedule()
    starved.airflow.fail(ORDERS)
    starved.ticks(2)
    assert (starved.state, len(starved.airflow.clears)) == (State.ASKED, 1)
    assert "A repair failed with the same cause already" in starved.incident.detail


def broken_dag(scene: Scene, failures: int) -> None:
    """So many repairs of the nightly DAG failed just now."""
    for number in range(failures):
        ref = replace(ORDERS, run_id=f"earlier-{number}")
        scene.airflow.fail(ref)
        scene.tick()
        scene.airflow.schedule()
        scene.airflow.fail(ref)
        scene.brain.says = BUG
        scene.ticks(2)
        scene.brain.says = NETWORK


def test_repairs_that_keep_failing_stop_and_then_one_is_let_through(scene: Scene) -> None:
    scene.policy = policy_with(breaker={"failures": 2, "of": 3, "pause_minutes": 30})
    proven(scene)
    broken_dag(scene, 2)
    before = len(scene.airflow.clears)
    for run_id in ("a", "b"):
        scene.airflow.fail(replace(ORDERS, run_id=run_id))
    scene.ticks(2)
    assert len(scene.airflow.clears) == before
    with scene.store.engine.begin() as connection:
        connection.execute(update(outcomes).values(seen_at=now() - timedelta(minutes=31)))
    scene.ticks(2)
    assert len(scene.airflow.clears) == before + 1


def test_a_decision_that_finds_its_budget_used_up_is_made_anew(failed: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = count()
    write = failed.store.ledger.decided

    def another_was_faster(*args: Any, **kwargs: Any) -> Incident:
        if next(asked) == 0:
            raise BudgetUsedUp(Limit("attempts_per_hour", 20), 21)
        return write(*args, **kwargs)

    monkeypatch.setattr(failed.store.ledger, "decided", another_was_faster)
    failed.tick()
    assert failed.airflow.clears == [(ORDERS,)]
    assert len(failed.store.reading.decisions(failed.incident.id)) == 1


def test_triage_runs_that_take_all_there_is_leave_the_incident_for_later(failed: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    def others_are_faster(*args: Any, **kwargs: Any) -> Incident:
        raise BudgetUsedUp(Limit("attempts_per_hour", 20), 21)

    monkeypatch.setattr(failed.store.ledger, "decided", others_are_faster)
    failed.tick()
    assert (failed.state, failed.airflow.clears) == (State.DIAGNOSED, [])
    assert "Other triage runs use up what budgets leave" in failed.incident.detail


def test_two_triage_runs_at_once_keep_one_budget(scene: Scene) -> None:
    """The second decides while the first, which saw room, has not planned yet."""
    scene.policy = hourly(1)
    for ref in OTHERS[:2]:
        scene.airflow.fail(ref)
    first, second = scene.store, scene.another_worker()

    def second_runs_in_between(judged: Judged) -> Judged:
        scene.tick(second)
        return judged

    tick.Tick(first, scene.api, judgement_of(first, scene.brain, "auto", scene.policy))._sweep()
    one = first.queue.claim(first.reading.incidents()[0].id, timedelta(minutes=3))
    assert one is not None
    diagnosed = first.ledger.diagnosed(one, NETWORK)
    judgement = judgement_of(first, scene.brain, "auto", scene.policy)
    settled = judgement.settle(scene.api, diagnosed, second_runs_in_between)
    assert settled is not None
    assert settled.state == State.DIAGNOSED
    assert len(scene.airflow.clears) == 1


class SlowAirflow:
    """Every call takes so many seconds of clocks that only it moves: the process's, and the store's, by which leases end."""

    def __init__(self, seconds: float, clock: MovedClock) -> None:
        self.seconds, self.time, self.clock = seconds, 0.0, clock

    def monotonic(self) -> float:
        return self.time

    def take(self, seconds: float) -> None:
        self.time += seconds
        self.clock.forward(seconds=seconds)


@pytest.fixture
def slow(scene: Scene, clock: MovedClock, monkeypatch: pytest.MonkeyPatch) -> SlowAirflow:
    slow, once = SlowAirflow(9.0, clock), AirflowApi._once

    def slowly(api: AirflowApi, call: Any, *args: Any, **kwargs: Any) -> Any:
        slow.take(slow.seconds)
        return once(api, call, *args, **kwargs)

    monkeypatch.setattr(AirflowApi, "_once", slowly)
    monkeypatch.setattr(facts, "monotonic", slow.monotonic)
    monkeypatch.setattr("airflow_oncall.tick.time.monotonic", slow.monotonic)
    return slow


def test_an_hour_of_slow_answers_loses_nothing_and_does_nothing_twice(scene: Scene, slow: SlowAirflow) -> None:
    scene.policy = hourly(100)
    refs = [TaskRef(f"dag_{number}", "r", "t") for number in range(25)]
    for ref in refs:
        scene.airflow.fail(ref)
    workers = cycle([scene.store, scene.another_worker()])
    while slow.time < 3600:
        began = slow.time
        scene.tick(next(workers))
        assert slow.time - began < tick.MOST_SECONDS + 10 * slow.seconds, "the scheduler gives a tick no more time"
        slow.take(30)
    slow.seconds = 0.01
    slow.take(facts.PEACE_SECONDS)
    scene.ticks(3)
    assert len(scene.store.reading.incidents()) == len(refs)
    assert sorted(ref for cleared in scene.airflow.clears for ref in cleared) == sorted(refs)


def test_after_one_slow_answer_decisions_leave_airflow_in_peace(scene: Scene, slow: SlowAirflow) -> None:
    slow.seconds = facts.SLOW_SECONDS
    for ref in OTHERS:
        scene.airflow.fail(ref)
    scene.tick()
    held = [one for one in scene.store.reading.incidents() if "Airflow answers slowly" in one.detail]
    assert len(held) == 2
    assert len(scene.airflow.clears) == 1


def test_many_incidents_of_one_task_cost_few_calls(scene: Scene) -> None:
    judgement = judgement_of(scene.store, Oracle(), "auto", scene.policy)
    refs = [TaskRef("shards", "manual__1", "work", index) for index in range(30)]
    for ref in refs:
        scene.airflow.fail(ref)
        scene.store.intake.record(Occurrence(ref, "listener", now(), 1, Kind.TASK))
    claimed = scene.store.queue.claim_due(50, timedelta(minutes=3))
    diagnosed = [scene.store.ledger.diagnosed(one, NETWORK) for one in claimed]
    before = len(scene.airflow.requests)
    for one in diagnosed:
        judgement.decide(scene.api, one)
    assert len(scene.airflow.requests) - before < 10


def test_what_airflow_refuses_to_tell_stops_no_repair(failed: Scene) -> None:
    for path in ("/backfills", "/dagVersions"):
        failed.airflow.answer_with(403, times=99, on=path)
    failed.tick()
    assert failed.airflow.clears == [(ORDERS,)]


def test_what_airflow_cannot_tell_just_now_has_the_incident_wait(failed: Scene) -> None:
    failed.airflow.answer_with(503, times=99, on="/backfills")
    failed.tick()
    assert (failed.state, failed.airflow.clears) == (State.DIAGNOSED, [])
    failed.airflow.mend()
    failed.ticks(1)
    assert failed.airflow.clears == [(ORDERS,)]


def test_a_task_that_keeps_failing_ends_its_own_budget(failed: Scene) -> None:
    failed.policy = policy_with(budgets={"attempts_per_task_instance": 9, "attempts_per_hour": 9, "attempts_per_task_and_day": 1})
    failed.tick()
    failed.airflow.schedule()
    failed.airflow.fail(ORDERS)
    failed.ticks(3)
    assert (failed.state, failed.outcomes()) == (State.ESCALATED, [str(OutcomeKind.FAILED_SAME)])
    assert "this task and day is used up" in failed.incident.detail


def test_an_error_of_a_guards_question_is_no_answer(failed: Scene) -> None:
    failed.airflow.answer_with(500, times=99, on="/dagVersions")
    with pytest.raises(AirflowApiError):
        facts.Facts().changed_code(failed.api, ORDERS)
