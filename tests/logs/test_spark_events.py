"""Event logs of real Spark applications, as they are, while they grow, and damaged."""

from __future__ import annotations

import json
import os
import shutil
import socket
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
import zstandard
from pydantic import ValidationError

from airflow_oncall.capture.logs import spark_events, spark_files
from airflow_oncall.capture.logs.source import Batch, Record, SourceFailed
from airflow_oncall.capture.logs.spark_events import EventLogSource, SparkEventsSettings
from tests.logs.spark_world import SparkWorld, spark_world

TASK = {
    "dag_id": "nightly_orders", "run_id": "scheduled__2026-01-01", "task_id": "load_orders", "map_index": "-1", "try_number": "2",
}  # fmt: skip


class Poller:
    """Polls a folder again and again, each time from the cursor as the store would give it back."""

    def __init__(self, folder: Path, start: Any = "start", **settings: Any) -> None:
        self.source = EventLogSource("spark", str(folder), start, **settings)
        self.cursor: dict[str, Any] = {}
        self.batches: list[Batch] = []

    def poll(self) -> list[Record]:
        """What this poll finds."""
        found = list(self.source.read(self.cursor))
        self.cursor = json.loads(json.dumps(found[-1].cursor))
        self.batches += found
        return [record for batch in found for record in batch.records]

    @property
    def problems(self) -> list[str]:
        """Of all polls."""
        return [problem for batch in self.batches for problem in batch.problems]


