"""Airflow's listener hooks: every failed try, failed run and DAG import error, with no DAG edits.

Airflow imports this module in each of its processes and calls the hooks synchronously: it loads nothing until something
fails, and nothing it does reaches Airflow.
"""

from __future__ import annotations

import logging
from typing import Any

from airflow.listeners import hookimpl

log = logging.getLogger(__name__)


class OnCallListener:
    """The hooks; the plugin registers one instance."""

    @hookimpl
    def on_task_instance_failed(self, previous_state: Any, task_instance: Any, error: BaseException | str | None) -> None:
        """A try failed: in the worker with its exception, in scheduler and API server with a sentence."""
        _forward("report", task_instance, error, seen_by="listener")

    @hookimpl
    def on_dag_run_failed(self, dag_run: Any, msg: str) -> None:
        """A run failed: some of its task instances may have died without a word."""
        _forward("report_dag_run", getattr(dag_run, "dag_id", ""), getattr(dag_run, "run_id", ""))

    @hookimpl
    def on_new_dag_import_error(self, filename: str, stacktrace: str) -> None:
        """A DAG file cannot be imported."""
        _forward("report_import_error", filename, stacktrace)

    @hookimpl
    def on_existing_dag_import_error(self, filename: str, stacktrace: str) -> None:
        """The file still cannot be imported; called at every parse."""
        _forward("report_import_error", filename, stacktrace, repeated=True)


def _forward(report: str, *args: Any, **details: Any) -> None:
    try:
        from airflow_oncall.capture import record

        getattr(record, report)(*args, **details)
    except Exception as error:  # noqa: BLE001 - a hook that raises would disturb the scheduler; covers a broken install too
        log.error("A failure could not be captured (%s, %s); Airflow itself is not affected", report, type(error).__qualname__)
