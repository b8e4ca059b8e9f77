"""A planned clear is done at most once, to exactly the try it answers."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from tests.cast import MIDNIGHT
from tests.tick.scene import NETWORK, ORDERS, Scene

from airflow_oncall import conf, rest
from airflow_oncall.act.actions.base import compose_note
from airflow_oncall.act.actions.clear_run import was_cut_off
from airflow_oncall.act.execute import execute
from airflow_oncall.incident import Action, ActionKind, ActionState, Decision, Incident, OutcomeKind, State, Verdict
from airflow_oncall.rest import NOTE_LIMIT, TaskInstanceView
from airflow_oncall.store.ledger import LostClaim
from airflow_oncall.store.limits import Limit

LEASE = timedelta(minutes=3)
EVER = Limit("ever", most=9)


@pytest.fixture
def planned(failed: Scene) -> Scene:
    """A clear of try 1 is planned, and claimed by us."""
    failed.airflow.answer_with(503, on="clearTaskInstances")
    failed.tick()
    assert failed.state == State.ACTING
    failed.airflow.mutations.clear()
    return failed


def acted(scene: Scene) -> tuple[Incident, Action]:
    action = scene.store.ledger.open_action(scene.incident.id)
    assert action is not None
    incident = execute(scene.store, scene.api, scene.claimed(), action, "because")
    return incident, scene.store.reading.actions(incident.id)[-1]


def test_the_failed_try_is_cleared_with_the_reason_on_its_note(planned: Scene) -> None:
    incident, action = acted(planned)
    assert (incident.state, action.state) == (State.VERIFYING, ActionState.DONE)
    assert planned.airflow.clears == [(ORDERS,)]
    assert planned.airflow.instances[ORDERS].note == f"{action.mark} because"


def test_a_task_instance_that_a_person_cleared_meanwhile_is_left_alone(planned: Scene) -> None:
    planned.airflow.clear_by_hand(ORDERS)
    _, action = acted(planned)
    assert (action.state, planned.airflow.clears) == (ActionState.SUPERSEDED, [])


def test_a_task_instance_that_a_person_marked_success_is_left_alone(planned: Scene) -> None:
    planned.airflow.mark(ORDERS, "success")
    incident, action = acted(planned)
    assert (action.state, planned.airflow.clears) == (ActionState.SUPERSEDED, [])
    assert "it is success at try 1" in incident.detail


def test_a_newer_failed_try_is_not_what_was_decided_about(planned: Scene) -> None:
    planned.airflow.clear_by_hand(ORDERS)
    planned.airflow.schedule()
    planned.airflow.fail(ORDERS)
    _, action = acted(planned)
    assert (action.state, planned.airflow.clears) == (ActionState.SUPERSEDED, [])


def test_a_person_who_is_faster_by_a_moment_wins(planned: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    clear = planned.api.clear

    def overtaken(*args: object) -> object:
        planned.airflow.clear_by_hand(ORDERS)
        return clear(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(planned.api, "clear", overtaken)
    _, action = acted(planned)
    assert (action.state, planned.airflow.clears) == (ActionState.SUPERSEDED, [])


def test_a_run_that_is_gone_supersedes_the_clear(planned: Scene) -> None:
    planned.airflow.delete_dag("nightly")
    incident, action = acted(planned)
    assert (action.state, incident.state) == (ActionState.SUPERSEDED, State.VERIFYING)
    planned.ticks(1)
    assert planned.state == State.CLOSED


def test_a_conflict_supersedes_the_clear(planned: Scene) -> None:
    planned.airflow.answer_with(409, on="clearTaskInstances")
    _, action = acted(planned)
    assert action.state is ActionState.SUPERSEDED


@pytest.mark.parametrize("status", [401, 403, 422])
def test_a_refused_clear_is_escalated_with_airflows_word(planned: Scene, status: int) -> None:
    planned.airflow.answer_with(status, times=2, on="clearTaskInstances")
    incident, action = acted(planned)
    assert (action.state, incident.state) == (ActionState.REFUSED, State.ESCALATED)
    assert f"HTTP {status}" in incident.detail


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_clear_that_airflow_could_not_take_is_made_later(planned: Scene, status: int) -> None:
    planned.airflow.answer_with(status, on="clearTaskInstances")
    incident, action = acted(planned)
    assert (incident.state, action.state) == (State.ACTING, ActionState.PLANNED)
    assert f"HTTP {status}" in incident.detail
    planned.ticks(1)
    assert planned.airflow.clears == [(ORDERS,)]


def test_a_clear_that_was_made_but_not_answered_is_not_made_again(planned: Scene) -> None:
    planned.airflow.drop_after("clearTaskInstances")
    _, action = acted(planned)
    assert action.state is ActionState.PLANNED
    planned.ticks(1)
    assert planned.airflow.clears == [(ORDERS,)]
    assert planned.store.reading.actions(planned.incident.id)[-1].state is ActionState.DONE


def test_a_clear_that_was_made_but_not_answered_is_known_also_when_the_new_try_failed_already(planned: Scene) -> None:
    planned.airflow.drop_after("clearTaskInstances")
    acted(planned)
    planned.airflow.schedule()
    planned.airflow.fail(ORDERS)
    planned.later()
    planned.store.queue.claim(planned.incident.id, LEASE)
    _, action = acted(planned)
    assert action.state is ActionState.DONE


def test_an_airflow_that_hangs_is_left_after_the_timeout(planned: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rest, "TIMEOUT", 0.2)
    planned.airflow.hang(on="clearTaskInstances")
    incident, action = acted(planned)
    assert (incident.state, action.state) == (State.ACTING, ActionState.PLANNED)


def test_a_claim_that_ends_soon_is_too_short_to_act(planned: Scene) -> None:
    action = planned.store.ledger.open_action(planned.incident.id)
    assert action is not None
    claimed = planned.claimed(timedelta(seconds=5))
    with pytest.raises(LostClaim):
        execute(planned.store, planned.api, claimed, action, "because")
    assert planned.airflow.clears == []


def run_timed_out(scene: Scene) -> tuple[Incident, Action]:
    """A run that timed out, and the planned clear of it."""
    scene.airflow.add(ORDERS)
    scene.airflow.time_out_run(ORDERS)
    scene.mode = "ask"
    scene.tick()
    incident = scene.claimed()
    action = scene.store.ledger.open_action(incident.id)
    assert action is not None
    assert action.kind == ActionKind.CLEAR_RUN
    return incident, action


def test_what_a_runs_timeout_cut_off_is_cleared_and_nothing_else(scene: Scene) -> None:
    incident, action = run_timed_out(scene)
    incident = execute(scene.store, scene.api, incident, action, "because")
    assert scene.airflow.clears == [(ORDERS,)]
    assert scene.store.reading.actions(incident.id)[-1].state is ActionState.DONE


def test_a_branch_that_was_not_taken_is_not_cut_off() -> None:
    skipped = TaskInstanceView(ORDERS, "skipped", 1, 0, started_at=MIDNIGHT, ended_at=MIDNIGHT)
    assert not was_cut_off(skipped, MIDNIGHT)
    assert was_cut_off(replace(skipped, hostname="worker-7"), MIDNIGHT)
    assert was_cut_off(replace(skipped, started_at=None, ended_at=None), MIDNIGHT)


def test_a_task_that_skipped_itself_is_not_cut_off() -> None:
    skipped = TaskInstanceView(ORDERS, "skipped", 1, 0, started_at=MIDNIGHT, ended_at=MIDNIGHT, hostname="worker-7")
    assert not was_cut_off(skipped, MIDNIGHT + timedelta(minutes=5))


def test_a_repair_that_waits_is_refused_when_a_person_pauses_the_dag_meanwhile(planned: Scene) -> None:
    planned.airflow.dags[ORDERS.dag_id].is_paused = True
    incident = planned.claimed()
    action = planned.store.ledger.open_action(incident.id)
    assert action is not None
    incident = execute(planned.store, planned.api, incident, action, "because")
    assert (incident.state, planned.airflow.clears) == (State.ESCALATED, [])


def test_mode_shadow_stops_what_was_decided_before(planned: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__ONCALL__MODE", "shadow")
    incident = planned.claimed()
    action = planned.store.ledger.open_action(incident.id)
    assert action is not None
    execute(planned.store, planned.api, incident, action, "because")
    assert planned.airflow.clears == []


def policy_with(folder: Path, *lines: str) -> str:
    """The shipped policy with more lines, in a folder of the operator's."""
    shipped = (conf.shipped_include() / "policy.yaml").read_text(encoding="utf-8")
    (folder / "policy.yaml").write_text("\n".join((shipped, *lines)), encoding="utf-8")
    return str(folder)


