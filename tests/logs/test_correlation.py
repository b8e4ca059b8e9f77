"""Whose trouble is it: explicit fields, keys, and what is inferred from what ran."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta, timezone
from types import SimpleNamespace

import pytest

from airflow_oncall.capture.logs.correlation import Owner, owners
from airflow_oncall.capture.logs.inference import SLACK, Candidate
from airflow_oncall.capture.logs.source import Record
from airflow_oncall.capture.logs.task_key import sql_comment, task_key
from airflow_oncall.incident import Correlation, TaskRef
from airflow_oncall.rest import TaskInstanceView
from tests.cast import NIGHTLY_ORDERS
from tests.logs.notebook import noted

UPDATE = "UPDATE stock SET amount = amount - 1 WHERE sku IN (SELECT sku FROM orders)"
NOW = datetime.now(timezone.utc)
AT = NOW - timedelta(minutes=5)

stock_update = TaskInstanceView(
    NIGHTLY_ORDERS,
    "failed",
    1,
    0,
    started_at=AT - timedelta(minutes=5),
    ended_at=AT + timedelta(seconds=3),
    hostname="worker-7",
    operator="SQLExecuteQueryOperator",
    unixname="etl",
    rendered={"sql": UPDATE},
)
"""Its statement was refused, so it failed."""
sales_report = replace(
    stock_update, ref=TaskRef("sales", "r1", "report"), state="success", ended_at=None, rendered={"sql": "SELECT 1 FROM sales GROUP BY day"}
)
mail = replace(stock_update, ref=TaskRef("mail", "r1", "send"), operator="EmailOperator", state="running", ended_at=None, rendered={})


def deadlock(**identifiers: str) -> Record:
    return noted(1, "deadlock detected", signature="postgres-deadlock", identifiers=identifiers)


def owner(record: Record, *ran: TaskInstanceView, keys: dict[str, tuple[TaskRef, int]] | None = None, at: datetime = AT) -> Owner:
    (found,) = owners([record], [at], lambda _: keys or {}, lambda start, end: [Candidate(one) for one in ran])
    return found


def test_fields_that_name_a_task_instance_are_believed() -> None:
    found = owner(deadlock(dag_id="nightly", run_id="r", task_id="load", map_index="3", try_number="2"))
    assert found == Owner(TaskRef("nightly", "r", "load", 3), 2, Correlation.EXPLICIT, 1.0)


def test_a_field_that_is_missing_makes_the_others_worthless() -> None:
    assert owner(deadlock(dag_id="nightly", task_id="load")).ref is None


def test_a_key_in_the_application_name_stands_for_the_try_that_made_it() -> None:
    key = task_key(NIGHTLY_ORDERS, 2)
    assert owner(deadlock(application_name=key), keys={key: (NIGHTLY_ORDERS, 2)}) == Owner(NIGHTLY_ORDERS, 2, Correlation.EXPLICIT, 1.0)


def test_a_key_is_believed_of_postgresql_alone_as_labels_of_a_document_can_be_anybodys() -> None:
    key = task_key(NIGHTLY_ORDERS, 2)
    document = noted(1, "deadlock detected", signature="error-document", identifiers={"application_name": key})
    assert not owner(document, mail, keys={key: (NIGHTLY_ORDERS, 2)}).is_believed


def test_a_key_that_the_store_never_heard_of_is_found_among_what_ran() -> None:
    found = owner(deadlock(application_name=task_key(NIGHTLY_ORDERS, 1)), sales_report, stock_update)
    assert (found.ref, found.correlation) == (NIGHTLY_ORDERS, Correlation.EXPLICIT)


def test_the_statement_tells_which_of_several_it_was() -> None:
    found = owner(deadlock(statement=UPDATE), sales_report, mail, stock_update)
    assert (found.ref, found.correlation) == (NIGHTLY_ORDERS, Correlation.INFERRED)
    assert found.is_believed


def test_an_application_that_bears_the_tasks_name_belongs_to_it() -> None:
    found = owner(deadlock(application_name="nightly.load_orders"), sales_report, stock_update)
    assert found.ref == NIGHTLY_ORDERS
    assert found.is_believed


@pytest.mark.parametrize("ran", [(stock_update, replace(stock_update, ref=TaskRef("other", "r", "t"))), (mail,), (sales_report,)])
def test_time_and_engine_alone_are_not_enough_among_several_or_for_a_task_of_another_kind(ran: tuple[TaskInstanceView, ...]) -> None:
    assert not owner(deadlock(), *ran).is_believed


def test_two_task_instances_with_the_same_statement_are_told_apart_by_nobody() -> None:
    twin = replace(stock_update, ref=replace(NIGHTLY_ORDERS, run_id="the day before"))
    assert not owner(deadlock(statement=UPDATE), stock_update, twin).is_believed


def test_what_did_not_run_then_is_never_the_owner() -> None:
    assert owner(deadlock(statement=UPDATE), stock_update, at=AT + timedelta(hours=1)).ref is None


def test_without_airflow_nothing_is_inferred() -> None:
    (found,) = owners([deadlock(statement=UPDATE)], [AT], lambda _: {}, None)
    assert found == Owner()


def test_a_shortened_label_is_compared_with_what_ran() -> None:
    make_safe_label_value = pytest.importorskip("airflow.providers.cncf.kubernetes.pod_generator").make_safe_label_value
    labels = {
        "dag_id": "nightly",
        "run_id_label": make_safe_label_value(NIGHTLY_ORDERS.run_id + "T00:00:00+00:00"),
        "task_id": "load_orders",
    }
    ran = replace(stock_update, ref=replace(NIGHTLY_ORDERS, run_id=NIGHTLY_ORDERS.run_id + "T00:00:00+00:00"))
    found = owner(noted(1, "OOMKilled", identifiers=labels), ran, stock_update)
    assert (found.ref, found.correlation) == (ran.ref, Correlation.EXPLICIT)
    assert owner(noted(1, "OOMKilled", identifiers=labels), stock_update).correlation != Correlation.EXPLICIT


def test_a_client_on_the_workers_own_host_is_likelier_than_one_on_another() -> None:
    here, elsewhere = (owner(deadlock(host=host), stock_update).probability for host in ("worker-7.internal", "laptop"))
    assert here > elsewhere


def test_the_user_who_submitted_is_a_sign_for_the_task_instance_that_ran_as_that_user() -> None:
    spark = replace(stock_update, operator="SparkSubmitOperator")
    job = noted(1, "job failed", signature="spark-job-failed", identifiers={"spark_user": "etl"})
    assert owner(job, spark).probability > owner(job, replace(spark, unixname="root")).probability


def test_a_statement_that_differs_in_a_table_only_is_told_from_its_likes() -> None:
    loads = {name: f"INSERT INTO {name} SELECT id, n, 'of the team' FROM stock WHERE id > 0" for name in ("orders", "invoices", "parcels")}
    ran = [replace(stock_update, ref=TaskRef("loads", "r", f"load_{name}"), rendered={"sql": sql}) for name, sql in loads.items()]
    found = owner(deadlock(statement=loads["invoices"], host="[local]"), *ran)
    assert found.ref == TaskRef("loads", "r", "load_invoices")
    assert found.is_believed


@pytest.mark.parametrize("wrong", [{"run_id": "r" * 300}, {"run_id": "r\x00"}, {"task_id": "load\ud800"}, {"dag_id": "two\nlines"}])
def test_a_field_that_airflow_could_not_have_written_names_nobody(wrong: dict[str, str]) -> None:
    assert owner(deadlock(**{"dag_id": "nightly", "run_id": "r", "task_id": "load"} | wrong)).ref is None


def test_a_number_that_is_none_is_left_out() -> None:
    found = owner(deadlock(dag_id="nightly", run_id="r", task_id="load", map_index="9" * 25, try_number="two"))
    assert found.ref == TaskRef("nightly", "r", "load")
    assert found.try_number == 0


def test_of_an_old_record_nobody_asks_what_ran() -> None:
    asked: list[datetime] = []

    def around(start: datetime, end: datetime) -> list[Candidate]:
        asked.append(start)
        return []

    records = [deadlock(), deadlock()]
    owners(records, [NOW, datetime(1999, 1, 1, tzinfo=timezone.utc)], lambda _: {}, around)
    assert asked == [NOW - SLACK]


@pytest.mark.parametrize(
    ("application", "task_id"), [("psql", "sql"), ("uploader", "load"), ("PostgreSQL JDBC Driver", "c"), ("payload-api-7d9f", "load")]
)
def test_a_task_whose_name_is_a_part_of_anothers_is_not_the_owner(application: str, task_id: str) -> None:
    ran = replace(stock_update, ref=TaskRef("nightly", "r", task_id))
    assert not owner(deadlock(application_name=application), ran, replace(stock_update, ref=TaskRef("other", "r", "t"))).is_believed


def test_the_same_statement_from_another_host_is_somebody_elses() -> None:
    assert not owner(deadlock(statement=UPDATE, host="laptop"), stock_update).is_believed


def test_a_comment_in_the_statement_is_a_sign_and_no_proof() -> None:
    ids = {"dag_id": NIGHTLY_ORDERS.dag_id, "run_id": NIGHTLY_ORDERS.run_id, "task_id": NIGHTLY_ORDERS.task_id, "try_number": 1}
    commented = sql_comment({"ti": SimpleNamespace(**ids, map_index=-1)}) + " SELECT 1"
    still_running = replace(stock_update, operator="PythonOperator", state="running", ended_at=None)
    assert owner(deadlock(statement=commented), replace(stock_update, operator="PythonOperator")).is_believed
    assert not owner(deadlock(statement=commented), still_running).is_believed


def test_a_field_that_names_dag_and_task_and_no_run_belongs_to_the_run_of_that_time() -> None:
    spark = replace(stock_update, operator="SparkSubmitOperator")
    job = noted(1, "job failed", signature="spark-job-failed", identifiers={"dag_id": spark.ref.dag_id, "task_id": spark.ref.task_id})
    other = replace(spark, ref=replace(spark.ref, task_id="another"))
    found = owner(job, other, spark)
    assert (found.ref, found.correlation, found.is_believed) == (spark.ref, Correlation.INFERRED, True)
    assert not owner(job, other).is_believed
    assert not owner(job, spark, replace(spark, ref=replace(spark.ref, run_id="the day before"))).is_believed
