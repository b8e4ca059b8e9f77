"""Task instances that engines know more of: what they do is logged by a real PostgreSQL and a real Spark."""

from __future__ import annotations

import os
from contextlib import suppress

from airflow.providers.common.sql.operators.sql import SQLExecuteQueryOperator
from airflow.sdk import DAG, task

with DAG("l_spark_and_sql", schedule=None):

    @task
    def nightly() -> None:
        """A Spark job, then a statement; both are refused by their engines."""
        import psycopg
        from pyspark.errors import PySparkException
        from pyspark.sql import SparkSession

        from airflow_oncall.capture.logs.spark_conf import spark_conf
        from airflow_oncall.capture.logs.task_key import postgres_options

        events = {"spark.eventLog.enabled": "true", "spark.eventLog.dir": os.environ["E2E_SPARK_EVENTS"], "spark.ui.enabled": "false"}
        spark = SparkSession.builder.master("local[1]").config(map={**events, **spark_conf()}).getOrCreate()
        with suppress(PySparkException):
            spark.sql("SELECT sum(CAST(concat('x', id) AS INT)) FROM range(5)").collect()
        spark.stop()
        with psycopg.connect(os.environ["E2E_WAREHOUSE"], application_name=postgres_options()["application_name"]) as connection:
            connection.execute("UPDATE stock SET n = 1 / 0 WHERE id = 1")

    nightly()

with DAG("l_nothing_written_down", schedule=None, max_active_tasks=4):
    for number, table in enumerate(("orders", "invoices", "parcels")):
        SQLExecuteQueryOperator(
            task_id=f"load_{table}",
            conn_id="warehouse",
            sql=f"INSERT INTO {table} SELECT id, n * {number + 2}, 'of the {table} team' FROM stock WHERE id > 0",
        )
