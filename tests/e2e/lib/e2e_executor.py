"""LocalExecutor that can give a task back, as the Celery and Kubernetes executors can: the scheduler asks it to before it
fails a task instance that is stuck in the queue."""

from __future__ import annotations

from typing import Any

from airflow.executors.local_executor import LocalExecutor


class RevokingLocalExecutor(LocalExecutor):
    """Forgets a task instance; the workers refuse it later, because its state has changed."""

    def revoke_task(self, *, ti: Any) -> None:
        """Forget it."""
        self.running.discard(ti.key)
        self.queued_tasks.pop(ti.key, None)