@pytest.mark.parametrize(
    ("setting", "policy", "ends"),
    [
        ("auto", 'overrides: [{match: {dag: "night*"}, mode: shadow}]', State.ESCALATED),
        ("auto", "mode: shadow", State.ESCALATED),
        ("shadow", "mode: auto", State.VERIFYING),
        ("shadow", "overrides: [{match: {owner: airflow}, mode: auto}]", State.VERIFYING),
    ],
)
def test_the_mode_that_stops_a_repair_is_the_one_that_the_policy_gives_the_task(
    planned: Scene, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, setting: str, policy: str, ends: State
) -> None:
    monkeypatch.setenv("AIRFLOW__ONCALL__MODE", setting)
    monkeypatch.setenv("AIRFLOW__ONCALL__INCLUDE_PATH", policy_with(tmp_path, policy))
    incident, _ = acted(planned)
    assert incident.state == ends


def test_a_run_that_a_person_moved_is_left_alone(scene: Scene) -> None:
    incident, action = run_timed_out(scene)
    scene.airflow.end_run(ORDERS.dag_id, ORDERS.run_id, "success")
    incident = execute(scene.store, scene.api, incident, action, "because")
    assert scene.store.reading.actions(incident.id)[-1].state is ActionState.SUPERSEDED
    assert scene.airflow.clears == []


