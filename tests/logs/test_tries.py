"""The log of one try: what its task dealt with itself is told by how it ended."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.logs.shop_logs import poller

CAUGHT = "[2026-11-20 04:05:06] ERROR - first way failed source=shop loc=load.py:9\nKeyError: 'EUR'\n"
EXECUTED = "[2026-11-20 04:05:07] INFO - ::group::Post Execute source=task loc=task_runner.py:1580\n"
FAILED = "[2026-11-20 04:05:07] ERROR - Task failed with exception source=task loc=task_runner.py:1668\nKeyError: 'USD'\n"
PUSH_FAILED = "[2026-11-20 04:05:08] ERROR - cannot tell the ledger source=shop loc=load.py:20\n"


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """The place of the log of a try."""
    path = tmp_path / "dag_id=orders" / "run_id=manual__1" / "task_id=load" / "attempt=2.log"
    path.parent.mkdir(parents=True)
    return path


def told(log: Path, text: str) -> list[str]:
    log.write_text(text, encoding="utf-8")
    return [record.splitlines()[0].partition(" - ")[2].partition(" source")[0] for record in poller(log, settle_seconds=0).texts()]


@pytest.mark.parametrize(
    "ended",
    [
        EXECUTED,
        "[2026-11-20, 04:05:07 UTC] {taskinstance.py:1206} INFO - Marking task as SUCCESS. dag_id=orders, task_id=load\n"
        "[2026-11-20, 04:05:08 UTC] {local_task_job_runner.py:240} INFO - Task exited with return code 0\n",
        '{"timestamp": "2026-11-20T04:05:07Z", "level": "info", "event": "Task finished", "logger": "task", "final_state": "success"}\n',
    ],
)
def test_a_task_that_ended_well_dealt_with_what_it_logged_before(log: Path, ended: str) -> None:
    assert told(log, CAUGHT + ended) == []


def test_while_the_task_runs_what_it_logs_is_told(log: Path) -> None:
    assert told(log, CAUGHT) == ["first way failed"]


@pytest.mark.parametrize("failure", [FAILED, "[2026-11-20 04:05:07] ERROR - Task exited source=task loc=task_runner.py:1681 exit_code=1\n"])
def test_all_that_a_task_logged_that_failed_is_evidence(log: Path, failure: str) -> None:
    assert told(log, CAUGHT + failure + EXECUTED)[0] == "first way failed"
    assert len(told(log, CAUGHT + failure + EXECUTED)) == 2


def test_what_goes_wrong_behind_the_end_is_told(log: Path) -> None:
    assert told(log, CAUGHT + EXECUTED + PUSH_FAILED) == ["cannot tell the ledger"]


def test_the_end_of_a_task_says_nothing_in_the_log_of_many(tmp_path: Path) -> None:
    assert told(tmp_path / "worker.log", CAUGHT + EXECUTED) == ["first way failed"]
