"""Capture never raises, never holds a task up, and loses nothing."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tests.capture.border import STARTED, HangingIntake, MemoryIntake, Mute, is_down, is_read_only, raised, scheduler_ti, worker_ti

from airflow_oncall import store
from airflow_oncall.capture import record, spool
from airflow_oncall.errors import SchemaOutdated
from airflow_oncall.incident import OWN_DAG_IDS, Evidence, Kind, TaskRef
from airflow_oncall.store.sql import Store

IMPORT_ERROR = """Traceback (most recent call last):
  File "/dags/sales/orders.py", line 3, in <module>
ModuleNotFoundError: No module named 'pandaz'
"""


def test_a_failed_try_is_stored_with_its_identity_and_evidence(intake: MemoryIntake) -> None:
    assert record.report(worker_ti(), raised(KeyError("customer")), seen_by="listener")

    [stored] = intake.occurrences
    assert stored.ref == TaskRef("nightly", "scheduled__2026-11-21", "load_orders", 3)
    assert (stored.try_number, stored.seen_by, stored.kind) == (2, "listener", Kind.TASK)
    assert (stored.happened_at - STARTED).total_seconds() == 90
    assert stored.evidence.exception_chain == ("KeyError",)
    assert stored.fingerprint
    assert not stored.will_retry
    assert not stored.by_hand


def test_the_same_cause_has_the_same_fingerprint_at_another_try(intake: MemoryIntake) -> None:
    for number in (1, 2):
        record.report(worker_ti(try_number=number), raised(OSError(f"worker-{number} lost")), seen_by="listener")

    assert len({stored.fingerprint for stored in intake.occurrences}) == 1
    assert len(intake.keys) == 2


@pytest.mark.parametrize("ti", [worker_ti(state="up_for_retry"), scheduler_ti(state="up_for_retry")])
def test_a_try_that_airflow_runs_again_is_marked(ti: Any, intake: MemoryIntake) -> None:
    record.report(ti, "lost", seen_by="listener")

    assert intake.occurrences[0].will_retry


def test_a_try_marked_failed_by_a_person_is_marked(intake: MemoryIntake) -> None:
    record.report(scheduler_ti(), "TaskInstance's state was manually set to `failed`.", seen_by="listener")

    assert intake.occurrences[0].by_hand


@pytest.mark.parametrize("dag_id", sorted(OWN_DAG_IDS))
def test_failures_of_our_own_dags_are_no_incidents(dag_id: str, intake: MemoryIntake) -> None:
    assert record.report(worker_ti(dag_id=dag_id), "x", seen_by="listener")
    assert record.report_dag_run(dag_id, "r")

    assert (intake.occurrences, intake.sweeps) == ([], [])


def test_ignored_dags_are_not_watched(intake: MemoryIntake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__ONCALL__IGNORE_DAGS", "sandbox_.*")

    record.report(worker_ti(dag_id="sandbox_alice"), "x", seen_by="listener")
    record.report(worker_ti(dag_id="my_sandbox_1"), "x", seen_by="listener")

    assert [stored.ref.dag_id for stored in intake.occurrences] == ["my_sandbox_1"]


def test_a_broken_ignore_pattern_ignores_nothing(
    intake: MemoryIntake, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("AIRFLOW__ONCALL__IGNORE_DAGS", "(")

    record.report(worker_ti(), "x", seen_by="listener")

    assert len(intake.occurrences) == 1
    assert "ignore_dags" in caplog.text


def test_a_failed_run_asks_for_a_sweep(intake: MemoryIntake) -> None:
    assert record.report_dag_run("nightly", "manual__1")

    assert intake.sweeps == [("nightly", "manual__1")]


def _fails_strangely() -> None:
    raise SystemExit("not even an Exception")


def _is_outdated() -> None:
    raise SchemaOutdated("run `airflow oncall db upgrade`")


@pytest.mark.parametrize("trouble", [is_down, is_read_only, _is_outdated, _fails_strangely])
def test_a_store_in_trouble_means_spool_now_and_replay_later(
    trouble: Callable[[], None], use_intake: Callable[[Any], Any], caplog: pytest.LogCaptureFixture
) -> None:
    use_intake(MemoryIntake(trouble))
    assert record.report(worker_ti(), raised(KeyError("x")), seen_by="listener")
    assert record.report_dag_run("nightly", "manual__1")

    back = MemoryIntake()
    assert spool.replay(back) == 2
    assert [stored.ref.task_id for stored in back.occurrences] == ["load_orders"]
    assert back.sweeps == [("nightly", "manual__1")]
    assert "the task's outcome is not affected" in caplog.text
    assert "hunter22" not in caplog.text


def test_a_store_that_cannot_even_be_opened_means_spool(intake: MemoryIntake, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(**_: Any) -> Any:
        raise ImportError("sqlalchemy")

    monkeypatch.setattr(store, "open_store", broken)

    assert record.report(worker_ti(), "x", seen_by="listener")
    assert spool.replay(intake) == 1


def test_a_store_that_hangs_is_left_behind(hanging_store: HangingIntake) -> None:
    assert record.report(worker_ti(), "x", seen_by="listener")

    assert not hanging_store.answered.is_set()
    assert spool.replay(MemoryIntake()) == 1


def test_a_store_that_hung_is_left_alone_for_a_while(hanging_store: HangingIntake, monkeypatch: pytest.MonkeyPatch) -> None:
    record.report(worker_ti(try_number=1), "x", seen_by="listener")
    monkeypatch.setattr(store, "open_store", lambda **_: pytest.fail("asked again"))
    record.report(worker_ti(try_number=2), "x", seen_by="listener")

    assert spool.replay(MemoryIntake()) == 2


def test_the_whole_call_has_two_seconds() -> None:
    assert record.STORE_SECONDS < record.SPOOL_SECONDS < 2


def test_what_was_spooled_is_replayed_after_the_next_success(use_intake: Callable[[Any], Any], spool_folder: Path) -> None:
    use_intake(MemoryIntake(is_down))
    record.report(worker_ti(try_number=1), "x", seen_by="listener")
    back = use_intake(MemoryIntake())
    record.report(worker_ti(try_number=2), "x", seen_by="listener")
    for thread in threading.enumerate():
        if thread.name == "oncall-capture":
            thread.join(10)

    assert {stored.try_number for stored in back.occurrences} == {1, 2}
    assert not list(spool_folder.glob("*.jsonl"))


def test_neither_store_nor_spool_is_logged_and_not_raised(
    use_intake: Callable[[Any], Any], spool_folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    use_intake(MemoryIntake(is_down))
    spool_folder.mkdir()
    (spool_folder / spool.WAITING).symlink_to("/dev/full")

    assert not record.report(worker_ti(), "x", seen_by="listener")
    assert "left to the next sweep" in caplog.text


def test_a_spool_that_hangs_is_left_behind(use_intake: Callable[[Any], Any], monkeypatch: pytest.MonkeyPatch) -> None:
    use_intake(MemoryIntake(is_down))
    release = threading.Event()
    monkeypatch.setattr(spool, "append", lambda *_: release.wait(10))

    assert not record.report(worker_ti(), "x", seen_by="listener")
    release.set()


def test_no_thread_to_be_had_means_no_harm(intake: MemoryIntake, monkeypatch: pytest.MonkeyPatch) -> None:
    def exhausted(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", exhausted)

    assert record.report(worker_ti(), "x", seen_by="listener")
    assert len(intake.occurrences) == 1


def test_evidence_that_cannot_be_read_does_not_cost_the_failure(intake: MemoryIntake) -> None:
    class Trap:
        @property
        def operator_name(self) -> str:
            raise RuntimeError("detached")

    record.report(worker_ti(task=Trap()), raised(KeyError("x")), seen_by="listener")

    assert [stored.evidence for stored in intake.occurrences] == [Evidence()]


@pytest.mark.parametrize("ti", [None, object(), SimpleNamespace(dag_id="d"), worker_ti(map_index="x")])
def test_what_is_no_task_instance_is_logged(ti: Any, intake: MemoryIntake, caplog: pytest.LogCaptureFixture) -> None:
    assert not record.report(ti, "x", seen_by="listener")
    assert "could not be read" in caplog.text


@pytest.mark.parametrize(
    "error",
    [Mute(), ValueError("\0 \udc80 ☃"), ValueError(b"\xff"), ValueError("x" * 50_000_000), "\0\udfff", "", None],
    ids=["mute", "unicode", "bytes", "50 MB", "text", "empty", "none"],
)
def test_strange_errors_reach_a_real_store(error: Any, use_intake: Callable[[Any], Any], sqlite_store: Store) -> None:
    use_intake(sqlite_store.intake)

    assert record.report(worker_ti(), raised(error) if isinstance(error, BaseException) else error, seen_by="listener")
    assert spool.replay(MemoryIntake()) == 0
    assert sqlite_store.intake.known(TaskRef("nightly", "scheduled__2026-11-21", "load_orders", 3)) == {2}


def test_a_dag_import_error_is_an_incident_of_its_file(intake: MemoryIntake, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(record, "_relative", lambda _: "sales/orders.py")
    assert record.report_import_error("/dags/sales/orders.py", IMPORT_ERROR)

    [stored] = intake.occurrences
    assert (stored.kind, stored.ref) == (Kind.DAG_IMPORT, TaskRef("sales/orders.py"))
    assert stored.evidence.exception_chain == ("ModuleNotFoundError",)
    assert stored.evidence.message == "ModuleNotFoundError: No module named 'pandaz'"
    assert stored.mark == stored.fingerprint


def test_a_dag_file_is_named_inside_its_bundle(intake: MemoryIntake, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    bundle = f'{{"name": "b", "classpath": "airflow.dag_processing.bundles.local.LocalDagBundle", "kwargs": {{"path": "{tmp_path}"}}}}'
    monkeypatch.setenv("AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST", f"[{bundle}]")

    record.report_import_error(f"{tmp_path}/sales/orders.py", IMPORT_ERROR)
    record.report_import_error("/elsewhere/orders.py", IMPORT_ERROR)

    assert [stored.ref.dag_id for stored in intake.occurrences] == ["sales/orders.py", "/elsewhere/orders.py"]


def test_an_import_error_is_reported_once_however_often_the_file_is_parsed(intake: MemoryIntake) -> None:
    record.report_import_error("orders.py", IMPORT_ERROR)
    for _ in range(3):
        assert record.report_import_error("orders.py", IMPORT_ERROR.replace("line 3", "line 4"), repeated=True)
    record.report_import_error("orders.py", IMPORT_ERROR.replace("pandaz", "numpie"), repeated=True)

    assert len(intake.occurrences) == 2


def test_the_memory_of_import_errors_is_bounded(intake: MemoryIntake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(record, "_IMPORT_ERRORS_REMEMBERED", 2)
    for name in ("a.py", "b.py", "c.py"):
        record.report_import_error(name, IMPORT_ERROR)

    assert list(record._import_errors) == ["b.py", "c.py"]


@pytest.mark.parametrize("stacktrace", ["", "\n", "password=hunter22: \0\udc80", "x" * 1_000_000])
def test_any_stacktrace_will_do(stacktrace: str, intake: MemoryIntake) -> None:
    assert record.report_import_error("orders.py", stacktrace)
    assert "hunter22" not in str(intake.occurrences[0])
