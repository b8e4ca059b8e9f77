"""The kill switch: on, nothing is repaired and nobody is asked, from the next act on."""

from __future__ import annotations

import pytest
from tests.act.test_approval import reply
from tests.tick.scene import BUG, ORDERS, RATE_LIMIT, Scene

from airflow_oncall.act import killswitch
from airflow_oncall.errors import BadSetting
from airflow_oncall.incident import ActionState, State
from airflow_oncall.rest import AirflowApi
from airflow_oncall.store.sql import Store

VARIABLE = "AIRFLOW_VAR_ONCALL_PAUSED"


def test_while_it_is_on_nothing_is_repaired_and_no_decision_piles_up(failed: Scene) -> None:
    failed.store.switch.pause("ann", "the cluster moves")
    failed.ticks(4)
    assert (failed.state, failed.airflow.clears) == (State.DIAGNOSED, [])
    assert failed.store.reading.decisions(failed.incident.id) == []
    assert failed.incident.detail.startswith("Repairs are paused by ann since ")
    assert "(the cluster moves)" in failed.incident.detail


def test_when_it_is_off_again_the_repair_is_made(failed: Scene) -> None:
    failed.store.switch.pause("ann", "")
    failed.tick()
    failed.store.switch.resume("ann")
    failed.ticks(1)
    assert failed.airflow.clears == [(ORDERS,)]


def test_it_stops_a_repair_that_was_decided_before(failed: Scene) -> None:
    failed.brain.says = RATE_LIMIT
    failed.tick()
    assert failed.state == State.WAITING
    failed.store.switch.pause("ann", "")
    failed.ticks(2)
    assert failed.airflow.clears == []
    assert failed.store.reading.actions(failed.incident.id)[0].state is ActionState.PLANNED
    failed.store.switch.resume("ann")
    failed.ticks(1)
    assert failed.airflow.clears == [(ORDERS,)]


def test_it_works_before_the_next_act_of_a_tick_that_runs(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    clear = AirflowApi.clear
    others = [scene.airflow.fail(ref).ref for ref in (ORDERS, *(ORDERS.__class__("other", "r", f"t{n}") for n in range(3)))]

    def clear_and_be_stopped(api: AirflowApi, *args: object) -> object:
        scene.store.switch.pause("ann", "")
        return clear(api, *args)  # type: ignore[arg-type]

    monkeypatch.setattr(AirflowApi, "clear", clear_and_be_stopped)
    scene.tick()
    assert len(others) == 4
    assert len(scene.airflow.clears) == 1


def test_nobody_is_asked_and_an_approval_waits(asked: Scene) -> None:
    asked.store.switch.pause("ann", "")
    assert "Repairs are paused by ann" in reply(asked, "Approve")
    assert (asked.state, asked.airflow.clears) == (State.ACTING, [])
    asked.store.switch.resume("ann")
    asked.ticks(1)
    assert asked.airflow.clears == [(ORDERS,)]


def test_people_are_still_told_of_what_is_theirs(failed: Scene) -> None:
    failed.brain.says = BUG
    failed.store.switch.pause("ann", "")
    failed.tick()
    assert failed.state == State.ESCALATED


def test_a_person_who_repairs_it_meanwhile_is_seen(failed: Scene) -> None:
    failed.store.switch.pause("ann", "")
    failed.tick()
    failed.airflow.clear_by_hand(ORDERS)
    failed.airflow.schedule()
    failed.airflow.succeed(ORDERS)
    failed.ticks(3)
    assert not failed.incident.is_open


@pytest.mark.parametrize(
    ("value", "on"), [("true", True), ("1", True), ("until monday", True), ("false", False), ("0", False), ("", False)]
)
def test_the_variable_is_the_same_switch(sqlite_store: Store, monkeypatch: pytest.MonkeyPatch, value: str, on: bool) -> None:
    monkeypatch.setenv(VARIABLE, value)
    assert bool(killswitch.why_paused(sqlite_store)) is on


def test_who_reads_why_nothing_is_done_reads_how_it_goes_on(sqlite_store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "until monday")
    assert killswitch.why_paused(sqlite_store).endswith("oncall_paused (until monday); delete it, or set it to false, and they go on")
    sqlite_store.switch.pause("ann", "the cluster moves")
    assert killswitch.why_paused(sqlite_store).endswith(" UTC (the cluster moves); `airflow oncall resume` lets them go on")


def test_without_both_it_is_off(sqlite_store: Store) -> None:
    assert killswitch.why_paused(sqlite_store) == ""


def test_a_variable_that_cannot_be_read_stops_repairs(sqlite_store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def unreadable() -> str:
        raise BadSetting("Repairs are paused: the Airflow Variable oncall_paused cannot be read")

    monkeypatch.setattr(killswitch, "read_variable", unreadable)
    assert "cannot be read" in killswitch.why_paused(sqlite_store)


def test_who_stopped_it_and_who_let_it_go_on_stands_in_the_audit_log(store: Store) -> None:
    store.switch.pause("ann", "the cluster moves")
    store.switch.pause("bob", "again")
    ended = store.switch.resume("carl")
    assert ended is not None
    assert (ended.by, ended.reason) == ("bob", "again")
    assert (store.switch.get(), store.switch.resume("carl")) == (None, None)
    with store.engine.connect() as connection:
        rows = connection.exec_driver_sql("SELECT actor, what FROM oncall_audit ORDER BY id").all()
    assert [tuple(row) for row in rows] == [("ann", "paused"), ("bob", "paused"), ("carl", "resumed")]


def test_another_process_sees_it(store: Store) -> None:
    store.switch.pause("ann", "")
    assert killswitch.why_paused(Store.over(store.engine, "another"))
