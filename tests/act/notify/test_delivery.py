"""Notifiers raise, hang, are flooded and are taken away; nobody else has to wait for them, and nothing is lost in silence."""

from __future__ import annotations

import json
import sys
from typing import Any

import pytest
from sqlalchemy import delete
from tests.act.notify.stage import Phone, notice_for, pass_time, phone, policy_with
from tests.clocks import MovedClock
from tests.tick.scene import BUG, ORDERS, Scene

from airflow_oncall.act.notify import delivery, sending
from airflow_oncall.act.notify.delivery import LEASE, deliver
from airflow_oncall.cli import doctor
from airflow_oncall.errors import AirflowApiError
from airflow_oncall.incident import State, TaskRef
from airflow_oncall.store.ledger import Ledger
from airflow_oncall.store.notices import LONGEST_REST, MOST_TRIES, Notice, Notices, Occasion
from airflow_oncall.store.tables import incidents

Heard = list[tuple[str, dict[str, Any]]]


def owners(heard: Heard) -> list[str]:
    return [owner for owner, _ in heard]


@pytest.fixture
def two(bug: Scene) -> Scene:
    """Ann and Bob are to be told."""
    bug.policy = policy_with(phone("ann"), phone("bob"))
    return bug


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A notifier that hangs is left behind after a moment."""
    monkeypatch.setattr(sending, "NOTIFIER_SECONDS", 0.2)


def bugs(scene: Scene, count: int) -> None:
    """So many DAGs fail, each with a bug of its own."""
    for number in range(count):
        scene.airflow.fail(TaskRef(f"dag-{number}", "manual__1", "work"))


def mended(scene: Scene) -> None:
    """A person mends the orders and closes their incident."""
    scene.airflow.mark(ORDERS, "success")
    scene.store.ledger.closed_by_hand(scene.claimed(), "ann", "mended")


def mended_in_time(scene: Scene, clock: MovedClock) -> None:
    """It is mended before anybody is told again, and whatever is to be told of that is."""
    mended(scene)
    pass_time(scene, clock, 5)
    pass_time(scene, clock, 5)


# raising


def test_a_notifier_that_raises_is_tried_again_each_time_later_and_others_are_told_at_once(
    two: Scene, heard: Heard, clock: MovedClock
) -> None:
    Phone.raising.add("ann")
    two.tick()
    assert (owners(heard), two.state) == (["bob"], State.ESCALATED)
    assert "Phone failed with ConnectionError" in two.incident.detail
    assert "hunter22" not in two.incident.detail
    pass_time(two, clock, 1.1)
    pass_time(two, clock, 1.1)
    assert Phone.tried.count("ann") == 2, "the second wait is longer than the first"
    Phone.raising.clear()
    pass_time(two, clock, 1.1)
    assert owners(heard) == ["bob", "ann"]
    assert two.store.notices.troubles() == []
    pass_time(two, clock, 60)
    assert owners(heard) == ["bob", "ann"]


def test_what_cannot_be_told_is_given_up_in_the_end_and_named_on_the_incident_and_by_the_doctor(
    two: Scene, heard: Heard, clock: MovedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    Phone.raising.add("ann")
    two.tick()
    for _ in range(20):
        pass_time(two, clock, LONGEST_REST.total_seconds() / 60 + 1)
    assert Phone.tried.count("ann") == MOST_TRIES
    assert f"given up after {MOST_TRIES} tries" in two.incident.detail
    (trouble,) = two.store.notices.troubles()
    assert (trouble.place, trouble.failures) == ("routes.default.0", MOST_TRIES)
    assert owners(heard) == ["bob"]

    monkeypatch.setattr(doctor, "open_store", lambda **_: two.store)
    monkeypatch.setattr("airflow_oncall.act.policy_file.PolicyFile.read", lambda: type("File", (), {"policy": two.policy}))
    (finding,) = doctor.examine((doctor.notifiers,))
    assert not finding.ok
    assert f"routes.default.0 failed {MOST_TRIES} times in a row" in finding.text
    assert "airflow oncall notify test" in finding.mend


def test_a_message_that_always_fails_does_not_stop_the_others(bug: Scene, heard: Heard, clock: MovedClock) -> None:
    Phone.raising.add("oncall-1")
    bug.tick()
    bugs(bug, 3)
    bug.tick()
    pass_time(bug, clock, 3)
    pass_time(bug, clock, 5)
    assert {oncall["key"] for _, oncall in heard} == {"oncall-2", "oncall-3", "oncall-4"}
    assert len(heard) == 3


# hanging


def test_a_notifier_that_hangs_is_left_behind_and_rests(two: Scene, heard: Heard, clock: MovedClock, impatient: None) -> None:
    Phone.hanging.add("ann")
    bugs(two, 3)
    two.tick()
    assert owners(heard) == ["bob"] * 4
    assert Phone.tried.count("ann") == 1, "of four messages for Ann, only one was waited for"
    assert "Phone gave no answer" in two.store.reading.incidents()[-1].detail
    two.tick()
    assert Phone.tried.count("ann") == 1, "while it rests, no tick waits for it"
    Phone.hanging.clear()
    pass_time(two, clock, 5)
    assert owners(heard) == ["bob"] * 4 + ["ann"] * 4


def test_what_was_waiting_behind_a_message_that_hangs_is_not_sent_by_the_thread_that_was_left(
    bug: Scene, heard: Heard, clock: MovedClock, impatient: None
) -> None:
    Phone.hanging.add("ann")
    bugs(bug, 2)
    bug.tick()
    Phone.hanging.clear()
    Phone.hung_up.set()
    pass_time(bug, clock, 5)
    assert len({oncall["key"] for _, oncall in heard}) == len(heard) == 3


def test_who_was_perhaps_told_is_told_how_it_ended(bug: Scene, heard: Heard, clock: MovedClock, impatient: None) -> None:
    Phone.hanging.add("ann")
    bug.tick()
    Phone.hanging.clear()
    mended_in_time(bug, clock)
    assert [(oncall["key"], oncall["action"]) for _, oncall in heard] == [("oncall-1", "resolve")]


def test_who_was_not_told_is_not_told_how_it_ended(bug: Scene, heard: Heard, clock: MovedClock) -> None:
    Phone.raising.add("ann")
    bug.tick()
    Phone.raising.clear()
    mended_in_time(bug, clock)
    assert heard == []


def test_a_worker_that_dies_before_it_writes_down_that_people_were_told_has_them_told_the_end(
    bug: Scene, heard: Heard, clock: MovedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as dying:
        dying.setattr(Notices, "told", lambda *_: sys.exit())
        with pytest.raises(SystemExit):
            bug.tick()
    mended_in_time(bug, clock)
    assert [(oncall["key"], oncall["action"]) for _, oncall in heard] == [("oncall-1", "trigger"), ("oncall-1", "resolve")]


# floods


def test_what_the_hour_has_no_room_for_is_summed_up_and_nothing_is_lost(bug: Scene, heard: Heard, clock: MovedClock) -> None:
    bug.policy = policy_with(phone("ann"), notifications={"per_hour": 3})
    bugs(bug, 9)
    bug.tick()
    assert [oncall["status"] for _, oncall in heard] == ["escalated", "escalated", "digest"]
    last = heard[-1][1]
    assert last["subject"] == "8 more from Airflow's on-call"
    alone = {oncall["title"] for _, oncall in heard[:2]}
    assert len(alone | {one["title"] for one in last["messages"]}) == 10
    for number in range(9, 21):
        bug.airflow.fail(TaskRef(f"dag-{number}", "manual__1", "work"))
    pass_time(bug, clock, 5)
    assert len(heard) == 3, "the hour is full"
    pass_time(bug, clock, 60)
    assert [oncall["status"] for _, oncall in heard[3:]] == ["escalated", "escalated", "digest"]
    assert heard[-1][1]["subject"] == "10 more from Airflow's on-call"


def test_a_digest_shows_the_first_and_counts_the_rest(bug: Scene, heard: Heard) -> None:
    bug.policy = policy_with(phone("ann"), notifications={"per_hour": 1})
    bugs(bug, 29)
    bug.tick()
    ((_, oncall),) = heard
    assert (oncall["subject"], len(oncall["messages"]), oncall["more"]) == ("30 more from Airflow's on-call", 20, 10)
    assert "and 10 more" in oncall["body"]


def test_who_was_told_by_a_digest_is_told_how_it_ended(bug: Scene, heard: Heard, clock: MovedClock) -> None:
    bug.policy = policy_with(phone("ann"), notifications={"per_hour": 1})
    bugs(bug, 1)
    bug.tick()
    for ref in list(bug.airflow.instances):
        bug.airflow.mark(ref, "success")
    bug.policy = policy_with(phone("ann"))
    pass_time(bug, clock, 61)
    pass_time(bug, clock, 1)
    assert sorted((oncall["key"], oncall["status"]) for _, oncall in heard[1:]) == [("oncall-1", "resolved"), ("oncall-2", "resolved")]


def test_what_is_over_is_told_of_each_and_waits_for_room(bug: Scene, heard: Heard, clock: MovedClock) -> None:
    bug.policy = policy_with(phone("ann"))
    bugs(bug, 3)
    bug.tick()
    alerts = {oncall["key"] for _, oncall in heard}
    for ref in list(bug.airflow.instances):
        bug.airflow.mark(ref, "success")
    bug.policy = policy_with(phone("ann"), notifications={"per_hour": 2})
    for _ in range(8):
        pass_time(bug, clock, 31)
    ends = [(oncall["key"], oncall["status"]) for _, oncall in heard[len(alerts) :]]
    assert sorted(ends) == sorted((key, "resolved") for key in alerts)


@pytest.fixture
def ended(bug: Scene, heard: Heard, clock: MovedClock) -> Scene:
    """Four bugs of which Ann was told are mended; their ends wait, for she may be told once an hour, and was just told."""
    bugs(bug, 3)
    bug.tick()
    for ref in list(bug.airflow.instances):
        bug.airflow.mark(ref, "success")
    bug.policy = policy_with(phone("ann"), notifications={"per_hour": 1})
    for _ in range(2):
        pass_time(bug, clock, 20)
    assert [oncall["action"] for _, oncall in heard] == ["trigger"] * 4
    heard.clear()
    return bug


def test_many_ends_that_wait_hide_no_new_escalation(ended: Scene, heard: Heard, clock: MovedClock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery, "AT_ONCE", 2)
    ended.airflow.fail(TaskRef("new", "manual__1", "work"))
    pass_time(ended, clock, 5)
    pass_time(ended, clock, 16)
    ((_, oncall),) = heard
    assert [one["title"] for one in oncall["messages"]] == ["new/manual__1/work"]


def test_where_there_is_room_for_one_message_ends_are_told_one_by_one(ended: Scene, heard: Heard, clock: MovedClock) -> None:
    for _ in range(4):
        pass_time(ended, clock, 61)
    assert sorted(oncall["key"] for _, oncall in heard) == ["oncall-1", "oncall-2", "oncall-3", "oncall-4"]
    assert {oncall["action"] for _, oncall in heard} == {"resolve"}


def test_an_incident_that_is_purged_while_messages_are_written_stops_no_other(
    bug: Scene, heard: Heard, monkeypatch: pytest.MonkeyPatch
) -> None:
    bug.policy = policy_with(phone("ann"), notifications={"per_hour": 2})
    bugs(bug, 3)
    told_since = Notices.told_since

    def purged_meanwhile(*asked: Any) -> int:
        with bug.store.engine.begin() as connection:
            connection.execute(delete(incidents).where(incidents.c.id.in_([1, 3])))
        return told_since(*asked)

    monkeypatch.setattr(Notices, "told_since", purged_meanwhile)
    bug.tick()
    ((_, oncall),) = heard
    assert [one["title"] for one in oncall["messages"]] == ["dag-0/manual__1/work", "dag-2/manual__1/work"]


# changes of the policy


def test_a_notifier_that_was_taken_out_of_the_policy_is_not_told_any_more(two: Scene, heard: Heard, clock: MovedClock) -> None:
    Phone.raising.add("bob")
    two.tick()
    Phone.raising.clear()
    two.policy = policy_with(phone("ann"))
    pass_time(two, clock, 5)
    two.policy = policy_with(phone("ann"), phone("bob"))
    pass_time(two, clock, 5)
    assert owners(heard) == ["ann"]


def test_a_notifier_that_was_mended_in_the_policy_is_told_what_waits(bug: Scene, heard: Heard, clock: MovedClock) -> None:
    bug.policy = policy_with({"classpath": "airflow.providers.nowhere.Pager"})
    bug.tick()
    assert "routes.default.0: 'airflow.providers.nowhere.Pager' cannot be made" in bug.incident.detail
    bug.policy = policy_with(phone("ann"))
    pass_time(bug, clock, 5)
    assert owners(heard) == ["ann"]


def test_wrong_settings_keep_what_waits(failed: Scene, heard: Heard, clock: MovedClock, monkeypatch: pytest.MonkeyPatch) -> None:
    def settings(value: str) -> None:
        monkeypatch.setenv("AIRFLOW__ONCALL__ESCALATION_NOTIFIERS", value)

    failed.brain.says = BUG
    Phone.raising.add("ann")
    settings(json.dumps([phone("ann")]))
    failed.tick()
    Phone.raising.clear()
    settings('[{"classpath": "x", "colour": "hunter22"}]')
    pass_time(failed, clock, 5)
    settings(json.dumps([phone("ann")]))
    pass_time(failed, clock, 5)
    assert owners(heard) == ["ann"]


@pytest.mark.parametrize("value", ["{", '[{"classpath": "x", "colour": "hunter22"}]', '[{"email": "hunter22"}]'])
def test_settings_that_are_wrong_are_named_on_the_incident_without_their_values(
    failed: Scene, monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    failed.brain.says = BUG
    monkeypatch.setenv("AIRFLOW__ONCALL__ESCALATION_NOTIFIERS", value)
    failed.tick()
    assert failed.state == State.ESCALATED
    assert "[oncall] escalation_notifiers" in failed.incident.detail
    assert "hunter22" not in failed.incident.detail


# an Airflow that is away


@pytest.fixture
def unanswered(bug: Scene, heard: Heard, clock: MovedClock) -> Scene:
    """Five bugs of which Ann was told; it is Bob's turn, for which Airflow has to be asked, and one is new to Carl."""
    bug.policy = policy_with(phone("ann"), phone("bob", after="10m"), phone("carl"))
    bugs(bug, 4)
    bug.tick()
    heard.clear()
    clock.forward(minutes=11)
    incident = bug.store.reading.incidents()[0]
    news = Notice(incident.id, incident.decisions, Occasion.LEFT, "routes.default.2", incident.detail)
    bug.store.notices.add([news])
    return bug


