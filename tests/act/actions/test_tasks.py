"""Actions that only change Airflow: clears, marks, pools, memory, pausing."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from tests.act.actions.bench import decided, notice, plan, planned_for, step, stored
from tests.simulated_world import Pool
from tests.tick.scene import ORDERS, Scene

from airflow_oncall.act.actions.base import Impossible, Plan
from airflow_oncall.act.actions.registry import action_type
from airflow_oncall.incident import ActionKind, ActionState, Kind, OutcomeKind, State

REPORT, ALARM = replace(ORDERS, task_id="report"), replace(ORDERS, task_id="alarm")


def test_a_clear_counts_the_retries_that_it_grants_again(scene: Scene) -> None:
    scene.airflow.fail(ORDERS, retries=1)
    scene.airflow.schedule()
    scene.airflow.fail(ORDERS)
    assert plan(scene, "clear_task") == Plan(2)


def test_a_clear_with_delay_waits_as_long_as_the_rule_says(failed: Scene) -> None:
    planned = plan(failed, "clear_with_delay", delay_seconds=900)
    assert isinstance(planned, Plan)
    assert (planned.wait_seconds, planned.attempts) == (900, 1)


@pytest.mark.parametrize("delay", [-1, 86_401, "5m", 1.5])
def test_a_delay_that_is_none_is_told(failed: Scene, delay: object) -> None:
    planned = plan(failed, "clear_with_delay", delay_seconds=delay)
    assert planned == Impossible(f"parameter delay_seconds has value {delay!r}; it must be a whole number of seconds up to 86400")


@pytest.fixture
def tainted(scene: Scene) -> Scene:
    """The orders failed, a report was made of what they left, and an alarm failed by itself."""
    scene.airflow.add(REPORT, retries=2)
    scene.airflow.add(ALARM)
    scene.airflow.mark(REPORT, "success")
    scene.airflow.mark(ALARM, "failed")
    scene.airflow.add(ORDERS, downstream=("report", "alarm"))
    scene.airflow.mark(ORDERS, "failed")
    scene.airflow.end_run(ORDERS.dag_id, ORDERS.run_id, "failed")
    return scene


def test_clear_downstream_runs_everything_after_it_again_whatever_its_state(tainted: Scene) -> None:
    action = decided(tainted, "clear_downstream")
    assert (action.attempts, action.parameters) == (1 + 3 + 1, {"task_instances": 3})
    assert step(tainted).state is ActionState.DONE
    assert [set(one) for one in tainted.airflow.clears] == [{ORDERS, REPORT, ALARM}]


def test_clear_downstream_touches_nothing_while_one_of_them_runs(tainted: Scene) -> None:
    decided(tainted, "clear_downstream")
    tainted.airflow.clear_by_hand(ORDERS)
    tainted.airflow.schedule()
    assert step(tainted).state is ActionState.SUPERSEDED
    assert tainted.airflow.clears == []


def test_clear_run_counts_the_retries_of_all_that_it_re_arms(scene: Scene) -> None:
    scene.airflow.add(ORDERS, retries=3)
    scene.airflow.add(REPORT, retries=1)
    scene.airflow.mark(REPORT, "skipped")
    scene.airflow.time_out_run(ORDERS)
    scene.tick()
    (run,) = [one for one in scene.store.reading.incidents() if one.kind is Kind.DAG_RUN]
    assert planned_for(scene, run, "clear_run", {}) == Plan(4 + 2, {"task_instances": 2})


def test_clear_run_is_not_for_a_task_instance(failed: Scene) -> None:
    assert plan(failed, "clear_run") == Impossible("it is for runs that failed without a failed task instance")


@pytest.mark.parametrize(("kind", "state", "ends"), [("mark_success", "success", State.RESOLVED), ("skip", "skipped", State.CLOSED)])
def test_a_mark_is_set_with_its_reason_and_nothing_is_learned_from_it(failed: Scene, kind: str, state: str, ends: State) -> None:
    action = decided(failed, kind)
    assert step(failed).state is ActionState.DONE
    instance = failed.airflow.instances[ORDERS]
    assert (instance.state, instance.note) == (state, f"{action.mark} because")
    step(failed)
    assert (failed.state, failed.outcomes(), failed.labels()) == (ends, [], [])


@pytest.mark.parametrize("kind", ["mark_success", "skip"])
def test_only_a_person_decides_on_a_mark(failed: Scene, kind: str) -> None:
    planned = plan(failed, kind)
    assert isinstance(planned, Plan)
    assert planned.ask.startswith("Nobody but a person")


def test_a_mark_that_would_clear_what_failed_downstream_by_itself_is_not_set(tainted: Scene) -> None:
    assert plan(tainted, "mark_success") == Impossible(f"Airflow would also clear {ALARM}, which failed by itself")


def test_a_mark_is_not_set_when_something_downstream_failed_meanwhile(tainted: Scene) -> None:
    tainted.airflow.mark(ALARM, "success")
    decided(tainted, "mark_success")
    tainted.airflow.mark(ALARM, "failed")
    assert step(tainted).state is ActionState.SUPERSEDED
    assert tainted.airflow.mutations == []


def test_a_pool_grows_step_by_step_up_to_its_cap(failed: Scene) -> None:
    failed.airflow.pools["warehouse"] = Pool(slots=8)
    action = decided(failed, "resize_pool", pool="warehouse", cap=10)
    assert action.parameters == {"pool": "warehouse", "from": 8, "to": 10}
    assert step(failed).state is ActionState.PLANNED
    assert step(failed).state is ActionState.DONE
    assert failed.airflow.pools["warehouse"].slots == 10
    assert failed.airflow.clears == [(ORDERS,)]


@pytest.mark.parametrize(
    ("slots", "said", "reason"),
    [
        (8, {"cap": 8}, "pool 'default_pool' has 8 slots, the cap is 8"),
        (-1, {"cap": 8}, "pool 'default_pool' has no limit"),
        (8, {"cap": 9, "pool": "gone"}, "there is no pool 'gone'"),
        (8, {}, "parameters cap (None) and step (0) must be whole numbers of slots; cap has no default"),
    ],
)
def test_a_pool_that_cannot_grow_is_told(failed: Scene, slots: int, said: dict[str, object], reason: str) -> None:
    failed.airflow.pools["default_pool"] = Pool(slots=slots)
    assert plan(failed, "resize_pool", **said) == Impossible(reason)


def test_a_pool_that_a_person_resized_meanwhile_is_left_as_it_is(failed: Scene) -> None:
    decided(failed, "resize_pool", cap=200)
    failed.airflow.pools["default_pool"].slots = 50
    assert step(failed).state is ActionState.SUPERSEDED
    assert (failed.airflow.pools["default_pool"].slots, failed.airflow.clears) == (50, [])


def hungry(scene: Scene, memory: str = "4g") -> Scene:
    """The orders declare their memory."""
    scene.airflow.dags[ORDERS.dag_id].tasks[ORDERS.task_id].params = {"oncall_memory": memory}
    return scene


def test_the_next_try_gets_more_memory_than_the_task_declares(failed: Scene) -> None:
    decided(hungry(failed), "retry_with_more_memory", cap="16g")
    assert step(failed).state is ActionState.DONE
    assert failed.airflow.instances[ORDERS].state_store == {"oncall_memory": "6144m"}
    assert failed.airflow.clears == [(ORDERS,)]


def test_a_second_step_begins_where_the_first_one_ended(failed: Scene) -> None:
    failed.airflow.instances[ORDERS].state_store["oncall_memory"] = "6144m"
    assert decided(hungry(failed), "retry_with_more_memory", cap="16g", factor=2).parameters == {"from": "6144m", "memory": "12288m"}


def test_memory_ends_at_its_cap(failed: Scene) -> None:
    failed.airflow.instances[ORDERS].state_store["oncall_memory"] = "12Gi"
    incident = notice(hungry(failed))
    assert planned_for(failed, incident, "retry_with_more_memory", {"cap": "16g"}) == Plan(1, {"from": "12Gi", "memory": "16384m"})
    failed.airflow.instances[ORDERS].state_store["oncall_memory"] = "16g"
    nothing_left = Impossible("it has 16g already, the cap is 16g")
    assert planned_for(failed, incident, "retry_with_more_memory", {"cap": "16g"}) == nothing_left


def test_what_was_enough_for_the_task_before_is_tried_at_once(failed: Scene) -> None:
    incident = notice(hungry(failed, "2g"))
    stored(failed, incident, ActionKind.RETRY_WITH_MORE_MEMORY, Plan(1, {"from": "8g", "memory": "12288m"}))
    step(failed)
    failed.airflow.schedule()
    failed.airflow.succeed(ORDERS)
    step(failed)
    assert failed.outcomes() == [OutcomeKind.SUCCESS]
    failed.airflow.instances[ORDERS].state_store.clear()  # as it is in the next run
    assert planned_for(failed, incident, "retry_with_more_memory", {"cap": "64g"}) == Plan(1, {"from": "2g", "memory": "12288m"})
    assert planned_for(failed, incident, "retry_with_more_memory", {"cap": "10g"}) == Plan(1, {"from": "2g", "memory": "10240m"})


@pytest.mark.parametrize(
    ("declared", "said", "reason"),
    [
        ("", {"cap": "16g"}, "it is not known how much memory the task has"),
        ("4g", {}, r"cap \(None\) has no default"),
        ("4g", {"cap": "16g", "factor": 1}, r"factor \(1\) must be above 1"),
        ("4 elephants", {"cap": "16g"}, "'4 elephants' is no size of memory"),
        ("4g", {"cap": "lots"}, "'lots' is no size of memory"),
    ],
)
def test_memory_that_cannot_be_planned_says_why(failed: Scene, declared: str, said: dict[str, object], reason: str) -> None:
    if declared:
        hungry(failed, declared)
    planned = plan(failed, "retry_with_more_memory", **said)
    assert isinstance(planned, Impossible)
    assert re.search(reason, planned.reason)


def test_a_paused_dag_is_a_persons_and_no_repair(failed: Scene) -> None:
    decided(failed, "pause_dag")
    assert step(failed).state is ActionState.DONE
    assert failed.airflow.dags[ORDERS.dag_id].is_paused
    step(failed)
    assert (failed.state, failed.outcomes()) == (State.ESCALATED, [])


def test_an_action_that_does_not_exist_any_more_is_escalated_and_names_the_way_out(failed: Scene) -> None:
    stored(failed, notice(failed), "reboot_universe", Plan(1))
    assert step(failed).state is ActionState.REFUSED
    assert failed.state == State.ESCALATED
    assert "'reboot_universe' is not known; there are clear_downstream, clear_run" in failed.incident.detail


@pytest.mark.parametrize(
    "kind", [str(kind) for kind in ActionKind if kind not in (ActionKind.ESCALATE, ActionKind.CLEAR_RUN, ActionKind.PAUSE_DAG)]
)
def test_what_repairs_a_task_instance_repairs_no_dag_file(failed: Scene, kind: str) -> None:
    incident = replace(notice(failed), kind=Kind.DAG_IMPORT)
    assert planned_for(failed, incident, kind, {}) == Impossible("it needs a failed task instance; this is about a dag_import")


@pytest.mark.parametrize("kind", [str(kind) for kind in ActionKind if kind is not ActionKind.ESCALATE])
def test_every_kind_of_ours_is_there(kind: str) -> None:
    assert action_type(kind).kind == kind
