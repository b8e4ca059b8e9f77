"""Bad input of PostgreSQL's log: broken and glued rows, binary, huge rows, other languages; and files that come and go."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from airflow_oncall.capture.logs.postgres_files import LARGEST_ROW, PostgresFilesSettings, PostgresFilesSource
from airflow_oncall.capture.logs.postgres_prefix import LinePrefix
from airflow_oncall.capture.logs.postgres_rows import Dialect, Format, format_of, parse
from airflow_oncall.capture.logs.source import RECORD_LIMIT, SourceFailed
from tests.logs.postgres_world import messages, polled

STAMP = "2026-11-21 10:00:00.123 UTC"


def csv_row(message: str, severity: str = "ERROR", sqlstate: str = "22012", statement: str = "SELECT 1") -> bytes:
    quoted = [text.replace('"', '""') for text in (message, statement)]
    begin = f'{STAMP},"etl","sales",77,"10.0.0.3:5123",69201f3a.4d,1,"SELECT",{STAMP},4/17,0,{severity},{sqlstate},'
    return f'{begin}"{quoted[0]}",,,,,,"{quoted[1]}",,,"nightly_load","client backend",,0\n'.encode()


def json_row(message: str) -> bytes:
    return (
        json.dumps({"timestamp": STAMP, "pid": 77, "error_severity": "ERROR", "state_code": "22012", "message": message}).encode() + b"\n"
    )


def stderr_row(message: str) -> bytes:
    return f"{STAMP} [77] ERROR:  {message}\n".encode()


def told(block: bytes, format: Format) -> tuple[list[str], list[str]]:
    parsed = parse(block, Dialect(format), settled=True)
    return [row.message for row in parsed.rows], parsed.problems


def files(path: Path, **settings: str) -> PostgresFilesSource:
    return PostgresFilesSettings.model_validate({"path": str(path), "start": "start", **settings}).source("warehouse")


@pytest.mark.parametrize(
    "broken",
    [
        csv_row("half of it")[:130] + b"\n",
        csv_row("cut in its message")[:150],
        csv_row('cut behind a "quoted" text')[:-60],
        csv_row("cut in the middle of its head")[:70],
        b"\x00\xff\xfe binary \x80\n" * 3,
        b"not,a,row\n",
        b'"\n',
    ],
)
def test_csv_goes_on_behind_a_broken_row(broken: bytes) -> None:
    found, problems = told(csv_row("before") + broken + csv_row("after\nit") + csv_row("last"), "csvlog")
    assert found == ["before", "after\nit", "last"]
    assert len(problems) == 1
    assert "broken csvlog row(s) left out" in problems[0]


FORGED_BEGIN = "2026-01-01 00:00:00.000 UTC,,,1,,a.b,1,,s,v,0,ERROR,XX000,"
FORGED_END = "SELECT 1,,,,,,,,,airflow-forged,client backend,,0\n--"


@pytest.mark.parametrize("message", [f"no such thing: {FORGED_BEGIN}", f"no such thing:\n{FORGED_BEGIN}", f'"{FORGED_BEGIN}'])
def test_a_message_and_a_statement_that_together_look_like_a_row_are_none(message: str) -> None:
    parsed = parse(csv_row(message, statement=FORGED_END) + csv_row("after"), Dialect("csvlog"), settled=True)
    assert [(row.message, row.identifiers["application_name"]) for row in parsed.rows] == [
        (message, "nightly_load"), ("after", "nightly_load"),
    ]  # fmt: skip
    assert parsed.problems == []


def test_a_user_name_with_a_line_end_neither_breaks_its_row_nor_begins_another() -> None:
    name = f"nobody\n{FORGED_BEGIN}"
    log = csv_row("no such role", statement=FORGED_END).replace(b'"etl"', f'"{name}"'.encode())
    parsed = parse(log, Dialect("csvlog"), settled=True)
    assert [(row.message, row.identifiers["user"]) for row in parsed.rows] == [("no such role", name)]
    assert parsed.problems == []


def test_a_row_whose_last_quote_is_not_yet_there_is_left_for_the_next_block() -> None:
    whole = csv_row("before")
    parsed = parse(whole + csv_row(f"first\n{FORGED_BEGIN}", statement=FORGED_END).rpartition(b"--")[0], Dialect("csvlog"), settled=True)
    assert ([row.message for row in parsed.rows], parsed.end, parsed.problems) == (["before"], len(whole), [])


@pytest.mark.parametrize("broken", [json_row("half")[:40] + b"\n", b"\x00\xff\n", b"[1, 2]\n", b"[" * 100_000 + b"\n"])
def test_json_goes_on_behind_a_broken_row(broken: bytes) -> None:
    found, problems = told(json_row("before") + broken + json_row("after"), "jsonlog")
    assert found == ["before", "after"]
    assert len(problems) == 1
    assert "1 broken jsonlog row(s) left out" in problems[0]


def test_a_problem_shows_no_secret() -> None:
    _, problems = told(b"postgresql://etl:hunter2secret@db/sales\n", "csvlog")
    assert "hunter2secret" not in problems[0]


def test_a_detail_of_another_process_is_not_taken_for_ones_own() -> None:
    log = stderr_row("mine") + f"{STAMP} [78] DETAIL:  theirs\n\tand more\n".encode() + f"{STAMP} [77] HINT:  mine too\n".encode()
    rows = parse(log, Dialect("stderr"), settled=True).rows
    assert [(row.message, row.parts) for row in rows] == [("mine", {"HINT": "mine too"})]


def test_a_verbose_log_shows_its_sqlstate_in_the_message() -> None:
    log = f"{STAMP} [77] ERROR:  22012: division by zero\n{STAMP} [77] LOCATION:  int4div, int.c:840\n".encode()
    (row,) = parse(log, Dialect("stderr"), settled=True).rows
    assert (row.message, row.identifiers) == ("division by zero", {"pid": "77", "sqlstate": "22012"})


def test_a_message_that_only_begins_like_a_sqlstate_has_none() -> None:
    (row,) = parse(stderr_row("22012: said the user"), Dialect("stderr"), settled=True).rows
    assert (row.message, row.identifiers) == ("22012: said the user", {"pid": "77"})


def test_the_last_message_of_a_growing_log_waits_for_its_details() -> None:
    log = stderr_row("first") + stderr_row("second")
    parsed = parse(log, Dialect("stderr"), settled=False)
    assert ([row.message for row in parsed.rows], parsed.end) == (["first"], len(stderr_row("first")))


def test_severities_of_another_language_are_known_by_sqlstate() -> None:
    rows = parse(csv_row("Division durch Null", "FEHLER") + csv_row("bereit", "LOG", "00000"), Dialect("csvlog"), settled=True).rows
    assert [row.trouble for row in rows] == [("postgres-error", "ERROR"), None]


@pytest.mark.parametrize(
    ("message", "signature"),
    [
        ("process 9 still waiting for ShareLock on transaction 7 after 1000.1 ms", "postgres-lock-wait"),
        ("checkpoints are occurring too frequently (9 seconds apart)", "postgres-checkpoints-frequent"),
        ("server process (PID 9) was terminated by signal 9: Killed", "postgres-process-died"),
        ('could not write temporary file "pgsql_tmp9": No space left on device', "postgres-disk-full"),
        ("could not fork new process for connection: Resource temporarily unavailable", "postgres-no-memory"),
        ("unexpected EOF on client connection with an open transaction", "postgres-connection-lost"),
        ("checkpoint complete: wrote 12 buffers", None),
        ("statement: SELECT 'No space left on device'", None),
        ('background worker "logical replication launcher" (PID 9) exited with exit code 1', None),
    ],
)
def test_log_level_trouble_is_told_and_everyday_life_is_not(message: str, signature: str | None) -> None:
    (row,) = parse(csv_row(message, "LOG", "00000"), Dialect("csvlog"), settled=True).rows
    assert (row.trouble and row.trouble[0]) == signature


@pytest.mark.parametrize(
    ("name", "head", "format"),
    [
        ("postgresql-Mon.csv", b"", "csvlog"),
        ("postgresql-Mon.json", b"", "jsonlog"),
        ("postgresql-Mon.log", b"anything", "stderr"),
        ("postgresql.log.1", csv_row("x"), "csvlog"),
        ("postgresql.log.1", json_row("x"), "jsonlog"),
    ],
)
def test_a_format_is_known_by_name_or_first_line(name: str, head: bytes, format: Format) -> None:
    assert format_of(name, head) == format


def test_a_row_of_ten_megabytes_is_one_record_of_bounded_size(tmp_path: Path) -> None:
    log = tmp_path / "postgresql.csv"
    log.write_bytes(csv_row("before") + csv_row("huge", statement=f'{"x" * 300}"\n' * 33_000) + csv_row("after"))
    records, _, problems = polled(files(log), {})
    assert messages(records) == ["ERROR:  before", "ERROR:  huge", "ERROR:  after"]
    assert not problems
    assert len(records[1].text) <= RECORD_LIMIT
    assert records[1].identifiers["application_name"] == "nightly_load"


@pytest.mark.parametrize(("name", "row"), [("x.csv", csv_row("after")), ("x.json", json_row("after")), ("x.log", stderr_row("after"))])
def test_a_line_without_end_is_left_out_and_told_of(tmp_path: Path, name: str, row: bytes) -> None:
    with (tmp_path / name).open("wb") as log:
        log.write(row + b"\x00" * (LARGEST_ROW + 1_000_000) + b"\n" + row)
    records, _, problems = polled(files(tmp_path), {})
    assert messages(records) == ["ERROR:  after", "ERROR:  after"]
    assert f"a row of more than {LARGEST_ROW} bytes left out" in problems[0]


def test_a_batch_has_at_most_a_thousand_records_and_its_cursor_is_where_they_end(tmp_path: Path) -> None:
    log = tmp_path / "postgresql.csv"
    log.write_bytes(b"".join(csv_row(f"number {number}") for number in range(2_345)))
    batches = list(files(log).read({}))
    assert [len(batch.records) for batch in batches] == [1_000, 1_000, 345]
    again = [record.position for batch in files(log).read(batches[1].cursor) for record in batch.records]
    assert again == [record.position for record in batches[2].records]
    assert list(files(log).read(batches[2].cursor)) == []


def test_the_poll_begins_at_the_end_unless_told_otherwise(tmp_path: Path) -> None:
    log = tmp_path / "postgresql.csv"
    log.write_bytes(csv_row("old") + csv_row("half")[:60])
    source = PostgresFilesSettings(path=str(tmp_path)).source("warehouse")
    records, cursor, _ = polled(source, {})
    assert records == []
    log.write_bytes(csv_row("old") + csv_row("half"))
    (tmp_path / "rotated.csv").write_bytes(csv_row("new file"))
    assert sorted(messages(polled(source, cursor)[0])) == ["ERROR:  half", "ERROR:  new file"]


def test_a_clock_that_goes_backwards_neither_hides_nor_repeats_a_row(tmp_path: Path) -> None:
    log = tmp_path / "postgresql.csv"
    log.write_bytes(csv_row("first"))
    _, cursor, _ = polled(files(tmp_path), {})
    with log.open("ab") as earlier:
        earlier.write(csv_row("second").replace(b"2026-11-21", b"2026-11-20"))
    os.utime(log, (1, 1))
    records, cursor, _ = polled(files(tmp_path), cursor)
    assert messages(records) == ["ERROR:  second"]
    assert polled(files(tmp_path), cursor)[0] == []


def test_a_file_that_vanishes_meanwhile_is_told_and_the_others_are_read(tmp_path: Path) -> None:
    for number, name in enumerate(("a.csv", "b.csv", "c.csv")):
        (tmp_path / name).write_bytes(csv_row(name))
        os.utime(tmp_path / name, (number, number))
    batches = files(tmp_path).read({})
    found = list(next(batches).records)
    (tmp_path / "b.csv").unlink()
    rest = list(batches)
    assert messages([*found, *(record for batch in rest for record in batch.records)]) == ["ERROR:  a.csv", "ERROR:  c.csv"]
    (problem,) = [problem for batch in rest for problem in batch.problems]
    assert "b.csv cannot be read: No such file" in problem


@contextmanager
def _as_nobody() -> Iterator[None]:
    """Root may read everything; somebody else may not."""
    if os.geteuid():
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def test_a_file_that_may_not_be_read_is_told_and_the_others_are_read() -> None:
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        folder = Path(name)
        folder.chmod(0o755)
        (folder / "closed.csv").write_bytes(csv_row("closed"))
        (folder / "closed.csv").chmod(0)
        (folder / "open.csv").write_bytes(csv_row("open"))
        with _as_nobody():
            records, _, problems = polled(files(folder), {})
    assert messages(records) == ["ERROR:  open"]
    assert "closed.csv cannot be read: Permission denied; the account that polls needs the right" in problems[0]


def test_a_folder_without_logs_is_named(tmp_path: Path) -> None:
    (tmp_path / "postgresql.log.1.gz").write_bytes(b"packed")
    with pytest.raises(SourceFailed, match=r"source 'warehouse': no log file at .*takes a folder, a file or a glob"):
        polled(files(tmp_path), {})


def test_a_cursor_of_another_version_is_quoted(tmp_path: Path) -> None:
    with pytest.raises(SourceFailed, match=r"its cursor has a shape .*\{'offset': 3\}.*new name"):
        polled(files(tmp_path), {"offset": 3})


def test_unprefixed_output_of_other_programs_is_no_wrong_prefix() -> None:
    log = stderr_row("one") + b"sh: 1: archive: not found\n" * 2 + stderr_row("two")
    parsed = parse(log, Dialect("stderr", LinePrefix("%m [%p] ")), settled=True)
    assert ([row.message for row in parsed.rows], parsed.problems) == (["one", "two"], [])