def test_an_airflow_that_gives_no_answer_is_asked_once_and_holds_up_nothing_else(
    unanswered: Scene, heard: Heard, clock: MovedClock
) -> None:
    unanswered.airflow.answer_with(503, times=float("inf"))
    before = len(unanswered.airflow.requests)
    deliver(unanswered.store, unanswered.api, unanswered.policy)
    assert owners(heard) == ["carl"]
    assert len(unanswered.airflow.requests) - before <= 3, "one call, and what the client repeats of it"
    unanswered.airflow.mend()
    clock.forward(minutes=2)
    deliver(unanswered.store, unanswered.api, unanswered.policy)
    assert owners(heard) == ["carl", *["bob"] * 5]


def test_an_airflow_that_answers_slowly_is_asked_for_so_long_and_no_longer(
    unanswered: Scene, heard: Heard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery, "ASKING_SECONDS", 0.0)
    before = len(unanswered.airflow.requests)
    deliver(unanswered.store, unanswered.api, unanswered.policy)
    assert (owners(heard), len(unanswered.airflow.requests)) == (["carl"], before)


def test_whom_another_worker_took_while_airflow_was_asked_is_left_to_it(
    unanswered: Scene, heard: Heard, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = unanswered.another_worker()

    def slowly(*_: object) -> bool:
        unanswered.store.leases.release("notifier:routes.default.1", unanswered.store.queue.worker)
        return not other.leases.take("notifier:routes.default.1", "triage-2", LEASE)

    monkeypatch.setattr(delivery, "answered", slowly)
    deliver(unanswered.store, unanswered.api, unanswered.policy)
    assert owners(heard) == ["carl"]


def test_people_are_told_though_the_sweep_fails(unanswered: Scene, heard: Heard) -> None:
    unanswered.airflow.answer_with(503, times=float("inf"), on="/monitor/health")
    with pytest.raises(AirflowApiError):
        unanswered.tick()
    assert sorted(owners(heard)) == [*["bob"] * 5, "carl"]


# several workers


def test_of_two_workers_one_tells(two: Scene, heard: Heard) -> None:
    Phone.raising.update({"ann", "bob"})
    two.tick()
    Phone.raising.clear()
    other = two.another_worker()
    assert other.leases.take("notifier:routes.default.0", "triage-2", LEASE)
    two.store.notices.tell_later([1, 2], two.incident.opened_at)
    two.tick()
    assert owners(heard) == ["bob"], "the other worker has Ann's"
    other.leases.release("notifier:routes.default.0", "triage-2")
    deliver(other, two.api, two.policy)
    two.tick()
    assert owners(heard) == ["bob", "ann"]


def test_the_same_notice_put_in_twice_is_one(bug: Scene, heard: Heard) -> None:
    bug.tick()
    bug.store.notices.add([notice_for(bug), notice_for(bug)])
    bug.tick()
    assert len(heard) == 1


class Killed(BaseException):
    """Nothing of ours catches it."""


def test_a_worker_that_dies_between_the_outbox_and_the_incident_has_people_told_once(
    bug: Scene, heard: Heard, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as dying:
        dying.setattr(Ledger, "acted", die)
        with pytest.raises(Killed):
            bug.tick()
    assert (bug.state, heard) == (State.ACTING, [])
    deliver(bug.another_worker(), bug.api, bug.policy)
    bug.ticks(3)
    assert bug.state == State.ESCALATED
    assert len(heard) == 1
