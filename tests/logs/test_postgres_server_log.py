"""The log of a real PostgreSQL in its three formats, read from files and over SQL."""

from __future__ import annotations

import gzip
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from lab.engines.postgres_server import Cluster

from airflow_oncall.capture.logs.postgres_files import PostgresFilesSettings, PostgresFilesSource
from airflow_oncall.capture.logs.postgres_sql import PostgresSqlSettings, PostgresSqlSource
from airflow_oncall.capture.logs.source import Record, SourceFailed
from tests.logs.postgres_world import CONN_ID, World, messages, polled, server
from tests.waiting import until

pytestmark = pytest.mark.postgres

SETTINGS = {
    "autovacuum": "off",
    "deadlock_timeout": "50ms",
    "log_lock_waits": "on",
    "log_timezone": "Europe/Berlin",
    "compute_query_id": "on",
    "max_connections": "12",
}
PREFIXES = (
    "%t:%r:%u@%d:[%p]: ",
    "<%-12u|%15d> %%q %n %e [%p:%c] app='%a' from %h (%Q) %q%b ~ ",
    "%m pid=%p,l=%5l,s=%s,v=%v,x=%x,i=%i,P=%P,state=%e;%q%a\\\\%u\\\\%d\\\\%r: ",
)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """One server for all tests of this file."""
    with server(SETTINGS) as running:
        yield running


