"""Ask a person before a risky repair: one run a question, answered under Required Actions in Airflow's UI.

Reject, or no answer in time, does nothing and escalates.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.providers.standard.operators.hitl import HITLOperator
from airflow.sdk import DAG, task

from airflow_oncall import conf

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
    question = HITLOperator(
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
        from airflow_oncall.act.approval import answer, response_to
        from airflow_oncall.rest import open_api
        from airflow_oncall.store import open_store

        asked, api = context["dag_run"].conf, open_api()
        incident_id, number = int(asked["incident_id"]), int(asked["number"])
        return answer(open_store(), api, incident_id, number, response_to(api, incident_id, number))

    question >> act()
