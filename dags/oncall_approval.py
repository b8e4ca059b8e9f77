"""Ask a person before a risky repair: one run a question, answered under Required Actions in Airflow's UI.

Reject, or no answer in time, does nothing and escalates. Where the policy names approvers, Airflow takes an answer from
nobody else; one who has left the list since does not count any more.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.providers.standard.operators.hitl import HITLOperator
from airflow.sdk import DAG, Context, task

from airflow_oncall import conf


class Question(HITLOperator):
    """Asks those whom the policy names for this question."""

    def execute(self, context: Context) -> Any:
        """Ask, and wait."""
        names = context["dag_run"].conf.get("approvers") or ()
        self.assigned_users = [{"id": name, "name": name} for name in names] or None
        return super().execute(context)


with DAG(
    "oncall_approval",
    description="One run a question to a person.",
    schedule=None,
    catchup=False,
    max_active_runs=100,
    is_paused_upon_creation=False,
    tags=["oncall"],
    doc_md=__doc__,
):
    question = Question(
        task_id="question",
        subject="{{ dag_run.conf['subject'] }}",
        body="{{ dag_run.conf['body'] }}",
        options=["Approve", "Reject"],
        response_timeout=timedelta(seconds=conf.approval_timeout()),
        retries=0,
    )

    @task(trigger_rule="all_done", retries=3, retry_delay=timedelta(seconds=20))
    def act(**context: Any) -> str:
        """Carry out the answer; that nobody answered in time is one, too."""
        from airflow_oncall.act.approval import conclude
        from airflow_oncall.rest import open_api
        from airflow_oncall.store import open_store

        run = context["dag_run"]
        return conclude(open_store(), open_api(), run.run_id, run.conf)

    question >> act()
