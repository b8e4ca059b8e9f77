"""``on_failure_callback`` for those who set it by hand; the plugin's listener does the same without any DAG edits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def on_failure(context: Mapping[str, Any]) -> None:
    """Note a failed task (``on_failure_callback`` of a task or of ``default_args``) or a failed run (of a DAG).

    Never raises, takes 2 s at most, and may be called any number of times for one failure.
    """
    from airflow_oncall.capture import record

    if "reason" in context:
        # Called for the run. The task instance in such a context is the last one, not the culprit.
        record.report_dag_run(str(getattr(context.get("dag"), "dag_id", "")), _run_id(context))
        return
    ti = context.get("task_instance") or context.get("ti")
    record.report(ti, context.get("exception"), seen_by="callback", task=context.get("task"))


def _run_id(context: Mapping[str, Any]) -> str:
    return str(context.get("run_id") or getattr(context.get("dag_run"), "run_id", ""))
