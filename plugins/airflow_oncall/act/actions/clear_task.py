"""``clear_task``: run the failed task instance again, exactly that one."""

from __future__ import annotations

from airflow_oncall.act.actions.base import TaskAction
from airflow_oncall.incident import ActionKind


class ClearTask(TaskAction):
    """Clears it, and what waits for it as ``upstream_failed``."""

    kind = str(ActionKind.CLEAR_TASK)