def test_a_run_is_cleared_once_also_when_the_answer_got_lost(scene: Scene) -> None:
    incident, action = run_timed_out(scene)
    scene.airflow.drop_after("/clearTaskInstances")
    for _ in range(2):
        incident = execute(scene.store, scene.api, incident, action, "because")
    assert scene.airflow.clears == [(ORDERS,)]
    assert scene.store.reading.actions(incident.id)[-1].state is ActionState.DONE


def test_a_run_that_times_out_again_is_told_from_one_that_was_not_re_run(scene: Scene) -> None:
    incident, action = run_timed_out(scene)
    execute(scene.store, scene.api, incident, action, "because")
    scene.airflow.schedule()
    scene.airflow.time_out_run(ORDERS)
    scene.ticks(2)
    assert [one.kind for one in scene.store.reading.outcomes(incident.id)] == [OutcomeKind.FAILED_SAME]


ACTION = Action(1, 12, 3, ActionKind.CLEAR_TASK, ORDERS, 1, ActionState.PLANNED, MIDNIGHT)


def test_a_note_that_people_wrote_is_kept_below_ours() -> None:
    assert compose_note(ACTION, "because", "call Ann first") == f"{ACTION.mark} because\n\ncall Ann first"


def test_a_second_note_of_ours_replaces_the_first_and_keeps_what_people_wrote() -> None:
    first = compose_note(ACTION, "a\n\nlong reason", "call Ann first")
    later = Action(2, 12, 4, ActionKind.ESCALATE, ORDERS, 2, ActionState.PLANNED, MIDNIGHT)
    second = compose_note(later, "another", first)
    assert second == f"{later.mark} another\n\ncall Ann first"


def test_a_long_reason_does_not_push_out_what_people_wrote() -> None:
    note = compose_note(ACTION, "x" * 5000, "call Ann first")
    assert len(note) <= NOTE_LIMIT
    assert note.startswith(f"{ACTION.mark} x")
    assert note.endswith("call Ann first")


def test_a_long_note_of_people_does_not_push_out_the_mark_and_the_reason() -> None:
    note = compose_note(ACTION, "because", "y" * 5000)
    assert len(note) <= NOTE_LIMIT
    assert note.startswith(f"{ACTION.mark} because\n\ny")


def test_what_is_refused_costs_no_budget(planned: Scene) -> None:
    planned.airflow.answer_with(403, on="clearTaskInstances")
    acted(planned)
    assert planned.store.guards.used([EVER])["ever"].amount == 0


def test_a_clear_counts_every_attempt_that_it_re_arms(scene: Scene) -> None:
    scene.airflow.fail(ORDERS, retries=1)
    scene.airflow.schedule()
    scene.airflow.fail(ORDERS)
    scene.tick()
    assert scene.airflow.clears == [(ORDERS,)]
    assert scene.airflow.instances[ORDERS].max_tries == 3
    assert scene.store.guards.used([EVER])["ever"].amount == 2


def test_the_decision_names_what_was_meant(planned: Scene) -> None:
    decision = planned.store.reading.decision(planned.incident.id)
    assert isinstance(decision, Decision)
    assert (decision.verdict, decision.answers_try, decision.probability) == (Verdict.AUTO, 1, NETWORK.transient_probability)
