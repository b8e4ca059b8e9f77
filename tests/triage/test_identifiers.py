from __future__ import annotations

import pytest

from airflow_oncall.triage.identifiers import identifiers


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (
            "Marking task as FAILED. dag_id=sales, task_id=group.load, run_id=manual__2031-02-03T04:05:06.1+00:00, execution_date=x",
            {"dag_id": "sales", "task_id": "group.load", "run_id": "manual__2031-02-03T04:05:06.1+00:00"},
        ),
        ("Application report for application_1999999999999_0042 (state: FAILED)", {"application_id": "application_1999999999999_0042"}),
        ("Lost task 1.0 in stage 3.0 (TID 7) (node7 executor 12): boom", {"stage_id": "3", "executor_id": "12", "host": "node7"}),
        ('connection to server at "wh.internal" (10.0.0.1), port 5432 failed', {"host": "wh.internal", "port": "5432"}),
        ("2031-02-03 04:05:06 UTC [7-1] app@shop ERROR:  42P01: no", {"database": "shop", "sqlstate": "42P01"}),
        ("user=app,db=shop,app=psql,client=10.0.0.5 FATAL:  no", {"database": "shop", "host": "10.0.0.5"}),
        ("HTTPSConnectionPool(host='api.partner.io', port=443): Read timed out", {"host": "api.partner.io", "port": "443"}),
        ('pods "load-abc12" not found in namespace etl', {"pod": "load-abc12", "namespace": "etl"}),
        (
            "<TaskInstance: sales.group.load manual__2031-02-03 [queued]>",
            {"dag_id": "sales", "task_id": "group.load", "run_id": "manual__2031-02-03"},
        ),
        ("<TaskInstance: sales.load 2031-02-03 04:05:06+00:00 [queued]> dag_id=sales", {"dag_id": "sales", "task_id": "load"}),
        (
            "Command '['airflow', 'tasks', 'run', 'sales', 'load', 'daily_7', '--local']'",
            {"dag_id": "sales", "task_id": "load", "run_id": "daily_7"},
        ),
        ("Marking run <DagRun sales @ 2031-02-03 04:05:06+00:00: daily_7, state:running> failed", {"dag_id": "sales", "run_id": "daily_7"}),
        ("Database 'shop' on server 'wh.internal' is not currently available", {"database": "shop", "host": "wh.internal"}),
        ("Command exited with code 137", {"exit_code": "137"}),
    ],
)  # fmt: skip
def test_what_is_named_is_found(text: str, found: dict[str, str]) -> None:
    assert identifiers(text) == found


@pytest.mark.parametrize("text", ["", "a dag failed in task two of run three", "db=0 is the redis database number"])
def test_nothing_is_made_up(text: str) -> None:
    assert {"dag_id", "run_id", "task_id", "database"}.isdisjoint(identifiers(text))
