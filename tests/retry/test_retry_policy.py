from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any, NoReturn

import pytest
from airflow.sdk import ExceptionRetryPolicy, RetryAction, RetryDecision, RetryPolicy, RetryRule
from tests.packaging.installation import ROOT, Installation
from tests.retry.conftest import FORBIDDEN, REFUSED, TIMED_OUT, Models, knowledge
from tests.tables import table_text

from airflow_oncall import retry_policy
from airflow_oncall.retry_policy import OnCallRetryPolicy

Throw = Callable[[BaseException], BaseException]

PATIENT = 30.0
"""A deadline that a busy machine keeps."""
DAG_FILE = """
import os
from datetime import timedelta
from pathlib import Path

from airflow.sdk import DAG, task
from airflow_oncall.retry_policy import OnCallRetryPolicy

POLICY = OnCallRetryPolicy(deadline=30, delays={"network_connectivity": timedelta(milliseconds=10)})

def failing(name, error, delay):
    @task(task_id=name, retries=1, retry_delay=delay, retry_policy=POLICY)
    def fail():
        with Path(os.environ["AIRFLOW_HOME"], "tries").open("a") as tries:
            tries.write(f"{name}\\n")
        raise error

    fail()

with DAG("orders"):
    failing("forbidden", PermissionError(13, "Permission denied"), timedelta(0))
    failing("refused", ConnectionRefusedError(111, "Connection refused"), timedelta(hours=1))
    failing("unclear", LookupError("customer 7"), timedelta(0))
"""
RUN = """
from airflow.dag_processing.dagbag import DagBag
run = DagBag(DAGS, bundle_name="dags-folder").dags["orders"].test()
"""
FRESH = """
import json, sys
from airflow.sdk import DAG, RetryPolicy, task
from airflow.configuration import conf

before = set(sys.modules)
opened = []
sys.addaudithook(lambda event, args: opened.append(str(args[0])) if event == "open" and "models" in str(args[0]) else None)
from airflow_oncall.retry_policy import OnCallRetryPolicy

OnCallRetryPolicy()
print(json.dumps({"loaded": sorted({name.split(".")[0] for name in set(sys.modules) - before}), "opened": opened}))
"""


@pytest.fixture
def policy(models: Models) -> OnCallRetryPolicy:
    """The policy with a deadline that no busy machine misses."""
    return OnCallRetryPolicy(deadline=PATIENT)


def test_a_retry_that_cannot_help_is_stopped(policy: OnCallRetryPolicy, raised: Throw) -> None:
    decision = policy.evaluate(raised(FORBIDDEN), 1, 3)
    assert decision.action is RetryAction.FAIL
    assert decision.reason == "oncall: authentication (100%), a retry helps with 0%"


def test_trouble_that_passes_is_retried_after_the_wait_that_it_needs(policy: OnCallRetryPolicy, raised: Throw) -> None:
    decision = policy.evaluate(raised(REFUSED), 1, 3)
    assert (decision.action, decision.retry_delay) == (RetryAction.RETRY, timedelta(seconds=30))
    assert decision.reason == "oncall: network_connectivity (100%), a retry after 0:00:30 helps with 100%"


@pytest.mark.parametrize(("try_number", "seconds"), [(2, 60), (3, 120), (8, 3600), (2_000, 3600)])
def test_the_wait_doubles_with_every_try_up_to_an_hour(policy: OnCallRetryPolicy, raised: Throw, try_number: int, seconds: int) -> None:
    assert policy.evaluate(raised(REFUSED), try_number, 5_000).retry_delay == timedelta(seconds=seconds)


def test_a_dag_may_have_delays_of_its_own(models: Models, raised: Throw) -> None:
    own = OnCallRetryPolicy(delays={"network_connectivity": timedelta(minutes=7)}, deadline=PATIENT)
    assert own.evaluate(raised(REFUSED), 1, 3).retry_delay == timedelta(minutes=7)


def test_the_cause_behind_a_wrapper_decides(policy: OnCallRetryPolicy) -> None:
    def wrapped() -> NoReturn:
        try:
            raise FORBIDDEN
        except PermissionError as cause:
            raise RuntimeError("Permission denied") from cause

    with pytest.raises(RuntimeError) as caught:
        wrapped()
    assert policy.evaluate(caught.value, 1, 3).action is RetryAction.FAIL


IN_DOUBT = {
    "a kind of trouble that a retry may or may not help": TIMED_OUT,
    "an exception that nobody has seen": LookupError("the ledger of seven hills is sealed"),
    "a known class in words that nobody has seen": PermissionError("ledger clerk Bartholomew sealed chest number nine yesterday evening"),
    "an exception without a word": LookupError(),
}


