"""The lab's Spark: how its logs are cut, and that a scenario still says live what it promises."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from lab.engines import spark_events, spark_log
from lab.engines.script import LAB_PYTHON
from lab.engines.spark import SparkEngine
from lab.record import recordings
from lab.scenario import Scenario, read_scenarios

LOG = """26/01/02 03:04:05 WARN NativeCodeLoader: Unable to load native-hadoop library for your platform
26/01/02 03:04:06 INFO DAGScheduler: Submitting 2 missing tasks
26/01/02 03:04:07 INFO Executor: Running task 0.0 in stage 3.0 (TID 4)
26/01/02 03:04:08 ERROR Executor: Exception in task 0.0 in stage 3.0 (TID 4)
java.lang.IllegalStateException: outer
\tat a.B.c(B.scala:1)
\tat a.B.d(B.scala:2)
\tat a.B.e(B.scala:3)
\tat a.B.f(B.scala:4)
\tat a.B.g(B.scala:5)
Caused by: java.io.IOException: inner
\tat a.C.c(C.scala:1)
\t... 12 more
26/01/02 03:04:09 INFO DAGScheduler: Job 1 failed"""


def test_a_stack_keeps_its_first_frames_and_every_cause() -> None:
    short = spark_log.shorten(LOG)
    assert "a.B.f(" in short
    assert "a.B.g(" not in short
    assert "Caused by: java.io.IOException: inner\n\tat a.C.c(" in short
    assert "more" not in short


def test_what_the_lab_itself_adds_to_a_traceback_is_left_out() -> None:
    head, end = "Traceback (most recent call last):\n", '  File "/x/job.py", line 1\nKeyError: 1'
    assert spark_log.shorten(f'{head}  File "/x/lab/harness.py", line 4, in run\n    exec(code)\n{end}') == head + end


def test_an_ending_starts_so_many_entries_before_the_first_trouble() -> None:
    assert spark_log.ending(LOG, lead=1).startswith("26/01/02 03:04:07 INFO Executor: Running task")
    assert spark_log.ending(LOG, lead=0).endswith("Job 1 failed")


def test_troubles_are_whole_entries_at_warn_and_above() -> None:
    troubles = spark_log.troubles(LOG)
    assert troubles.startswith("26/01/02 03:04:08 ERROR")
    assert "Caused by" in troubles
    assert "INFO" not in troubles
    assert "NativeCodeLoader" not in troubles


def test_stretches_of_a_healthy_log_hold_5_to_15_entries() -> None:
    log = "\n".join(f"26/01/02 03:04:05 INFO MemoryStore: Block broadcast_{n} stored" for n in range(100))
    stretches = list(spark_log.windows(log, random.Random(1), most=6))
    assert len(stretches) == 6
    assert all(5 <= len(spark_log.entries(stretch)) <= 15 for stretch in stretches)


def test_the_json_log_is_cut_too() -> None:
    frames = [{"class": "a.B", "method": "c", "file": "B.scala", "line": n} for n in range(9)]
    error = {"level": "ERROR", "msg": "Exception in task", "exception": {"class": "E", "msg": "m", "stacktrace": frames}}
    lines = [json.dumps(error), json.dumps({"level": "INFO", "msg": "fine"}), "no JSON"]
    (entry,) = (json.loads(line) for line in spark_log.structured(lines).split("\n"))
    assert len(entry["exception"]["stacktrace"]) == spark_log.FRAMES


TRACE = "java.io.IOException: stale handle\n" + "".join(f"\tat a.B.c{n}(B.scala:{n})\n" for n in range(9))
LOST = {
    "Event": "SparkListenerTaskEnd", "Stage ID": 3, "Stage Attempt ID": 0, "Task Info": {"Index": 1, "Attempt": 0, "Executor ID": "2"},
    "Task End Reason": {"Reason": "ExceptionFailure", "Class Name": "java.io.IOException", "Full Stack Trace": TRACE},
}  # fmt: skip
WELL = {**LOST, "Task End Reason": {"Reason": "Success"}}
FAILED = {
    "Event": "SparkListenerJobEnd",
    "Job ID": 0,
    "Job Result": {"Result": "JobFailed", "Exception": {"Message": "Job aborted:\n" + TRACE}},
}
ENDED = {"Event": "SparkListenerJobEnd", "Job ID": 1, "Job Result": {"Result": "JobSucceeded"}}
REMOVED = {"Event": "SparkListenerExecutorRemoved", "Executor ID": "2", "Removed Reason": "Command exited with code 137"}


def logged(*events: Mapping[str, object]) -> str:
    return "".join(json.dumps(event) + "\n" for event in events)


def test_the_event_log_tells_of_what_failed_and_why() -> None:
    told = spark_events.failures(logged(WELL, LOST, REMOVED, FAILED, ENDED))
    task, *frames, removed, job, cause = told.split("\n")
    assert task == "SparkListenerTaskEnd task 1.0 in stage 3.0 (executor 2): ExceptionFailure: java.io.IOException: stale handle"
    assert len(frames) == spark_log.FRAMES
    assert removed == "SparkListenerExecutorRemoved executor 2: Command exited with code 137"
    assert (job, cause) == ("SparkListenerJobEnd job 0: JobFailed: Job aborted:", "java.io.IOException: stale handle")


def test_the_event_log_of_a_run_that_went_well_tells_nothing() -> None:
    assert spark_events.failures(logged(WELL, ENDED)) == ""


def test_events_are_read_from_where_the_last_run_ended_also_when_the_application_does(tmp_path: Path) -> None:
    running = tmp_path / "local-1.inprogress"
    running.write_text(logged(WELL), encoding="utf-8")
    before = spark_events.sizes(tmp_path)
    running.rename(tmp_path / "local-1").write_text(logged(WELL, LOST), encoding="utf-8")
    assert spark_events.since(tmp_path, before) == logged(LOST)


@pytest.fixture(scope="module")
def engine() -> Iterator[SparkEngine]:
    if not LAB_PYTHON.exists():
        pytest.skip("needs the client libraries in .venv-lab; `make lab` installs them")
    with SparkEngine() as started:
        yield started


@pytest.fixture
def scenario(request: pytest.FixtureRequest) -> Scenario:
    return next(one for one in read_scenarios("spark") if one.id == request.param)


@pytest.mark.slow
@pytest.mark.parametrize("scenario", ["column-unresolved", "udf-key"], indirect=True)
def test_a_scenario_says_live_what_it_promises(engine: SparkEngine, scenario: Scenario) -> None:
    found = list(recordings(engine, scenario, scenario.variations[0]))
    assert len([one for one in found if one.view != "eventlog"]) == 2
    assert all("lab/engines" not in one.text for one in found)


@pytest.mark.slow
@pytest.mark.parametrize("scenario", ["healthy-window"], indirect=True)
def test_a_healthy_run_gives_stretches_of_its_log(engine: SparkEngine, scenario: Scenario) -> None:
    found = list(recordings(engine, scenario, scenario.variations[0]))
    assert len(found) == 5
    assert all(one.exit_code == 0 for one in found)
