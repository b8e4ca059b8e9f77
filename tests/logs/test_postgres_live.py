"""Trouble that lasts on a real PostgreSQL, as its views show it: one record for each, however often it is looked at."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest
from lab.engines.postgres_server import Cluster

from airflow_oncall.capture.logs.postgres_live import PostgresLiveSettings, PostgresLiveSource
from airflow_oncall.capture.logs.source import SourceFailed
from tests.logs.postgres_world import CONN_ID, World, messages, polled, server
from tests.waiting import until

pytestmark = pytest.mark.postgres


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """One server for all tests of this file."""
    with server({"autovacuum": "off", "deadlock_timeout": "50ms", "max_connections": "12"}) as running:
        yield running


@pytest.fixture
def world(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> World:
    """The server and the connection to it."""
    return World(cluster, monkeypatch)


def live(**thresholds: float) -> PostgresLiveSource:
    unless = {"blocked_seconds": 1000, "idle_seconds": 1000, "connections_share": 1}
    return PostgresLiveSettings.model_validate({"conn_id": CONN_ID, **unless, **thresholds}).source("warehouse")


def test_a_quiet_server_has_nothing_to_tell(world: World) -> None:
    records, cursor, _ = polled(live(), {})
    assert records == []
    assert list(live().read(cursor)) == []


def test_a_blocked_chain_is_one_record_of_its_root(world: World) -> None:
    source = live(blocked_seconds=0)
    with world.blocked(2) as holder:
        records, cursor, _ = polled(source, {})
        assert [one.signature for one in records] == ["postgres-blocked"]
        text, about = records[0].text, records[0].identifiers
        assert about["application_name"] == "holder"
        assert about["pid"] == str(holder.info.backend_pid)
        assert len(about["blocked_pids"].split(",")) == 2
        assert "blocks 2 session(s)" in text
        assert "BLOCKER:  UPDATE stock SET n = 5" in text
        assert "'victim_0'" in text
        assert "'victim_1'" in text
        assert polled(source, cursor)[0] == []
    ended = polled(source, cursor)[1]
    assert ended["open"] == []
    with world.blocked(1):
        again, _, _ = polled(source, ended)
    assert [one.signature for one in again] == ["postgres-blocked"]
    assert again[0].position != records[0].position


def test_who_waits_for_less_than_the_threshold_is_no_trouble(world: World) -> None:
    with world.blocked(1):
        assert polled(live(), {})[0] == []


def test_a_transaction_left_idle_is_one_record(world: World) -> None:
    source = live(idle_seconds=0)
    with world.session("forgotten") as session:
        session.execute("BEGIN")
        session.execute("SELECT 'last words'")
        records, cursor, _ = polled(source, {})
        assert polled(source, cursor)[0] == []
    assert [one.signature for one in records] == ["postgres-idle-in-transaction"]
    assert "LAST STATEMENT:  SELECT 'last words'" in records[0].text
    assert records[0].identifiers.items() >= {"application_name": "forgotten", "user": "etl", "database": "postgres"}.items()


def test_deadlocks_are_told_when_their_counter_grows(world: World) -> None:
    _, cursor, _ = polled(live(), {})
    world.deadlock()
    until(
        lambda: world.cluster.admin.execute("SELECT deadlocks > 0 FROM pg_stat_database WHERE datname = 'postgres'").fetchone() == (True,)
    )
    records, cursor, _ = polled(live(), cursor)
    assert messages(records) == ["1 deadlock(s) in database postgres since the last look; the server log names the statements"]
    assert polled(live(), cursor)[0] == []

    world.cluster.admin.execute("SELECT pg_stat_reset()")
    assert polled(live(), cursor)[0] == []
    _, cursor, _ = polled(live(), cursor)
    world.deadlock()
    until(
        lambda: world.cluster.admin.execute("SELECT deadlocks > 0 FROM pg_stat_database WHERE datname = 'postgres'").fetchone() == (True,)
    )
    again, _, _ = polled(live(), cursor)
    assert len(again) == 1
    assert again[0].position != records[0].position


def test_connections_running_out_are_one_record_until_there_are_some_again(world: World) -> None:
    source = live(connections_share=0.5)
    calm = polled(source, {})[1]
    with world.full():
        first, cursor, _ = polled(source, calm)
        assert [one.signature for one in first] == ["postgres-connections-short"]
        assert "application 'leaky_pool'" in first[0].text
        assert polled(source, cursor)[0] == []
    until(lambda: not polled(source, cursor)[1]["open"])
    cursor = polled(source, cursor)[1]
    with world.full():
        again, _, _ = polled(source, cursor)
    assert [one.position for one in again] == ["connections-2"]


def test_a_server_that_has_no_connection_left_for_us_is_trouble_and_not_a_broken_source(world: World) -> None:
    world.connect_as("report_ro")
    world.cluster.admin.execute("GRANT pg_monitor TO report_ro")
    with world.full():
        records, cursor, _ = polled(live(), {})
        assert polled(live(), cursor)[0] == []
    assert [(one.signature, one.severity) for one in records] == [("postgres-connections-short", "ERROR")]


def test_a_role_without_rights_is_told_which_grant_helps(world: World) -> None:
    world.connect_as("airflow")
    with pytest.raises(SourceFailed, match=r"role airflow of connection 'watched_postgres' .*GRANT pg_monitor TO airflow"):
        polled(live(), {})


def test_a_connection_that_is_not_defined_is_named() -> None:
    source = PostgresLiveSettings(conn_id="nowhere").source("warehouse")
    with pytest.raises(SourceFailed, match="needs connection 'nowhere', which is not defined"):
        polled(source, {})


def test_a_missing_driver_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(SourceFailed, match=r"needs psycopg: pip install 'airflow-oncall\[postgres\]'"):
        polled(live(), {})


def test_a_cursor_of_another_version_is_quoted() -> None:
    with pytest.raises(SourceFailed, match=r"its cursor has a shape .*\{'seen': 3\}.*new name"):
        polled(live(), {"seen": 3})


def test_a_server_that_is_too_old_is_refused_with_what_reads_it(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("airflow_oncall.capture.logs.postgres_live.OLDEST", 990_000)
    with pytest.raises(SourceFailed, match=r"its server is PostgreSQL \d+.*postgres_live needs 14 or newer, use postgres_files"):
        polled(live(), {})
