"""One night of many DAGs on three engines, and whose trouble each record is: counted, so that a share can be stated."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone
from types import SimpleNamespace
from typing import Any

import pytest

from airflow_oncall.capture.logs.correlation import BELIEVED, Owner, owners
from airflow_oncall.capture.logs.inference import Candidate
from airflow_oncall.capture.logs.source import Record
from airflow_oncall.capture.logs.task_key import sql_comment, task_key
from airflow_oncall.capture.logs.tries import written_for
from airflow_oncall.incident import Correlation, TaskRef
from airflow_oncall.rest import TaskInstanceView
from tests.logs.notebook import noted

AT = datetime.now(timezone.utc) - timedelta(minutes=5)
RUN = "scheduled__2026-11-20T00:00:00+00:00"

NAMED = [
    TaskRef("orders", RUN, "load"),
    TaskRef("orders", "manual__2026-11-20T04:05:06.123456+00:00", "load"),
    TaskRef("orders.eu", RUN, "group.load"),
    TaskRef("orders", RUN, "load", 17),
    TaskRef("bestände_täglich", RUN, "übertrag"),
    TaskRef("d" * 200, RUN, "t" * 200),
    TaskRef("dag_id=x", "run id with blanks", "task-1"),
]


def fields(ref: TaskRef, try_number: int) -> dict[str, str]:
    """As Spark properties, annotations of pods and documents name them."""
    given = {"dag_id": ref.dag_id, "run_id": ref.run_id, "task_id": ref.task_id, "try_number": str(try_number)}
    return given | ({"map_index": str(ref.map_index)} if ref.map_index >= 0 else {})


def task_log(ref: TaskRef, try_number: int) -> dict[str, str]:
    part = f"map_index={ref.map_index}/" if ref.map_index >= 0 else ""
    return dict(written_for(f"/logs/dag_id={ref.dag_id}/run_id={ref.run_id}/task_id={ref.task_id}/{part}attempt={try_number}.log"))


def view(dag_id: str, task_id: str, operator: str, *, state: str = "failed", ended: float | None = 4, **others: Any) -> TaskInstanceView:
    return TaskInstanceView(
        TaskRef(dag_id, RUN, task_id),
        state,
        1,
        0,
        started_at=AT - timedelta(minutes=9),
        ended_at=None if ended is None else AT + timedelta(seconds=ended),
        operator=operator,
        **{"hostname": "worker-1", "unixname": "airflow", **others},
    )


EXPLICIT: Mapping[str, Callable[[TaskRef], tuple[str, Mapping[str, str]]]] = {
    "spark properties": lambda ref: ("spark-job-failed", fields(ref, 2) | {"application_id": "local-1"}),
    "pod annotations": lambda ref: ("kubernetes-pod-failed", fields(ref, 2) | {"pod_name": "load-1"}),
    "fields of documents": lambda ref: ("elasticsearch-document", fields(ref, 2)),
    "path of a task log": lambda ref: ("level-error", task_log(ref, 2)),
    "key of postgres_options": lambda ref: ("postgres-error", {"application_name": task_key(ref, 2)}),
    "key behind a name": lambda ref: ("postgres-error", {"application_name": f"etl {task_key(ref, 2)}"}),
}


@pytest.mark.parametrize("way", EXPLICIT)
@pytest.mark.parametrize("ref", NAMED, ids=lambda ref: str(ref)[:40])
def test_what_is_written_down_names_the_try(way: str, ref: TaskRef) -> None:
    signature, identifiers = EXPLICIT[way](ref)
    (found,) = owners(
        [noted(1, "x", signature=signature, identifiers=identifiers)], [AT], lambda keys: {task_key(ref, 2): (ref, 2)}, around
    )
    assert found == Owner(ref, 2, Correlation.EXPLICIT, 1.0)


def test_a_share_can_be_stated_of_what_is_written_down() -> None:
    assert len(EXPLICIT) * len(NAMED) >= 40


SQL = "SQLExecuteQueryOperator"
STATEMENTS: Mapping[tuple[str, str], str] = {
    ("orders", "load"): "INSERT INTO orders SELECT * FROM staging_orders WHERE day = '2026-11-20'",
    ("orders", "clean"): "DELETE FROM staging_orders WHERE day < '2026-11-13'",
    ("orders", "totals"): "UPDATE totals SET amount = o.amount FROM orders o WHERE o.day = totals.day",
    ("stock", "load"): "INSERT INTO stock SELECT * FROM staging_stock WHERE day = '2026-11-20'",
    ("stock", "clean"): "DELETE FROM staging_stock WHERE day < '2026-11-13'",
    ("stock", "merge"): "MERGE INTO stock s USING incoming i ON s.sku = i.sku WHEN MATCHED THEN UPDATE SET n = i.n",
    ("sales", "report"): "SELECT day, sum(amount) FROM sales GROUP BY day ORDER BY day",
    ("sales", "refresh"): "REFRESH MATERIALIZED VIEW CONCURRENTLY sales_by_day_and_shop",
    ("crm", "copy"): "COPY customers (id, name, mail) FROM STDIN WITH (FORMAT csv)",
    ("crm", "index"): "CREATE INDEX CONCURRENTLY customers_by_mail ON customers (lower(mail))",
    ("crm", "dedupe"): "DELETE FROM customers a USING customers b WHERE a.id > b.id AND a.mail = b.mail",
    ("rates", "fetch"): "INSERT INTO rates (day, currency, rate) VALUES ('2026-11-20', 'EUR', 1.0)",
}
APPLICATIONS: Mapping[tuple[str, str], str] = {
    ("clicks", "sessions"): "Clicks: sessions of the day",
    ("clicks", "funnel"): "Clicks: funnel",
    ("clicks", "export"): "clicks.export",
    ("features", "daily"): "feature-store-daily",
    ("features", "backfill"): "feature-store-backfill",
    ("ledger", "close"): "ledger_close_month",
    ("ledger", "audit"): "ledger_audit",
    ("geo", "tiles"): "geo-tiles-europe",
}
ran = [
    *(view(dag, task, SQL, rendered={"sql": sql}) for (dag, task), sql in STATEMENTS.items()),
    *(view(dag, task, "SparkSubmitOperator", rendered={"name": name}, unixname="spark") for (dag, task), name in APPLICATIONS.items()),
    view("scoring", "predict", "PythonOperator", hostname="worker-2"),
    view("scoring", "publish", "PythonOperator", state="running", ended=None),
    view("mail", "send", "EmailOperator", state="running", ended=None),
    view("files", "copy", "BashOperator", state="success", ended=1),
    view("pods", "render", "KubernetesPodOperator", rendered={"name": "render-tiles"}),
]


def around(start: datetime, end: datetime) -> list[Candidate]:
    return [Candidate(one) for one in ran]


def comment_of(dag_id: str, task_id: str) -> str:
    return sql_comment({"ti": SimpleNamespace(dag_id=dag_id, run_id=RUN, task_id=task_id, map_index=-1, try_number=1)})


@dataclass(frozen=True)
class Case:
    """A record that names no task instance, and whose it is; ``None`` for another client's."""

    about: str
    record: Record
    owner: tuple[str, str] | None


