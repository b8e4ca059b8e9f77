"""The History Server: the real one over real logs, and answers that the real one gives only on bad days."""

from __future__ import annotations

import json
import shutil
import threading
import urllib.request
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from airflow_oncall.capture.logs.source import Record, SourceFailed
from airflow_oncall.capture.logs.spark_events import EventLogSource
from airflow_oncall.capture.logs.spark_history import HistoryServerSource, SparkHistorySettings
from tests.logs.spark_world import SparkWorld, history_server, spark_world
from tests.waiting import until

Answer = tuple[int, str]


def poll(source: HistoryServerSource, cursor: dict[str, Any]) -> tuple[list[Record], dict[str, Any], list[str]]:
    batches = list(source.read(cursor))
    records = [record for batch in batches for record in batch.records]
    return records, json.loads(json.dumps(batches[-1].cursor)), [problem for batch in batches for problem in batch.problems]


@pytest.fixture(scope="session")
def spark(tmp_path_factory: pytest.TempPathFactory) -> SparkWorld:
    """Event logs of applications that failed, finished and growing."""
    return spark_world(tmp_path_factory.getbasetemp())


@pytest.fixture(scope="module")
def shown(spark: SparkWorld, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Logs that the server shows: a finished application, and one that still runs."""
    folder = tmp_path_factory.mktemp("history") / "events"
    folder.mkdir()
    shutil.copytree(spark.rolling, folder / spark.rolling.name)
    shutil.copy(next(spark.growing.glob("local-*[0-9].inprogress")), folder)
    return folder


@pytest.fixture(scope="module")
def server(shown: Path) -> Iterator[str]:
    """A History Server that has read them."""
    with history_server(shown) as url:
        until(lambda: len(listed(url)) == 2, 60)
        yield url


def listed(url: str) -> list[dict[str, Any]]:
    with urllib.request.urlopen(f"{url}/api/v1/applications", timeout=60) as answer:
        found: list[dict[str, Any]] = json.load(answer)
    return found


def test_a_running_application_is_read_on_and_a_finished_one_is_read_once(spark: SparkWorld, shown: Path, server: str) -> None:
    source = HistoryServerSource("history", server, start="start")
    first, cursor, problems = poll(source, {})
    assert not problems
    finished = [record for record in first if record.identifiers["app_name"] == "load_orders"]
    running = [record for record in first if record.identifiers["app_name"] == "plain_customers"]
    assert_same_troubles(finished, spark.rolling)
    assert [record.signature for record in running] == ["spark-job-failed"]
    assert poll(source, cursor)[0] == []
    from_the_end, end_cursor, _ = poll(HistoryServerSource("history", server), {})
    assert from_the_end == []

    (shown / f"{spark.plain.name}.inprogress").unlink()
    shutil.copy(spark.plain, shown)
    until(lambda: all(attempt["completed"] for one in listed(server) for attempt in one["attempts"]), 60)
    for known in (cursor, end_cursor):
        [late], after, _ = poll(source, known)
        assert "CAST_INVALID_INPUT" in late.text
        assert poll(source, after)[0] == []


def assert_same_troubles(records: list[Record], log: Path) -> None:
    """The server tells what the event log tells, in the same words; only the error's class it does not know."""
    told = [record for batch in EventLogSource("spark", str(log), "start").read({}) for record in batch.records]
    assert [facts(record) for record in records] == [facts(record) for record in sorted(told, key=lambda one: str(one.happened_at))]


def facts(record: Record) -> dict[str, Any]:
    known = {key: value for key, value in record.identifiers.items() if key != "error_class"}
    if record.signature == "spark-sql-failed":
        return {"signature": record.signature, "text": record.text, **known}
    return {"signature": record.signature, "at": record.happened_at, "says": record.text[:120], **known}


class Scripted:
    """A server that answers as a test says: path without the query -> status and body."""

    def __init__(self) -> None:
        self.answers: dict[str, Answer] = {}
        self.asked: list[str] = []
        self.seen_headers: list[dict[str, str]] = []
        scripted = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                scripted.asked.append(self.path)
                scripted.seen_headers.append(dict(self.headers.items()))
                status, body = scripted.answers.get(self.path.partition("?")[0], (404, "no such page"))
                self.send_response(status)
                self.end_headers()
                self.wfile.write(body.encode())

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def show(self, *applications: str, **parts: object) -> None:
        """Applications that ended, with the same jobs, stages, executors and queries."""
        attempt = {"lastUpdatedEpoch": 1_800_000_000_000, "endTimeEpoch": 1_800_000_000_000, "completed": True}
        listing = [{"id": one, "name": "orders", "attempts": [attempt]} for one in applications]
        self.answers["/api/v1/applications"] = (200, json.dumps(listing))
        empty: dict[str, object] = {"jobs": [], "stages": [], "allexecutors": [], "sql": [], "environment": {"sparkProperties": []}}
        for one in applications:
            for what, content in {**empty, **parts}.items():
                self.answers[f"/api/v1/applications/{one}/{what}"] = (200, json.dumps(content))


@pytest.fixture
def scripted() -> Iterator[Scripted]:
    scripted = Scripted()
    thread = threading.Thread(target=scripted.server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield scripted
    scripted.server.shutdown()
    thread.join()
    scripted.server.server_close()


def failed_job(number: int) -> dict[str, object]:
    return {"jobId": number, "name": "collect", "status": "FAILED", "stageIds": [], "completionTime": "2026-01-01T00:00:00.000GMT"}


@pytest.mark.parametrize(
    ("status", "way_out"),
    [(401, "login and password"), (403, "spark.history.ui.admin.acls"), (404, "root"), (429, "less often"), (503, "next poll")],
)
def test_a_refusal_fails_the_source_and_says_what_to_do(scripted: Scripted, status: int, way_out: str) -> None:
    scripted.answers["/api/v1/applications"] = (status, "go away")
    with pytest.raises(SourceFailed, match=rf"'history'.*HTTP {status}: 'go away'.*{way_out}"):
        poll(HistoryServerSource("history", scripted.url), {})


@pytest.mark.parametrize("body", ["<html>a login page</html>", '{"error": 1}', "[1]"])
def test_an_answer_that_is_no_list_fails_the_source(scripted: Scripted, body: str) -> None:
    scripted.answers["/api/v1/applications"] = (200, body)
    with pytest.raises(SourceFailed, match="Check that it is a Spark History Server"):
        poll(HistoryServerSource("history", scripted.url), {})


def test_a_server_that_does_not_answer_fails_the_source(scripted: Scripted) -> None:
    blocked = threading.Event()
    scripted.show("app-1")

    class Slow(dict[str, Answer]):
        def get(self, *_: object) -> Any:
            blocked.wait(10)
            return (200, "[]")

    scripted.answers = Slow()
    with pytest.raises(SourceFailed, match=r"does not answer applications: ReadTimeout.*timeout"):
        poll(HistoryServerSource("history", scripted.url, timeout=0.2), {})
    blocked.set()


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "history:18080", "http://[broken"])
def test_a_server_that_cannot_be_reached_fails_the_source(url: str) -> None:
    with pytest.raises(SourceFailed, match="'history'"):
        poll(HistoryServerSource("history", url), {})


