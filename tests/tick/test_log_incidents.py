"""What a log tells: evidence of the task instance it belongs to, or an incident of its own."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import text
from tests.cast import MIDNIGHT
from tests.tick.scene import BUG, ORDERS, Scene

from airflow_oncall.incident import REPORTED, ActionKind, Correlation, Diagnosis, Kind, Label, LogEvent, State, Verdict

KILLED = "server process (PID 41) was terminated by signal 9: Killed"
OUT_OF_MEMORY = Diagnosis("memory_exhaustion", 0.95, None, 0.4)
CONNECTION_LOST = Diagnosis("database_connectivity", 0.9, True, 0.1, evidence=("server closed the connection",))
NOTHING = Diagnosis("none", 0.95, None, 0.0)

backend_was_killed = LogEvent("warehouse", "line 1", MIDNIGHT, KILLED, "killed", "postgres-error", "LOG")
of_the_orders = replace(backend_was_killed, position="line 2", ref=ORDERS, try_number=1, correlation=Correlation.EXPLICIT, probability=1.0)


@pytest.fixture
def stage(scene: Scene) -> Scene:
    """The engine's log is known to speak of memory."""
    scene.brain.engines[KILLED] = OUT_OF_MEMORY
    return scene


def test_what_belongs_to_nobody_stands_alone_and_people_are_told(stage: Scene) -> None:
    stage.log(backend_was_killed)
    stage.ticks()
    assert (stage.incident.kind, stage.incident.state, stage.incident.category) == (Kind.LOG, State.ESCALATED, "memory_exhaustion")
    assert [action.kind for action in stage.store.reading.actions(stage.incident.id)] == [ActionKind.ESCALATE]
    assert stage.airflow.mutations == []


def test_trouble_of_a_category_that_nobody_asked_for_is_kept_and_nobody_is_told(stage: Scene) -> None:
    stage.brain.engines[KILLED] = BUG
    stage.log(backend_was_killed)
    stage.ticks()
    decision = stage.store.reading.decision(stage.incident.id)
    assert decision
    assert (stage.state, decision.verdict, decision.action) == (State.OBSERVED, Verdict.OBSERVE, None)


def test_a_record_that_shows_no_failure_is_closed(stage: Scene) -> None:
    stage.brain.engines[KILLED] = NOTHING
    stage.log(backend_was_killed)
    stage.tick()
    assert stage.state == State.CLOSED


def test_what_another_system_reported_is_kept_though_its_text_shows_no_failure(stage: Scene) -> None:
    stage.brain.engines[KILLED] = NOTHING
    stage.log(replace(backend_was_killed, source=f"{REPORTED}grafana"))
    stage.ticks()
    assert (stage.incident.category, stage.state) == ("unknown", State.OBSERVED)


def test_it_closes_when_nothing_of_the_kind_was_logged_for_a_day(stage: Scene) -> None:
    stage.log(backend_was_killed)
    stage.ticks()
    with stage.store.engine.begin() as connection:
        connection.execute(text("UPDATE oncall_incidents SET updated_at = '2000-01-01 00:00:00'"))
    stage.ticks(1)
    assert stage.state == State.CLOSED


def test_it_stays_open_while_it_is_logged_again(stage: Scene) -> None:
    stage.log(backend_was_killed)
    stage.ticks()
    stage.log(replace(backend_was_killed, position="line 9"))
    stage.ticks()
    assert stage.state == State.ESCALATED
    assert len(stage.store.logs.events(stage.incident.id)) == 2


def test_the_engines_word_becomes_evidence_of_the_task_that_failed(stage: Scene) -> None:
    stage.airflow.fail(ORDERS)
    stage.brain.says = CONNECTION_LOST
    stage.log(of_the_orders)
    stage.ticks()
    task, log = stage.incident_of(Kind.TASK), stage.incident_of(Kind.LOG)
    assert (log.state, log.detail) == (State.CLOSED, f"evidence of incident {task.id} ({ORDERS})")
    assert [event.text for event in stage.store.logs.events(task.id)] == [KILLED]


def test_a_connection_that_was_lost_is_explained_by_what_the_server_logged(stage: Scene) -> None:
    stage.airflow.fail(ORDERS)
    stage.brain.says = CONNECTION_LOST
    stage.ticks()
    assert stage.incident.state == State.ESCALATED
    stage.log(of_the_orders)
    stage.ticks()
    diagnosis = stage.store.reading.diagnosis(stage.incident_of(Kind.TASK).id)
    assert diagnosis
    assert diagnosis.category == "memory_exhaustion"
    assert KILLED in diagnosis.evidence[0]
    assert "server closed the connection" in diagnosis.evidence