def postgres(about: str, owner: tuple[str, str] | None, **identifiers: str) -> Case:
    return Case(about, noted(1, "x", signature="postgres-error", identifiers=identifiers), owner)


def spark(about: str, owner: tuple[str, str] | None, **identifiers: str) -> Case:
    return Case(about, noted(1, "x", signature="spark-job-failed", identifiers=identifiers), owner)


OWNED = [
    *(postgres(f"statement of {key}", key, statement=sql) for key, sql in STATEMENTS.items()),
    *(postgres(f"shouted statement of {key}", key, statement=f"  {sql.upper()};\n", host="[local]") for key, sql in STATEMENTS.items()),
    *(postgres(f"statement and host of {key}", key, statement=sql, host="worker-1.internal") for key, sql in list(STATEMENTS.items())[:4]),
    *(postgres(f"name of {key}", key, application_name=".".join(key), user="etl") for key in list(STATEMENTS)[:4]),
    *(spark(f"application of {key}", key, app_name=name, spark_user="spark") for key, name in APPLICATIONS.items()),
    *(spark(f"application of {key}, other user", key, app_name=name, spark_user="root") for key, name in APPLICATIONS.items()),
    postgres(
        "comment of a Python task",
        ("scoring", "predict"),
        statement=f"{comment_of('scoring', 'predict')} SELECT * FROM scores",
        host="worker-2",
    ),
    Case("pod of its name", noted(1, "x", signature="kubernetes-pod-failed", identifiers={"pod_name": "render-tiles"}), ("pods", "render")),
]
OF_OTHERS = [
    postgres("statement from somebody's laptop", None, statement=STATEMENTS["orders", "load"], host="laptop-of-ann"),
    postgres("another statement", None, statement="SELECT version(), current_user, now(), pg_backend_pid()"),
    postgres("nothing but a name of everybody", None, application_name="psql"),
    postgres("a service whose name holds a task's", None, application_name="reload-api"),
    postgres("no sign at all", None),
    spark("the shell", None, app_name="spark-shell", spark_user="ann"),
    spark("a notebook", None, app_name="ann's notebook", spark_user="ann"),
    Case("another pod", noted(1, "x", signature="kubernetes-pod-failed", identifiers={"pod_name": "web-7d9f"}), None),
]


def believed(case: Case, candidates: list[TaskInstanceView]) -> tuple[str, str] | None:
    """Whose the record is taken to be."""
    (found,) = owners([case.record], [AT], lambda _: {}, lambda start, end: [Candidate(one) for one in candidates])
    if not found.is_believed or found.ref is None:
        return None
    assert found.probability >= BELIEVED
    assert found.correlation is Correlation.INFERRED
    return found.ref.dag_id, found.ref.task_id


def test_nine_of_ten_records_are_tied_by_inference_and_none_to_a_wrong_task() -> None:
    found = {case.about: believed(case, ran) for case in OWNED}
    right = [case for case in OWNED if found[case.about] == case.owner]
    assert len(OWNED) == len(found) >= 40
    assert {about: key for about, key in found.items() if key} == {case.about: case.owner for case in right}
    assert len(right) >= 0.9 * len(OWNED), sorted({case.about for case in OWNED} - {case.about for case in right})


@pytest.mark.parametrize("case", OF_OTHERS, ids=lambda case: case.about)
def test_what_another_client_did_is_tied_to_nobody(case: Case) -> None:
    assert believed(case, ran) is None


@pytest.mark.parametrize("case", OWNED, ids=lambda case: case.about)
def test_where_its_task_did_not_run_a_record_is_tied_to_no_other(case: Case) -> None:
    others = [one for one in ran if (one.ref.dag_id, one.ref.task_id) != case.owner]
    assert believed(case, others) is None


@pytest.mark.parametrize("case", OWNED, ids=lambda case: case.about)
def test_two_runs_that_did_the_same_are_told_apart_by_nobody(case: Case) -> None:
    mine = next(one for one in ran if (one.ref.dag_id, one.ref.task_id) == case.owner)
    twin = replace(mine, ref=replace(mine.ref, run_id="scheduled__2026-11-19T00:00:00+00:00"))
    if "comment" not in case.about:  # which names the run
        assert believed(case, [*ran, twin]) is None
