"""Elasticsearch and OpenSearch: the real provider hook and client against an in-memory server, and against what it is told to say."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from osmem_server import OsmemServer  # type: ignore[import-untyped]
from pydantic import ValidationError

from airflow_oncall.capture.logs.elasticsearch import ElasticsearchSettings
from airflow_oncall.capture.logs.source import RECORD_LIMIT, Cursor, Record, SourceFailed
from tests.logs.elastic_world import NOON, ElasticWorld, meddling


@pytest.fixture(scope="module")
def cluster() -> Iterator[OsmemServer]:
    """The in-memory server, empty."""
    with OsmemServer.start(japanese=False) as server:
        server.freeze()
        yield server
    assert server.process.stdout
    server.process.stdout.close()  # the launcher leaves it open


@pytest.fixture
def world(cluster: OsmemServer) -> Iterator[ElasticWorld]:
    """An empty server that passes for Elasticsearch."""
    with cluster.clone() as clone, meddling(clone.url) as world:
        yield world


@pytest.fixture
def opensearch(world: ElasticWorld) -> ElasticWorld:
    """An empty server that is as strict as OpenSearch."""
    world.speaks_elasticsearch, world.calls_itself = False, ""
    return world


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long retries waited; nobody really waits."""
    waited: list[float] = []
    monkeypatch.setattr("airflow_oncall.capture.logs.elasticsearch_client.sleep", waited.append)
    return waited


class Poller:
    """Reads a source as the poller does: from the last cursor, remembering everything."""

    def __init__(self, world: ElasticWorld, **settings: Any) -> None:
        self.source = ElasticsearchSettings.model_validate({"hosts": [world.url], "start": "start"} | settings).source("logs")
        self.cursor: Cursor = {}
        self.problems: list[str] = []

    def poll(self) -> list[Record]:
        records: list[Record] = []
        for batch in self.source.read(self.cursor):
            records += batch.records
            self.cursor = batch.cursor
            self.problems += batch.problems
        return records

    def positions(self) -> list[str]:
        return [record.position for record in self.poll()]


def test_documents_are_read_once_in_the_order_of_their_time(world: ElasticWorld) -> None:
    written = [world.write(number) for number in (3, 1, 2)]
    poller = Poller(world)

    assert poller.positions() == [written[1], written[2], written[0]]
    assert poller.positions() == []
    assert [world.write(4)] == poller.positions()


