from __future__ import annotations

import gzip
import os
import random
import shutil
from pathlib import Path

import pytest
from pydantic import ValidationError

from airflow_oncall.capture.logs import chunks
from airflow_oncall.capture.logs.files import BATCH, FilesSettings
from airflow_oncall.capture.logs.source import RECORD_LIMIT, SourceFailed
from tests.logs.shop_logs import HEALTHY, Poller, poller, quiet, trouble


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """A log that was quiet for a minute, with one record of trouble."""
    path = tmp_path / "app.log"
    path.write_text(HEALTHY + trouble(1) + HEALTHY, encoding="utf-8")
    return quiet(path)


@pytest.fixture
def app(log: Path) -> Poller:
    """A poller that has read the log as it is."""
    made = poller(log)
    assert made.texts() == [trouble(1).strip()]
    return made


def append(path: Path, text: str) -> None:
    with path.open("a", encoding="utf-8") as file:
        file.write(text)
    quiet(path)


@pytest.mark.parametrize("below", ["", 'Traceback (most recent call last):\n  File "load.py", line 7\nKeyError: 7\n'])
def test_a_warning_is_not_the_last_word_where_the_next_record_is_still_being_written(log: Path, below: str) -> None:
    log.write_text(f"2026-11-20 04:05:06,000 WARNING shop: no price: KeyError: 7\n{below}{HEALTHY}", encoding="utf-8")
    assert poller(log).texts() == []


def test_a_record_tells_time_signature_place_and_file(log: Path) -> None:
    [record] = [record for batch in poller(log).poll() for record in batch.records]
    assert (record.signature, record.severity) == ("level-error", "ERROR")
    assert record.happened_at is not None
    assert record.happened_at.isoformat() == "2026-11-20T04:05:06+00:00"
    assert record.position.startswith(f"{log.stat().st_ino}-")
    assert record.position.endswith(f":{len(HEALTHY)}")
    assert record.identifiers == {"path": str(log)}


def test_a_source_that_starts_at_the_end_leaves_out_what_is_there_and_nothing_else(log: Path) -> None:
    app = poller(log, start="end")
    assert app.texts() == []
    append(log, trouble(2))
    assert app.texts() == [trouble(2).strip()]


def test_a_file_that_comes_later_is_read_from_its_start(log: Path) -> None:
    app = poller(log.parent / "*.log", start="end")
    app.poll()
    (log.parent / "other.log").write_text(trouble(5), encoding="utf-8")
    quiet(log.parent / "other.log")
    assert app.texts() == [trouble(5).strip()]


def test_nothing_new_is_no_batch(app: Poller) -> None:
    assert app.poll() == []


def test_half_a_line_is_left_for_the_next_poll(app: Poller, log: Path) -> None:
    append(log, trouble(2)[:50])
    assert app.texts() == []
    append(log, trouble(2)[50:])
    assert app.texts() == [trouble(2).strip()]


def test_a_traceback_that_is_still_being_written_is_not_torn(app: Poller, log: Path) -> None:
    with log.open("a", encoding="utf-8") as file:
        file.write('Traceback (most recent call last):\n  File "/opt/shop/load.py", line 7, in load\n')
    assert app.texts() == []
    with log.open("a", encoding="utf-8") as file:
        file.write("KeyError: 'amount'\n" + HEALTHY)
    [text] = app.texts()
    assert text.splitlines()[0] == "Traceback (most recent call last):"
    assert text.splitlines()[-1] == "KeyError: 'amount'"


def test_the_last_record_is_complete_once_the_file_is_quiet(app: Poller, log: Path) -> None:
    with log.open("a", encoding="utf-8") as file:
        file.write(trouble(2))
    assert app.texts() == []
    quiet(log)
    assert app.texts() == [trouble(2).strip()]


def test_a_clock_that_was_set_back_does_not_hold_records_for_ever(app: Poller, log: Path) -> None:
    append(log, trouble(2))
    ahead = log.stat().st_mtime + 7_200
    os.utime(log, (ahead, ahead))
    assert app.texts() == [trouble(2).strip()]