def test_a_cause_that_the_client_saw_itself_is_not_overruled(stage: Scene) -> None:
    stage.airflow.fail(ORDERS)
    stage.brain.says = BUG
    stage.log(of_the_orders)
    stage.ticks()
    diagnosis = stage.store.reading.diagnosis(stage.incident_of(Kind.TASK).id)
    assert diagnosis
    assert diagnosis.category == "code_error"


def test_what_a_person_rejected_is_not_decided_again(asked: Scene) -> None:
    asked.brain.engines[KILLED] = OUT_OF_MEMORY
    question = asked.incident
    action = asked.store.ledger.open_action(question.id)
    claimed = asked.store.queue.claim(question.id, timedelta(minutes=1))
    assert action
    assert claimed
    asked.store.ledger.answered(claimed, action, Label(question.id, "rejection", "clear", "ann", MIDNIGHT), State.ESCALATED, 0)
    asked.store.queue.release(question.id)
    asked.log(of_the_orders)
    asked.ticks()
    assert len(asked.store.reading.decisions(question.id)) == 1
    assert asked.incident_of(Kind.TASK).state == State.ESCALATED
    assert asked.store.logs.events(question.id)


def test_while_the_task_still_runs_its_log_waits(stage: Scene) -> None:
    stage.airflow.add(ORDERS)
    stage.log(of_the_orders)
    stage.tick()
    assert stage.state == State.OPEN
    stage.airflow.fail(ORDERS)
    stage.ticks()
    assert stage.incident_of(Kind.LOG).state == State.CLOSED
    assert stage.store.logs.events(stage.incident_of(Kind.TASK).id)


def test_a_task_that_succeeded_all_the_same_had_no_incident(stage: Scene) -> None:
    stage.airflow.add(ORDERS)
    stage.airflow.succeed(ORDERS)
    stage.log(of_the_orders)
    stage.ticks()
    assert (stage.state, stage.incident.detail) == (State.CLOSED, f"{ORDERS} is success all the same")


def test_a_crash_between_handing_over_and_closing_is_repeated_without_harm(stage: Scene) -> None:
    stage.airflow.fail(ORDERS)
    stage.tick()
    stage.log(of_the_orders)
    stage.store.logs.hand_over(stage.incident_of(Kind.LOG), stage.incident_of(Kind.TASK))
    stage.ticks()
    assert stage.incident_of(Kind.LOG).state == State.CLOSED
    assert len(stage.store.logs.events(stage.incident_of(Kind.TASK).id)) == 1


def test_what_is_logged_while_the_evidence_is_handed_over_goes_along(stage: Scene) -> None:
    stage.airflow.fail(ORDERS)
    stage.tick()
    stage.log(of_the_orders)
    log, task = stage.incident_of(Kind.LOG), stage.incident_of(Kind.TASK)
    claimed = stage.store.queue.claim(log.id, timedelta(minutes=1))
    assert claimed
    stage.store.logs.hand_over(log, task)
    stage.log(replace(of_the_orders, position="line 3"))
    stage.store.ledger.merged(claimed, task, "evidence")
    assert len(stage.store.logs.events(task.id)) == 2
    stage.log(replace(of_the_orders, position="line 4"))
    stage.ticks()
    assert len(stage.store.logs.events(task.id)) == 3


@pytest.mark.parametrize("try_number", [1, 0], ids=["of the first try", "of a try that nobody names"])
def test_what_was_logged_about_an_earlier_try_does_not_explain_a_later_one(stage: Scene, try_number: int) -> None:
    stage.airflow.fail(ORDERS)
    stage.brain.says = CONNECTION_LOST
    stage.log(replace(of_the_orders, try_number=try_number))
    stage.ticks()
    stage.airflow.clear_by_hand(ORDERS)
    stage.airflow.schedule()
    stage.airflow.fail(ORDERS)
    stage.ticks()
    task = stage.incident_of(Kind.TASK)
    diagnosis = stage.store.reading.diagnosis(task.id)
    assert diagnosis
    assert (task.try_number, diagnosis.category) == (2, "database_connectivity")
    assert diagnosis.evidence == CONNECTION_LOST.evidence
    assert [event.text for event in stage.store.logs.events(task.id)] == [KILLED]


def test_what_was_logged_about_the_newest_try_explains_it(stage: Scene) -> None:
    stage.airflow.fail(ORDERS)
    stage.brain.says = CONNECTION_LOST
    stage.ticks()
    stage.airflow.clear_by_hand(ORDERS)
    stage.airflow.schedule()
    stage.airflow.fail(ORDERS)
    stage.log(replace(of_the_orders, try_number=2))
    stage.ticks()
    diagnosis = stage.store.reading.diagnosis(stage.incident_of(Kind.TASK).id)
    assert diagnosis
    assert diagnosis.category == "memory_exhaustion"
