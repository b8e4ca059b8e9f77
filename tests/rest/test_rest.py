"""Airflow's REST API as this project uses it, over real HTTP and with Airflow's own client."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest
from tests.simulated_airflow import SimulatedAirflow
from tests.simulated_world import Backfill, Dag, Pool, Task
from tests.tick.scene import ORDERS, SHARDS

from airflow_oncall import rest, tasklog
from airflow_oncall.errors import AirflowApiError, BadSetting, NotFound
from airflow_oncall.incident import TaskRef
from airflow_oncall.rest import AirflowApi, PoolView, open_api


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rest, "TIMEOUT", 0.5)


@pytest.mark.parametrize(
    ("status", "advice", "transient"),
    [
        (401, "check login and password", False),
        (403, "role Op", False),
        (404, "gone from Airflow", False),
        (409, "another state", False),
        (422, "out of order", False),
        (429, "throttling", True),
        (500, "api-server's log", True),
        (503, "api-server's log", True),
    ],
)
def test_each_refusal_names_the_call_the_status_and_the_way_out(
    api: AirflowApi, airflow: SimulatedAirflow, status: int, advice: str, transient: bool
) -> None:
    airflow.fail(ORDERS)
    airflow.answer_with(status, times=9, on="clearTaskInstances")
    with pytest.raises(AirflowApiError, match=f"post_clear_task_instances nightly: HTTP {status}.*{advice}") as caught:
        api.clear(ORDERS, "note")
    assert (caught.value.status, caught.value.transient) == (status, transient)


@pytest.mark.parametrize("call", ["task_instance", "tries"])
@pytest.mark.parametrize("ref", [ORDERS, SHARDS[2]], ids=["unmapped", "mapped"])
def test_what_is_gone_is_told_as_gone(api: AirflowApi, call: str, ref: TaskRef) -> None:
    with pytest.raises(NotFound):
        getattr(api, call)(ref)


def test_an_airflow_that_is_not_there_is_told_as_such(airflow: SimulatedAirflow) -> None:
    with pytest.raises(AirflowApiError, match=r"no answer from http://127\.0\.0\.1:9") as caught:
        AirflowApi("http://127.0.0.1:9", lambda: "token").clear(ORDERS, "note")
    assert caught.value.transient


def test_a_read_is_tried_again_while_airflow_is_busy(api: AirflowApi, airflow: SimulatedAirflow) -> None:
    airflow.fail(ORDERS)
    airflow.answer_with(503, times=2)
    assert api.task_instance(ORDERS).state == "failed"


def test_a_read_is_not_tried_for_ever(api: AirflowApi, airflow: SimulatedAirflow) -> None:
    airflow.answer_with(503, times=9)
    with pytest.raises(AirflowApiError, match="503"):
        api.task_instance(ORDERS)
    assert airflow.asked("GET /api/v2/dags/nightly") == 3


def test_a_read_that_is_forbidden_is_not_tried_again(api: AirflowApi, airflow: SimulatedAirflow) -> None:
    airflow.answer_with(403, times=9)
    with pytest.raises(AirflowApiError, match="403"):
        api.task_instance(ORDERS)
    assert airflow.asked("GET /api/v2/dags/nightly") == 1


def test_a_write_is_never_sent_twice(api: AirflowApi, airflow: SimulatedAirflow) -> None:
    airflow.fail(ORDERS)
    airflow.drop_after("clearTaskInstances")
    with pytest.raises(AirflowApiError, match="no answer"):
        api.clear(ORDERS, "note")
    assert airflow.asked("clearTaskInstances") == 1
    assert airflow.clears == [(ORDERS,)]


def test_an_airflow_that_hangs_is_not_waited_for(api: AirflowApi, airflow: SimulatedAirflow) -> None:
    airflow.fail(ORDERS)
    airflow.hang(on="clearTaskInstances")
    with pytest.raises(AirflowApiError, match="no answer"):
        api.clear(ORDERS, "note")


def test_a_token_that_ran_out_is_renewed_once(api: AirflowApi, airflow: SimulatedAirflow) -> None:
    airflow.fail(ORDERS)
    api.task_instance(ORDERS)
    airflow.expire_tokens()
    assert api.task_instance(ORDERS).state == "failed"
    assert airflow.asked("/auth/token") == 2


def test_a_token_that_is_refused_again_is_not_renewed_for_ever(api: AirflowApi, airflow: SimulatedAirflow) -> None:
    api.server_time()
    airflow.answer_with(401, times=9)
    with pytest.raises(AirflowApiError, match="401"):
        api.task_instance(ORDERS)
    assert airflow.asked("/auth/token") == 2


def test_a_wrong_password_names_the_connection_and_not_the_password(airflow: SimulatedAirflow, monkeypatch: pytest.MonkeyPatch) -> None:
    port = airflow.url.rpartition(":")[2]
    monkeypatch.setenv("AIRFLOW_CONN_ONCALL_AIRFLOW", f"http://oncall:wr0ng-word@127.0.0.1:{port}")
    with pytest.raises(AirflowApiError, match="'oncall': HTTP 401; check login and password of connection 'oncall_airflow'") as caught:
        open_api().task_instance(ORDERS)
    assert "wr0ng-word" not in str(caught.value)


def test_the_connection_gives_address_and_user(airflow: SimulatedAirflow, monkeypatch: pytest.MonkeyPatch) -> None:
    airflow.fail(ORDERS)
    port = airflow.url.rpartition(":")[2]
    monkeypatch.setenv("AIRFLOW_CONN_ONCALL_AIRFLOW", f"http://oncall:secret@127.0.0.1:{port}")
    assert open_api().task_instance(ORDERS).state == "failed"


def test_a_missing_connection_says_what_to_add() -> None:
    with pytest.raises(BadSetting, match="'oncall_airflow' is not defined; add one of type HTTP"):
        open_api()


def test_a_clear_names_exactly_one_task_instance(api: AirflowApi, airflow: SimulatedAirflow) -> None:
    for shard in SHARDS:
        airflow.fail(shard)
    assert api.clear(SHARDS[1], "note") == [SHARDS[1]]
    assert airflow.did("clear")[0].body["task_ids"] == [["work", 1]]
    assert [airflow.instances[shard].state for shard in SHARDS] == ["failed", None, "failed"]


def test_a_clear_of_what_does_not_stand_failed_does_nothing(api: AirflowApi, airflow: SimulatedAirflow) -> None:
    airflow.add(ORDERS)
    assert api.clear(ORDERS, "note") == []
    assert api.clear(TaskRef(ORDERS.dag_id, ORDERS.run_id, "unknown"), "note") == []


def test_asking_whether_one_may_clear_changes_nothing(api: AirflowApi, airflow: SimulatedAirflow) -> None:
    airflow.fail(ORDERS)
    api.may_clear("nightly")
    assert airflow.mutations == []


def test_a_note_is_cut_to_what_airflow_takes(api: AirflowApi, airflow: SimulatedAirflow) -> None:
    airflow.fail(ORDERS)
    api.set_note(ORDERS, "x" * 2000)
    api.clear(ORDERS, "y" * 2000)
    assert [len(one.body["note"]) for one in airflow.mutations] == [1000, 1000]


def test_starting_a_run_twice_starts_one(api: AirflowApi, airflow: SimulatedAirflow) -> None:
    assert [api.trigger("oncall_approval", "question-1", {"a": 1}) for _ in range(2)] == [True, False]
    assert airflow.runs["oncall_approval", "question-1"].conf == {"a": 1}


def test_long_lists_come_page_by_page(api: AirflowApi, airflow: SimulatedAirflow) -> None:
    airflow.page_size = 2
    for index in range(5):
        airflow.fail(TaskRef("shards", "manual__1", "work", index))
        airflow.end_run("shards", "manual__1", "failed")
    assert len(list(api.task_instances(state=["failed"]))) == 5
    assert airflow.asked("/taskInstances") == 3
    assert [run.run_id for run in api.runs(state=["failed"])] == ["manual__1"]


def test_more_import_errors_than_a_page_are_all_seen(api: AirflowApi, airflow: SimulatedAirflow) -> None:
    for number in range(120):
        airflow.break_file(f"dag_{number}.py", "SyntaxError")
    assert len(list(api.import_errors())) == 120


def test_filters_are_airflows_own(api: AirflowApi, airflow: SimulatedAirflow) -> None:
    airflow.fail(ORDERS)
    later = airflow.now() + timedelta(seconds=1)
    assert [one.ref for one in api.task_instances(state=["failed"], updated_at_gte=later)] == []
    assert [one.ref for one in api.task_instances(state=["failed"])] == [ORDERS]


def test_a_task_is_read_with_what_its_author_declared(api: AirflowApi, airflow: SimulatedAirflow) -> None:
    airflow.add(ORDERS, retries=2, tags=("oncall:ask",), params={"oncall": "never", "day": 1})
    airflow.dags["nightly"].tasks["load_orders"].params = {"oncall": "auto"}
    task = api.task("nightly", "load_orders")
    assert (task.retries, task.tags, dict(task.params)) == (2, frozenset({"oncall:ask"}), {"oncall": "auto", "day": 1})


def test_the_tries_of_a_task_instance_come_oldest_first(api: AirflowApi, airflow: SimulatedAirflow) -> None:
    airflow.fail(ORDERS, retries=1)
    airflow.schedule()
    airflow.succeed(ORDERS)
    assert [(one.try_number, one.state) for one in api.tries(ORDERS)] == [(1, "failed"), (2, "success")]


def test_the_clock_is_airflows(api: AirflowApi, airflow: SimulatedAirflow) -> None:
    airflow.clock_ahead = timedelta(hours=3)
    assert abs(api.server_time() - airflow.now()) < timedelta(minutes=1)


def test_plugins_and_paused_dags_are_seen(api: AirflowApi, airflow: SimulatedAirflow) -> None:
    airflow.plugins = ["oncall", "oncall"]
    airflow.dags["oncall_approval"].is_paused = True
    assert api.plugins() == ["oncall", "oncall"]
    assert api.is_paused("oncall_approval")


def test_structured_log_lines_are_read_as_people_read_them(api: AirflowApi, airflow: SimulatedAirflow) -> None:
    airflow.fail(SHARDS[1])
    airflow.logs[SHARDS[1], 1] = [
        b'{"timestamp": "2026-11-21T00:00:00Z", "level": "error", "event": "Task failed", "error_detail": '
        b'[{"exc_type": "ConnectionError", "exc_value": "reset"}, {"exc_type": "OSError", "exc_value": "peer"}]}\n',
        b'{"event": "Process exited", "exit_code": -9}\n',
        b"no json\n[1, 2]\n",
    ]
    tail = api.log_tail(SHARDS[1], 1, 1000)
    assert tail.splitlines() == [
        "2026-11-21T00:00:00Z error Task failed ",
        "OSError: peer",
        "ConnectionError: reset",
        "Process exited exit_code=-9",
        "no json",
        "[1, 2]",
    ]


def endless(line: bytes) -> Iterator[bytes]:
    while True:
        yield line


def test_of_a_log_without_end_only_the_tail_is_kept(api: AirflowApi, airflow: SimulatedAirflow, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tasklog, "READ_BYTES", 1 << 20)
    airflow.fail(ORDERS)
    airflow.logs[ORDERS, 1] = endless(b'{"event": "still going"}\n' * 500)
    assert 200 <= len(api.log_tail(ORDERS, 1, 200)) < 400


def test_a_log_line_without_end_is_bounded_too(api: AirflowApi, airflow: SimulatedAirflow, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tasklog, "READ_BYTES", 1 << 21)
    airflow.fail(ORDERS)
    airflow.logs[ORDERS, 1] = endless(b"x" * 65536)
    assert "too long" in api.log_tail(ORDERS, 1, 200)


def test_a_log_that_trickles_for_ever_is_left_after_a_while(
    api: AirflowApi, airflow: SimulatedAirflow, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tasklog, "READ_SECONDS", 0.0)
    airflow.fail(ORDERS)
    airflow.logs[ORDERS, 1] = endless(b"one more\n")
    assert api.log_tail(ORDERS, 1, 200).endswith("one more")


def test_a_log_that_stops_in_the_middle_is_as_long_as_what_came(api: AirflowApi, airflow: SimulatedAirflow) -> None:
    def stuck() -> Iterator[bytes]:
        yield b"the last words\n"
        airflow.wait_for_the_end()

    airflow.fail(ORDERS)
    airflow.logs[ORDERS, 1] = stuck()
    assert api.log_tail(ORDERS, 1, 200) == "the last words"


def test_a_log_is_asked_for_again_while_airflow_is_busy(api: AirflowApi, airflow: SimulatedAirflow) -> None:
    airflow.fail(ORDERS)
    airflow.logs[ORDERS, 1] = [b"Connection reset\n"]
    airflow.answer_with(503, on="/logs/")
    assert api.log_tail(ORDERS, 1, 200) == "Connection reset"


def test_an_answer_of_an_unknown_form_is_told_as_such(api: AirflowApi, airflow: SimulatedAirflow, monkeypatch: pytest.MonkeyPatch) -> None:
    airflow.fail(ORDERS)
    airflow.instances[ORDERS].state = "a_state_of_the_future"
    with pytest.raises(AirflowApiError, match="does not know") as caught:
        api.task_instance(ORDERS)
    assert not caught.value.transient


def test_names_of_any_alphabet_reach_the_right_task_instance(api: AirflowApi, airflow: SimulatedAirflow) -> None:
    ref = TaskRef("dag ü", "manual__2026-11-21T00:00:00+00:00", "lade.größe?#%", 4)
    airflow.fail(ref)
    assert api.task_instance(ref).ref == ref
    assert api.clear(ref, "ünïcødé") == [ref]


def test_what_failed_downstream_by_itself_is_not_cleared_with_what_only_waited(api: AirflowApi, airflow: SimulatedAirflow) -> None:
    report, alarm = replace(ORDERS, task_id="report"), replace(ORDERS, task_id="alarm")
    airflow.fail(ORDERS)
    airflow.dags[ORDERS.dag_id].tasks[ORDERS.task_id] = Task(downstream=("report", "alarm"))
    airflow.add(report)
    airflow.mark(report, "upstream_failed")
    airflow.fail(alarm)
    assert api.clear(ORDERS, "note") == [ORDERS, report]
    assert airflow.instances[alarm].state == "failed"


def test_a_task_is_read_with_its_pool_and_its_owners(api: AirflowApi, airflow: SimulatedAirflow) -> None:
    airflow.add(ORDERS, owners=("ann", "bob"))
    airflow.dags["nightly"].tasks["load_orders"] = Task(pool="warehouse", owner="ann, carol")
    task, dag = api.task("nightly", "load_orders"), api.task("nightly", "")
    assert (task.pool, sorted(task.owners)) == ("warehouse", ["ann", "carol"])
    assert (dag.pool, sorted(dag.owners)) == ("", ["ann", "bob"])


def test_durations_are_those_of_successes_newest_first(api: AirflowApi, airflow: SimulatedAirflow) -> None:
    for hours, seconds, state in ((3, 30, "success"), (2, 20, "failed"), (1, 10, "success")):
        ref = replace(ORDERS, run_id=f"manual__{hours}")
        one = airflow.add(ref)
        airflow.mark(ref, state)
        one.started_at = airflow.now() - timedelta(hours=hours)
        one.ended_at = one.started_at + timedelta(seconds=seconds)
    assert api.durations("nightly", "load_orders") == [10, 30]
    assert api.durations("nightly", "load_orders", newest=1) == [10]
    assert api.durations("nightly", "another_task") == []


def test_a_task_instance_tells_the_version_that_it_ran_and_its_dag_the_newest(api: AirflowApi, airflow: SimulatedAirflow) -> None:
    airflow.fail(ORDERS)
    airflow.dags["nightly"].version = 3
    assert (api.task_instance(ORDERS).dag_version, api.newest_version("nightly")) == (1, 3)


def test_a_call_that_is_repeated_asks_its_library_for_nothing_that_is_to_go(api: AirflowApi, airflow: SimulatedAirflow) -> None:
    airflow.answer_with(503, times=1)
    with warnings.catch_warnings():
        warnings.filterwarnings("error", category=DeprecationWarning, message=".*parameter is deprecated")
        assert api.dag_ids() is not None


def test_dags_are_listed_page_by_page_and_by_tag(api: AirflowApi, airflow: SimulatedAirflow) -> None:
    airflow.dags = {f"dag_{number:03}": Dag(tags=("even",) if number % 2 == 0 else ()) for number in range(120)}
    assert len(api.dag_ids()) == 120
    assert api.dag_ids("even") == [f"dag_{number:03}" for number in range(0, 120, 2)]


def test_only_a_backfill_that_goes_on_is_running(api: AirflowApi, airflow: SimulatedAirflow) -> None:
    airflow.backfills = [
        Backfill("nightly"),
        Backfill("nightly", is_paused=True),
        Backfill("nightly", completed_at=airflow.now()),
        Backfill("another"),
    ]
    assert [one.is_running for one in api.backfills("nightly")] == [True, False, False]


def test_the_retries_of_every_task_are_read_at_once(api: AirflowApi, airflow: SimulatedAirflow) -> None:
    airflow.add(ORDERS, retries=2)
    airflow.add(replace(ORDERS, task_id="report"))
    assert api.retries("nightly") == {"load_orders": 2, "report": 0}


def test_a_pool_is_read_and_resized(api: AirflowApi, airflow: SimulatedAirflow) -> None:
    airflow.pools["warehouse"] = Pool(slots=4, occupied=4, queued=9)
    assert api.pool("warehouse") == PoolView("warehouse", 4, 4, 9)
    api.resize_pool("warehouse", 6)
    assert airflow.pools["warehouse"].slots == 6


def test_a_task_state_is_kept_with_its_map_index(api: AirflowApi, airflow: SimulatedAirflow) -> None:
    for shard in SHARDS:
        airflow.fail(shard)
    assert api.task_state(SHARDS[1], "oncall_memory") is None
    api.set_task_state(SHARDS[1], "oncall_memory", "6144m")
    assert [api.task_state(shard, "oncall_memory") for shard in SHARDS] == [None, "6144m", None]


def test_a_task_instance_is_marked_with_a_note_and_what_waited_for_it_goes_on(api: AirflowApi, airflow: SimulatedAirflow) -> None:
    report = replace(ORDERS, task_id="report")
    airflow.add(report)
    airflow.fail(ORDERS, downstream=("report",))
    api.set_state(ORDERS, "success", "looked at by hand")
    assert (airflow.instances[ORDERS].state, airflow.instances[ORDERS].note) == ("success", "looked at by hand")
    assert airflow.instances[report].state is None


def test_a_dag_is_paused(api: AirflowApi, airflow: SimulatedAirflow) -> None:
    api.pause_dag("oncall_approval")
    assert airflow.dags["oncall_approval"].is_paused


def test_a_run_tells_its_type_and_when_it_was_meant_to_start(api: AirflowApi, airflow: SimulatedAirflow) -> None:
    airflow.add(ORDERS)
    airflow.runs["nightly", ORDERS.run_id].run_type = "backfill"
    run = api.run("nightly", ORDERS.run_id)
    assert (run.run_type, run.run_after) == ("backfill", airflow.runs["nightly", ORDERS.run_id].run_after)