def test_what_was_written_before_a_rotation_is_read_under_the_new_name(app: Poller, log: Path) -> None:
    append(log, trouble(2))
    log.rename(log.with_name("app.log.1"))
    log.write_text(HEALTHY + trouble(3), encoding="utf-8")
    quiet(log)
    assert sorted(app.texts()) == [trouble(2).strip(), trouble(3).strip()]
    assert len(set(app.positions)) == len(app.positions)


def test_a_rename_does_not_change_positions(app: Poller, log: Path) -> None:
    append(log, trouble(2))
    log.rename(log.with_name("app.log.1"))
    app.poll()
    first, second = (position.split(":") for position in app.positions)
    assert first[0] == second[0]
    assert int(second[1]) == len(HEALTHY) * 2 + len(trouble(1))


def test_a_rotated_file_that_is_compressed_at_once_is_finished(app: Poller, log: Path) -> None:
    append(log, trouble(2))
    with gzip.open(log.with_name("app.log.1.gz"), "wb") as archive:
        archive.write(log.read_bytes())
    log.unlink()
    assert app.texts() == [trouble(2).strip()]
    assert app.poll() == []


def test_two_rotations_between_two_polls_lose_nothing(app: Poller, log: Path) -> None:
    append(log, trouble(2))
    log.rename(log.with_name("app.log.2"))
    log.with_name("app.log.1").write_text(HEALTHY + trouble(3), encoding="utf-8")
    log.write_text(HEALTHY + HEALTHY + trouble(4), encoding="utf-8")
    app.poll()
    for path in log.parent.iterdir():
        quiet(path)
    app.poll()
    assert len(set(app.positions)) == len(app.positions) == 4


def test_copy_and_truncate_neither_loses_nor_doubles(app: Poller, log: Path) -> None:
    append(log, trouble(2))
    shutil.copy2(log, log.with_name("app.log.1"))
    log.write_text("", encoding="utf-8")
    assert app.texts() == [trouble(2).strip()]
    append(log, HEALTHY + trouble(3))
    assert app.texts() == [trouble(3).strip()]


def test_a_copy_that_is_not_truncated_yet_is_not_read_twice(log: Path) -> None:
    app = poller(f"{log}*")
    app.poll()
    shutil.copy2(log, log.with_name("app.log.1"))
    assert app.texts() == []


def test_a_truncated_file_is_read_from_its_start_under_new_positions(app: Poller, log: Path) -> None:
    log.write_text(HEALTHY + trouble(1), encoding="utf-8")
    quiet(log)
    assert app.texts() == [trouble(1).strip()]
    assert len(set(app.positions)) == 2


def test_a_file_that_was_replaced_in_place_is_read_anew(app: Poller, log: Path) -> None:
    log.write_text("a longer line than there was before, so that the size says nothing\n" * 9 + trouble(7), encoding="utf-8")
    quiet(log)
    assert app.texts() == [trouble(7).strip()]


def test_compressed_files_are_read_once(tmp_path: Path) -> None:
    with gzip.open(tmp_path / "old.log.gz", "wt", encoding="utf-8") as archive:
        archive.write(HEALTHY + trouble(1))
    app = poller(tmp_path / "*.gz")
    assert app.texts() == [trouble(1).strip()]
    assert app.poll() == []


def test_an_archive_that_is_cut_off_gives_what_it_has_and_is_a_problem(tmp_path: Path) -> None:
    dice = random.Random(7)
    content = "".join(trouble(dice.randrange(10**9)) + HEALTHY for _ in range(90_000)).encode()
    whole = gzip.compress(content, 1)
    (tmp_path / "old.log.gz").write_bytes(whole[: len(whole) - 100])
    app = poller(tmp_path / "*.gz")

    batches = app.poll()

    assert sum(len(batch.records) for batch in batches) > BATCH
    assert [problem for batch in batches for problem in batch.problems if "cut off or broken" in problem]
    assert app.problems() == []


