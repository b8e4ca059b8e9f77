"""Train on what was learned: corpus, verified outcomes and feedback. Weekly, and early on drift or many new labels.

A newly trained model is promoted only where it is nowhere worse than the champion and somewhere better; `report` says why.
Once a week `weekly_report` sends people the report of `airflow oncall report`, whatever comes of the training.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.providers.standard.operators.hitl import ApprovalOperator
from airflow.sdk import DAG, CronTriggerTimetable, task

from airflow_oncall import conf


class Approval(ApprovalOperator):
    """Also leaves who answered what: a rejection ends Airflow's own operator before it returns anything."""

    def execute_complete(self, context: Any, event: dict[str, Any]) -> Any:
        if "error" not in event:
            told = {name: event[name] for name in ("chosen_options", "responded_by_user")}
            context["ti"].xcom_push(key="answer", value=told)
        return super().execute_complete(context, event)


with DAG(
    "oncall_train",
    description="Trains the models; a challenger that is better becomes champion.",
    schedule=CronTriggerTimetable("0 3 * * 0", timezone="UTC"),
    catchup=False,
    max_active_runs=1,
    is_paused_upon_creation=False,
    default_args={"retries": 1, "retry_delay": timedelta(minutes=1), "execution_timeout": timedelta(hours=1)},
    tags=["oncall"],
    doc_md=__doc__,
):

    @task
    def collect(**context: Any) -> dict[str, Any]:
        """Corpus, verified outcomes and feedback; skips with a reason when there is nothing to train."""
        return dict(_step("collect", context))

    @task
    def validate(**context: Any) -> dict[str, Any]:
        """Schema, leakage between folds, drift."""
        return dict(_step("validate", context))

    @task
    def train(**context: Any) -> str:
        """Fit, save and register the challenger; its version."""
        return str(_step("train", context)["version"])

    @task
    def evaluate(**context: Any) -> list[str]:
        """Challenger, champion, rules and majority on the same unseen rows; the figures are in the run's folder and the card."""
        return list(_step("evaluate", context)["reports"])

    @task.short_circuit(ignore_downstream_trigger_rules=False)
    def gate(**context: Any) -> str:
        """Why the challenger may be promoted; nothing where the champion stays."""
        return str(_step("gate", context))

    @task
    def promote(**context: Any) -> str:
        """Make the challenger the champion; its version."""
        return str(_step("promote", context, _answer(context)))

    @task
    def report(**context: Any) -> dict[str, Any]:
        """What came of the run, whatever it was."""
        return dict(_step("report", context, _answer(context)))

    @task
    def weekly_report() -> list[str]:
        """The report of the last week to those whom the policy names; where it was sent."""
        from airflow_oncall.reports.weekly import send_weekly
        from airflow_oncall.store import open_store

        return send_weekly(open_store())

    def _answer(context: dict[str, Any]) -> dict[str, Any] | None:
        """What a person said to the promotion, where one is asked; nothing where nobody was."""
        answer: dict[str, Any] | None = context["ti"].xcom_pull(task_ids="approve", key="answer")
        return answer

    def _step(name: str, context: dict[str, Any], *arguments: Any) -> Any:
        from airflow_oncall.training import run_step

        return run_step(name, context["run_id"], *arguments)

    gated, promoted = gate(), promote()
    collect() >> validate() >> train() >> evaluate() >> gated >> promoted
    if conf.train_approval():
        approve = Approval(
            task_id="approve",
            subject="Promote the newly trained model {{ ti.xcom_pull(task_ids='train') }}?",
            body="It passed the gate: {{ ti.xcom_pull(task_ids='gate') }}. Its card is in the models folder. Reject: the champion stays.",
            defaults="Reject",
            response_timeout=timedelta(seconds=conf.approval_timeout()),
            execution_timeout=None,
            retries=0,
        )
        gated >> approve >> promoted
    # A teardown runs whatever happened before it, and does not hide from the run that something failed.
    promoted >> report().as_teardown()
    weekly_report()
