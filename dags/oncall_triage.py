"""Triage: sweep, verify what is in flight, diagnose, decide, act. Runs when an incident appears, and every minute."""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG, Asset, AssetOrTimeSchedule, AssetWatcher, CronTriggerTimetable, task

from airflow_oncall.capture.trigger import IncidentTrigger

incidents = Asset("oncall_incidents", uri="oncall://incidents", watchers=[AssetWatcher("oncall_incidents", trigger=IncidentTrigger())])

with DAG(
    "oncall_triage",
    description="Notices, explains and repairs failed task instances.",
    schedule=AssetOrTimeSchedule(assets=[incidents], timetable=CronTriggerTimetable("* * * * *", timezone="UTC")),
    catchup=False,
    max_active_runs=1,
    is_paused_upon_creation=False,
    tags=["oncall"],
    doc_md=__doc__,
):
    # Before polls and trainings where slots are few: what has failed waits for it.
    @task(retries=0, execution_timeout=timedelta(minutes=10), priority_weight=100, weight_rule="absolute")
    def tick() -> dict[str, int]:
        """One triage tick; what it did is its XCom."""
        from dataclasses import asdict

        from airflow_oncall.tick import run_tick

        return asdict(run_tick())

    tick()
