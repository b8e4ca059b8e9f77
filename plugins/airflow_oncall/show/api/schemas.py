"""What goes in and out, shared by several routes. Times are UTC, with their ``Z``."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Generic, TypeVar

from fastapi import Path, Query
from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field

from airflow_oncall.incident import ActionState, Correlation, Kind, OutcomeKind, State, StormState, Verdict
from airflow_oncall.show.api.errors import ApiError

LARGEST_ID = 2**63 - 1
FIRST_YEAR, LAST_YEAR = 1970, 9000
PAGE, LARGEST_PAGE = 50, 200
Item = TypeVar("Item")


def _printable(text: str) -> str:
    if "\0" in text:
        raise ValueError("it holds a NUL character")
    return text


def _in_range(moment: datetime) -> datetime:
    if not FIRST_YEAR <= moment.year <= LAST_YEAR:
        raise ValueError(f"the year must be between {FIRST_YEAR} and {LAST_YEAR}")
    return moment


Name = Annotated[str, Field(max_length=1000), AfterValidator(_printable)]
Moment = Annotated[AwareDatetime, AfterValidator(_in_range)]
Id = Annotated[int, Path(ge=1, le=LARGEST_ID)]
Days = Annotated[int, Query(ge=1, le=366, description="The newest so many days.")]
Limit = Annotated[int, Query(ge=1, le=LARGEST_PAGE, description="Items of a page, at most.")]
Cursor = Annotated[str | None, Query(max_length=200, description="`next_cursor` of the page before; empty: the first page.")]


def behind(cursor: str | None) -> int | None:
    """The id behind which a page begins."""
    if not cursor:
        return None
    if not (cursor.isascii() and cursor.isdigit() and int(cursor) <= LARGEST_ID):
        raise ApiError(422, "invalid", "cursor: not a cursor of this API; take `next_cursor` of the page before")
    return int(cursor)


class Out(BaseModel):
    """What goes out, read from the project's own nouns."""

    model_config = ConfigDict(from_attributes=True, use_attribute_docstrings=True)


class In(BaseModel):
    """What comes in: nothing that is not known here."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False)


class Page(Out, Generic[Item]):
    """One page, newest first."""

    items: list[Item]
    next_cursor: str | None = None
    """`null` on the last page."""
    total: int | None = None
    """Of all pages, on the first one; `null` where it is more than is counted, or not counted."""


def page_of(found: list[Any], limit: int, cursor_of: Any, total: int | None = None) -> dict[str, Any]:
    """A page from ``limit + 1`` items at most: the one too many says that there is more."""
    shown = found[:limit]
    return {"items": shown, "next_cursor": str(cursor_of(shown[-1])) if len(found) > limit else None, "total": total}


class IncidentRow(Out):
    """One line of a list of incidents."""

    id: int
    kind: Kind
    dag_id: str
    """Of a DAG file that cannot be imported its name; of what belongs to no task, the source's."""
    run_id: str
    task_id: str
    map_index: int
    """-1: not mapped."""
    try_number: int
    state: State
    category: str | None
    probability: float | None
    """Of the category."""
    severity: str
    """`low`, `medium`, `high`, `critical`, or empty until it is decided about."""
    source: str
    """`airflow`, or what logged or reported it."""
    opened_at: datetime
    updated_at: datetime
    closed_at: datetime | None
    detail: str
    storm_id: int | None
    verdict: Verdict | None
    """Of the newest decision."""
    action: str | None


class DecisionOut(Out):
    """One decision with its whole reason."""

    incident_id: int
    number: int
    verdict: Verdict
    action: str | None
    answers_try: int
    probability: float
    """That the action resolves the incident."""
    wait_seconds: int
    mode: str
    arm: str
    reasons: list[str]
    parameters: dict[str, Any]
    basis: dict[str, Any]
    """The figures behind it, the guards, and the lines of the policy."""


class ActionOut(Out):
    """What was planned and done, to exactly which try."""

    id: int
    incident_id: int
    decision_number: int
    kind: str
    dag_id: str
    run_id: str
    task_id: str
    map_index: int
    answers_try: int
    state: ActionState
    attempts: int
    planned_at: datetime
    done_at: datetime | None
    approved_by: str | None
    category: str
    detail: str
    parameters: dict[str, Any]


class OutcomeOut(Out):
    """How the task instance was seen to end."""

    kind: OutcomeKind
    seen_at: datetime
    try_number: int
    action_id: int | None
    detail: str


class LoggedOut(Out):
    """What a source logged about it."""

    source: str
    happened_at: datetime
    text: str
    severity: str
    signature: str
    count: int
    correlation: Correlation
    probability: float
    identifiers: dict[str, str]
    claimed: dict[str, str]


class StormRow(Out):
    """Incidents with one cause. Members of DAGs that the reader may not see are not counted, nor named as the probe."""

    id: int
    cause: str
    category: str
    state: StormState
    opened_at: datetime
    closed_at: datetime | None
    members: int
    held: int
    probe_id: int | None
    probes: int
    wave: int
    answer: str
    answered_by: str
    detail: str


class QuestionOut(Out):
    """The task instance whose HITL detail is to be answered, through Airflow's own API."""

    dag_id: str
    run_id: str
    task_id: str
    map_index: int