@pytest.mark.parametrize("error", IN_DOUBT.values(), ids=IN_DOUBT.keys())
def test_in_doubt_the_task_keeps_its_own_retries(policy: OnCallRetryPolicy, raised: Throw, error: BaseException) -> None:
    assert policy.evaluate(raised(error), 1, 3) == RetryDecision.default()


def test_a_category_that_passes_but_has_no_wait_keeps_the_tasks_delay(models: Models, policy: OnCallRetryPolicy, raised: Throw) -> None:
    models.promote(knowledge({"workflow_timeout": 9}))
    assert policy.evaluate(raised(TIMED_OUT), 1, 3) == RetryDecision.default()


def test_a_text_without_a_failure_decides_nothing(models: Models, policy: OnCallRetryPolicy, raised: Throw) -> None:
    models.promote(table_text(["errno"], {"none": {"errno": 90}, "authentication": {}}, helps={"none": -9}))
    assert policy.evaluate(raised(FORBIDDEN), 1, 3) == RetryDecision.default()


def test_the_reason_says_nothing_of_the_exceptions_own_words(policy: OnCallRetryPolicy, raised: Throw) -> None:
    decision = policy.evaluate(raised(PermissionError(13, "Permission denied", "password=hunter2")), 1, 3)
    assert "hunter2" not in str(decision)


class Unreadable(Exception):
    """Its text cannot be had."""

    def __str__(self) -> str:
        raise ZeroDivisionError


class Endless(Exception):
    """Whoever reads it waits."""

    def __init__(self) -> None:
        self.asked, self.answered = threading.Event(), threading.Event()

    def __str__(self) -> str:
        self.asked.set()
        self.answered.wait()
        return "at last"


def test_an_exception_without_a_readable_text_is_no_trouble(policy: OnCallRetryPolicy, raised: Throw) -> None:
    assert policy.evaluate(raised(Unreadable()), 1, 3) == RetryDecision.default()


def test_a_message_of_megabytes_is_no_trouble(policy: OnCallRetryPolicy, raised: Throw) -> None:
    assert policy.evaluate(raised(ValueError("x " * 2_000_000)), 1, 3) == RetryDecision.default()


def test_a_judgement_that_hangs_is_left_behind(models: Models, raised: Throw, caplog: pytest.LogCaptureFixture) -> None:
    endless = Endless()
    caplog.set_level(logging.INFO)
    try:
        assert OnCallRetryPolicy().evaluate(raised(endless), 1, 3) == RetryDecision.default()
        assert "No judgement of the exception within 50 ms" in caplog.text
    finally:
        endless.answered.set()


def test_after_the_last_try_nothing_is_read(policy: OnCallRetryPolicy, raised: Throw) -> None:
    endless = Endless()
    assert policy.evaluate(raised(endless), 4, 3) == RetryDecision.default()
    assert not endless.asked.is_set()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_judgement_that_dies_takes_nothing_with_it(policy: OnCallRetryPolicy, raised: Throw, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry_policy, "tokens", lambda text: 1 / 0)
    assert policy.evaluate(raised(FORBIDDEN), 1, 3) == RetryDecision.default()


@pytest.mark.parametrize("problem", [RuntimeError("can't start new thread"), MemoryError()])
def test_no_thread_to_be_had_is_no_trouble(
    policy: OnCallRetryPolicy, raised: Throw, monkeypatch: pytest.MonkeyPatch, problem: Exception
) -> None:
    def refuse(thread: threading.Thread) -> NoReturn:
        raise problem

    monkeypatch.setattr(retry_policy._Judge, "start", refuse)
    assert policy.evaluate(raised(FORBIDDEN), 1, 3) == RetryDecision.default()


def swap_table(models: Models) -> None:
    models.table().write_text(knowledge({"authentication": 9}))


def cut_table(models: Models) -> None:
    models.promote(knowledge()[:500])


def turn_pointer_into_folder(models: Models) -> None:
    models.pointer.unlink()
    models.pointer.mkdir()


def point(content: str) -> Callable[[Models], object]:
    return lambda models: models.pointer.write_text(content)


