"""Incidents that other systems report: monitoring, ticket systems, people's scripts.

A report is kept as what a log source tells, and triage goes on with it in the same way: what names a task instance becomes
evidence of its incident, what names none is an incident of its own.
"""

from __future__ import annotations

import hashlib
import json
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Header, Response
from pydantic import Field, model_validator

from airflow_oncall.capture.fingerprint import fingerprint
from airflow_oncall.capture.redact import redact
from airflow_oncall.incident import REPORTED, Correlation, LogEvent, TaskRef
from airflow_oncall.show.api.auth import TRIAGE_DAG, Access, Reader, forbidden
from airflow_oncall.show.api.errors import ApiError
from airflow_oncall.show.api.incident_view import IncidentView, view_of
from airflow_oncall.show.api.incidents import readable
from airflow_oncall.show.api.schemas import In, Moment, Name
from airflow_oncall.show.api.store import StoreDep
from airflow_oncall.store.records import now
from airflow_oncall.store.sql import Store

router = APIRouter(prefix="/incidents", tags=["Incidents"])
SOURCE = r"^[A-Za-z0-9][A-Za-z0-9 ._-]{0,99}$"
KEY = r"^[\x21-\x7e]{1,200}$"
TITLE_CHARACTERS, DESCRIPTION_CHARACTERS = 300, 20_000
DIGEST = "request"
"""Name under which the digest of a report is kept, by which a repeat is told from another report of the same key."""


class ReportIn(In):
    """What another system reports."""

    title: Annotated[str, Field(min_length=1, max_length=TITLE_CHARACTERS)]
    description: Annotated[str, Field(max_length=DESCRIPTION_CHARACTERS)] = ""
    source: Annotated[str, Field(pattern=SOURCE)]
    """Name of the system that reports."""
    severity: Literal["", "low", "medium", "high", "critical"] = ""
    happened_at: Moment | None = None
    """Empty: now."""
    dag_id: Annotated[Name, Field(max_length=250)] = ""
    run_id: Annotated[Name, Field(max_length=250)] = ""
    task_id: Annotated[Name, Field(max_length=250)] = ""
    map_index: int = Field(default=-1, ge=-1, le=2**31 - 1)
    try_number: int = Field(default=0, ge=0, le=2**31 - 1)
    """0: not known."""

    @model_validator(mode="after")
    def _names_a_task_or_nothing(self) -> ReportIn:
        named = [bool(self.dag_id), bool(self.run_id), bool(self.task_id)]
        if any(named) and not all(named):
            raise ValueError("dag_id, run_id and task_id name a task instance together; give all three, or none")
        return self

    @property
    def ref(self) -> TaskRef | None:
        """The task instance that it is about."""
        return TaskRef(self.dag_id, self.run_id, self.task_id, self.map_index) if self.dag_id else None


@router.post("", status_code=201, responses={200: {"model": IncidentView, "description": "It was reported before, with this key."}})
def report_incident(
    access: Reader,
    store: StoreDep,
    response: Response,
    report: ReportIn,
    idempotency_key: Annotated[
        str, Header(pattern=KEY, description="Of this report, unique for its source; sent again, the same incident comes back.")
    ],
) -> IncidentView:
    """Report an incident from outside. It needs the right to edit task instances of the DAG that it names, else to edit `oncall_triage`.

    Reports of one source with the same title, but for numbers and names of hosts, are one incident while that is open.
    """
    _check_right(access, report)
    source, digest = REPORTED + report.source, _digest(report)
    known = store.logs.event(source, idempotency_key)
    if known is None:
        _keep(store, source, idempotency_key, report, digest)
        known = store.logs.event(source, idempotency_key)
    else:
        response.status_code = 200
    if known is None:
        raise AssertionError(f"report {idempotency_key!r} of {source} is not there after it was stored")
    incident_id, event = known
    if event.claimed.get(DIGEST) != digest:
        message = f"Idempotency-Key {idempotency_key!r} was sent with another report; a new report needs a new key"
        raise ApiError(409, "key_taken", message, {"incident_id": incident_id})
    return view_of(store, access, readable(store, access, incident_id))


def _check_right(access: Access, report: ReportIn) -> None:
    if report.dag_id and not access.may_act_on(report.dag_id):
        raise forbidden(f"edit task instances of {report.dag_id!r}, which a report about it needs")
    if not report.dag_id and not (access.may_steer and access.sight.logs):
        raise forbidden(f"edit the DAG {TRIAGE_DAG} and read the cluster's activity, which a report that names no DAG needs")


def _keep(store: Store, source: str, key: str, report: ReportIn, digest: str) -> None:
    title, description = redact(report.title, TITLE_CHARACTERS), redact(report.description, DESCRIPTION_CHARACTERS)
    event = LogEvent(
        source=source,
        position=key,
        happened_at=report.happened_at or now(),
        text="\n".join(filter(None, (title, description))),
        fingerprint=fingerprint((), title, None),
        severity=report.severity,
        claimed={DIGEST: digest},
        ref=report.ref,
        try_number=report.try_number,
        correlation=Correlation.EXPLICIT if report.ref else Correlation.NONE,
        probability=1.0 if report.ref else 0.0,
    )
    read = store.logs.cursor(source)
    store.logs.commit(source, read, read, [event])


def _digest(report: ReportIn) -> str:
    said: dict[str, Any] = report.model_dump(mode="json")
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()
