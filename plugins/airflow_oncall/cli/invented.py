"""Incidents that are made up, to see what would be decided about them: nothing of them is stored."""

from __future__ import annotations

from datetime import datetime, timezone

from airflow_oncall import conf
from airflow_oncall.act.decide import Situation, declaration
from airflow_oncall.act.effective import Subject, subject_of
from airflow_oncall.cli.terminal import complain
from airflow_oncall.errors import NotFound, OnCallError
from airflow_oncall.incident import Diagnosis, Incident, Kind, State, TaskRef
from airflow_oncall.rest import AirflowApi, TaskView, open_api

RUN_ID = "invented"


def incident_of(ref: TaskRef, at: datetime, fingerprint: str = "") -> Incident:
    """A task instance that failed for the first time at this moment."""
    return Incident(0, Kind.TASK, ref, State.DIAGNOSED, fingerprint, 1, at, at, at)


def situation(incident: Incident, diagnosis: Diagnosis, task: TaskView | None) -> Situation:
    """What its task declares, nothing used up, nothing tried before."""
    ref, mode = incident.ref, conf.mode()
    if task is None:
        return Situation(incident, diagnosis, mode, subject=Subject(ref.dag_id, ref.task_id))
    return Situation(
        incident,
        diagnosis,
        mode,
        declared=declaration(task.tags, task.params),
        retries=task.retries,
        is_paused=task.is_paused,
        subject=subject_of(ref, task),
    )


def reachable_api() -> AirflowApi | None:
    """Airflow; ``None``, with a word on standard error, where its connection is not there or wrong."""
    try:
        return open_api()
    except OnCallError as error:
        complain(f"nothing is asked of Airflow: {error}")
        return None


def task_of(api: AirflowApi | None, ref: TaskRef) -> TaskView | None:
    """What Airflow knows of the task; ``None``, with a word on standard error, where it does not know it or does not answer."""
    names = ".".join(filter(None, (ref.dag_id, ref.task_id)))
    try:
        return api.task(ref.dag_id, ref.task_id) if api else None
    except NotFound:
        complain(f"this Airflow has no {names}; overrides see the names only")
    except OnCallError as error:
        complain(f"what is declared about {names} is left out: {error}")
    return None


def moment(text: str | None, option: str = "--at") -> datetime:
    """A time as people write it, without a zone UTC; without a text now."""
    if text is None:
        return datetime.now(timezone.utc)
    try:
        at = datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError as error:
        raise OnCallError(f"{option} has value {text!r}; write a time like 2026-12-05T22:30 (UTC) or 2026-12-05T22:30+01:00") from error
    return at if at.tzinfo else at.replace(tzinfo=timezone.utc)
