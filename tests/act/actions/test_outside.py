"""Actions on what stands beside Airflow: Spark applications and pods, each hit exactly or not at all."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from tests.act.actions.bench import decided, notice, plan, planned_for, step
from tests.act.actions.plant import Plant
from tests.cast import MIDNIGHT
from tests.tick.scene import ORDERS, Scene

from airflow_oncall.act.actions import kill_spark_application, restart_pod
from airflow_oncall.act.actions.base import Impossible, Plan
from airflow_oncall.act.execute import MOST_LOOKS
from airflow_oncall.incident import ActionState, Correlation, Kind, LogEvent, State

APPS = {"standalone": "app-20261121020000-0007", "yarn": "application_1795225000000_0042"}
each_manager = pytest.mark.parametrize("app_id", APPS.values(), ids=APPS)
SERVICE = {"conn_id": "cluster", "namespace": "shop", "selector": "app=broker"}


@each_manager
def test_an_application_is_killed_and_the_task_runs_again_when_it_has_ended(failed: Scene, plant: Plant, app_id: str) -> None:
    plant.application(app_id)
    decided(failed, "kill_spark_application", {"application_id": app_id}, conn_id="spark")
    assert step(failed).state is ActionState.PLANNED
    assert (plant.changes, failed.airflow.clears) == ([f"kill {app_id}"], [])
    assert step(failed).state is ActionState.DONE
    assert (plant.changes, failed.airflow.clears) == ([f"kill {app_id}"], [(ORDERS,)])


def test_an_older_master_that_knows_no_tokens_is_told_without_one(failed: Scene, plant: Plant) -> None:
    plant.token = ""
    plant.application(APPS["standalone"])
    decided(failed, "kill_spark_application", {"application_id": APPS["standalone"]}, conn_id="spark")
    step(failed)
    assert plant.changes == [f"kill {APPS['standalone']}"]


@each_manager
def test_another_attempt_of_the_application_is_not_killed(failed: Scene, plant: Plant, app_id: str) -> None:
    plant.application(app_id)
    decided(failed, "kill_spark_application", {"application_id": app_id}, conn_id="spark")
    plant.application(app_id, attempt=2, began=failed.airflow.now() + timedelta(seconds=2))
    assert step(failed).state is ActionState.DONE
    assert plant.changes == []


@each_manager
def test_an_application_that_has_ended_needs_no_kill(failed: Scene, plant: Plant, app_id: str) -> None:
    plant.application(app_id)["state"] = "KILLED"
    planned = plan(failed, "kill_spark_application", {"application_id": app_id}, conn_id="spark")
    assert planned == Impossible(f"application {app_id} does not run any more; a clear is enough")


@each_manager
def test_an_application_that_is_older_than_the_try_is_not_its_own(failed: Scene, plant: Plant, app_id: str) -> None:
    plant.application(app_id, began=MIDNIGHT - timedelta(days=900))
    planned = plan(failed, "kill_spark_application", {"application_id": app_id}, conn_id="spark")
    assert planned == Impossible(f"application {app_id} is older than the try that failed; it is not its own")


def test_an_application_that_only_a_log_line_names_is_for_a_person_to_decide(failed: Scene, plant: Plant) -> None:
    app_id = APPS["yarn"]
    plant.application(app_id)
    incident = notice(failed, {"application_id": app_id})
    planned = planned_for(failed, incident, "kill_spark_application", {"conn_id": "spark"})
    assert isinstance(planned, Plan)
    assert planned.ask == "Only the task's log names the application"
    said = {"ref": ORDERS, "correlation": Correlation.EXPLICIT, "identifiers": {"application_id": app_id}}
    failed.log(LogEvent("warehouse", "1", failed.airflow.now(), "Lost executor 3", "f", **said))  # type: ignore[arg-type]
    failed.store.logs.hand_over(failed.incident_of(Kind.LOG), incident)
    planned = planned_for(failed, incident, "kill_spark_application", {"conn_id": "spark"})
    assert isinstance(planned, Plan)
    assert planned.ask == ""


def test_an_application_that_does_not_end_is_a_persons(failed: Scene, plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kill_spark_application, "MOST_LOOKS", 2)
    plant.stubborn = True
    plant.application(APPS["yarn"])
    decided(failed, "kill_spark_application", {"application_id": APPS["yarn"]}, conn_id="spark")
    states = [step(failed).state for _ in range(3)]
    assert states == [ActionState.PLANNED, ActionState.PLANNED, ActionState.REFUSED]
    assert (failed.state, failed.airflow.clears) == (State.ESCALATED, [])


def test_a_manager_that_is_down_is_asked_again_and_in_the_end_left_to_a_person(failed: Scene, plant: Plant) -> None:
    plant.application(APPS["yarn"])
    decided(failed, "kill_spark_application", {"application_id": APPS["yarn"]}, conn_id="spark")
    plant.status = 503
    states = [step(failed).state for _ in range(MOST_LOOKS + 1)]
    assert set(states[:-1]) == {ActionState.PLANNED}
    assert states[-1] is ActionState.REFUSED
    assert "HTTP 503" in failed.incident.detail


@each_manager
def test_an_address_where_something_else_answers_is_told(failed: Scene, plant: Plant, app_id: str) -> None:
    plant.page = "<html>Sign in</html>"
    planned = plan(failed, "kill_spark_application", {"application_id": app_id}, conn_id="spark")
    assert isinstance(planned, Impossible)
    assert "answered no JSON object: '<html>Sign in</html>'" in planned.reason


def test_a_manager_that_says_no_is_left_to_a_person_at_once(failed: Scene, plant: Plant) -> None:
    plant.application(APPS["standalone"])
    decided(failed, "kill_spark_application", {"application_id": APPS["standalone"]}, conn_id="spark")
    plant.status = 403
    assert step(failed).state is ActionState.REFUSED


@pytest.mark.parametrize("kind", ["kill_spark_application", "restart_pod", "terminate_blocker"])
def test_a_connection_that_is_not_defined_is_told(failed: Scene, kind: str) -> None:
    planned = plan(failed, kind, {"application_id": APPS["yarn"]}, **{**SERVICE, "conn_id": "nowhere"})
    assert isinstance(planned, Impossible)
    assert "connection 'nowhere'" in planned.reason


def test_a_pod_is_deleted_and_the_task_runs_again_when_its_replacement_is_ready(failed: Scene, plant: Plant) -> None:
    plant.pod("broker-0", "uid-1")
    decided(failed, "restart_pod", **SERVICE)
    assert step(failed).state is ActionState.PLANNED
    plant.pod("broker-0", "uid-2", ready=False)
    assert step(failed).state is ActionState.PLANNED
    assert failed.airflow.clears == []
    plant.pod("broker-0", "uid-2")
    assert step(failed).state is ActionState.DONE
    assert (plant.changes, failed.airflow.clears) == (["delete uid-1"], [(ORDERS,)])


def test_another_pod_of_the_same_name_is_not_deleted(failed: Scene, plant: Plant) -> None:
    plant.pod("broker-0", "uid-1")
    action = decided(failed, "restart_pod", **SERVICE)
    del plant.pods["uid-1"]
    plant.pod("broker-0", "uid-2")
    restart_pod.delete_pod(action.parameters)  # it was listed a moment ago
    assert plant.changes == []
    assert step(failed).state is ActionState.DONE


@pytest.mark.parametrize(
    ("pods", "reason"),
    [
        ((), "'app=broker' in namespace 'shop' finds 0 pods; it has to be one"),
        (("broker-0", "broker-1"), "'app=broker' in namespace 'shop' finds 2 pods; it has to be one"),
    ],
)
def test_a_selector_has_to_find_one_pod(failed: Scene, plant: Plant, pods: tuple[str, ...], reason: str) -> None:
    for name in pods:
        plant.pod(name, f"uid-{name}")
    assert plan(failed, "restart_pod", **SERVICE) == Impossible(reason)


def test_a_pod_that_nothing_would_start_again_is_left_running(failed: Scene, plant: Plant) -> None:
    plant.pod("broker-0", "uid-1", owner="")
    assert plan(failed, "restart_pod", **SERVICE) == Impossible("nothing would start pod 'broker-0' again: no controller owns it")


def test_a_replacement_that_never_gets_ready_is_a_persons(failed: Scene, plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(restart_pod, "MOST_LOOKS", 2)
    plant.pod("broker-0", "uid-1")
    decided(failed, "restart_pod", **SERVICE)
    assert [step(failed).state for _ in range(3)][-1] is ActionState.REFUSED
    assert "no replacement of pod 'broker-0' became ready" in failed.incident.detail


@pytest.mark.parametrize(
    ("kind", "needs"), [("kill_spark_application", "conn_id"), ("restart_pod", "namespace"), ("terminate_blocker", "conn_id")]
)
def test_what_has_no_default_is_asked_for(failed: Scene, kind: str, needs: str) -> None:
    planned = plan(failed, kind)
    assert isinstance(planned, Impossible)
    assert needs in planned.reason


def test_what_is_done_outside_is_not_done_for_a_task_that_a_person_cleared_meanwhile(failed: Scene, plant: Plant) -> None:
    plant.pod("broker-0", "uid-1")
    decided(failed, "restart_pod", **SERVICE)
    failed.airflow.clear_by_hand(ORDERS)
    assert step(failed).state is ActionState.SUPERSEDED
    assert plant.changes == []


def test_what_is_done_outside_is_not_done_when_the_dag_is_paused_meanwhile(failed: Scene, plant: Plant) -> None:
    plant.pod("broker-0", "uid-1")
    decided(failed, "restart_pod", **SERVICE)
    failed.airflow.dags[ORDERS.dag_id].is_paused = True
    assert step(failed).state is ActionState.REFUSED
    assert plant.changes == []


def test_the_plan_is_told_to_the_person_who_is_asked(failed: Scene, plant: Plant) -> None:
    plant.pod("broker-0", "uid-1")
    planned = plan(failed, "restart_pod", **SERVICE)
    assert isinstance(planned, Plan)
    told = restart_pod.RestartPod().describe(planned.parameters)
    assert told.startswith("pod broker-0 in namespace shop is deleted; when its replacement is ready, the task instance runs again")
    assert replace(planned, parameters={}) == Plan(1)
