"""Whose trouble it is: properties that we, the Spark provider, Airflow and OpenLineage set."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from airflow.providers.apache.spark.operators.spark_pyspark import PySparkOperator
from airflow.providers.apache.spark.operators.spark_sql import SparkSqlOperator
from airflow.providers.apache.spark.operators.spark_submit import SparkSubmitOperator
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG

from airflow_oncall.capture.logs.source import Record
from airflow_oncall.capture.logs.spark_application import Application
from airflow_oncall.capture.logs.spark_conf import TEMPLATES, add_spark_conf, spark_conf
from airflow_oncall.capture.logs.spark_properties import task_instance

TI = SimpleNamespace(dag_id="nightly", run_id="r1", task_id="group.load", map_index=3, try_number=2)
CONTEXT: Any = {"ti": TI}
NAMED = {"dag_id": "nightly", "run_id": "r1", "task_id": "group.load", "map_index": "3", "try_number": "2"}
OURS = {f"spark.airflow.{key}": value for key, value in NAMED.items()}


def hear(application: Application, *events: dict[str, Any]) -> list[Record]:
    return [record for number, event in enumerate(events) for record in application.hear(event, f"log:{number}")]


def job(number: int, stage: int, **properties: str) -> dict[str, Any]:
    return {"Event": "SparkListenerJobStart", "Job ID": number, "Stage IDs": [stage], "Properties": properties}


def job_end(number: int, result: str) -> dict[str, Any]:
    return {"Event": "SparkListenerJobEnd", "Job ID": number, "Job Result": {"Result": result, "Exception": {"Message": "boom"}}}


def stage(event: str, number: int, attempt: int = 0, reason: str | None = None) -> dict[str, Any]:
    return {"Event": f"SparkListener{event}", "Stage Info": {"Stage ID": number, "Stage Attempt ID": attempt, "Failure Reason": reason}}


def executor_lost(reason: str) -> dict[str, Any]:
    return {"Event": "SparkListenerExecutorRemoved", "Executor ID": "1", "Removed Reason": reason}


def test_what_spark_conf_writes_is_what_is_read() -> None:
    assert task_instance(spark_conf(CONTEXT)) == NAMED


def test_a_drivers_airflow_context_is_read_where_the_operator_hands_it_on() -> None:
    environment = {"DAG_ID": "nightly", "DAG_RUN_ID": "r1", "TASK_ID": "load", "TRY_NUMBER": "1"}
    properties = {f"spark.yarn.appMasterEnv.AIRFLOW_CTX_{name}": value for name, value in environment.items()}
    assert task_instance(properties) == {"dag_id": "nightly", "run_id": "r1", "task_id": "load", "try_number": "1"}


@pytest.mark.parametrize(
    ("parent", "root", "told"),
    [
        ("nightly.load", "", {"dag_id": "nightly", "task_id": "load"}),
        ("my.dag.group.load", "my.dag", {"dag_id": "my.dag", "task_id": "group.load"}),
        ("my.dag.group.load", "", {}),
        ("nightly", "", {}),
    ],
)
def test_openlineages_parent_job_is_read_unless_its_dots_leave_it_open(parent: str, root: str, told: dict[str, str]) -> None:
    properties = {"spark.openlineage.parentJobName": parent, "spark.openlineage.rootParentJobName": root}
    assert task_instance(properties) == told


def test_templates_that_nobody_rendered_name_nobody() -> None:
    assert task_instance(TEMPLATES) == {}


def test_a_jobs_own_properties_come_before_its_applications() -> None:
    application = Application()
    hear(application, {"Event": "SparkListenerEnvironmentUpdate", "Spark Properties": {"spark.airflow.dag_id": "shared_server"}})
    [mine] = hear(application, job(1, 1, **OURS), job_end(1, "JobFailed"))
    [other] = hear(application, job(2, 2), job_end(2, "JobFailed"))
    assert NAMED.items() <= mine.identifiers.items()
    assert other.identifiers["dag_id"] == "shared_server"
    assert "run_id" not in other.identifiers


def test_an_executor_lost_while_jobs_of_several_tasks_run_is_nobodys() -> None:
    application = Application()
    hear(application, job(1, 1, **OURS), job(2, 2, **{**OURS, "spark.airflow.task_id": "other"}))
    [record] = hear(application, executor_lost("heartbeat timed out"))
    assert "task_id" not in record.identifiers


def test_a_stage_that_is_tried_again_is_a_warning_and_its_job_no_trouble() -> None:
    application = Application()
    fetch = "FetchFailed(executor 2): connection reset"
    events = (job(1, 5), stage("StageSubmitted", 5), stage("StageCompleted", 5, reason=fetch), stage("StageSubmitted", 5, 1))
    [record] = hear(application, *events, stage("StageCompleted", 5, 1), job_end(1, "JobSucceeded"))
    assert (record.signature, record.severity, record.position) == ("spark-stage-failed", "WARNING", "log:2")
    assert fetch in record.text


def test_a_lost_executor_is_nothing_at_the_end_and_trouble_before_the_next_job() -> None:
    ending = Application()
    assert hear(ending, executor_lost("exited with code 143"), {"Event": "SparkListenerApplicationEnd", "Timestamp": 1}) == []
    going_on = Application()
    assert [record.signature for record in hear(going_on, executor_lost("exited with code 143"), job(1, 1))] == ["spark-executor-lost"]


@pytest.mark.parametrize("reason", ["Executor killed by driver.", "Executor decommission finished", "Command exited with code 0"])
def test_executors_that_spark_sends_away_are_no_trouble(reason: str) -> None:
    application = Application()
    assert hear(application, job(1, 1), executor_lost(reason)) == []


def test_an_application_that_ends_badly_without_a_failed_job_is_trouble() -> None:
    application = Application()
    [record] = hear(application, {"Event": "SparkListenerApplicationEnd", "Timestamp": 1, "ExitCode": 101})
    assert (record.signature, record.identifiers["exit_code"]) == ("spark-application-failed", "101")


def test_outside_a_task_spark_conf_is_a_template_that_airflow_renders() -> None:
    with DAG("nightly", schedule=None):
        task = SparkSubmitOperator(task_id="load", conf={**spark_conf(), "spark.executor.memory": "2g"})
    task.render_template_fields(CONTEXT)
    assert task.conf == {**OURS, "spark.executor.memory": "2g"}


@pytest.mark.parametrize("present", [None, {"spark.executor.memory": "2g", "spark.airflow.dag_id": "mine"}])
def test_the_policy_adds_to_what_the_author_set(present: dict[str, str] | None) -> None:
    with DAG("nightly", schedule=None):
        submit = SparkSubmitOperator(task_id="submit", conf=present)
        sql = SparkSqlOperator(task_id="sql", sql="select 1", conf=present)
        inside = PySparkOperator(task_id="inside", python_callable=lambda: None, config_kwargs=present)
    for task, field in ((submit, "conf"), (sql, "_conf"), (inside, "config_kwargs")):
        add_spark_conf(task)
        add_spark_conf(task)
        task.render_template_fields(CONTEXT)
        assert getattr(task, field) == {**OURS, **(present or {})}


def test_the_policy_reaches_mapped_tasks_unless_their_properties_are_mapped_over() -> None:
    with DAG("nightly", schedule=None):
        by_file = SparkSubmitOperator.partial(task_id="by_file", conf={"spark.executor.memory": "2g"}).expand(application=["a", "b"])
        by_conf = SparkSubmitOperator.partial(task_id="by_conf").expand(conf=[{}, {}])
        by_sql = SparkSqlOperator.partial(task_id="by_sql").expand(sql=["a", "b"])
    for task in (by_file, by_conf, by_sql):
        add_spark_conf(task)
    assert by_file.partial_kwargs["conf"] == {**TEMPLATES, "spark.executor.memory": "2g"}
    assert "conf" not in by_conf.partial_kwargs
    assert "conf" not in by_sql.partial_kwargs


def test_the_policy_leaves_other_tasks_and_texts_alone() -> None:
    with DAG("nightly", schedule=None):
        empty = EmptyOperator(task_id="empty")
        text = SparkSqlOperator(task_id="text", sql="select 1", conf="a=b")
        braces = SparkSqlOperator(task_id="braces", sql="select 1", conf={"a": "{{ not ours }}"})
    for task in (empty, text, braces):
        add_spark_conf(task)
    assert not hasattr(empty, "conf")
    assert text._conf == "a=b"
    assert braces._conf == {"a": "{{ not ours }}"}
