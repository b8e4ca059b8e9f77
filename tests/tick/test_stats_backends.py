"""Names and values as they leave through Airflow's own loggers, which drop what they do not take."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from socket import AF_INET, SOCK_DGRAM, socket
from typing import Any

import pytest
from airflow.sdk._shared.observability.metrics import stats
from airflow.sdk._shared.observability.metrics.otel_logger import SafeOtelLogger
from airflow.sdk._shared.observability.metrics.statsd_logger import get_statsd_logger
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from tests.tick.scene import Scene

from airflow_oncall.incident import LogEvent
from airflow_oncall.measures import after_tick, measure, stat_of
from airflow_oncall.store.records import now

ABROAD, ABROAD_TOO = "Überwachung", "Öberwachung"
"""Sources may be called so; stats may not."""
REPORTED = "api:on call"


class StatsClient:
    """What Airflow takes from the package ``statsd``, in its wire format."""

    def __init__(self, host: str, port: int, prefix: str, ipv6: bool) -> None:
        self._socket, self._to, self._prefix = socket(AF_INET, SOCK_DGRAM), (host, port), prefix

    def _send(self, stat: str, value: float, kind: str) -> None:
        self._socket.sendto(f"{self._prefix}.{stat}:{value:g}|{kind}".encode(), self._to)

    def incr(self, stat: str, count: int, rate: float) -> None:
        self._send(stat, count, "c")

    def gauge(self, stat: str, value: float, rate: float, delta: bool) -> None:
        self._send(stat, value, "g")

    def timing(self, stat: str, dt: timedelta) -> None:
        self._send(stat, dt.total_seconds() * 1000, "ms")

    def close(self) -> None:
        self._socket.close()


@dataclass
class Server:
    """A StatsD server: what arrived at its port."""

    socket: socket

    def received(self) -> dict[str, str]:
        """By name the last value with its kind."""
        told: dict[str, str] = {}
        while True:
            try:
                name, _, value = self.socket.recv(4096).decode("ascii").partition(":")
            except BlockingIOError:
                return told
            told[name] = value


@pytest.fixture(params=[False, True], ids=["plain", "with tags of InfluxDB"])
def tagged(request: pytest.FixtureRequest) -> bool:
    """``[metrics] statsd_influxdb_enabled``."""
    return bool(request.param)


@pytest.fixture
def statsd(monkeypatch: pytest.MonkeyPatch, tagged: bool) -> Iterator[Server]:
    """``[metrics] statsd_on``, with a server at a port of this machine."""
    with socket(AF_INET, SOCK_DGRAM) as port:
        port.bind(("127.0.0.1", 0))
        port.setblocking(False)
        to: dict[str, Any] = {"host": "127.0.0.1", "port": port.getsockname()[1], "prefix": "airflow"}
        logger = get_statsd_logger(stats_class=StatsClient, **to, influxdb_tags_enabled=tagged, statsd_influxdb_enabled=tagged)
        monkeypatch.setattr(stats, "_backend", logger)
        yield Server(port)
        logger.statsd.close()


@pytest.fixture
def otel(monkeypatch: pytest.MonkeyPatch) -> InMemoryMetricReader:
    """``[metrics] otel_on``, without the way to a collector."""
    reader = InMemoryMetricReader()
    monkeypatch.setattr(stats, "_backend", SafeOtelLogger(MeterProvider([reader])))
    return reader


def points(reader: InMemoryMetricReader) -> dict[str, Any]:
    """Points by the name of their metric."""
    read: Any = reader.get_metrics_data()
    metrics = [metric for resource in read.resource_metrics for scope in resource.scope_metrics for metric in scope.metrics]
    return {metric.name: list(metric.data.data_points) for metric in metrics}


@pytest.fixture
def busy(failed: Scene) -> Scene:
    """A repair is under way, and sources with names that no stat may have told of trouble."""
    failed.log(*(LogEvent(source, "file:1", now(), "FATAL: out of memory", "pg-oom") for source in (ABROAD, ABROAD_TOO, REPORTED)))
    return failed


def test_all_that_is_told_arrives_at_statsd(busy: Scene, statsd: Server, tagged: bool, caplog: pytest.LogCaptureFixture) -> None:
    busy.tick()
    after_tick(busy.store, 2.5)
    told = statsd.received()
    assert "Invalid stat name" not in caplog.text
    assert told["airflow.oncall.tick"] == "2500|ms"
    assert {f"airflow.oncall.{stat_of(one)}" for one in measure(busy.store)} <= set(told)
    assert told["airflow.oncall.incidents_open.verifying.network_connectivity.airflow"] == "1|g"
    assert told["airflow.oncall.actions_last_day.clear_task.done"] == "1|g"
    assert told["airflow.oncall.incidents_opened_last_day.network_connectivity._berwachung"] == "2|g", "both of them"
    counted = {name.removeprefix("airflow.oncall.") for name, value in told.items() if value.endswith("|c")}
    if tagged:
        assert "incidents,source=api_on_call,category=network_connectivity" in counted
        assert "actions,kind=clear_task,state=done" in counted
    else:
        assert counted == {"incidents", "decisions", "actions"}


def test_every_gauge_and_the_tags_of_counters_arrive_at_opentelemetry(busy: Scene, otel: InMemoryMetricReader) -> None:
    busy.tick()
    after_tick(busy.store, 2.5)
    told = points(otel)
    assert {f"airflow.oncall.{stat_of(one)}" for one in measure(busy.store)} <= set(told)
    assert [one.sum for one in told["airflow.oncall.tick"]] == [2500]
    assert [one.value for one in told["airflow.oncall.tick_duration_seconds"]] == [2.5]
    counted = {tuple(sorted(one.attributes.items())): one.value for one in told["airflow.oncall.incidents"]}
    sources = {"airflow": 1, "_berwachung": 2, "api_on_call": 1}
    assert counted == {(("category", "network_connectivity"), ("source", name)): number for name, number in sources.items()}
    assert [dict(one.attributes) for one in told["airflow.oncall.actions"]] == [{"kind": "clear_task", "state": "done"}]