@pytest.mark.parametrize("status", [404, 500])
def test_an_application_that_is_not_shown_for_a_while_is_read_when_it_is(scripted: Scripted, status: int) -> None:
    scripted.show("app-1", "app-2", jobs=[failed_job(7)])
    good = scripted.answers["/api/v1/applications/app-1/jobs"]
    scripted.answers["/api/v1/applications/app-1/jobs"] = (status, "the log is being replaced")
    source = HistoryServerSource("history", scripted.url, start="start")
    records, cursor, problems = poll(source, {})
    assert [record.position for record in records] == ["app-2/job-7"]
    scripted.answers["/api/v1/applications/app-1/jobs"] = good
    records, cursor, later = poll(source, cursor)
    assert [record.position for record in records] == ["app-1/job-7"]
    assert [*problems, *later] == []
    assert poll(source, cursor)[0] == []


@pytest.mark.parametrize("status", [404, 500])
def test_an_application_that_is_never_shown_is_a_problem_once_and_asked_for_no_more(scripted: Scripted, status: int) -> None:
    scripted.show("app-1", "app-2", jobs=[failed_job(7)])
    scripted.answers["/api/v1/applications/app-1/jobs"] = (status, "damaged log")
    source = HistoryServerSource("history", scripted.url, start="start")
    cursor: dict[str, Any] = {}
    told: list[str] = []
    for _ in range(8):
        _, cursor, problems = poll(source, cursor)
        told += problems
    assert ["app-1" in problem and "damaged log" in problem for problem in told] == [True]
    asked = [path for path in scripted.asked if path == "/api/v1/applications/app-1/jobs"]
    assert 1 < len(asked) < 8