def test_every_page_goes_on_behind_the_last_also_among_documents_of_one_time(world: ElasticWorld) -> None:
    written = {world.write(number, seconds=number // 4) for number in range(10)}
    read = Poller(world, page_size=3).positions()

    assert len(read) == 10
    assert set(read) == written
    views = [body["pit"] for body in world.searches()]
    assert len(views) == 4


def test_points_in_time_are_given_back(world: ElasticWorld) -> None:
    world.write(1)
    Poller(world).poll()

    assert [request for request, _, _ in world.asked if request.startswith("DELETE")] == ["DELETE /_pit"]


def test_only_documents_of_the_chosen_severities_and_query_are_read(world: ElasticWorld) -> None:
    fatal = world.write(1, "disk full", level="Fatal")
    world.write(2, "disk fine", level="INFO")
    world.write(3, "net down", level="error")

    assert Poller(world, query="message:disk").positions() == [fatal]


def test_a_source_without_severities_and_query_is_refused() -> None:
    with pytest.raises(ValidationError, match="one of severities and query"):
        ElasticsearchSettings(severities=[])


def test_the_first_poll_begins_behind_the_newest_document(world: ElasticWorld) -> None:
    world.write(1)
    poller = Poller(world, start="end")

    assert poller.positions() == []
    world.write("old", seconds=0)
    new = world.write(2)
    assert poller.positions() == [new]


def test_a_pattern_may_match_its_first_index_later(opensearch: ElasticWorld) -> None:
    poller = Poller(opensearch, product="opensearch", start="end")

    assert poller.positions() == []
    first = opensearch.write(1)
    assert poller.positions() == [first]


def test_a_document_that_arrives_late_is_still_read(world: ElasticWorld) -> None:
    poller = Poller(world, late_seconds=60)
    world.write(100)
    poller.poll()
    late = world.write("late", seconds=50)
    world.write("too-late", seconds=10)

    assert poller.positions() == [late]


def test_the_cursor_names_only_documents_of_the_late_window(world: ElasticWorld) -> None:
    for seconds in (0, 100, 110, 150):
        world.write(seconds)
    poller = Poller(world, late_seconds=60)
    poller.poll()

    assert [time for time, _ in poller.cursor["seen"]] == [_milliseconds(seconds) for seconds in (100, 110, 150)]


def test_a_window_with_too_many_documents_is_narrowed_and_this_is_said(world: ElasticWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("airflow_oncall.capture.logs.elasticsearch.SEEN_LIMIT", 3)
    for number in range(6):
        world.write(number)
    poller = Poller(world, page_size=2)

    assert len(poller.positions()) == 6
    assert len(poller.cursor["seen"]) == 3
    assert len(poller.problems) == 1
    assert "'logs': more than 3 documents within `late_seconds`" in poller.problems[0]
    assert poller.positions() == []


def test_a_poll_reads_only_so_many_pages_and_the_next_goes_on(world: ElasticWorld) -> None:
    written = [world.write(number) for number in range(9)]
    poller = Poller(world, page_size=2, max_pages=2)

    assert poller.positions() == written[:4]
    assert poller.positions() == written[4:8]
    assert poller.positions() == written[8:]


def test_documents_of_one_instant_do_not_stop_the_source_however_many_there_are(
    world: ElasticWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("airflow_oncall.capture.logs.elasticsearch.SEEN_LIMIT", 2)
    written = [*(world.write(number, seconds=0) for number in range(7)), world.write(8)]
    poller = Poller(world, page_size=2, max_pages=1)
    read = [position for _ in range(4) for position in poller.positions()]

    assert sorted(read) == sorted(written)


def test_documents_of_one_instant_are_handed_on_once_however_often_it_is_polled(
    world: ElasticWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("airflow_oncall.capture.logs.elasticsearch.SEEN_LIMIT", 2)
    written = [world.write("before", seconds=0), *(world.write(number, seconds=1) for number in range(7))]
    poller = Poller(world, page_size=3)

    assert sorted(poller.positions()) == sorted(written)
    assert poller.positions() == poller.positions() == []
    late = world.write("of-the-same-instant", seconds=1)
    assert poller.positions() == [late]
    newer = world.write("newer", seconds=2)
    assert poller.positions() == [newer]
    assert len(poller.cursor["seen"]) == 2
    assert poller.positions() == []


def test_documents_dated_ahead_do_not_carry_the_cursor_past_the_others(world: ElasticWorld) -> None:
    world.write("ahead", at=datetime.now(timezone.utc) + timedelta(days=400))
    poller = Poller(world)

    assert poller.positions() == []
    now = world.write("now", at=datetime.now(timezone.utc) - timedelta(seconds=1))
    assert poller.positions() == [now]


def test_with_the_time_of_ingestion_clocks_that_go_back_lose_nothing(world: ElasticWorld) -> None:
    poller = Poller(world, ordered_by="event.ingested", late_seconds=10)
    world.write(1, seconds=7200, event={"ingested": NOON.isoformat()})
    poller.poll()
    back = world.write(2, seconds=0, event={"ingested": (NOON + timedelta(seconds=60)).isoformat()})

    assert [(record.position, record.happened_at) for record in poller.poll()] == [(back, NOON)]


def test_a_kill_between_two_batches_loses_and_doubles_nothing(world: ElasticWorld) -> None:
    written = [world.write(number) for number in range(7)]
    poller = Poller(world, page_size=2)
    reading = poller.source.read(poller.cursor)
    first = next(reading)
    next(reading)  # read, and never stored
    del reading
    poller.cursor = first.cursor

    assert [record.position for record in first.records] + poller.positions() == written


def test_a_record_has_message_exception_and_stack_without_repeating_itself(world: ElasticWorld) -> None:
    stack = "java.io.IOException: disk full\n\tat Writer.flush(Writer.java:10)"
    world.write(1, "cannot write", error={"type": "java.io.IOException", "message": "disk full", "stack_trace": stack})
    world.write(2, "disk full", **{"error.type": "OSError", "error.message": "disk full"}, level="critical")
    one, two = Poller(world).poll()

    assert one.text == f"cannot write\n{stack}"
    assert two.text == "disk full\nOSError: disk full"
    assert (one.happened_at, one.severity, one.signature) == (NOON + timedelta(seconds=1), "ERROR", "error-document")
    assert two.severity == "CRITICAL"


def test_a_text_of_ten_megabytes_is_cut_in_its_middle(world: ElasticWorld) -> None:
    world.tell("PUT", "/logs-app", {"mappings": {"properties": {"message": {"type": "text", "index": False}}}})
    world.write(1, "start " + "x" * 10_000_000 + " end")
    (record,) = Poller(world).poll()

    assert len(record.text) <= RECORD_LIMIT
    assert record.text.startswith("start x")
    assert record.text.endswith("x end")


def test_identifiers_come_from_fields_and_never_from_the_message(world: ElasticWorld) -> None:
    pod = {"pod": {"name": "report-x1"}, "namespace": "jobs", "container": {"name": "base"}, "node": {"name": "n7"}}
    fields: dict[str, Any] = {
        "host": {"name": "web-1"},
        "service.name": "billing",
        "kubernetes": pod,
        "labels": {"application_id": "app-1"},
    }
    world.write(1, "dag_id=forged run_id=forged task_id=forged", **fields)
    (record,) = Poller(world).poll()

    assert record.identifiers == {
        "host": "web-1",
        "service": "billing",
        "pod_name": "report-x1",
        "namespace": "jobs",
        "container_name": "base",
        "node_name": "n7",
        "application_id": "app-1",
    }


def test_the_task_instance_is_read_as_airflows_own_log_handler_wrote_it(world: ElasticWorld) -> None:
    log_id = "nightly-orders-load-3-manual__2026-03-02T12:00:00+00:00--1-2"
    world.write(1, dag_id="nightly-orders", task_id="load-3", log_id=log_id)
    (record,) = Poller(world).poll()

    assert record.identifiers == {
        "dag_id": "nightly-orders",
        "task_id": "load-3",
        "run_id": "manual__2026-03-02T12:00:00+00:00",
        "map_index": "-1",
        "try_number": "2",
    }


def test_a_log_id_of_another_task_names_no_run(world: ElasticWorld) -> None:
    world.write(1, dag_id="nightly", task_id="load", log_id="other-load-manual__1--1-2")
    (record,) = Poller(world).poll()

    assert record.identifiers == {"dag_id": "nightly", "task_id": "load"}


def test_every_field_can_have_another_name(world: ElasticWorld) -> None:
    names = {
        "timestamp": "ts",
        "message": "event",
        "severity": "level",
        "stack_trace": "exc",
        "identifiers": {"dag_id": "airflow.dag", "host": "machine", "task_id": ""},
    }
    document = {"ts": NOON.isoformat(), "event": "boom", "level": "error", "exc": "E: x", "airflow": {"dag": "nightly"}, "machine": "m1"}
    world.tell("PUT", "/logs-own/_doc/1?refresh=true", document | {"task_id": "left out", "labels": {"task_id": "left out too"}})
    (record,) = Poller(world, fields=names).poll()

    assert (record.text, record.happened_at) == ("boom\nE: x", NOON)
    assert record.identifiers == {"dag_id": "nightly", "host": "m1"}


def test_opensearch_is_read_through_its_own_points_in_time(opensearch: ElasticWorld) -> None:
    written = [opensearch.write(number) for number in range(3)]
    poller = Poller(opensearch, product="opensearch", page_size=2)

    assert poller.positions() == written
    requests = [request for request, _, _ in opensearch.asked]
    assert requests[0] == "POST /logs-*/_search/point_in_time?keep_alive=2m"
    assert requests[-1] == "DELETE /_search/point_in_time"


def test_opensearch_taken_for_elasticsearch_fails_with_the_setting_to_change(opensearch: ElasticWorld) -> None:
    with pytest.raises(SourceFailed, match="set `product: opensearch`"):
        Poller(opensearch).poll()


def test_a_server_without_points_in_time_is_read_without(world: ElasticWorld) -> None:
    world.says("/_pit", 400, "no handler found for uri", times=9)
    written = [world.write(number, seconds=0) for number in range(5)]

    assert Poller(world, page_size=2).positions() == written
    assert all("pit" not in body for body in world.searches())


def test_an_expired_point_in_time_is_replaced_and_nothing_is_lost_or_doubled(world: ElasticWorld) -> None:
    written = [world.write(number, seconds=number // 3) for number in range(9)]
    world.says("POST /_search$", 404, "search_context_missing_exception", after=2)
    read = Poller(world, page_size=2).positions()

    assert sorted(read) == sorted(written)
    assert sum("_pit?" in request for request, _, _ in world.asked) == 2


def test_points_in_time_that_expire_again_and_again_name_the_setting(world: ElasticWorld) -> None:
    world.write(1)
    world.says("POST /_search$", 404, "search_context_missing_exception", times=9)
    with pytest.raises(SourceFailed, match="raise `keep_alive`, which is '2m'"):
        Poller(world).poll()


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_login_says_what_to_set(world: ElasticWorld, status: int) -> None:
    world.says("POST", status, "security_exception")
    with pytest.raises(SourceFailed, match=rf"'logs': .*answered {status}: .*security_exception.*set a login and password, or `api_key`"):
        Poller(world).poll()
    assert len(world.asked) == 1


def test_a_busy_server_is_asked_again_when_it_says_so(world: ElasticWorld, waits: list[float]) -> None:
    written = world.write(1)
    world.says("POST /_search$", 429, "too_many_requests", Retry_After="7")
    world.says("POST /_search$", 503, "unavailable")

    assert Poller(world).positions() == [written]
    assert waits[0] == 7.0
    assert len(waits) == 2


def test_a_server_that_stays_away_is_left_for_the_next_poll(world: ElasticWorld, waits: list[float]) -> None:
    world.says("POST /_search$", 503, "unavailable", times=4)
    written = world.write(1)
    poller = Poller(world)
    with pytest.raises(SourceFailed, match="busy or away, also after 4 attempts"):
        poller.poll()

    assert len(waits) == 3
    assert poller.positions() == [written]


def test_no_server_at_all_is_told_without_its_password(waits: list[float]) -> None:
    source = ElasticsearchSettings(hosts=["http://me:secret@127.0.0.1:9"]).source("logs")
    with pytest.raises(SourceFailed, match=r"elasticsearch at http://127\.0\.0\.1:9 is busy or away") as failure:
        list(source.read({}))
    assert "secret" not in str(failure.value)


def test_shards_that_could_not_be_read_hold_the_cursor_until_they_can(world: ElasticWorld) -> None:
    lost, shown = world.write(1), world.write(2)
    poller = Poller(world)
    whole = world.tell("POST", "/logs-*/_search", {"sort": [{"@timestamp": "asc"}, {"_id": "asc"}]})
    shards = {"total": 2, "failed": 1, "failures": [{"reason": {"reason": "node left"}}]}
    world.answer("POST /_search$", whole | {"_shards": shards, "hits": {"hits": whole["hits"]["hits"][1:]}})

    assert poller.positions() == [shown]
    assert poller.problems == ["source 'logs': 1 of 2 shards were not read (node left); the next poll reads from here again"]
    assert poller.positions() == [lost]


def test_what_other_shards_show_is_handed_on_once_while_one_cannot_be_read(world: ElasticWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("airflow_oncall.capture.logs.elasticsearch.SEEN_LIMIT", 2)
    written = [world.write(number) for number in range(6)]
    poller = Poller(world)
    whole = world.tell("POST", "/logs-*/_search", {"sort": [{"@timestamp": "asc"}, {"_id": "asc"}]})
    partial = whole | {"_shards": {"total": 2, "failed": 1}, "hits": {"hits": whole["hits"]["hits"][1:]}}
    world.answer("POST /_search$", partial)
    assert poller.positions() == written[1:]
    world.answer("POST /_search$", partial)

    assert poller.positions() == []
    assert poller.positions() == written[:1]
    assert poller.positions() == []


def test_an_index_that_is_not_there_is_named(world: ElasticWorld) -> None:
    with pytest.raises(SourceFailed, match="no index 'nothing'; check `index`"):
        Poller(world, index="nothing").poll()


def test_a_search_that_is_refused_quotes_the_server(world: ElasticWorld) -> None:
    world.write(1)
    with pytest.raises(SourceFailed, match=r"refused the request: .*check `index`, `query`, `fields` and `tiebreaker`"):
        Poller(world, query="message:(").poll()


def test_a_cursor_of_another_shape_is_named(world: ElasticWorld) -> None:
    poller = Poller(world)
    poller.cursor = {"shape": "files/1"}
    with pytest.raises(SourceFailed, match=r"\{'shape': 'files/1'\}.*new name"):
        poller.poll()


def test_host_and_login_come_from_the_airflow_connection(world: ElasticWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    written = world.write(1)
    address = world.url.removeprefix("http://")
    monkeypatch.setenv("AIRFLOW_CONN_LOGS", f"elasticsearch://me:secret@{address}/http?fetch_size=5")

    assert Poller(world, hosts=[], conn_id="logs").positions() == [written]
    assert world.asked[0][1]["authorization"].startswith("Basic ")


def test_a_missing_connection_is_named(world: ElasticWorld) -> None:
    with pytest.raises(SourceFailed, match="no Airflow connection 'nowhere' with a host"):
        Poller(world, hosts=[], conn_id="nowhere").poll()


def test_a_missing_provider_names_the_extra(world: ElasticWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "airflow.providers.elasticsearch.hooks.elasticsearch", None)
    with pytest.raises(SourceFailed, match=r"pip install 'airflow-oncall\[elasticsearch\]'"):
        Poller(world).poll()


def _milliseconds(seconds: int) -> int:
    return int((NOON + timedelta(seconds=seconds)).timestamp() * 1000)
