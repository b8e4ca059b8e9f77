"""Many failures of one cause are one trouble: one probe, then growing waves; one question, one message."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from tests.tick.scene import BUG, judgement_of, proven
from tests.tick.storm_scene import DATABASE_DOWN, NETWORK, STORMY, StormScene, member

from airflow_oncall.act.policy import Match, Override
from airflow_oncall.incident import ActionState, State, StormState, TaskRef, Verdict
from airflow_oncall.store.ledger import LostClaim
from airflow_oncall.storms import StormWatch

ROLE_MISSING = replace(DATABASE_DOWN, transient=False, transient_probability=0.02)

# the probe


def test_exactly_one_member_is_cleared_before_its_success_was_seen(struck: StormScene) -> None:
    struck.ticks(4)
    assert len(struck.cleared) == 1
    assert struck.states == {"held": 11, "verifying": 1}
    assert (struck.storm.state, struck.storm.members, struck.storm.held) == (StormState.PROBING, 12, 11)


def test_every_member_has_a_diagnosis_and_a_decision_that_names_the_storm(struck: StormScene) -> None:
    for incident in struck.store.reading.incidents([State.HELD]):
        (decision,) = struck.store.reading.decisions(incident.id)
        diagnosis = struck.store.reading.diagnosis(incident.id)
        assert diagnosis
        assert (decision.verdict, decision.action, decision.answers_try) == (Verdict.WAIT, None, 1)
        assert "member of storm 1" in decision.reasons[0]
        assert (diagnosis.category, diagnosis.decided_by, diagnosis.evidence) == ("network_connectivity", "storm", NETWORK.evidence)
        assert (incident.category, incident.storm_id) == ("network_connectivity", 1)
        assert "decided wait" in [row["what"] for row in struck.store.reading.history(incident.id)]


def test_one_text_is_read_for_all_of_them(struck: StormScene) -> None:
    assert len(struck.brain.texts) == 1


def test_members_follow_in_growing_waves(struck: StormScene) -> None:
    sizes = [len(struck.cleared)]
    for _ in range(4):
        struck.run_what_waits()
        sizes.append(len(struck.cleared) - sum(sizes))
    assert sizes == [1, 2, 4, 5, 0]
    struck.weather()
    assert struck.states == {"resolved": 12}
    assert len(set(struck.cleared)) == 12
    assert (struck.storm.state, struck.storm.detail) == (StormState.CLOSED, "over: 12 of 12 members have ended, 0 are left to people")


def test_a_wave_takes_no_more_than_the_hour_s_budget_leaves(struck: StormScene) -> None:
    budgets = STORMY.budgets.model_copy(update={"attempts_per_hour": 4})
    struck.policy = STORMY.model_copy(update={"budgets": budgets})
    struck.weather(6)
    assert len(struck.cleared) == 4
    assert struck.states == {"resolved": 4, "held": 8}


def budgeted(scene: StormScene, **budgets: int) -> None:
    """From now on the policy has these budgets, too."""
    scene.policy = scene.policy.model_copy(update={"budgets": scene.policy.budgets.model_copy(update=budgets)})


def test_a_question_that_nobody_approved_takes_nothing_from_a_wave(storm: StormScene) -> None:
    budgeted(storm, attempts_per_hour=3)
    storm.strike(1, "payroll", "connection refused", tags=("oncall:ask",))
    storm.strike(6)
    storm.tick()
    assert storm.states == {"asked": 1, "held": 5, "verifying": 1}
    storm.run_what_waits()
    assert len(storm.cleared) == 3


def test_a_budget_of_their_own_lets_members_follow_faster_than_others_are_repaired(struck: StormScene) -> None:
    budgeted(struck, attempts_per_hour=2, storm_attempts_per_hour=7)
    struck.weather(6)
    assert len(struck.cleared) == 1 + 7
    struck.strike(2, "other", "connection refused")
    struck.tick()
    assert [ref.dag_id for ref in struck.cleared].count("other") == 1, "the probe took the other attempt of the hour, the members took none"


def test_members_of_two_storms_share_one_budget_that_two_ticks_at_once_do_not_overrun(storm: StormScene) -> None:
    storm.brain.knows["no route"] = DATABASE_DOWN
    budgeted(storm, storm_attempts_per_hour=3)
    storm.strike(6, "nightly", "connection reset")
    storm.strike(6, "hourly", "no route to db1")
    storm.tick()
    for ref in storm.airflow.schedule():
        storm.airflow.succeed(ref)
    storm.later()
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(storm.tick, [storm.store, storm.another_worker()]))
    storm.weather(3)
    assert len(storm.cleared) == 2 + 3


@pytest.mark.parametrize("narrower", ["attempts_per_dag_and_hour", "attempts_per_category_and_hour", "attempts_per_action_and_hour"])
def test_no_other_budget_is_wider_for_members(struck: StormScene, narrower: str) -> None:
    budgeted(struck, storm_attempts_per_hour=1000, **{narrower: 3})
    struck.weather(6)
    assert len(struck.cleared) == 3


def test_members_are_within_the_hour_s_budget_again_when_their_wave_fails(struck: StormScene) -> None:
    budgeted(struck, attempts_per_hour=1, storm_attempts_per_hour=1000)
    struck.run_what_waits()
    assert len(struck.cleared) == 3
    struck.run_what_waits(fails="connection reset")
    struck.ticks(2)
    assert len(struck.cleared) == 3, "the next probe waits for the hour's budget"


def test_a_probe_that_fails_lets_the_storm_wait_and_the_next_one_is_another(struck: StormScene) -> None:
    struck.airflow.schedule()
    (first,) = struck.cleared
    struck.airflow.fail(first)
    struck.report(first)
    struck.ticks(1)
    assert len(struck.cleared) == 1
    assert struck.storm.state == StormState.WAITING
    assert "the next probe comes in 60 s" in struck.storm.detail
    struck.tick()
    assert len(struck.cleared) == 1, "it waits"
    struck.ticks(1)
    assert len(set(struck.cleared)) == 2
    struck.weather()
    assert struck.states == {"resolved": 12}


def test_a_probe_that_fails_with_another_cause_leaves_the_storm_and_proves_nothing(struck: StormScene) -> None:
    struck.brain.knows["bad row"] = BUG
    (first,) = struck.cleared
    proven(struck, first)
    struck.run_what_waits(fails="bad row")
    struck.tick()
    assert struck.storm.state == StormState.WAITING
    gone = next(one for one in struck.store.reading.incidents() if one.ref == first)
    assert (gone.state, gone.storm_id) == (State.ESCALATED, None)
    struck.ticks(1)
    struck.weather()
    assert struck.states == {"resolved": 11, "escalated": 1}


def test_a_wave_of_which_half_fails_again_sends_the_storm_back_to_wait(struck: StormScene) -> None:
    struck.run_what_waits()
    assert len(struck.cleared) == 3
    struck.run_what_waits(fails="connection reset")
    struck.tick()
    assert struck.storm.state == StormState.WAITING
    assert len(struck.cleared) == 3
    assert struck.states == {"resolved": 1, "held": 11}


def test_two_ticks_at_once_make_one_storm_and_one_clear(storm: StormScene) -> None:
    storm.strike(30)
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(storm.tick, [storm.store, storm.another_worker()]))
    storm.ticks(1)
    assert len(storm.cleared) == 1
    assert [one.members for one in storm.store.storms.newest(5)] == [30]
    assert all(len(storm.store.reading.decisions(one.id)) == 1 for one in storm.store.reading.incidents([State.HELD]))


# who belongs to it


def test_fewer_failures_are_no_storm(storm: StormScene) -> None:
    storm.strike(4)
    storm.tick()
    assert len(storm.cleared) == 4
    assert storm.store.storms.newest(5) == []


def test_two_causes_at_once_are_two_storms_with_a_probe_each(storm: StormScene) -> None:
    storm.brain.knows["no route"] = DATABASE_DOWN
    storm.strike(6, "nightly", "connection reset")
    storm.strike(7, "hourly", "no route to db1")
    storm.tick()
    assert Counter(ref.dag_id for ref in storm.cleared) == {"nightly": 1, "hourly": 1}
    assert [(one.cause, one.members) for one in storm.store.storms.open()] == [
        ("database_connectivity at db1:5432", 7),
        ("network_connectivity fingerprint connection-reset", 6),
    ]
    storm.weather()
    assert storm.states == {"resolved": 13}


def test_texts_that_differ_are_one_storm_where_one_resource_is_the_cause(storm: StormScene) -> None:
    storm.brain.knows["db1"] = DATABASE_DOWN
    storm.strike(6, "nightly", "db1 refused the connection")
    storm.strike(8, "hourly", "timeout while connecting to db1")
    storm.tick()
    assert len(storm.cleared) == 1
    assert [(one.cause, one.members) for one in storm.store.storms.open()] == [("database_connectivity at db1:5432", 14)]


def test_a_probe_whose_own_text_forbids_a_repair_says_nothing_of_members_with_another_text(
    storm: StormScene, told: list[dict[str, Any]]
) -> None:
    storm.brain.knows = {"role etl is missing": ROLE_MISSING, "db1": DATABASE_DOWN}
    storm.strike(6, "nightly", "role etl is missing")
    storm.strike(8, "hourly", "timeout while connecting to db1")
    storm.ticks(3)
    assert [ref.dag_id for ref in storm.cleared] == ["hourly"]
    assert storm.storm.detail == f"probe 2 is incident {storm.storm.probe_id}", "who may see a member may not see the probe's DAG"
    assert (storm.storm.state, storm.storm.probes, storm.states) == (StormState.PROBING, 2, {"escalated": 1, "held": 12, "verifying": 1})
    storm.weather()
    assert storm.states == {"resolved": 8, "escalated": 6}
    assert {ref.dag_id for ref in storm.cleared} == {"hourly"}
    storm.ticks(1)
    assert [one["reasons"][1] for one in told] == [
        "This database_connectivity is permanent: a re-run does not mend it.",
        "over: 8 of 14 members have ended, 6 are left to people",
    ]


def test_a_text_that_forbids_a_repair_is_not_probed_again_when_the_other_one_fails(storm: StormScene) -> None:
    storm.brain.knows = {"role etl is missing": ROLE_MISSING, "db1": DATABASE_DOWN}
    storm.strike(6, "nightly", "role etl is missing")
    storm.strike(8, "hourly", "timeout while connecting to db1")
    storm.ticks(3)
    storm.run_what_waits(fails="timeout while connecting to db1")
    storm.ticks(2)
    probe = storm.incident_number(storm.storm.probe_id or 0)
    assert (storm.storm.probes, probe.ref.dag_id) == (3, "hourly")
    assert storm.states == {"escalated": 1, "held": 12, "asked": 1}, "after as many probes as may fail a person is asked"


def test_another_text_that_comes_later_is_probed_though_the_storm_is_a_person_s_by_now(storm: StormScene) -> None:
    storm.brain.knows = {"role etl is missing": ROLE_MISSING, "db1": DATABASE_DOWN}
    storm.strike(6, "nightly", "role etl is missing")
    storm.ticks(3)
    assert storm.storm.state == StormState.ESCALATED
    storm.strike(2, "hourly", "timeout while connecting to db1")
    storm.ticks(3)
    storm.weather()
    assert storm.states == {"resolved": 2, "escalated": 6}


def test_what_the_policy_says_of_a_category_goes_for_all_texts(storm: StormScene, told: list[dict[str, Any]]) -> None:
    locked_out = replace(ROLE_MISSING, category="authentication")
    storm.brain.knows = {"role etl": locked_out, "password": locked_out}
    storm.strike(6, "nightly", "role etl is missing")
    storm.strike(8, "hourly", "password is wrong")
    storm.ticks(5)
    assert (storm.storm.state, storm.storm.probes, len(told), storm.cleared) == (StormState.ESCALATED, 1, 1, [])


def test_a_storm_of_one_text_that_forbids_a_repair_is_a_person_s_at_its_first_probe(storm: StormScene, told: list[dict[str, Any]]) -> None:
    storm.brain.says = ROLE_MISSING
    storm.strike(9, "nightly", "role etl is missing")
    storm.ticks(5)
    assert (storm.storm.state, storm.storm.probes, storm.cleared) == (StormState.ESCALATED, 1, [])
    assert len(told) == 1


def test_failures_that_all_read_differently_are_understood_before_one_of_them_is_repaired(storm: StormScene) -> None:
    storm.brain.says = DATABASE_DOWN
    for number in range(9):
        storm.strike(1, f"dag-{number}", f"text {number}")
    storm.tick()
    assert len(storm.cleared) == 1
    assert (storm.storm.cause, storm.storm.members) == ("database_connectivity at db1:5432", 9)
    storm.weather()
    assert storm.states == {"resolved": 9}


def test_failures_that_nobody_reported_are_gathered_by_what_their_logs_tell(storm: StormScene) -> None:
    storm.brain.says = DATABASE_DOWN
    for number in range(7):
        storm.airflow.fail(TaskRef("nightly", f"run-{number}", "load"))
    storm.tick()
    assert len(storm.cleared) == 1
    assert storm.storm.members == 7


def test_a_failure_that_comes_later_joins_the_storm_of_its_cause(struck: StormScene) -> None:
    struck.strike(1, "weekly")
    struck.tick()
    assert len(struck.cleared) == 1
    assert (struck.storm.members, struck.storm.held) == (13, 12)


def test_slow_trouble_becomes_a_storm_when_enough_have_failed(storm: StormScene) -> None:
    storm.brain.says = BUG
    for number in range(7):
        storm.strike(1, f"dag-{number}")
        storm.tick()
    assert storm.states == {"escalated": 5, "held": 2}
    assert storm.storm.members == 3


def test_what_a_person_marked_failed_is_no_member(storm: StormScene) -> None:
    refs = [TaskRef("nightly", f"run-{number}", "load") for number in range(8)]
    for ref in refs:
        storm.airflow.fail(ref)
        storm.report(ref, by_hand=True)
    storm.tick()
    assert storm.store.storms.newest(1) == []
    assert (storm.states, storm.cleared) == ({"closed": 8}, [])


def test_a_second_storm_of_the_same_cause_has_its_own_probe(struck: StormScene) -> None:
    struck.weather()
    struck.strike(6)
    struck.tick()
    assert [one.state for one in struck.store.storms.newest(5)] == [StormState.PROBING, StormState.CLOSED]
    assert len(struck.cleared) == 13
    struck.weather()
    assert struck.states == {"resolved": 18}


def test_members_may_come_from_many_dags_and_a_paused_one_is_not_probed(storm: StormScene, told: list[dict[str, Any]]) -> None:
    storm.strike(3, "asleep", is_paused=True)
    storm.strike(3, "nightly")
    storm.strike(3, "hourly")
    storm.tick()
    assert [ref.dag_id for ref in storm.cleared] == ["nightly"]
    storm.weather()
    assert storm.states == {"resolved": 6, "escalated": 3}
    assert {ref.dag_id for ref in storm.cleared} == {"nightly", "hourly"}
    (message,) = told
    assert "3 are left to people" in message["body"], "one message for all of them"


# what happens to members meanwhile


def test_a_held_member_that_a_person_ran_is_theirs(struck: StormScene) -> None:
    ref = member(struck)
    struck.airflow.clear_by_hand(ref)
    struck.ticks(1)
    assert struck.states == {"held": 10, "verifying": 1, "watching": 1}
    struck.weather()
    assert struck.states == {"resolved": 12}
    assert ref not in struck.cleared


def test_a_held_member_that_was_marked_success_is_resolved_without_us(struck: StormScene) -> None:
    ref = member(struck)
    struck.airflow.mark(ref, "success")
    struck.ticks(1)
    done = next(one for one in struck.store.reading.incidents() if one.ref == ref)
    assert done.state == State.RESOLVED
    assert [row["name"] for row in struck.store.reading.labels(done.id)] == ["outcome_without_us"]


def test_members_whose_dag_was_deleted_are_closed(storm: StormScene) -> None:
    storm.strike(6, "nightly")
    storm.strike(6, "doomed")
    storm.tick()
    storm.airflow.delete_dag("doomed")
    storm.weather()
    assert storm.states == {"resolved": 6, "closed": 6}
    assert {ref.dag_id for ref in storm.cleared} == {"nightly"}


def test_a_member_that_was_moved_right_before_its_wave_is_not_touched(struck: StormScene) -> None:
    ref = next(one.ref for one in reversed(struck.store.reading.incidents([State.HELD])))
    struck.airflow.schedule()
    struck.airflow.succeed(struck.cleared[0])
    struck.airflow.mark(ref, "success")
    with struck.store.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE oncall_incidents SET due_at = opened_at WHERE state = 'verifying'")
    struck.tick()
    assert ref not in struck.cleared
    assert len(struck.cleared) == 2


@pytest.mark.parametrize(
    ("says", "stands"), [("connection reset", {"held": 11, "verifying": 1}), ("bad row", {"held": 10, "escalated": 1, "verifying": 1})]
)
def test_a_held_member_that_fails_anew_is_understood_anew(struck: StormScene, says: str, stands: dict[str, int]) -> None:
    struck.brain.knows["bad row"] = BUG
    ref = member(struck)
    struck.airflow.clear_by_hand(ref)
    struck.airflow.instances[ref].state = "running"
    struck.airflow.instances[ref].try_number = 2
    struck.airflow.fail(ref)
    struck.report(ref, says)
    struck.ticks(1)
    assert struck.states == stands
    assert len(struck.cleared) == 1


def test_a_probe_that_a_person_runs_first_proves_as_much(struck: StormScene) -> None:
    struck.run_what_waits(fails="connection reset")
    struck.tick()
    probe = struck.incident_number(struck.storm.probe_id or 0)
    struck.store.storms.probe_again(struck.storm, "ann", "")
    struck.airflow.dags["nightly"].params["oncall"] = "ask"
    struck.tick()
    asked = struck.incident_number(struck.storm.probe_id or 0)
    assert (asked.state, probe.id != asked.id) == (State.ASKED, True)
    struck.airflow.clear_by_hand(asked.ref)
    struck.run_what_waits()
    struck.ticks(1)
    assert (struck.storm.state, struck.storm.probe_id) == (StormState.RELEASING, asked.id)


def test_a_probe_that_is_deleted_is_replaced(storm: StormScene) -> None:
    storm.strike(6, "doomed")
    storm.strike(6, "nightly")
    storm.tick()
    storm.airflow.delete_dag("doomed")
    storm.ticks(1)
    storm.ticks(1)
    assert [ref.dag_id for ref in storm.cleared] == ["doomed", "nightly"]


# shadow


def test_in_shadow_mode_a_storm_is_seen_and_nothing_is_done(storm: StormScene, told: list[dict[str, Any]]) -> None:
    storm.mode = "shadow"
    storm.strike(8)
    storm.ticks(4)
    assert (storm.airflow.mutations, told) == ([], [])
    assert storm.states == {"held": 7, "observed": 1}
    assert storm.storm.detail.startswith("Shadow mode")
    assert storm.storm.probes == 1


def test_a_storm_that_was_only_observed_is_repaired_when_the_mode_changes(storm: StormScene) -> None:
    storm.mode = "shadow"
    storm.strike(8)
    storm.ticks(2)
    storm.mode = "auto"
    storm.ticks(2)
    assert len(storm.cleared) == 1


def test_a_member_that_is_held_has_the_mode_of_its_own_task(storm: StormScene) -> None:
    overrides = (Override(match=Match(tag="sandbox"), mode="shadow"),)
    storm.policy = STORMY.model_copy(update={"mode": "ask", "overrides": overrides})
    storm.strike(6)
    storm.ticks(2)
    late = storm.strike(1, "playground", tags=("sandbox",))
    storm.ticks(1)
    held = storm.store.reading.incidents([State.HELD])
    modes = {one.ref.dag_id: {decision.mode for decision in storm.store.reading.decisions(one.id)} for one in held}
    assert modes == {"nightly": {"ask"}, late[0].dag_id: {"shadow"}}


def test_a_shadow_storm_ends_with_its_last_member(storm: StormScene) -> None:
    storm.mode = "shadow"
    for ref in storm.strike(8):
        storm.airflow.mark(ref, "success")
    storm.ticks(5)
    assert (storm.states, storm.storm.state) == ({"resolved": 8}, StormState.CLOSED)


def test_nothing_else_is_done_to_airflow_than_clears(struck: StormScene) -> None:
    struck.weather()
    assert {one.what for one in struck.airflow.mutations} == {"clear"}
    actions = [action for one in struck.store.reading.incidents() for action in struck.store.reading.actions(one.id)]
    assert {action.state for action in actions} == {ActionState.DONE}
    assert len(actions) == 12


def test_a_member_that_another_worker_took_meanwhile_is_left_to_it(storm: StormScene) -> None:
    storm.strike(6)
    storm.tick()
    storm.strike(1)
    one = storm.store.queue.claim(storm.store.reading.incidents([State.OPEN])[0].id, timedelta(minutes=3))
    assert one
    diagnosed = storm.store.ledger.diagnosed(one, DATABASE_DOWN, storm.storm.cause)
    storm.later()
    assert storm.another_worker().queue.claim(one.id, timedelta(minutes=3))
    with pytest.raises(LostClaim, match=f"incident {one.id} "):
        StormWatch(storm.store, storm.api, judgement_of(storm.store, storm.brain, "auto", storm.policy)).hold(diagnosed)
