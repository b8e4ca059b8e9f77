"""One Spark application as its events tell it: which of them are trouble, and whose.

A failed attempt of a task is evidence of the stage that it fails, and a failed stage of its job: one failure, one record. A stage that
failed alone, and an executor lost while no job ran, are held until the next event says what they were: a job's end, a retry, or the
end of the application, before which executors go by themselves.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Any, ClassVar

from airflow_oncall.capture.logs import spark_properties, spark_trouble
from airflow_oncall.capture.logs.source import Record
from airflow_oncall.capture.redact import redact

State = dict[str, Any]
"""JSON: all that reading on needs. It holds what runs, not what has ended, and no secrets: it is stored."""
_NO_FAILURE = frozenset({"Success", "TaskKilled", "Resubmitted", "TaskCommitDenied"})
_EVIDENCE_LIMIT = 1000
_SQL = "org.apache.spark.sql.execution.ui."


class Application:
    """Hears the events of one event log in their order. ``state`` resumes from where another one stopped."""

    def __init__(self, state: State | None = None) -> None:
        empty: State = {
            "version": "",
            "ids": {},
            "owner": {},
            "hosts": {},
            "jobs": {},
            "stages": {},
            "sql": {},
            "held": [],
            "failed": False,
        }
        self.state: State = {**empty, **(state or {})}
        self.ended = bool(self.state.get("ended"))

    def hear(self, event: Mapping[str, Any], position: str) -> list[Record]:
        """Records that are certain with this event. Unknown events and fields say nothing; a known field of another type may raise."""
        hears = self._HEARS.get(str(event.get("Event", "")))
        return hears(self, event, position) if hears else []

    def flush(self) -> list[Record]:
        """What is held, when nothing follows it."""
        return self._release(lambda _: True)

    def _identifiers(self, job: Mapping[str, Any] | None = None, **more: object) -> dict[str, str]:
        owner = (job or {}).get("owner") or self.state["owner"]
        known = {**self.state["ids"], "spark_version": self.state["version"], **owner}
        return {**known, **{key: str(value) for key, value in more.items() if value not in (None, "")}}

    def _on_log_start(self, event: Mapping[str, Any], _: str) -> list[Record]:
        self.state["version"] = str(event.get("Spark Version", ""))
        return []

    def _on_environment(self, event: Mapping[str, Any], _: str) -> list[Record]:
        properties = event.get("Spark Properties") or {}
        self.state["ids"] = {**{key: _safe(value) for key, value in spark_properties.settings(properties).items()}, **self.state["ids"]}
        self.state["owner"] = spark_properties.task_instance(properties)
        return []

    def _on_application_start(self, event: Mapping[str, Any], _: str) -> list[Record]:
        named = {"application_id": "App ID", "app_name": "App Name", "attempt": "App Attempt ID", "spark_user": "User"}
        self.state["ids"].update({key: _safe(event[name])[:250] for key, name in named.items() if event.get(name)})
        self.state["started"] = _number(event.get("Timestamp"))
        return []

    def _on_application_end(self, event: Mapping[str, Any], position: str) -> list[Record]:
        self.ended = self.state["ended"] = True
        records = self._release(lambda held: held["kind"] in ("stage", "sql"))
        self.state["held"] = []
        code = event.get("ExitCode")
        if not code or self.state["failed"] or records:
            return records
        known = self._identifiers(exit_code=code, duration=spark_trouble.seconds(self.state.get("started"), event.get("Timestamp")))
        text = f"Spark application {known.get('app_name', '')} ended with exit code {code}"
        return [spark_trouble.failure(spark_trouble.APPLICATION_FAILED, text, position, spark_trouble.at(event.get("Timestamp")), known)]

    def _on_job_start(self, event: Mapping[str, Any], _: str) -> list[Record]:
        properties = event.get("Properties") or {}
        self.state["jobs"][str(event.get("Job ID"))] = {
            "began": _number(event.get("Submission Time")),
            "stages": [one for one in event.get("Stage IDs") or [] if _number(one) is not None],
            "about": _description(properties.get("spark.job.description") or properties.get("callSite.short")),
            "owner": spark_properties.task_instance(properties),
            "sql": str(properties.get("spark.sql.execution.root.id") or properties.get("spark.sql.execution.id") or ""),
        }
        return self._release(lambda held: held["kind"] == "executor")

    def _on_job_end(self, event: Mapping[str, Any], position: str) -> list[Record]:
        job = self.state["jobs"].pop(str(event.get("Job ID")), {})
        mine = [held for held in self.state["held"] if held["kind"] == "stage" and held["stage"] in job.get("stages", ())]
        query = [held for held in self.state["held"] if held["kind"] == "sql" and held["sql"] == job.get("sql")]
        result = event.get("Job Result") or {}
        if result.get("Result") == "JobSucceeded":
            more = any(other["sql"] == job.get("sql") for other in self.state["jobs"].values())
            return self._release(lambda held: held in mine or (held in query and not more))
        self.state["held"] = [held for held in self.state["held"] if held not in mine and held not in query]
        if job.get("sql") in self.state["sql"]:
            self.state["sql"][job["sql"]]["failed"] = True
        return [self._failed_job(event, job, mine, position)]

    def _failed_job(self, event: Mapping[str, Any], job: Mapping[str, Any], stages: list[State], position: str) -> Record:
        message = str(((event.get("Job Result") or {}).get("Exception") or {}).get("Message") or "no reason given")
        where = stages[-1]["record"]["identifiers"] if stages else {}
        self.state["failed"] = True
        cause = {key: where[key] for key in ("stage_id", "stage_attempt", "executor_id", "host", "error_class") if key in where}
        known = self._identifiers(
            job, job_id=event.get("Job ID"), sql_id=job.get("sql"),
            duration=spark_trouble.seconds(job.get("began"), event.get("Completion Time")), **cause,
        )  # fmt: skip
        head = f"Spark job {event.get('Job ID')}{spark_trouble.about(job.get('about', ''))} failed: {_safe(message)}"
        text = "\n".join([head, *(held["evidence"] for held in stages if held["evidence"])])
        return spark_trouble.failure(spark_trouble.JOB_FAILED, text, position, spark_trouble.at(event.get("Completion Time")), known)

    def _on_stage_submitted(self, event: Mapping[str, Any], _: str) -> list[Record]:
        stage = event.get("Stage Info") or {}
        self.state["stages"][_stage_key(stage)] = {}
        return self._release(lambda held: held["kind"] == "stage" and held["stage"] == stage.get("Stage ID"))

    def _on_task_end(self, event: Mapping[str, Any], _: str) -> list[Record]:
        reason, task = event.get("Task End Reason") or {}, event.get("Task Info") or {}
        evidence = self.state["stages"].get(_stage_key(event))
        if evidence is not None and reason.get("Reason") not in _NO_FAILURE:
            said = reason.get("Description") or reason.get("Loss Reason") or reason.get("Message") or reason.get("Reason")
            evidence.update(
                failed=evidence.get("failed", 0) + 1, executor_id=str(task.get("Executor ID", "")), host=str(task.get("Host", "")),
                error_class=str(reason.get("Class Name") or reason.get("Reason")), said=spark_trouble.shorten(_safe(said), _EVIDENCE_LIMIT),
                attempt=_number(task.get("Attempt")), task=_number(task.get("Index")),
            )  # fmt: skip
        return []

    def _on_stage_completed(self, event: Mapping[str, Any], position: str) -> list[Record]:
        stage = event.get("Stage Info") or {}
        evidence = self.state["stages"].pop(_stage_key(stage), {})
        reason = stage.get("Failure Reason")
        if not reason:
            return []
        jobs: dict[str, State] = self.state["jobs"]
        job_id = next((one for one, job in jobs.items() if stage.get("Stage ID") in job["stages"]), "")
        job = jobs.get(job_id, {})
        known = self._identifiers(
            job, job_id=job_id, sql_id=job.get("sql"), stage_id=stage.get("Stage ID"), stage_attempt=stage.get("Stage Attempt ID"),
            duration=spark_trouble.seconds(stage.get("Submission Time"), stage.get("Completion Time")),
            **{key: evidence.get(key) for key in ("executor_id", "host", "error_class")},
        )  # fmt: skip
        lines = [f"Spark stage {stage.get('Stage ID')} ({_safe(stage.get('Stage Name', ''))}) failed: {_safe(reason)}"]
        told = _evidence(stage, evidence)
        happened_at = spark_trouble.at(stage.get("Completion Time"))
        text = "\n".join([*lines, told] if told else lines)
        record = spark_trouble.failure(spark_trouble.STAGE_FAILED, text, position, happened_at, known, "WARNING")
        self._hold(record, kind="stage", stage=_number(stage.get("Stage ID")), evidence=told)
        return []

    def _on_executor_added(self, event: Mapping[str, Any], _: str) -> list[Record]:
        self.state["hosts"][str(event.get("Executor ID"))] = str((event.get("Executor Info") or {}).get("Host", ""))
        return []

    def _on_executor_removed(self, event: Mapping[str, Any], position: str) -> list[Record]:
        who, reason = str(event.get("Executor ID")), str(event.get("Removed Reason", ""))
        host = self.state["hosts"].pop(who, "")
        if not spark_trouble.is_loss(reason):
            return []
        running = list(self.state["jobs"].values())
        # Where jobs of several task instances run in one application, the loss is nobody's in particular.
        shared = any(job["owner"] != running[0]["owner"] for job in running)
        known = self._identifiers(running[0] if running and not shared else None, executor_id=who, host=host)
        record = spark_trouble.lost_executor(_safe(reason), position, spark_trouble.at(event.get("Timestamp")), known)
        if running:
            return [record]
        self._hold(record, kind="executor")
        return []

    def _on_sql_start(self, event: Mapping[str, Any], _: str) -> list[Record]:
        execution = event.get("executionId")
        if event.get("rootExecutionId", execution) in (None, execution):
            self.state["sql"][str(execution)] = {"about": _description(event.get("description")), "began": _number(event.get("time"))}
        return []

    def _on_sql_end(self, event: Mapping[str, Any], position: str) -> list[Record]:
        execution = str(event.get("executionId"))
        query = self.state["sql"].pop(execution, None)
        message = event.get("errorMessage")
        if query is None or not message or query.get("failed"):
            return []
        self.state["failed"] = True
        known = self._identifiers(sql_id=execution, duration=spark_trouble.seconds(query["began"], event.get("time")))
        text = f"Spark SQL{spark_trouble.about(query['about'])} failed: {_safe(message)}"
        record = spark_trouble.failure(spark_trouble.SQL_FAILED, text, position, spark_trouble.at(event.get("time")), known)
        if all(job["sql"] != execution for job in self.state["jobs"].values()):
            return [record]
        self._hold(record, kind="sql", sql=execution)  # the end of a query may be told before that of its job, which says more
        return []

    def _hold(self, record: Record, **why: object) -> None:
        told = {**asdict(record), "happened_at": record.happened_at.isoformat() if record.happened_at else None}
        self.state["held"].append({"record": told, **why})

    def _release(self, choose: Callable[[State], bool]) -> list[Record]:
        chosen = [held for held in self.state["held"] if choose(held)]
        self.state["held"] = [held for held in self.state["held"] if held not in chosen]
        return [_restored(held["record"]) for held in chosen]

    _HEARS: ClassVar[Mapping[str, Callable[[Application, Mapping[str, Any], str], list[Record]]]] = {
        "SparkListenerLogStart": _on_log_start,
        "SparkListenerEnvironmentUpdate": _on_environment,
        "SparkListenerApplicationStart": _on_application_start,
        "SparkListenerApplicationEnd": _on_application_end,
        "SparkListenerJobStart": _on_job_start,
        "SparkListenerJobEnd": _on_job_end,
        "SparkListenerStageSubmitted": _on_stage_submitted,
        "SparkListenerStageCompleted": _on_stage_completed,
        "SparkListenerTaskEnd": _on_task_end,
        "SparkListenerExecutorAdded": _on_executor_added,
        "SparkListenerExecutorRemoved": _on_executor_removed,
        f"{_SQL}SparkListenerSQLExecutionStart": _on_sql_start,
        f"{_SQL}SparkListenerSQLExecutionEnd": _on_sql_end,
    }
    TELLING = re.compile(rb'\{"Event":"(?:%s)"' % "|".join(map(re.escape, _HEARS)).encode())
    """Lines worth parsing. Most events of a log are none, and of the ends of tasks most are successes."""


def _number(value: object) -> int | None:
    """Spark's numbers; of another type nothing is kept, for the state is stored and all of the log's later events meet it."""
    return value if isinstance(value, int) else None


def _safe(text: object) -> str:
    return redact(str(text), spark_trouble.MESSAGE_LIMIT)


def _description(text: object) -> str:
    return _safe(text or "")[: spark_trouble.DESCRIPTION_LIMIT]


def _stage_key(stage: Mapping[str, Any]) -> str:
    return f"{stage.get('Stage ID')}.{stage.get('Stage Attempt ID')}"


def _evidence(stage: Mapping[str, Any], evidence: Mapping[str, Any]) -> str:
    if not evidence:
        return ""
    return (
        f"{evidence['failed']} failed task attempts in stage {_stage_key(stage)}, the last one task {evidence['task']} attempt "
        f"{evidence['attempt']} on executor {evidence['executor_id']} ({evidence['host']}): {evidence['error_class']}: {evidence['said']}"
    )


def _restored(told: Mapping[str, Any]) -> Record:
    happened_at = told["happened_at"]
    return Record(**{**told, "happened_at": datetime.fromisoformat(happened_at) if happened_at else None})
