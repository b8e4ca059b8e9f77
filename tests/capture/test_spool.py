"""What the store could not take waits on local disk, survives any crash there, and comes back whole."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from tests.capture.border import MemoryIntake, is_down, occurrence

from airflow_oncall.capture import spool
from airflow_oncall.errors import StoreRefused, StoreUnavailable

_ROOT = Path(__file__).parents[2]


def _append(*numbers: int) -> None:
    for number in numbers:
        assert spool.append(spool.OCCURRENCE, spool.to_payload(occurrence(number)))


def _in_another_process(code: str, folder: Path) -> int:
    """Run ``code`` where it may be killed; give the signal that ended it, or 0."""
    start = "from tests.capture.border import *\nfrom airflow_oncall.capture import spool\nimport os, signal\nfrom pathlib import Path\n"
    environment = os.environ | {"AIRFLOW__ONCALL__SPOOL_PATH": str(folder), "PYTHONPATH": f"{_ROOT / 'plugins'}{os.pathsep}{_ROOT}"}
    done = subprocess.run([sys.executable, "-c", start + code], env=environment, cwd=_ROOT, capture_output=True, text=True, check=False)
    assert done.returncode <= 0, done.stderr
    return -done.returncode


def _replayed() -> MemoryIntake:
    intake = MemoryIntake()
    spool.replay(intake)
    return intake


def _keys(*numbers: int) -> set[str]:
    return {occurrence(number).key for number in numbers}


def _leftover(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("*.jsonl"))


def test_an_occurrence_comes_back_as_it_went(spool_folder: Path) -> None:
    _append(1)

    assert _replayed().occurrences == [occurrence(1)]
    assert _leftover(spool_folder) == []


def test_a_request_to_sweep_comes_back(spool_folder: Path) -> None:
    spool.append(spool.SWEEP, {"dag_id": "nightly", "run_id": "manual__1"})

    assert _replayed().sweeps == [("nightly", "manual__1")]


def test_replay_counts_what_it_fed(spool_folder: Path) -> None:
    _append(1, 2, 3)

    assert spool.replay(MemoryIntake()) == 3
    assert spool.replay(MemoryIntake()) == 0


def test_an_empty_spool_creates_nothing(spool_folder: Path) -> None:
    assert spool.replay(MemoryIntake()) == 0
    assert not spool_folder.exists()


def test_only_the_owner_may_read_the_spool(spool_folder: Path) -> None:
    _append(1)

    assert spool_folder.stat().st_mode & 0o077 == 0
    assert (spool_folder / spool.WAITING).stat().st_mode & 0o077 == 0


def test_what_the_store_did_not_take_stays_spooled(spool_folder: Path) -> None:
    _append(1, 2, 3)
    failing = MemoryIntake()
    failing.when_called = lambda: is_down() if failing.occurrences else None

    with pytest.raises(StoreUnavailable):
        spool.replay(failing)
    _append(4)

    assert failing.keys | _replayed().keys == _keys(1, 2, 3, 4)
    assert _leftover(spool_folder) == []


def test_a_store_that_stays_down_does_not_multiply_files(spool_folder: Path) -> None:
    for number in (1, 2, 3):
        _append(number)
        with pytest.raises(StoreUnavailable):
            spool.replay(MemoryIntake(is_down))

    assert len(_leftover(spool_folder)) == 2


@pytest.mark.parametrize(
    "garbage",
    [
        b"{torn",
        b"\xff\xfe\x00",
        b"null",
        b"[]",
        b'{"kind": "occurrence", "payload": {}}',
        b'{"kind": "occurrence", "payload": {"ref": 1}}',
        b'{"kind": "sweep", "payload": "x"}',
        b'{"kind": "unheard of", "payload": {}}',
    ],
)
def test_garbage_is_put_aside_and_blocks_nothing(garbage: bytes, spool_folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    _append(1)
    with (spool_folder / spool.WAITING).open("ab") as file:
        file.write(garbage + b"\n")
    _append(2)

    assert _replayed().keys == _keys(1, 2)
    assert (spool_folder / spool.REJECTED).read_bytes().strip() == garbage
    assert "1 spooled records cannot be stored" in caplog.text


@pytest.mark.parametrize(
    ("kind", "payload"),
    [(spool.OCCURRENCE, spool.to_payload(occurrence(1))), (spool.SWEEP, {"dag_id": "nightly", "run_id": "manual__1"})],
)
def test_a_record_the_store_will_never_take_is_put_aside_and_blocks_nothing(
    kind: str, payload: dict[str, Any], spool_folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def refuses_the_first() -> None:
        calls.append(1)
        if len(calls) == 1:
            raise StoreRefused("value too long for type character varying(250)")

    calls: list[int] = []
    spool.append(kind, payload)
    _append(2)
    intake = MemoryIntake(refuses_the_first)

    assert spool.replay(intake) == 1
    assert intake.keys == _keys(2)
    assert (spool_folder / spool.REJECTED).read_text().strip() == json.dumps({"kind": kind, "payload": payload})
    assert _leftover(spool_folder) == [spool.REJECTED]
    assert "value too long" in caplog.text


def test_the_spool_keeps_its_size(spool_folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setenv("AIRFLOW__ONCALL__SPOOL_MAX_MB", "1")
    payload = {"dag_id": "x" * 300_000, "run_id": ""}

    taken = [spool.append(spool.SWEEP, payload) for _ in range(5)]

    assert taken == [True, True, True, False, False]
    assert "spool_max_mb" in caplog.text
    assert len(_replayed().sweeps) == 3


def test_a_full_disk_is_logged(spool_folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    spool_folder.mkdir()
    (spool_folder / spool.WAITING).symlink_to("/dev/full")

    assert not spool.append(spool.SWEEP, {"dag_id": "nightly", "run_id": ""})
    assert "No space left on device" in caplog.text


def test_a_folder_that_cannot_be_made_is_logged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("AIRFLOW__ONCALL__SPOOL_PATH", str(tmp_path / "file" / "spool"))

    assert not spool.append(spool.SWEEP, {"dag_id": "nightly", "run_id": ""})
    assert "could not be spooled" in caplog.text


def test_a_record_that_fits_only_in_part_leaves_no_trace(spool_folder: Path) -> None:
    _append(1)
    size = (spool_folder / spool.WAITING).stat().st_size

    code = f"""