def test_an_application_that_is_not_shown_stays_listed_though_newer_ones_end(scripted: Scripted) -> None:
    scripted.show("app-1", jobs=[failed_job(7)])
    scripted.answers["/api/v1/applications/app-1/jobs"] = (500, "the log is being replaced")
    source = HistoryServerSource("history", scripted.url, start="start")
    _, before, _ = poll(source, {})
    _, after, _ = poll(source, before)
    assert after["since"] == before["since"] < 1_800_000_000_000


@pytest.mark.parametrize("status", [200, 503])
def test_a_password_in_the_url_is_in_no_message(scripted: Scripted, status: int) -> None:
    url = scripted.url.replace("://", "://oncall:hunter2secret@")
    scripted.answers["/api/v1/applications"] = (status, "password=hunter3secret")
    with pytest.raises(SourceFailed) as failure:
        poll(HistoryServerSource("history", url), {})
    assert "127.0.0.1" in str(failure.value)
    assert "secret" not in str(failure.value)


@pytest.mark.parametrize("rest", ["127.0.0.1:1", "[broken", "a/b:80"])
def test_a_password_in_a_url_that_leads_nowhere_is_in_no_message(rest: str) -> None:
    with pytest.raises(SourceFailed, match="'history'") as failure:
        poll(HistoryServerSource("history", f"http://oncall:hunter2secret@{rest}"), {})
    assert "secret" not in str(failure.value)


def test_a_poll_that_fails_half_way_keeps_what_was_committed(scripted: Scripted) -> None:
    scripted.show("app-1", "app-2", jobs=[failed_job(7)])
    good = scripted.answers["/api/v1/applications/app-2/jobs"]
    scripted.answers["/api/v1/applications/app-2/jobs"] = (503, "busy")
    source = HistoryServerSource("history", scripted.url, start="start")
    batches = source.read({})
    committed = next(batches)
    with pytest.raises(SourceFailed, match="503"):
        next(batches)
    scripted.answers["/api/v1/applications/app-2/jobs"] = good
    records, _, _ = poll(source, json.loads(json.dumps(committed.cursor)))
    assert [record.position for record in (*committed.records, *records)] == ["app-1/job-7", "app-2/job-7"]


def test_an_end_that_becomes_known_late_is_read_and_older_ones_are_forgotten(scripted: Scripted) -> None:
    scripted.show("app-1", jobs=[failed_job(1)])
    source = HistoryServerSource("history", scripted.url, start="start", late_hours=2)
    _, cursor, _ = poll(source, {})
    assert cursor["since"] == 1_800_000_000_000
    scripted.show("app-2", jobs=[failed_job(1)])
    records, cursor, _ = poll(source, cursor)
    assert "minEndDate=2027-01-15T06%3A00%3A00.000GMT" in scripted.asked[-6:][0]
    assert [record.position for record in records] == ["app-2/job-1"]
    assert set(cursor["attempts"]) == {"app-2"}