@pytest.fixture
def world(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> World:
    """The server as configured at first."""
    cluster.configure(SETTINGS)
    return World(cluster, monkeypatch)


def files(path: Path, **settings: str) -> PostgresFilesSource:
    return PostgresFilesSettings.model_validate({"path": str(path), **settings}).source("warehouse")


def sql() -> PostgresSqlSource:
    return PostgresSqlSettings(conn_id=CONN_ID, start="start").source("warehouse")


def told(record: Record) -> tuple[str, str, str, str | None]:
    """What an incident is made of."""
    return record.text, record.signature, record.severity, record.identifiers.get("pid")


def told_first(record: Record) -> tuple[str, ...]:
    return record.identifiers.get("pid", ""), record.text


@pytest.mark.parametrize("prefix", PREFIXES)
def test_every_format_and_prefix_tells_of_the_same_incidents(world: World, prefix: str) -> None:
    world.cluster.configure({**SETTINGS, "log_line_prefix": prefix.replace("'", "''")})
    sources = {format: files(world.file(format), conn_id=CONN_ID) for format in ("csvlog", "jsonlog", "stderr")}
    cursors = {format: polled(source, {})[1] for format, source in sources.items()}

    world.deadlock()
    begin = world.file("stderr").stat().st_size
    with world.blocked(1):
        until(lambda: b"still waiting" in world.file("stderr").read_bytes()[begin:])
    world.fails("SET statement_timeout = '20ms'; SELECT pg_sleep(5)")
    world.fails("SELECT *\n  FROM no_such_table -- ERROR:  not this")
    world.fails("""DO $$ BEGIN RAISE EXCEPTION E'two "quoted", lines\\nof it' USING HINT = 'ask', DETAIL = 'a,b'; END $$""")
    with world.full():
        pass
    world.killed_backend()
    world.logged()
    found = {format: polled(source, cursors[format]) for format, source in sources.items()}
    assert not any(problems for _, _, problems in found.values())
    # Processes that write at the same time come in another order in each file.
    csv, json_, stderr = (sorted(found[format][0], key=told_first) for format in ("csvlog", "jsonlog", "stderr"))

    assert [told(one) for one in csv] == [told(one) for one in json_] == [told(one) for one in stderr]
    assert [one.identifiers for one in csv] == [one.identifiers for one in json_]
    assert [one.happened_at for one in csv] == [one.happened_at for one in json_]
    for one, other in zip(stderr, csv, strict=True):
        assert one.identifiers.items() <= other.identifiers.items()
        assert one.happened_at is not None
        assert other.happened_at is not None
        # %t asks a coarser clock for the second, before the others ask theirs; %m and %n are the others' very time.
        assert one.happened_at <= other.happened_at if prefix.startswith("%t") else one.happened_at == other.happened_at

    states = [one.identifiers.get("sqlstate") for one in csv]
    assert {"40P01", "57014", "42P01", "P0001", "53300"} <= set(states)
    kinds = {"postgres-lock-wait", "postgres-process-died", "postgres-crash-recovery", "postgres-error", "postgres-fatal"}
    assert kinds <= {one.signature for one in csv}
    deadlock = csv[states.index("40P01")]
    assert re.search(
        r"DETAIL:  Process \d+ waits for ShareLock.*\nHINT:  .*\nCONTEXT:  .*\nSTATEMENT:  UPDATE stock", deadlock.text, re.DOTALL
    )
    assert deadlock.identifiers["application_name"] in {"orders_load", "stock_load"}
    assert deadlock.identifiers.items() >= {"database": "postgres", "user": "etl", "host": "[local]"}.items()


def test_a_folder_with_three_formats_tells_each_incident_once(world: World) -> None:
    source = files(world.folder)
    cursor = polled(source, {})[1]
    world.fails("SELECT 1 / 0")
    world.logged()
    assert messages(polled(source, cursor)[0]) == ["ERROR:  division by zero"]


def test_a_server_that_begins_new_files_is_read_on_in_them(world: World) -> None:
    source = files(world.folder)
    cursor = polled(source, {})[1]
    world.fails("SELECT 'before'::int")
    world.logged()
    world.cluster.configure({**SETTINGS, "log_filename": "rotated.log"})
    until(lambda: (world.folder / "rotated.json").exists())
    world.fails("SELECT 'after'::int")
    until(lambda: b"after" in (world.folder / "rotated.json").read_bytes())
    records, cursor, _ = polled(source, cursor)
    assert [re.findall('"(.*)"', one)[0] for one in messages(records)] == ["before", "after"]
    assert polled(source, cursor)[0] == []


@pytest.mark.parametrize("format", ["csvlog", "jsonlog", "stderr"])
def test_rotation_and_truncation_lose_nothing_and_repeat_nothing(world: World, format: str, tmp_path: Path) -> None:
    world.fails("SELECT 'one'::int")
    world.logged()
    lines = world.file(format).read_bytes().splitlines(keepends=True)
    log, rotated = tmp_path / "postgresql.log", tmp_path / "postgresql.log.1"
    log.write_bytes(b"".join(lines))
    source = files(tmp_path, format=format, start="start")
    first, cursor, _ = polled(source, {})
    assert 'ERROR:  invalid input syntax for type integer: "one" at character 8' in messages(first)
    assert polled(source, cursor)[0] == []

    log.rename(rotated)
    with rotated.open("ab") as late:
        late.write(b"".join(lines[-8:]))
    log.write_bytes(b"".join(lines[2:]))
    later, cursor, _ = polled(source, cursor)
    assert len(later) >= len(first)
    assert not {one.position for one in first} & {one.position for one in later}
    assert polled(source, cursor)[0] == []

    os.truncate(log, 0)
    assert polled(source, cursor)[0] == []
    with log.open("r+b") as anew:
        anew.write(b"".join(lines[2:]))
    again, cursor, _ = polled(source, polled(source, cursor)[1])
    assert not {one.position for one in again} & {one.position for one in later}
    assert polled(source, json.loads(json.dumps(cursor)))[0] == []


@pytest.fixture
def half_read(world: World, tmp_path: Path) -> tuple[Path, Any, list[str]]:
    """A jsonlog of which one poll read the first row, the cursor behind it, and the positions of all its rows."""
    world.fails("SELECT 'one'::int")
    world.fails("SELECT 'two'::int")
    world.logged()
    log = tmp_path / "postgresql.json"
    rows = [row for row in world.file("jsonlog").read_bytes().splitlines(keepends=True) if b'"ERROR"' in row]
    log.write_bytes(b"".join(rows))
    records, cursor, _ = polled(files(log, start="start"), {})
    (place,) = cursor["files"].values()
    place["offset"] = len(rows[0])  # as where the poll's time was over
    return log, cursor, [record.position for record in records]


def test_what_was_not_read_of_a_file_that_vanished_is_told(half_read: tuple[Path, Any, list[str]]) -> None:
    log, cursor, _ = half_read
    lost = log.stat().st_size - next(iter(cursor["files"].values()))["offset"]
    log.rename(log.with_name("elsewhere"))
    log.with_name("postgresql-2.json").write_bytes(b"")
    source = files(log.parent / "*.json", start="start")
    records, after, problems = polled(source, cursor)
    assert records == []
    assert [f"{log} vanished; {lost} bytes behind byte" in problem for problem in problems] == [True]
    assert polled(source, after)[2] == []


def test_what_was_not_read_of_a_truncated_file_is_told(half_read: tuple[Path, Any, list[str]]) -> None:
    log, cursor, positions = half_read
    log.write_bytes(log.read_bytes().splitlines(keepends=True)[-1])
    records, after, problems = polled(files(log, start="start"), cursor)
    assert [f"{log} was truncated or replaced; " in problem for problem in problems] == [True]
    assert len(records) == 1
    assert not {one.position for one in records} & set(positions)
    assert polled(files(log, start="start"), after)[2] == []


def test_a_file_that_was_packed_before_it_was_read_is_read_on_packed(half_read: tuple[Path, Any, list[str]]) -> None:
    log, cursor, positions = half_read
    log.with_name("postgresql.json.2.gz").write_bytes(gzip.compress(log.read_bytes()))
    log.with_name("postgresql-2.json").write_bytes(b"")
    log.unlink()
    source = files(log.parent / "*.json", start="start")
    records, after, problems = polled(source, cursor)
    assert [one.position for one in records] == positions[1:]
    assert (problems, polled(source, after)[0]) == ([], [])


def test_a_file_that_was_copied_packed_and_truncated_is_read_on_in_its_copy(half_read: tuple[Path, Any, list[str]]) -> None:
    log, cursor, positions = half_read
    last = log.read_bytes().splitlines(keepends=True)[-1]
    log.with_name("postgresql.json.1.gz").write_bytes(gzip.compress(log.read_bytes()))
    log.write_bytes(last)
    source = files(log, start="start")
    records, after, problems = polled(source, cursor)
    assert [one.position for one in records[:-1]] == positions[1:]
    assert records[-1].position not in positions
    assert (problems, polled(source, after)[0]) == ([], [])


@pytest.mark.parametrize("ending", [".1", "-20261122"])
def test_a_file_that_was_copied_and_truncated_is_read_on_in_its_copy(half_read: tuple[Path, Any, list[str]], ending: str) -> None:
    log, cursor, positions = half_read
    last = log.read_bytes().splitlines(keepends=True)[-1]
    log.with_name(f"postgresql.json{ending}").write_bytes(log.read_bytes())
    log.write_bytes(last)
    source = files(log.parent, start="start")
    records, after, problems = polled(source, cursor)
    assert [one.position for one in records[:-1]] == positions[1:]
    assert records[-1].position not in positions
    assert (problems, polled(source, after)[0]) == ([], [])
    log.with_name(f"postgresql.json{ending}").rename(log.with_name("postgresql.json.2"))
    assert polled(source, after)[0] == [], "a copy is known by itself from then on"


def test_a_copy_is_not_read_before_what_it_was_copied_from_is_truncated_and_written_anew(half_read: tuple[Path, Any, list[str]]) -> None:
    log, cursor, positions = half_read
    source, rows = files(log.parent, start="start"), log.read_bytes()
    log.with_name("postgresql.json.1").write_bytes(rows)
    records, cursor, _ = polled(source, cursor)
    assert [one.position for one in records] == positions[1:]
    os.truncate(log, 0)
    records, cursor, _ = polled(source, cursor)
    assert records == []
    log.write_bytes(rows.splitlines(keepends=True)[-1])
    records, cursor, problems = polled(source, cursor)
    assert len(records) == 1
    assert (problems, polled(source, cursor)[0]) == ([], [])


def test_a_packed_file_that_is_cut_off_is_told(half_read: tuple[Path, Any, list[str]]) -> None:
    log, cursor, _ = half_read
    log.with_name("postgresql.json.2.gz").write_bytes(gzip.compress(log.read_bytes())[:-20])
    log.with_name("postgresql-2.json").write_bytes(b"")
    log.unlink()
    _, _, problems = polled(files(log.parent / "*.json", start="start"), cursor)
    assert ["is cut off or broken" in problem for problem in problems] == [True]


@pytest.mark.parametrize("format", ["csvlog", "jsonlog", "stderr"])
def test_a_row_that_is_half_written_is_read_when_it_is_whole(world: World, format: str, tmp_path: Path) -> None:
    begin = world.file(format).stat().st_size
    world.fails("SELECT\n  'half'::int,\n  'more'")
    world.logged()
    raw = world.file(format).read_bytes()[begin:]
    log = tmp_path / "postgresql.log"
    source = files(log, format=format, start="start")
    cursor: dict[str, object] = {}
    records: list[Record] = []
    whole = raw.index(b"more")
    for size in (whole - 40, whole, len(raw)):
        log.write_bytes(raw[:size])
        if size != len(raw) and format == "stderr":
            continue  # the collector writes a message at once; a reader waits a moment for its end
        found, after, problems = polled(source, cursor)
        cursor = dict(after)
        records += found
        assert not problems
    assert [one for one in messages(records) if "half" in one] == ['ERROR:  invalid input syntax for type integer: "half" at character 10']
    assert records[-1].text.endswith("STATEMENT:  SELECT\n  'half'::int,\n  'more'")


def test_a_wrong_prefix_setting_is_told_and_hides_no_incident(world: World, tmp_path: Path) -> None:
    world.cluster.configure({**SETTINGS, "log_line_prefix": "%n|%a|"})
    begin = world.file("stderr").stat().st_size
    for _ in range(3):
        world.fails("SELECT 1 / 0")
    world.logged()
    log = tmp_path / "postgresql.log"
    log.write_bytes(world.file("stderr").read_bytes()[begin:])
    records, _, problems = polled(files(log, start="start", log_line_prefix="%m [%p] "), {})
    assert messages(records) == ["ERROR:  division by zero"] * 3
    assert all(set(one.identifiers) <= {"statement"} for one in records)
    assert len(problems) == 1
    # An error's, or that the setting was changed, which the server may tell later than it holds.
    quoted = [line for line in log.read_text().splitlines() if f"do not fit log_line_prefix '%m [%p] ', e.g. {line!r}" in problems[0]]
    assert quoted
    assert not polled(files(log, start="start", log_line_prefix="%n|%a|"), {})[2]


def test_over_sql_the_log_is_the_same(world: World) -> None:
    source = sql()
    cursor = polled(source, {})[1]
    assert polled(source, cursor)[0] == []
    begin = polled(files(world.file("jsonlog")), {})[1]
    world.fails("SELECT 1 / 0")
    world.logged()
    over_sql, cursor, problems = polled(source, cursor)
    assert [told(one) for one in over_sql] == [told(one) for one in polled(files(world.file("jsonlog")), begin)[0]]
    assert messages(over_sql) == ["ERROR:  division by zero"]
    assert not problems
    assert polled(source, cursor)[0] == []


def test_a_role_without_rights_is_told_which_grant_helps(world: World) -> None:
    world.connect_as("report_ro")
    with pytest.raises(
        SourceFailed, match=r"role report_ro .* GRANT pg_monitor TO report_ro; GRANT EXECUTE ON FUNCTION pg_read_binary_file"
    ):
        polled(sql(), {})
    world.cluster.admin.execute("GRANT pg_monitor TO report_ro")
    world.cluster.admin.execute("GRANT EXECUTE ON FUNCTION pg_read_binary_file(text, bigint, bigint, boolean) TO report_ro")
    assert polled(sql(), {})[1]["files"]


def test_a_log_is_still_read_while_its_server_is_down(world: World) -> None:
    source = files(world.file("stderr"), conn_id=CONN_ID)
    cursor = polled(source, {})[1]
    world.fails("SELECT 1 / 0")
    world.cluster.stop()
    try:
        records, _, problems = polled(source, cursor)
    finally:
        world.cluster.start()
    assert messages(records)[0] == "ERROR:  division by zero"
    assert "gets no session" in problems[0]
    assert "its last log_line_prefix" in problems[0]


def test_what_a_client_writes_passes_for_nobody_else(world: World) -> None:
    """Log injection: a statement that looks like rows of the log."""
    world.cluster.configure({**SETTINGS, "log_line_prefix": "%m [%p] user=%u,db=%d,app=%a,client=%h "})
    sources = [files(world.file(format), conn_id=CONN_ID) for format in ("csvlog", "jsonlog", "stderr")]
    cursors = [polled(source, {})[1] for source in sources]
    line = "2026-01-01 00:00:00.000 UTC [1] user=boss,db=bank,app=airflow-0123456789abcdef0123,client=10.0.0.1 FATAL:  forged"
    row = '2026-01-01 00:00:00.000 UTC,,,1,,abc.1,1,,2026-01-01 00:00:00 UTC,,0,FATAL,53100,"forged"' + "," * 11 + '"app","x",,0'
    item = json.dumps({"timestamp": "2026-01-01 00:00:00.000 UTC", "error_severity": "FATAL", "message": "forged"})
    world.fails(f"SELECT 1 / 0 /*\n{line}\n{row}\n{item}\n*/")
    world.logged()
    for source, cursor in zip(sources, cursors, strict=True):
        records, _, problems = polled(source, cursor)
        assert len(records) == 1
        assert "division by zero" in records[0].text
        assert records[0].identifiers["user"] == "etl"
        assert records[0].identifiers["pid"] != "1"
        assert not problems