def test_a_vanished_file_is_told_once_and_the_others_are_read(tmp_path: Path) -> None:
    for name in ("one.log", "two.log"):
        (tmp_path / name).write_text(trouble(1) + trouble(2)[:30], encoding="utf-8")
        quiet(tmp_path / name)
    app = poller(tmp_path / "*.log")
    app.poll()
    (tmp_path / "one.log").unlink()
    append(tmp_path / "two.log", trouble(2)[30:])

    batches = app.poll()

    assert [record.text for batch in batches for record in batch.records] == [trouble(2).strip()]
    assert ["vanished" in problem for batch in batches for problem in batch.problems] == [True]
    assert app.problems() == []


def test_an_unreadable_file_is_told_once_and_the_others_are_read(log: Path) -> None:
    (log.parent / "loop.log").symlink_to(log.parent / "loop.log")
    app = poller(log.parent / "*.log")
    batches = app.poll()
    assert [record.text for batch in batches for record in batch.records] == [trouble(1).strip()]
    assert [problem for batch in batches for problem in batch.problems] == [
        f"{log.parent / 'loop.log'} cannot be read: Too many levels of symbolic links"
    ]
    assert app.problems() == []


def test_no_such_file_at_all_says_how_the_path_reads(tmp_path: Path) -> None:
    with pytest.raises(SourceFailed, match=r"no file is called '.*/nowhere/\*\.log'"):
        poller(tmp_path / "nowhere" / "*.log").poll()


def test_a_folder_is_no_file_and_the_way_out_is_told(tmp_path: Path) -> None:
    with pytest.raises(SourceFailed, match=rf"'{tmp_path}' is a folder; name the files in it, e.g. '{tmp_path}/\*.log'"):
        poller(tmp_path).poll()


def test_binary_is_left_out_and_told(log: Path) -> None:
    (log.parent / "core.log").write_bytes(b"ERROR: x\n" + random.Random(7).randbytes(100_000) + b"\nERROR: y\n")
    quiet(log.parent / "core.log")
    app = poller(log.parent / "*.log")
    batches = app.poll()
    assert [record.text for batch in batches for record in batch.records] == [trouble(1).strip()]
    assert ["is no text" in problem for batch in batches for problem in batch.problems] == [True]


def test_one_file_may_hold_several_encodings(log: Path) -> None:
    with log.open("ab") as file:
        file.write("2026-11-20 04:05:06 ERROR: Überlauf\n".encode("cp1252") + "2026-11-20 04:05:07 ERROR: Überlauf\n".encode())
    quiet(log)
    assert [text[-8:] for text in poller(log).texts()[1:]] == ["Überlauf", "Überlauf"]


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_a_file_of_two_bytes_a_letter_is_read_on_where_it_was_left(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "windows.log"
    path.write_bytes(("\ufeff" + HEALTHY + "ERROR: Überlauf 😀\n").encode(encoding))
    app = poller(quiet(path))
    assert app.texts() == ["ERROR: Überlauf 😀"]
    with path.open("ab") as file:
        file.write((HEALTHY + trouble(2)).encode(encoding))
    quiet(path)
    assert app.texts() == [trouble(2).strip()]
    assert [int(position.split(":")[1]) for position in app.positions] == [2 + 2 * len(HEALTHY), 2 + 2 * (2 * len(HEALTHY) + 19)]


def test_a_line_of_ten_megabytes_is_one_record_that_keeps_its_trouble(tmp_path: Path) -> None:
    path = tmp_path / "long.log"
    path.write_text("x " * 3_000_000 + "Connection refused " + "y " * 2_000_000 + "\n" + trouble(2), encoding="utf-8")
    long, short = poller(quiet(path)).texts()
    assert "Connection refused" in long
    assert len(long) <= RECORD_LIMIT
    assert short == trouble(2).strip()


def test_a_line_without_end_is_read_in_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunks, "BLOCK", 1 << 16)
    monkeypatch.setattr(chunks, "LONGEST_LINE", 1 << 18)
    path = tmp_path / "endless.log"
    path.write_text("x " * 400_000 + "\n" + trouble(2), encoding="utf-8")
    batches = poller(quiet(path)).poll()
    assert [record.text for batch in batches for record in batch.records] == [trouble(2).strip()]
    assert "is read in pieces" in " ".join(problem for batch in batches for problem in batch.problems)