def test_queries_are_asked_page_by_page(scripted: Scripted) -> None:
    page = [{"id": number, "rootExecutionId": number, "status": "COMPLETED"} for number in range(100)]
    scripted.show("app-1", sql=page)
    ask: Callable[..., Any] = scripted.answers.get

    class Pages(dict[str, Answer]):
        def get(self, key: str, default: Any = None) -> Any:
            if key.endswith("/sql") and "offset=100" in scripted.asked[-1]:
                return (200, json.dumps([{"id": 100, "rootExecutionId": 100, "status": "FAILED", "errorMessage": "no table"}]))
            return ask(key, default)

    scripted.answers = Pages()
    records, _, _ = poll(HistoryServerSource("history", scripted.url, start="start"), {})
    assert [record.position for record in records] == ["app-1/sql-100"]


def test_a_stage_that_was_tried_again_is_a_warning_and_an_idle_executor_is_nothing(scripted: Scripted) -> None:
    job = {**failed_job(1), "status": "SUCCEEDED", "stageIds": [4]}
    stage = {"stageId": 4, "attemptId": 0, "name": "join", "failureReason": "FetchFailed", "completionTime": "2026-01-01T00:00:00.000GMT"}
    gone = {"isActive": False, "removeTime": "2025-12-31T23:00:00.000GMT"}
    idle = {**gone, "id": "1", "removeReason": "Executor killed by driver."}
    after = {**gone, "id": "2", "removeReason": "Command exited with code 143", "removeTime": "2026-01-01T00:00:01.000GMT"}
    scripted.show("app-1", jobs=[job], stages=[stage], allexecutors=[idle, after])
    records, _, _ = poll(HistoryServerSource("history", scripted.url, start="start"), {})
    assert [(record.position, record.severity) for record in records] == [("app-1/stage-4.0", "WARNING")]


def test_the_server_and_the_login_come_from_an_airflow_connection(scripted: Scripted, monkeypatch: pytest.MonkeyPatch) -> None:
    scripted.show("app-1", jobs=[failed_job(7)])
    host, port = "127.0.0.1", scripted.server.server_port
    monkeypatch.setenv("AIRFLOW_CONN_SPARK_HISTORY", json.dumps({
        "conn_type": "http", "host": host, "port": port, "login": "oncall", "password": "pw", "extra": {"headers": {"X-Team": "data"}},
    }))  # fmt: skip
    records, _, _ = poll(HistoryServerSource("history", conn_id="spark_history", start="start"), {})
    assert len(records) == 1
    assert scripted.seen_headers[0]["Authorization"].startswith("Basic ")
    assert scripted.seen_headers[0]["X-Team"] == "data"


def test_a_missing_connection_fails_the_source(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("airflow_oncall.capture.logs.spark_server.find_connection", lambda _: None)
    with pytest.raises(SourceFailed, match="connection 'nowhere'"):
        poll(HistoryServerSource("history", conn_id="nowhere"), {})


def test_a_cursor_of_another_shape_fails_the_source() -> None:
    with pytest.raises(SourceFailed, match=r"shape.*new name"):
        poll(HistoryServerSource("history", "http://history"), {"version": 9, "since": 0, "attempts": {}})


@pytest.mark.parametrize("address", [{}, {"url": "http://history", "conn_id": "history"}])
def test_settings_want_one_address(address: dict[str, str]) -> None:
    with pytest.raises(ValidationError, match="either url or conn_id"):
        SparkHistorySettings.model_validate({"kind": "spark_history", **address})
    assert SparkHistorySettings(url="http://history").source("history") == HistoryServerSource("history", "http://history")