import resource
resource.setrlimit(resource.RLIMIT_FSIZE, ({size + 100}, {size + 100}))
assert not spool.append(spool.OCCURRENCE, spool.to_payload(occurrence(2)))
"""
    assert _in_another_process(code, spool_folder) == 0
    assert (spool_folder / spool.WAITING).stat().st_size == size
    assert _replayed().keys == _keys(1)


def test_kill_9_in_the_middle_of_an_append_harms_no_other_record(spool_folder: Path) -> None:
    code = """
spool.append(spool.OCCURRENCE, spool.to_payload(occurrence(1)))
write = os.write
def half(file, line):
    write(file, line[: len(line) // 2])
    os.kill(os.getpid(), signal.SIGKILL)
os.write = half
spool.append(spool.OCCURRENCE, spool.to_payload(occurrence(2)))
"""
    assert _in_another_process(code, spool_folder) == signal.SIGKILL
    _append(3)

    assert _replayed().keys == _keys(1, 3)
    assert (spool_folder / spool.REJECTED).read_bytes().startswith(b'{"kind": "occurrence"')


@pytest.mark.parametrize(
    "killed_at",
    [
        pytest.param("spool._feed = lambda *_: os.kill(os.getpid(), signal.SIGKILL)", id="after the file was claimed"),
        pytest.param(
            "intake.when_called = lambda: intake.occurrences and os.kill(os.getpid(), signal.SIGKILL)", id="after the first record"
        ),
        pytest.param("Path.unlink = lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL)", id="before the file is deleted"),
    ],
)
def test_kill_9_in_the_middle_of_a_replay_loses_nothing(killed_at: str, spool_folder: Path) -> None:
    _append(1, 2, 3)

    assert _in_another_process(f"intake = MemoryIntake()\n{killed_at}\nspool.replay(intake)", spool_folder) == signal.SIGKILL
    _append(4)

    assert _replayed().keys == _keys(1, 2, 3, 4)
    assert _leftover(spool_folder) == []


def test_two_replays_at_once_do_no_harm(spool_folder: Path) -> None:
    _append(1, 2)
    feeding, go_on = threading.Event(), threading.Event()

    def pause() -> None:
        feeding.set()
        go_on.wait(10)

    first = MemoryIntake(pause)
    replaying = threading.Thread(target=spool.replay, args=(first,))
    replaying.start()
    feeding.wait(10)
    _append(3)
    second = _replayed()
    go_on.set()
    replaying.join()

    assert (first.keys, second.keys) == (_keys(1, 2), _keys(3))
    assert _leftover(spool_folder) == []


def test_appends_during_replays_are_not_lost(spool_folder: Path) -> None:
    writers = [threading.Thread(target=_append, args=range(start, start + 25)) for start in (100, 200, 300, 400)]
    for writer in writers:
        writer.start()
    intake = MemoryIntake()
    while any(writer.is_alive() for writer in writers):
        spool.replay(intake)
    spool.replay(intake)

    assert intake.keys == _keys(*(start + offset for start in (100, 200, 300, 400) for offset in range(25)))
    assert len(intake.occurrences) == 100