SPOILT: dict[str, tuple[Callable[[Models], object], str]] = {
    "nothing was trained yet": (lambda models: models.pointer.unlink(), "No champion's table"),
    "the table is gone": (lambda models: models.table().unlink(), "No champion's table"),
    "the table is not the registered one": (swap_table, "the registry says"),
    "the registered table is cut off": (cut_table, "is no table"),
    "the pointer is cut off": (point('{"version": "0.1'), "promote a model again"),
    "the pointer is a list": (point("[]"), "promote a model again"),
    "the pointer has no hash": (point('{"version": "0.1.0", "files": {}}'), "promote a model again"),
    "the pointer leads elsewhere": (point('{"version": "../elsewhere", "files": {"table.json": "0"}}'), "leaves the models folder"),
    "the pointer is no text": (lambda models: models.pointer.write_bytes(b"\xff\xfe\x00"), "promote a model again"),
    "the pointer is a folder": (turn_pointer_into_folder, "cannot be read"),
}


@pytest.mark.parametrize(("spoil", "said"), SPOILT.values(), ids=SPOILT.keys())
def test_without_a_trusted_table_the_task_keeps_its_own_retries(
    models: Models, raised: Throw, caplog: pytest.LogCaptureFixture, spoil: Callable[[Models], object], said: str
) -> None:
    caplog.set_level(logging.INFO)
    spoil(models)
    retry_policy._load.cache_clear()  # as in the process of a task that fails for the first time
    assert OnCallRetryPolicy(deadline=PATIENT).evaluate(raised(FORBIDDEN), 1, 3) == RetryDecision.default()
    assert said in caplog.text


def test_models_in_object_storage_are_not_fetched_by_a_failing_task(
    policy: OnCallRetryPolicy, raised: Throw, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("AIRFLOW__ONCALL__MODELS_PATH", "memory://models")
    assert policy.evaluate(raised(FORBIDDEN), 1, 3) == RetryDecision.default()
    assert "local or shared disk" in caplog.text


def test_a_new_champion_is_in_force_at_once(models: Models, policy: OnCallRetryPolicy, raised: Throw) -> None:
    assert policy.evaluate(raised(FORBIDDEN), 1, 3).action is RetryAction.FAIL
    models.promote(knowledge({"authentication": 0}), "0.2.0")
    assert policy.evaluate(raised(FORBIDDEN), 1, 3) == RetryDecision.default()


NEXT = ExceptionRetryPolicy([RetryRule(OSError, RetryAction.RETRY, timedelta(hours=5))])


def test_where_it_has_nothing_to_say_the_next_policy_is_asked(models: Models, raised: Throw) -> None:
    chained = OnCallRetryPolicy(then=NEXT, deadline=PATIENT)
    assert chained.evaluate(raised(TIMED_OUT), 1, 3).retry_delay == timedelta(hours=5)
    assert chained.evaluate(raised(FORBIDDEN), 1, 3).action is RetryAction.FAIL, "what it is sure of it says itself"


def test_two_of_them_may_be_chained(models: Models, raised: Throw) -> None:
    chained = OnCallRetryPolicy(then=OnCallRetryPolicy(then=NEXT, deadline=PATIENT), deadline=PATIENT)
    assert chained.evaluate(raised(TIMED_OUT), 1, 3).retry_delay == timedelta(hours=5)


def test_what_the_next_policy_raises_is_airflows_to_handle(models: Models, raised: Throw) -> None:
    class Broken(RetryPolicy):
        def evaluate(self, *args: Any, **kwargs: Any) -> RetryDecision:
            raise LookupError("mine")

    with pytest.raises(LookupError, match="mine"):
        OnCallRetryPolicy(then=Broken(), deadline=PATIENT).evaluate(raised(TIMED_OUT), 1, 3)


def test_a_dag_file_that_uses_it_reads_no_model_and_loads_nothing_heavy(somewhere: Installation) -> None:
    done = somewhere.run("-c", FRESH, PYTHONPATH=str(ROOT / "plugins"))
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout.strip().splitlines()[-1])
    assert seen["opened"] == []
    assert not set(seen["loaded"]) & {"sqlalchemy", "alembic", "sklearn", "numpy", "pandas", "joblib", "airflow_client", "fastapi", "yaml"}
    assert "airflow_oncall" in seen["loaded"]


@pytest.mark.slow
def test_airflow_itself_follows_the_decisions(somewhere: Installation) -> None:
    (somewhere.home / "dags" / "orders.py").write_text(DAG_FILE)
    Models(somewhere.home / "models").promote(knowledge())
    source = f"DAGS = {str(somewhere.home / 'dags')!r}\n{RUN}"
    done = somewhere.run("-c", source, PYTHONPATH=str(ROOT / "plugins"))
    assert done.returncode == 0, done.stderr
    tries = (somewhere.home / "tries").read_text().split()
    assert {name: tries.count(name) for name in tries} == {"forbidden": 1, "refused": 2, "unclear": 2}, done.stdout