def test_records_do_not_depend_on_where_blocks_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "app.log"
    traceback = "Traceback (most recent call last):\n  File \"/opt/shop/load.py\", line 7\nKeyError: 'amount'\n"
    path.write_text("".join(HEALTHY * (number % 5) + trouble(number) + traceback for number in range(400)), encoding="utf-8")
    whole = poller(quiet(path))
    whole.poll()
    monkeypatch.setattr(chunks, "BLOCK", 5_000)
    small = poller(path)
    small.poll()
    assert small.positions == whole.positions
    assert len(whole.positions) == 400


def test_many_records_come_in_batches_and_each_can_be_read_on_from(tmp_path: Path) -> None:
    path = tmp_path / "app.log"
    path.write_text("".join(trouble(number) for number in range(2 * BATCH + 5)), encoding="utf-8")
    batches = list(poller(quiet(path)).source.read({}))
    assert [len(batch.records) for batch in batches if batch.records] == [BATCH, BATCH, 5]
    rest = poller(path)
    rest.cursor = dict(batches[0].cursor)
    assert rest.texts() == [record.text for batch in batches[1:] for record in batch.records]


def test_a_log_that_airflow_wrote_tells_whose_it_is(tmp_path: Path) -> None:
    path = tmp_path / "dag_id=orders" / "run_id=manual__1" / "task_id=load" / "attempt=2.log"
    path.parent.mkdir(parents=True)
    path.write_text(trouble(1), encoding="utf-8")
    quiet(path)
    [record] = [record for batch in poller(tmp_path / "**" / "*.log").poll() for record in batch.records]
    assert record.identifiers == {"path": str(path), "dag_id": "orders", "run_id": "manual__1", "task_id": "load", "try_number": "2"}


BANNER = "=== audit log ===\n"


def begin(path: Path, text: str) -> Path:
    path.write_text(BANNER + text, encoding="utf-8")
    return quiet(path)


def test_daily_files_that_begin_with_the_same_line_are_all_read(tmp_path: Path) -> None:
    app = poller(begin(tmp_path / "audit.log.20261119", "").parent / "audit.log.*")
    app.poll()
    begin(tmp_path / "audit.log.20261120", trouble(1))
    begin(tmp_path / "audit.log.20261121", trouble(2))
    assert app.texts() == [trouble(1).strip(), trouble(2).strip()]


def test_each_turn_of_a_crash_loop_is_read_even_when_it_says_the_same(tmp_path: Path) -> None:
    log = begin(tmp_path / "app.log", trouble(1))
    app = poller(log)
    app.poll()
    for turn in (1, 2):
        log.rename(log.with_name(f"app.log.{turn}"))
        begin(log, trouble(1))
        assert app.texts() == [trouble(1).strip()]
    assert len(set(app.positions)) == 3


def test_a_file_truncated_and_written_anew_behind_the_same_first_lines_is_read(tmp_path: Path) -> None:
    log = begin(tmp_path / "app.log", HEALTHY * 50 + trouble(1))
    app = poller(log)
    app.poll()
    begin(log, HEALTHY * 50 + trouble(2) + trouble(3))
    assert app.texts() == [trouble(2).strip(), trouble(3).strip()]


def test_a_rotated_name_with_the_same_first_line_but_other_content_is_no_copy(tmp_path: Path) -> None:
    log = begin(tmp_path / "app.log", "")
    app = poller(f"{log}*")
    app.poll()
    begin(tmp_path / "app.log.1", trouble(1))
    assert app.texts() == [trouble(1).strip()]


def test_content_that_differs_only_in_the_middle_is_no_copy(tmp_path: Path) -> None:
    log = begin(tmp_path / "app.log", HEALTHY * 50 + trouble(1) + HEALTHY * 50)
    app = poller(f"{log}*")
    app.poll()
    begin(tmp_path / "app.log.1", HEALTHY * 50 + trouble(2) + HEALTHY * 50)
    assert app.texts() == [trouble(2).strip()]


@pytest.mark.parametrize("start", ["start", "end"])
def test_the_copy_of_a_long_file_is_finished_and_not_read_again(tmp_path: Path, start: str) -> None:
    log = begin(tmp_path / "app.log", HEALTHY * 40_000 + trouble(1))
    app = poller(log, start=start)
    app.poll()
    append(log, trouble(2))
    shutil.copy2(log, tmp_path / "app.log.1")
    log.write_text("", encoding="utf-8")
    assert app.texts() == [trouble(2).strip()]


