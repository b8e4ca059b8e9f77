"""Runbook: wait until a service answers over HTTP, so that a task runs again only when it can succeed.

The connection ``oncall_health`` (HTTP) names the service; the rule's ``conf`` may name another path.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.sdk import DAG, Connection, Param, task

with DAG(
    dag_id="health_check",
    description="Succeeds when a service answers over HTTP with 2xx.",
    schedule=None,
    max_active_runs=16,
    tags=["oncall-runbook"],
    params={"path": Param("/health", type="string", pattern="^/[A-Za-z0-9/_.-]*$")},
    doc_md=__doc__,
) as dag:

    @task(retries=10, retry_delay=timedelta(seconds=30))
    def answers(params: dict[str, Any] | None = None) -> int:
        """The status; anything but 2xx fails the try."""
        import httpx

        service = Connection.get("oncall_health")
        base = service.host if "://" in str(service.host) else f"{service.schema or 'http'}://{service.host}:{service.port or 80}"
        answer = httpx.get(f"{base}{(params or {})['path']}", timeout=10)
        answer.raise_for_status()
        return answer.status_code

    answers()
