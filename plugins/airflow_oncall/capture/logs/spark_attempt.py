"""One attempt of an application as the History Server shows it: its failed jobs, stages and queries, and the executors it lost."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from typing import Any

from airflow_oncall.capture.logs import spark_properties, spark_trouble
from airflow_oncall.capture.logs.source import Record
from airflow_oncall.capture.logs.spark_server import HistoryServer, milliseconds

_EVIDENCE_LIMIT = 1000
_TASKS = 20
"""Failed task attempts of a stage that are looked at."""


class Attempt:
    """Of the same words and identifiers as an event log's records, but without what was set for single jobs: the server shows none."""

    def __init__(self, application: Mapping[str, Any], attempt: Mapping[str, Any]) -> None:
        number = attempt.get("attemptId")
        self.key = f"{application.get('id')}/{number}" if number else str(application.get("id"))
        """Also its path on the server."""
        self.updated = int(attempt.get("lastUpdatedEpoch") or 0)
        self.ended = int(attempt.get("endTimeEpoch") or 0)
        """Epoch milliseconds; below 1 while it runs."""
        self.completed = bool(attempt.get("completed"))
        named = {
            "application_id": application.get("id"), "app_name": application.get("name"), "attempt": number,
            "spark_user": attempt.get("sparkUser"), "spark_version": attempt.get("appSparkVersion"),
        }  # fmt: skip
        self._identifiers = {key: str(value)[:250] for key, value in named.items() if value}

    def troubles(self, server: HistoryServer, seen: Collection[str]) -> list[Record]:
        """Records that are not yet ``seen`` (by the last part of their position), oldest first."""
        jobs = server.about(self.key, "jobs")
        queries = list(server.sql(self.key))
        stages = server.about(self.key, "stages", status="failed")
        found = [
            *self._failed_jobs(server, jobs, stages, queries, seen),
            *self._failed_stages(jobs, stages),
            *self._failed_queries(queries),
            *self._lost_executors(jobs, server.about(self.key, "allexecutors")),
        ]
        new = [record for record in found if record.position.rpartition("/")[2] not in seen]
        if not new:
            return []
        properties = server.properties(self.key)
        common = {**spark_properties.settings(properties), **self._identifiers, **spark_properties.task_instance(properties)}
        new = [replace(record, identifiers={**common, **record.identifiers}) for record in new]
        return sorted(new, key=lambda record: (record.happened_at.timestamp() if record.happened_at else 0.0, record.position))

    def _failed_jobs(
        self,
        server: HistoryServer,
        jobs: list[dict[str, Any]],
        stages: list[dict[str, Any]],
        queries: list[dict[str, Any]],
        seen: Collection[str],
    ) -> Iterator[Record]:
        sql = {job: query.get("id") for query in queries for job in query.get("failedJobIds") or ()}
        for job in jobs:
            name = f"job-{job.get('jobId')}"
            if job.get("status") != "FAILED" or name in seen:
                continue
            mine = [stage for stage in stages if stage.get("stageId") in (job.get("stageIds") or ())]
            last = max(mine, key=lambda stage: milliseconds(stage.get("completionTime")) or 0, default={})
            known, evidence = self._evidence(server, last) if last else ({}, "")
            known.update(
                job_id=str(job.get("jobId")), sql_id=str(sql.get(job.get("jobId"), "")),
                duration=_seconds(job.get("submissionTime"), job.get("completionTime")),
            )  # fmt: skip
            about = spark_trouble.about(str(job.get("description") or job.get("name") or ""))
            reason = spark_trouble.shorten(str(last.get("failureReason") or "no stage of it failed"))
            text = f"Spark job {job.get('jobId')}{about} failed: {reason}" + (f"\n{evidence}" if evidence else "")
            yield self._record(spark_trouble.JOB_FAILED, text, name, job.get("completionTime"), known)

    def _evidence(self, server: HistoryServer, stage: Mapping[str, Any]) -> tuple[dict[str, str], str]:
        """Of the failed task attempts of a stage, the last one is the cause."""
        known = {"stage_id": str(stage.get("stageId")), "stage_attempt": str(stage.get("attemptId", 0))}
        where = f"stages/{known['stage_id']}/{known['stage_attempt']}/taskList"
        tasks = server.about(self.key, where, status="failed", length=_TASKS)
        if not tasks:
            return known, ""
        last = max(tasks, key=lambda task: milliseconds(task.get("launchTime")) or 0)
        said = spark_trouble.shorten(str(last.get("errorMessage") or ""), _EVIDENCE_LIMIT)
        known.update(executor_id=str(last.get("executorId") or ""), host=str(last.get("host") or ""))
        return known, (
            f"{stage.get('numFailedTasks')} failed task attempts in stage {known['stage_id']}.{known['stage_attempt']}, the last one task "
            f"{last.get('index')} attempt {last.get('attempt')} on executor {known['executor_id']} ({known['host']}): {said}"
        )

    def _failed_stages(self, jobs: list[dict[str, Any]], stages: list[dict[str, Any]]) -> Iterator[Record]:
        """Those that were tried again with success; the others are told of with their job."""
        succeeded = {stage: job for job in jobs if job.get("status") == "SUCCEEDED" for stage in job.get("stageIds") or ()}
        for stage in stages:
            job = succeeded.get(stage.get("stageId"))
            if job is None:
                continue
            reason = spark_trouble.shorten(str(stage.get("failureReason") or ""))
            text = f"Spark stage {stage.get('stageId')} ({stage.get('name', '')}) failed: {reason}"
            known = {
                "job_id": str(job.get("jobId")), "stage_id": str(stage.get("stageId")), "stage_attempt": str(stage.get("attemptId", 0)),
                "duration": _seconds(stage.get("submissionTime"), stage.get("completionTime")),
            }  # fmt: skip
            name = f"stage-{known['stage_id']}.{known['stage_attempt']}"
            yield self._record(spark_trouble.STAGE_FAILED, text, name, stage.get("completionTime"), known, "WARNING")

    def _failed_queries(self, queries: list[dict[str, Any]]) -> Iterator[Record]:
        """Those without a failed job, as of a table that does not exist."""
        told = {query.get("rootExecutionId", query.get("id")) for query in queries if query.get("failedJobIds")}
        for query in queries:
            number = query.get("id")
            if query.get("status") != "FAILED" or query.get("rootExecutionId", number) != number or number in told:
                continue
            message = spark_trouble.shorten(str(query.get("errorMessage") or "no reason given"))
            text = f"Spark SQL{spark_trouble.about(str(query.get('description') or ''))} failed: {message}"
            known = {"sql_id": str(number), "duration": f"{int(query.get('duration') or 0) / 1000:.3f}"}
            yield self._record(spark_trouble.SQL_FAILED, text, f"sql-{number}", query.get("submissionTime"), known)

    def _lost_executors(self, jobs: list[dict[str, Any]], executors: list[dict[str, Any]]) -> Iterator[Record]:
        """Those lost while a job ran or before one began; without work, executors go by themselves."""
        last = max((milliseconds(job.get("completionTime")) or 2**62 for job in jobs), default=0)
        for executor in executors:
            reason, removed = str(executor.get("removeReason") or ""), milliseconds(executor.get("removeTime"))
            if executor.get("isActive") or not reason or not spark_trouble.is_loss(reason) or removed is None or removed > last:
                continue
            name = f"executor-{executor.get('id')}"
            known = {"executor_id": str(executor.get("id")), "host": str(executor.get("hostPort") or "").rpartition(":")[0]}
            yield spark_trouble.lost_executor(reason, f"{self.key}/{name}", spark_trouble.at(removed), known)

    def _record(
        self, signature: str, text: str, name: str, happened_at: object, identifiers: Mapping[str, str], severity: str = "ERROR"
    ) -> Record:
        when = spark_trouble.at(milliseconds(happened_at))
        return spark_trouble.failure(signature, text, f"{self.key}/{name}", when, identifiers, severity)


def _seconds(begin: object, end: object) -> str:
    return spark_trouble.seconds(milliseconds(begin), milliseconds(end))