@pytest.fixture(scope="session")
def spark(tmp_path_factory: pytest.TempPathFactory) -> SparkWorld:
    """Event logs of applications that failed, finished and growing."""
    return spark_world(tmp_path_factory.getbasetemp())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An empty ``spark.eventLog.dir``."""
    path = tmp_path / "events"
    path.mkdir()
    return path


def signatures(records: Iterable[Record]) -> list[str]:
    return [record.signature for record in records]


def edited(log: Path, place: Path, change: Callable[[list[str]], Iterable[str]]) -> None:
    place.write_text("".join(f"{line}\n" for line in change(log.read_text(encoding="utf-8").splitlines())), encoding="utf-8")


def test_every_trouble_of_an_application_is_one_record(spark: SparkWorld) -> None:
    records = Poller(spark.rolling).poll()
    found = Counter(signatures(records))
    # The job, and each executor that ended before the application did: of the second one that is Spark's race.
    assert found.pop("spark-out-of-memory") in (2, 3)
    assert found == {"spark-executor-lost": 1, "spark-job-failed": 1, "spark-sql-failed": 1}
    assert len({record.position for record in records}) == len(records)
    assert all(record.happened_at and record.happened_at.tzinfo for record in records)


def test_records_name_the_task_instance_and_the_application(spark: SparkWorld) -> None:
    records = Poller(spark.rolling).poll()
    assert records
    for record in records:
        assert TASK.items() <= record.identifiers.items()
        assert record.identifiers["application_id"] in spark.rolling.name
        assert record.identifiers["app_name"] == "load_orders"
        assert record.identifiers["executor_memory"] == "600m"
        assert record.identifiers["spark_user"]


def test_a_failed_job_tells_its_stage_its_executor_and_how_often_its_task_was_tried(spark: SparkWorld) -> None:
    [record] = [record for record in Poller(spark.rolling).poll() if record.signature == "spark-job-failed"]
    assert record.text.startswith("Spark job 1 (count orders) failed:")
    assert "ValueError: order 0 has no customer" in record.text
    assert "2 failed task attempts in stage 1.0" in record.text
    assert {"job_id": "1", "stage_id": "1", "stage_attempt": "0", "executor_id": "1"}.items() <= record.identifiers.items()
    assert float(record.identifiers["duration"]) > 0


def test_an_executor_killed_while_a_job_ran_is_lost_and_its_retried_task_is_not_trouble(spark: SparkWorld) -> None:
    [record] = [record for record in Poller(spark.rolling).poll() if record.signature == "spark-executor-lost"]
    assert record.text == f"Spark lost executor 0 on {record.identifiers['host']}: Command exited with code 137"
    assert record.identifiers["exit_code"] == "137"


def test_out_of_memory_is_told_of_the_job_and_of_the_executors_that_ended_by_it(spark: SparkWorld) -> None:
    found = [record for record in Poller(spark.rolling).poll() if record.signature == "spark-out-of-memory"]
    lost = [record for record in found if "exit_code" in record.identifiers]
    [job] = [record for record in found if record not in lost]
    assert {record.identifiers["exit_code"] for record in lost} == {"52"}
    assert all("out of memory in the executor's JVM" in record.text for record in lost)
    # What the driver heard last: of the error itself, or only that its executor is gone.
    assert job.identifiers["error_class"] in ("java.lang.OutOfMemoryError", "ExecutorLostFailure")


def test_a_query_that_fails_before_any_job_is_told(spark: SparkWorld) -> None:
    [record] = [record for record in Poller(spark.rolling).poll() if record.signature == "spark-sql-failed"]
    assert "TABLE_OR_VIEW_NOT_FOUND" in record.text
    assert record.identifiers["sql_id"]


def test_a_whole_folder_is_read_by_its_uri(spark: SparkWorld) -> None:
    poller = Poller(spark.events)
    poller.source.path = spark.events.as_uri()
    applications = {record.identifiers["app_name"] for record in poller.poll()}
    assert applications == {"load_orders", "plain_customers", "zstd_customers"}
    assert not poller.problems
    assert poller.poll() == []


@pytest.mark.parametrize("name", ["plain", "zstd", "rolling"])
def test_a_log_still_being_written_is_read_on_from_where_it_was(spark: SparkWorld, folder: Path, name: str) -> None:
    whole: Path = getattr(spark, name)
    poller = Poller(folder)
    growing = next(path for path in spark.growing.iterdir() if path.name.removesuffix(".inprogress") == whole.name)
    copy(growing, folder)
    early = poller.poll()
    assert early
    assert poller.poll() == []
    shutil.rmtree(folder)
    folder.mkdir()
    copy(whole, folder)
    late = poller.poll()
    assert late
    assert early + late == Poller(whole).poll()
    assert poller.poll() == []
    assert not poller.problems


def copy(log: Path, folder: Path) -> None:
    if log.is_dir():
        shutil.copytree(log, folder / log.name)
    else:
        shutil.copy(log, folder / log.name)


def test_the_parts_of_a_rolling_log_are_one_application(spark: SparkWorld, folder: Path) -> None:
    lines = zstandard.ZstdDecompressor().stream_reader(next(spark.rolling.glob("events_1_*")).read_bytes(), read_across_frames=True)
    whole = lines.read().splitlines(keepends=True)
    log = folder / spark.rolling.name
    log.mkdir()
    (log / "appstatus_app.inprogress").touch()
    (log / "events_1_app").write_bytes(b"".join(whole[:20]))
    poller = Poller(folder)
    found = poller.poll()
    (log / "events_2_app").write_bytes(b"".join(whole[20:30]))
    found += poller.poll()
    (log / "events_2_app").unlink()
    (log / "events_1_app").unlink()
    (log / "events_2_app.compact").write_bytes(b"".join(whole[:10]))
    (log / "events_10_app").write_bytes(b"".join(whole[30:]))
    (log / "appstatus_app.inprogress").rename(log / "appstatus_app")
    found += poller.poll()
    direct = Poller(spark.rolling).poll()
    assert [(record.signature, record.text, record.identifiers) for record in found] == [
        (record.signature, record.text, record.identifiers) for record in direct
    ]
    assert not poller.problems


def test_a_half_written_line_is_left_until_it_is_whole(spark: SparkWorld, folder: Path) -> None:
    content = spark.plain.read_bytes()
    end = content.index(b"JobFailed")
    log = folder / f"{spark.plain.name}.inprogress"
    log.write_bytes(content[:end])
    poller = Poller(folder)
    assert poller.poll() == []
    log.write_bytes(content)
    assert signatures(poller.poll()) == ["spark-job-failed", "spark-job-failed"]
    assert not poller.problems


def test_a_stage_that_nothing_follows_is_told_by_the_next_poll(spark: SparkWorld, folder: Path) -> None:
    content = spark.plain.read_bytes()
    # Of what ends with the stage, its job and its query, Spark's threads write either first.
    end = content.index(b"\n", content.index(b'{"Event":"SparkListenerStageCompleted"')) + 1
    assert b"Failure Reason" in content[:end]
    (folder / f"{spark.plain.name}.inprogress").write_bytes(content[:end])
    poller = Poller(folder)
    assert poller.poll() == []
    assert signatures(poller.poll()) == ["spark-stage-failed"]
    assert poller.poll() == []


def test_a_cut_off_zstd_log_gives_what_is_whole_and_says_so_once(spark: SparkWorld, folder: Path) -> None:
    content = spark.zstd.read_bytes()
    (folder / spark.zstd.name).write_bytes(content[: len(content) - 2000])
    poller = Poller(folder)
    assert "spark-job-failed" in signatures(poller.poll())
    [problem] = poller.problems
    assert "cut off" in problem
    assert spark.zstd.name in problem
    poller.poll()
    assert len(poller.problems) == 1


def test_a_damaged_zstd_log_is_a_problem_and_the_others_are_read(spark: SparkWorld, folder: Path) -> None:
    content = bytearray(spark.zstd.read_bytes())
    content[0:4] = b"\0\0\0\0"
    (folder / f"a-{spark.zstd.name}").write_bytes(content)
    copy(spark.plain, folder)
    poller = Poller(folder)
    assert len(poller.poll()) == 2
    assert any("ZstdError" in problem for problem in poller.problems)


def test_a_broken_row_is_a_problem_and_reading_goes_on(spark: SparkWorld, folder: Path) -> None:
    broken = ['{"Event":"SparkListenerJobEnd","Job', "\x00\xff", '{"Event":"SparkListenerTaskStart","St', "[1, 2]"]
    edited(spark.plain, folder / spark.plain.name, lambda lines: [*lines[:5], *broken, *lines[5:]])
    poller = Poller(folder)
    assert len(poller.poll()) == 2
    [problem] = poller.problems
    assert f"{spark.plain.name}: 4 line(s) are no events, skipped, the first is line 6: " in problem


def test_a_text_that_is_no_log_is_one_problem_without_its_secrets(folder: Path) -> None:
    (folder / "README").write_text("password=hunter2secret\n" + "\n" * 400_000 + "some words\n" * 9_000, encoding="utf-8")
    poller = Poller(folder)
    assert poller.poll() == []
    [problem] = [problem for problem in poller.problems if "no events" in problem]
    assert "README: 409001 line(s) are no events" in problem
    assert "hunter2secret" not in problem


def test_empty_lines_fill_a_batch_as_others_do(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spark_events, "_BATCH_BYTES", 1000)
    (folder / "app-1").write_bytes(b"\n" * 5_000)
    poller = Poller(folder)
    poller.poll()
    assert len(poller.batches) > 4
    assert poller.cursor["done"] == {"app-1": 5_000}


SECRET = "hunter2secret"


def hostile_events() -> list[dict[str, Any]]:
    """What runs and what is held, with a secret wherever Spark quotes what it was given."""
    url = f"jdbc:postgresql://db/sales?user=etl&password={SECRET}"
    stage = {"Stage ID": 1, "Stage Attempt ID": 0}
    reason = {"Reason": "ExceptionFailure", "Class Name": "SQLException", "Description": f"{'x' * 980} cannot open {url}"}
    sql = "org.apache.spark.sql.execution.ui.SparkListenerSQLExecution"
    return [
        {"Event": "SparkListenerApplicationStart", "App Name": f"load token={SECRET}", "App ID": "app-1"},
        {"Event": "SparkListenerExecutorRemoved", "Executor ID": "1", "Removed Reason": f"exit code 3: -Dpassword={SECRET}"},
        {"Event": f"{sql}Start", "executionId": 1, "description": f"CREATE USER etl IDENTIFIED BY '{SECRET}'", "time": 1},
        {"Event": f"{sql}Start", "executionId": 2, "description": "SELECT 1", "time": 1},
        {"Event": "SparkListenerJobStart", "Job ID": 0, "Stage IDs": [1], "Properties": {
            "spark.job.description": f"{'y' * 280} password={SECRET}", "spark.sql.execution.id": "2",
        }},
        {"Event": "SparkListenerStageSubmitted", "Stage Info": stage},
        {"Event": "SparkListenerTaskEnd", **stage, "Task End Reason": reason, "Task Info": {}},
        {"Event": f"{sql}End", "executionId": 2, "errorMessage": f"cannot connect to {url}", "time": 2},
        {"Event": "SparkListenerStageCompleted", "Stage Info": {
            **stage, "Stage Name": f"load {url}", "Failure Reason": f"{'z' * 8_180} {url} {'z' * 9_000}",
        }},
    ]  # fmt: skip


def test_no_secret_enters_the_cursor_whatever_is_running_or_held(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spark_events, "_BATCH_BYTES", 1)
    log = "".join(f"{json.dumps(event, separators=(',', ':'))}\n" for event in hostile_events())
    (folder / "app-1.inprogress").write_text(log, encoding="utf-8")
    poller = Poller(folder)
    poller.poll()
    state = poller.cursor["open"]["app-1"]["application"]
    assert [held["kind"] for held in state["held"]] == ["sql", "stage"]
    stored = json.dumps([batch.cursor for batch in poller.batches])
    assert "IDENTIFIED BY" in stored
    assert "hunter" not in stored


def test_an_event_log_of_another_version_is_read_as_far_as_it_is_known(spark: SparkWorld, folder: Path) -> None:
    def other(lines: list[str]) -> Iterable[str]:
        yield '{"Event":"SparkListenerLogStart","Spark Version":"9.0.1","Cluster":{"new":1}}'
        yield '{"Event":"SparkListenerQuantumLeap","Job Result":"sideways"}'
        yield '{"Event":"SparkListenerJobEnd","Job ID":1,"Job Result":"x"}'
        yield '{"Event":"SparkListenerJobStart","Job ID":77,"Stage IDs":1}'
        yield f'{{"Event":"SparkListenerApplicationStart","Timestamp":{_nested(100_000)}}}'
        yield f'{{"Event":"SparkListenerApplicationStart","Timestamp":{_nested(400)}}}'
        for line in lines[1:]:
            event = json.loads(line)
            for unknown in ("Task Metrics", "Submission Time", "Task Executor Metrics"):
                event.pop(unknown, None)
            yield json.dumps({**event, "Hyperspace": [1]}, separators=(",", ":"))

    edited(spark.plain, folder / spark.plain.name, other)
    poller = Poller(folder)
    records = poller.poll()
    assert len(records) == 2
    assert {record.identifiers["spark_version"] for record in records} == {"9.0.1"}
    [problem] = poller.problems
    assert "3 line(s) are no events, skipped, the first is line 3: " in problem


def _nested(depth: int) -> str:
    return "[" * depth + "]" * depth


def test_what_a_growing_log_holds_of_another_type_does_not_enter_the_cursor(folder: Path) -> None:
    nested, log = _nested(400), folder / "app-1.inprogress"
    log.write_text(
        f'{{"Event":"SparkListenerJobStart","Job ID":0,"Submission Time":{nested},"Stage IDs":[1,{nested}]}}\n'
        f'{{"Event":"SparkListenerStageCompleted","Stage Info":{{"Stage ID":{nested},"Failure Reason":"x"}}}}\n',
        encoding="utf-8",
    )
    poller = Poller(folder)
    poller.poll()
    application = poller.cursor["open"]["app-1"]["application"]
    assert (application["jobs"]["0"]["began"], application["jobs"]["0"]["stages"]) == (None, [1])
    assert [held["stage"] for held in application["held"]] == [None]


def test_a_file_without_a_spark_version_is_a_problem_once(spark: SparkWorld, folder: Path) -> None:
    edited(spark.plain, folder / "app-1", lambda lines: lines[1:])
    (folder / "README").write_text("not an event log\n", encoding="utf-8")
    poller = Poller(folder)
    assert len(poller.poll()) == 2
    assert sum("no Spark version" in problem for problem in poller.problems) == 2
    told = len(poller.problems)
    poller.poll()
    assert len(poller.problems) == told


@pytest.mark.parametrize("ending", [".lz4", ".snappy", ".lzf"])
def test_another_compression_is_a_problem_that_names_the_way_out(folder: Path, ending: str) -> None:
    (folder / f"app-1{ending}").write_bytes(b"LZ4Block")
    poller = Poller(folder)
    assert poller.poll() == []
    [problem] = poller.problems
    assert "spark.eventLog.compression.codec=zstd" in problem


def test_what_cannot_be_read_is_a_problem_once_and_the_others_are_read(
    spark: SparkWorld, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy(spark.plain, folder)
    (folder / "eventlog_v2_no_folder").touch()
    (folder / "eventlog_v2_empty").mkdir()
    (folder / "app-vanished").symlink_to(folder / "nowhere")
    with socket.socket(socket.AF_UNIX) as unreadable:
        monkeypatch.chdir(folder)  # a socket's path has to be short
        unreadable.bind("app-unreadable")
    poller = Poller(folder)
    assert len(poller.poll()) == 2
    assert sorted(problem.partition(" cannot be ")[0].rpartition("/")[2] for problem in poller.problems) == [
        "app-unreadable", "eventlog_v2_no_folder",
    ]  # fmt: skip
    assert poller.poll() == []
    assert len(poller.problems) == 2


def test_zstd_without_its_library_fails_the_source_and_names_the_extra(spark: SparkWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "zstandard", None)
    with pytest.raises(SourceFailed, match=r"airflow-oncall\[spark\]"):
        Poller(spark.zstd).poll()


def test_an_endless_line_is_skipped(spark: SparkWorld, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    longest = max(map(len, spark.plain.read_bytes().splitlines()))
    monkeypatch.setattr(spark_files, "LINE_LIMIT", longest + 2)
    edited(spark.plain, folder / spark.plain.name, lambda lines: [*lines[:3], "x" * (longest * 3), *lines[3:]])
    poller = Poller(folder)
    assert len(poller.poll()) == 2
    [problem] = poller.problems
    assert "line 4" in problem


def test_a_killed_poller_reads_on_from_any_batch_without_loss_or_double(spark: SparkWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = Poller(spark.events).poll()
    monkeypatch.setattr(spark_events, "_BATCH_BYTES", 1)
    source = EventLogSource("spark", str(spark.events), "start")
    batches = list(source.read({}))
    assert len(batches) > 50
    for last in range(0, len(batches), 7):
        before = [record for batch in batches[: last + 1] for record in batch.records]
        after = [record for batch in source.read(json.loads(json.dumps(batches[last].cursor))) for record in batch.records]
        assert before + after == whole


def test_a_first_poll_from_the_end_leaves_out_what_is_there_and_reads_what_comes(spark: SparkWorld, folder: Path) -> None:
    copy(spark.zstd, folder)
    copy(next(spark.growing.glob("local-*[0-9].inprogress")), folder)
    poller = Poller(folder, start="end")
    assert poller.poll() == []
    (folder / f"{spark.plain.name}.inprogress").unlink()
    copy(spark.plain, folder)
    [record] = poller.poll()
    assert "CAST_INVALID_INPUT" in record.text
    assert record.identifiers["task_id"] == "plain_customers"


def test_a_log_that_became_shorter_is_read_anew(spark: SparkWorld, folder: Path) -> None:
    growing = next(spark.growing.glob("local-*[0-9].inprogress"))
    copy(growing, folder)
    poller = Poller(folder)
    poller.poll()
    edited(growing, folder / growing.name, lambda lines: lines[:8])
    assert poller.poll() == []
    assert ["shorter" in problem for problem in poller.problems] == [True]


def test_a_log_that_vanished_is_told_once_and_forgotten(spark: SparkWorld, folder: Path) -> None:
    growing = next(spark.growing.glob("local-*[0-9].inprogress"))
    copy(growing, folder)
    poller = Poller(folder)
    poller.poll()
    (folder / growing.name).unlink()
    assert poller.poll() == poller.poll() == []
    assert ["deleted" in problem for problem in poller.problems] == [True]
    assert poller.cursor == {"version": 1, "first": False, "done": {}, "open": {}}


def test_files_from_the_future_are_read_and_old_ones_are_not(spark: SparkWorld, folder: Path) -> None:
    for name, age in (("app-future", -40), ("app-old", 40)):
        shutil.copy(spark.plain, folder / name)
        moment = time.time() - age * 86400
        os.utime(folder / name, (moment, moment))
    poller = Poller(folder)
    assert {record.position.partition(":")[0] for record in poller.poll()} == {"app-future"}
    assert set(poller.cursor["done"]) == {"app-future"}


def test_a_cursor_of_another_shape_fails_the_source(folder: Path) -> None:
    with pytest.raises(SourceFailed, match=r"'spark'.*'offset': 7.*new name"):
        list(EventLogSource("spark", str(folder)).read({"offset": 7}))


@pytest.mark.parametrize("path", ["/nowhere/events", "s9://bucket/events"])
def test_a_folder_that_cannot_be_listed_fails_the_source(path: str) -> None:
    with pytest.raises(SourceFailed, match=rf"'spark': '{path}'"):
        list(EventLogSource("spark", path).read({}))


def test_settings_build_the_source_and_refuse_what_they_do_not_know() -> None:
    settings = SparkEventsSettings(kind="spark_events", path="/events", start="start")
    assert settings.source("spark") == EventLogSource("spark", "/events", "start", 7)
    with pytest.raises(ValidationError, match="folder"):
        SparkEventsSettings.model_validate({"kind": "spark_events", "path": "/events", "folder": "/events"})


@pytest.mark.parametrize("query_first", [True, False])
def test_a_query_whose_end_is_told_before_or_after_its_jobs_is_no_second_trouble(
    spark: SparkWorld, folder: Path, query_first: bool
) -> None:
    def ordered(lines: list[str]) -> Iterable[str]:
        ends = ("SparkListenerSQLExecutionEnd", '"SparkListenerJobEnd"')
        for number, line in enumerate(lines):
            neighbours = lines[number - 1 : number + 2]
            pair = [one for one in neighbours if any(end in one for end in ends)]
            if line not in pair or len(pair) < 2:
                yield line
            elif line is pair[0]:
                yield from sorted(pair, key=lambda one: (ends[0] in one) != query_first)

    edited(spark.plain, folder / "app-1", ordered)
    assert signatures(Poller(folder).poll()) == ["spark-job-failed", "spark-job-failed"]
