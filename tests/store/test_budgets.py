"""What budgets and breakers count, and that two triage runs at once cannot overrun one."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from threading import Barrier

import pytest
from sqlalchemy import update
from tests.cast import FOURTH_SHARD, vendor_was_down
from tests.clocks import MovedClock
from tests.tick.scene import NETWORK

from airflow_oncall.act.guards import breakers_of, limits_of
from airflow_oncall.act.policy import Budgets
from airflow_oncall.incident import ActionKind, ActionState, Decision, Incident, Label, Outcome, OutcomeKind, State, TaskRef, Verdict
from airflow_oncall.store.limits import BudgetUsedUp, Limit
from airflow_oncall.store.records import now
from airflow_oncall.store.sql import Store
from airflow_oncall.store.tables import actions, outcomes

LEASE = timedelta(minutes=3)
HOUR = Limit("attempts_per_hour", 4, hours=1)
EVER = Limit("attempts_per_task_instance", 4)
IN_FLIGHT = Limit("actions_in_flight", 4, in_flight=True)
ALL = (HOUR, EVER, IN_FLIGHT)


def diagnosed(store: Store, index: int = 0, ref: TaskRef = FOURTH_SHARD) -> Incident:
    """One more task instance failed and was diagnosed; the worker of this store holds it."""
    incident_id = store.intake.record(replace(vendor_was_down, ref=replace(ref, map_index=index)))
    assert incident_id is not None
    incident = store.queue.claim(incident_id, LEASE)
    assert incident is not None
    return store.ledger.diagnosed(incident, NETWORK)


def decision_about(incident: Incident, verdict: Verdict = Verdict.AUTO, kind: ActionKind = ActionKind.CLEAR_TASK) -> Decision:
    return Decision(incident.id, incident.decisions + 1, verdict, kind, incident.try_number, 0.9, ("because",))


def planned(
    store: Store, index: int = 0, attempts: int = 1, state: State = State.ACTING, kind: ActionKind = ActionKind.CLEAR_TASK
) -> Incident:
    incident = diagnosed(store, index)
    return store.ledger.decided(incident, decision_about(incident, kind=kind), state, 0, attempts)


def done(store: Store, index: int = 0, attempts: int = 1) -> Incident:
    incident = planned(store, index, attempts)
    action = store.ledger.open_action(incident.id)
    assert action is not None
    return store.ledger.acted(incident, action, ActionState.DONE, "cleared", State.VERIFYING, 0)


def ended(store: Store, kind: OutcomeKind, index: int) -> None:
    incident = done(store, index)
    action_id = store.reading.actions(incident.id)[0].id
    outcome = Outcome(incident.id, kind, now(), incident.try_number, action_id)
    store.ledger.ended(incident, outcome, [], State.RESOLVED, None, "seen")


def amounts(store: Store, *limits: Limit) -> list[int]:
    used = store.guards.used(limits or ALL)
    return [used[limit.name].amount for limit in limits or ALL]


def test_every_run_that_an_action_re_arms_counts_from_its_plan_on(store: Store) -> None:
    planned(store, attempts=3)
    assert amounts(store) == [3, 3, 1]
    done(store, index=1, attempts=2)
    assert amounts(store) == [5, 5, 2]


def test_an_action_that_re_arms_nothing_counts_as_one(store: Store) -> None:
    planned(store, attempts=0, kind=ActionKind.RUN_RUNBOOK)
    assert amounts(store) == [1, 1, 1]


def test_what_is_no_action_on_airflow_does_not_count(store: Store) -> None:
    planned(store, kind=ActionKind.ESCALATE)
    assert amounts(store) == [0, 0, 0]


def test_a_question_counts_once_it_is_approved(store: Store) -> None:
    incident = diagnosed(store)
    asked = store.ledger.decided(incident, decision_about(incident, Verdict.ASK), State.ASKED, 0, 1)
    assert amounts(store) == [0, 0, 0]
    action = store.ledger.open_action(asked.id)
    assert action is not None
    store.ledger.answered(asked, action, Label(asked.id, "approval", "clear_task", "ann", now()), State.ACTING, 0)
    assert amounts(store) == [1, 1, 1]


def test_what_was_not_done_gives_its_share_back(store: Store) -> None:
    incident = planned(store, attempts=3)
    action = store.ledger.open_action(incident.id)
    assert action is not None
    store.ledger.acted(incident, action, ActionState.SUPERSEDED, "a person was faster", State.VERIFYING, 0)
    assert amounts(store) == [0, 0, 0]


def test_the_hour_of_an_action_begins_when_it_is_done_and_not_while_it_waits(store: Store, clock: MovedClock) -> None:
    waiting = planned(store, attempts=2, state=State.WAITING)
    clock.ahead = timedelta(hours=5)
    assert amounts(store, HOUR) == [2]
    held = store.queue.claim(waiting.id, LEASE)
    action = store.ledger.open_action(waiting.id)
    assert held is not None
    assert action is not None
    store.ledger.acted(held, action, ActionState.DONE, "cleared", State.VERIFYING, 0)
    (used,) = store.guards.used([HOUR]).values()
    assert used.frees_at is not None
    assert (used.amount, round((used.frees_at - now()) / timedelta(minutes=1))) == (2, 60)
    clock.ahead = timedelta(hours=6, minutes=1)
    assert amounts(store, HOUR, EVER) == [0, 2]


def test_a_clock_that_goes_back_frees_no_budget(store: Store, clock: MovedClock) -> None:
    done(store, attempts=2)
    clock.ahead = -timedelta(days=2)
    assert amounts(store, HOUR, EVER) == [2, 2]


def test_each_limit_counts_only_what_it_is_for(store: Store) -> None:
    done(store, index=1)
    done(store, index=2)
    incident = diagnosed(store, ref=TaskRef("other", "r", "t"))
    store.ledger.decided(incident, decision_about(incident, kind=ActionKind.CLEAR_RUN), State.ACTING, 0, 1)
    budgets = Budgets(
        attempts_per_task_instance=9,
        attempts_per_hour=9,
        attempts_per_task_and_day=9,
        attempts_per_dag_and_hour=9,
        attempts_per_category_and_hour=9,
        attempts_per_action_and_hour=9,
    )
    limits = limits_of(budgets, replace(FOURTH_SHARD, map_index=1), "network_connectivity", "clear_task")
    used = {name: used.amount for name, used in store.guards.used(limits).items()}
    assert used == {
        "attempts_per_task_instance": 1,
        "attempts_per_hour": 3,
        "attempts_per_task_and_day": 2,
        "attempts_per_dag_and_hour": 2,
        "attempts_per_category_and_hour": 3,
        "attempts_per_action_and_hour": 2,
    }


def test_an_action_is_in_flight_until_its_end_was_seen(store: Store) -> None:
    done(store)
    assert amounts(store, IN_FLIGHT) == [1]
    ended(store, OutcomeKind.SUCCESS, index=1)
    assert amounts(store, IN_FLIGHT) == [1]


def test_a_breaker_sees_how_the_newest_actions_ended(store: Store) -> None:
    for index, kind in enumerate((OutcomeKind.FAILED_SAME, OutcomeKind.SUPERSEDED, OutcomeKind.SUCCESS, OutcomeKind.FAILED_OTHER)):
        ended(store, kind, index)
    alike, of_dag = breakers_of(FOURTH_SHARD, "network_connectivity", "clear_task")
    since = now() - timedelta(days=1)
    assert [one.failed for one in store.guards.ended(alike, since, 10)] == [True, False, True]
    assert [one.failed for one in store.guards.ended(of_dag, since, 2)] == [True, False]
    assert store.guards.ended(replace(alike, where={"kind": "clear_run"}), since, 10) == ()
    assert store.guards.ended(alike, now() + timedelta(minutes=1), 10) == ()


def test_without_limits_there_is_nothing_to_count(store: Store) -> None:
    assert store.guards.used(()) == {}


def test_a_plan_that_does_not_fit_any_more_is_not_stored(store: Store) -> None:
    done(store, index=1, attempts=3)
    incident = diagnosed(store)
    with pytest.raises(BudgetUsedUp, match="attempts_per_hour is used up by now: it would be 5 of 4"):
        store.ledger.decided(incident, decision_about(incident), State.ACTING, 0, 2, [HOUR])
    assert (store.reading.decisions(incident.id), store.reading.actions(incident.id)) == ([], [])
    known = store.reading.incident(incident.id)
    assert known is not None
    assert (known.state, known.decisions) == (State.DIAGNOSED, 0)


@pytest.mark.parametrize(("verdict", "state"), [(Verdict.ASK, State.ASKED), (Verdict.OBSERVE, State.OBSERVED)])
def test_what_is_not_done_without_asking_needs_no_room(store: Store, verdict: Verdict, state: State) -> None:
    done(store, index=1, attempts=4)
    incident = diagnosed(store)
    assert store.ledger.decided(incident, decision_about(incident, verdict), state, 0, 1, [HOUR]).state is state


@pytest.mark.parametrize("limit", [HOUR, IN_FLIGHT])
def test_triage_runs_at_once_do_not_overrun_a_limit(store: Store, limit: Limit) -> None:
    """All of them count first, see room for everybody, and then plan at the same moment."""
    workers = [Store.over(store.engine, f"worker-{number}") for number in range(8)]
    incidents = [diagnosed(worker, index) for index, worker in enumerate(workers)]
    together = Barrier(len(workers))

    def plan(worker: Store, incident: Incident) -> bool:
        assert worker.guards.used([limit])[limit.name].amount == 0
        together.wait(60)
        try:
            worker.ledger.decided(incident, decision_about(incident), State.WAITING, 60, 1, [limit])
        except BudgetUsedUp:
            return False
        return True

    with ThreadPoolExecutor(len(workers)) as pool:
        fitted = list(pool.map(plan, workers, incidents))
    assert sum(fitted) == limit.most
    assert amounts(store, limit) == [limit.most]


def test_a_hold_is_told_once_however_often_it_holds(store: Store) -> None:
    incident = diagnosed(store)
    for _ in range(3):
        incident = store.ledger.held(incident, 60, "Repairs are paused by ann")
    held = [row["detail"]["detail"] for row in store.reading.history(incident.id) if row["what"] == "held"]
    assert (held, incident.detail, incident.state) == (["Repairs are paused by ann"], "Repairs are paused by ann", State.DIAGNOSED)
    assert store.reading.decisions(incident.id) == []


def test_old_outcomes_cost_nothing(store: Store) -> None:
    ended(store, OutcomeKind.FAILED_SAME, 0)
    with store.engine.begin() as connection:
        connection.execute(update(actions).values(done_at=now() - timedelta(days=3)))
        connection.execute(update(outcomes).values(seen_at=now() - timedelta(days=3)))
    alike, _ = breakers_of(FOURTH_SHARD, "network_connectivity", "clear_task")
    assert store.guards.ended(alike, now() - timedelta(days=1), 10) == ()
    assert amounts(store) == [0, 1, 0]
