"""Evidence comes out of whatever an Airflow process hands over."""

from __future__ import annotations

import builtins
import sys
from datetime import datetime, timedelta, timezone
from types import SimpleNamespace

import pytest
from tests.capture.border import STARTED, Mute, dag_processor_ti, raised, scheduler_ti, worker_ti

from airflow_oncall.capture.evidence import CHAIN_LIMIT, MESSAGE_LIMIT, TRACEBACK_LIMIT, chain, gather


def test_a_worker_gives_the_exception_with_its_cause_and_where_it_was_raised() -> None:
    evidence = gather(worker_ti(), raised(ValueError("no orders"), cause=KeyError("orders")))

    assert evidence.exception_chain == ("ValueError", "KeyError")
    assert evidence.message == "ValueError: no orders"
    assert "KeyError: 'orders'" in evidence.traceback
    assert "in raised" in evidence.traceback
    assert evidence.operator == "@task"
    assert (evidence.hostname, evidence.duration, evidence.max_tries) == ("worker-1", 90.0, 4)


def test_the_scheduler_gives_a_sentence_and_a_row_with_an_operator() -> None:
    evidence = gather(scheduler_ti(), "Executor LocalExecutor reported that the task instance failed")

    assert evidence.exception_chain == ()
    assert evidence.message.startswith("Executor LocalExecutor")
    assert evidence.traceback == ""
    assert evidence.operator == "SparkSubmitOperator"


def test_the_dag_processor_gives_neither_exception_nor_times() -> None:
    evidence = gather(dag_processor_ti(), None, SimpleNamespace(operator_name="BashOperator"))

    assert evidence.operator == "BashOperator"
    assert (evidence.message, evidence.duration, evidence.max_tries) == ("", None, 0)


def test_a_try_without_an_end_ran_until_now() -> None:
    just_started = datetime.now(timezone.utc) - timedelta(seconds=60)

    duration = gather(worker_ti(start_date=just_started, end_date=None), None).duration

    assert duration is not None
    assert duration >= 60


@pytest.mark.parametrize("start", [None, "yesterday", STARTED.replace(tzinfo=None)])
def test_a_start_that_is_no_time_gives_no_duration(start: object) -> None:
    assert gather(worker_ti(start_date=start), None).duration is None


def test_an_exception_without_words_is_still_evidence() -> None:
    evidence = gather(worker_ti(), raised(Mute()))

    assert evidence.exception_chain[0].endswith("Mute")
    assert "str() failed" in evidence.message


def test_a_suppressed_context_is_no_cause() -> None:
    try:
        try:
            raise KeyError("internal")
        except KeyError:
            raise ValueError("public") from None
    except ValueError as error:
        suppressed = error

    assert [type(one) for one in chain(suppressed)] == [ValueError]


def test_an_implicit_context_is_a_cause() -> None:
    try:
        try:
            raise KeyError("first")
        except KeyError:
            raise ValueError("second")  # noqa: B904 - an implicit context is what is tested
    except ValueError as error:
        during = error

    assert [type(one) for one in chain(during)] == [ValueError, KeyError]


def test_a_cycle_of_causes_is_walked_once() -> None:
    first, second = ValueError("first"), KeyError("second")
    first.__cause__, second.__cause__ = second, first

    assert chain(first) == [first, second]
    assert gather(worker_ti(), first).exception_chain == ("ValueError", "KeyError")


def test_an_endless_chain_is_cut() -> None:
    error = ValueError("0")
    for number in range(1, 200):
        following = ValueError(str(number))
        following.__cause__ = error
        error = following

    assert len(chain(error)) == CHAIN_LIMIT


@pytest.mark.skipif(sys.version_info < (3, 11), reason="exception groups came with Python 3.11")
def test_members_of_a_group_are_in_the_chain() -> None:
    members = [raised(ValueError("a"), cause=OSError("disk")), KeyError("b")]
    group: BaseException = vars(builtins)["ExceptionGroup"]("two tables failed", members)

    assert gather(worker_ti(), raised(group)).exception_chain == ("ExceptionGroup", "ValueError", "OSError", "KeyError")


def test_secrets_in_message_and_traceback_are_masked() -> None:
    evidence = gather(worker_ti(), raised(ValueError("postgresql://etl:hunter22@db/x")))

    assert "hunter22" not in evidence.message + evidence.traceback


def test_fifty_megabytes_of_message_are_bounded() -> None:
    evidence = gather(worker_ti(), raised(ValueError("x" * 50_000_000)))

    assert evidence.message.startswith("ValueError: xxx")
    assert len(evidence.message) < MESSAGE_LIMIT + 100
    assert len(evidence.traceback) < TRACEBACK_LIMIT + 100


def test_names_fit_the_columns_of_the_store() -> None:
    endless = type("Endless" * 100, (ValueError,), {})

    evidence = gather(worker_ti(hostname="h" * 1000), raised(endless()), SimpleNamespace(operator_name="o" * 1000))

    (exception,) = evidence.exception_chain
    for name, part in ((exception, "EndlessEndless"), (evidence.hostname, "hhh"), (evidence.operator, "ooo")):
        assert name
        assert part in name
        assert len(name) <= 250


def test_deep_recursion_leaves_a_short_traceback() -> None:
    def dive() -> None:
        dive()

    with pytest.raises(RecursionError) as caught:
        dive()

    assert gather(worker_ti(), caught.value).traceback.count("in dive") < 20