def test_an_archive_that_is_still_being_written_is_waited_for(tmp_path: Path) -> None:
    dice = random.Random(7)
    log = begin(tmp_path / "app.log", "".join(trouble(dice.randrange(10**9)) for _ in range(BATCH)))
    app = poller(f"{log}*")
    app.poll()
    archive, whole = tmp_path / "app.log.1.gz", gzip.compress(log.read_bytes())
    archive.write_bytes(whole[: len(whole) // 2])
    assert app.poll() == []
    archive.write_bytes(whole)
    log.unlink()
    assert app.texts() == []


@pytest.mark.parametrize("polls_between", [0, 1])
def test_a_new_file_under_the_inode_of_a_deleted_one_has_positions_of_its_own(tmp_path: Path, polls_between: int) -> None:
    logs = tmp_path / "logs"
    logs.mkdir()
    app = poller(logs / "*.log")
    begin(logs / "run-1.log", HEALTHY * 50 + trouble(1))
    app.poll()
    (logs / "run-1.log").rename(tmp_path / "deleted")
    for _ in range(polls_between):
        app.poll()
    begin(tmp_path / "deleted", HEALTHY * 50 + trouble(2) + trouble(3)).rename(logs / "run-2.log")
    assert app.texts() == [trouble(2).strip(), trouble(3).strip()]
    assert len(set(app.positions)) == 3


def test_a_folder_is_not_listed_again_for_each_of_its_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(20):
        begin(tmp_path / f"run-{number}.log", trouble(number))
    app, listed, scandir = poller(tmp_path / "*.log"), list[object](), os.scandir

    def counted(folder: str) -> object:
        listed.append(folder)
        return scandir(folder)

    monkeypatch.setattr(os, "scandir", counted)
    assert len(app.texts()) == 20
    assert len(listed) == 2, "once for the path as it is configured, once for names given by rotations"


def test_a_file_that_is_renamed_and_not_made_anew_yet_is_finished(log: Path) -> None:
    app = poller(log.parent / "*.log")
    app.poll()
    append(log, trouble(2))
    log.rename(log.with_name("app.log.1"))
    assert app.texts() == [trouble(2).strip()]


def test_files_that_are_gone_are_forgotten(tmp_path: Path) -> None:
    app = poller(tmp_path / "*.log")
    for number in range(3):
        begin(tmp_path / f"run-{number}.log", trouble(number))
    app.poll()
    for path in tmp_path.iterdir():
        path.unlink()
    assert app.problems() == []
    assert app.cursor["files"] == []


@pytest.mark.parametrize("start", ["start", "end"])
def test_a_file_that_was_read_to_its_end_vanishes_without_a_word(log: Path, start: str) -> None:
    app = poller(log, start=start)
    app.poll()
    log.unlink()
    assert app.problems() == []


def test_what_a_truncation_took_before_it_was_read_is_told(app: Poller, log: Path) -> None:
    append(log, trouble(2)[:30])
    app.poll()
    log.write_text("", encoding="utf-8")
    [problem] = app.problems()
    assert problem == f"{log} was truncated or replaced; what was written to it behind byte {2 * len(HEALTHY) + len(trouble(1))} is lost"
    assert app.problems() == []


@pytest.mark.parametrize("cursor", [{"version": 2}, {"offset": 7}, {"files": "all"}])
def test_a_cursor_of_another_shape_is_refused(log: Path, cursor: dict[str, object]) -> None:
    app = poller(log)
    app.cursor = cursor
    with pytest.raises(SourceFailed, match=r"its cursor has a shape .*new name"):
        app.poll()


def test_settings_make_a_source_and_refuse_an_unknown_zone() -> None:
    assert FilesSettings(path="/var/log/*.log", timezone="Europe/Vienna").source("shop").name == "shop"
    with pytest.raises(ValidationError, match="no time zone"):
        FilesSettings(path="x", timezone="Middle/Earth")
