"""A DAG file that the worker cannot import, though the DAG processor can."""

from __future__ import annotations

import sys

from airflow.sdk import DAG, task

if "scheduler" in sys.argv:  # LocalExecutor's workers are forked from the scheduler
    import a_package_the_worker_lacks  # noqa: F401

with DAG("m_worker_only_import_error", schedule=None, tags=["oncall:never"]):

    @task
    def never_runs() -> None:
        """The worker cannot import this file."""

    never_runs()
