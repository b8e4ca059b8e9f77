"""Incidents: pages of them, one with all that is known, and what people say and do about it."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from pydantic import Field

from airflow_oncall.feedback import COMMENT_CHARACTERS, REASON_CHARACTERS, give_feedback, reason_of
from airflow_oncall.incident import Incident, Kind, State
from airflow_oncall.show.api.auth import Access, Reader, forbidden
from airflow_oncall.show.api.errors import ApiError, missing, stale
from airflow_oncall.show.api.incident_view import IncidentView, row_of, view_of
from airflow_oncall.show.api.schemas import (
    LARGEST_ID,
    PAGE,
    Cursor,
    Id,
    In,
    IncidentRow,
    Limit,
    Moment,
    Name,
    Page,
    behind,
    page_of,
)
from airflow_oncall.show.api.store import StoreDep
from airflow_oncall.store.browse import Line, Wanted
from airflow_oncall.store.engine import one_look
from airflow_oncall.store.sql import Store

router = APIRouter(prefix="/incidents", tags=["Incidents"])
LEASE = timedelta(minutes=1)


class Filter(In):
    """Which incidents a page shows. A parameter given several times means any of its values."""

    state: list[State] = Field(default=[], max_length=20)
    """Any of these; give the parameter several times."""
    category: list[Name] = Field(default=[], max_length=20)
    """Any of these."""
    severity: list[Literal["low", "medium", "high", "critical"]] = Field(default=[], max_length=4)
    """Any of these."""
    source: list[Name] = Field(default=[], max_length=20)
    """Any of these."""
    kind: list[Kind] = Field(default=[], max_length=5)
    """Any of these."""
    dag_id: list[Name] = Field(default=[], max_length=50)
    """Any of these."""
    run_id: Name | None = None
    task_id: Name | None = None
    map_index: int | None = Field(default=None, ge=-1, le=2**31 - 1)
    storm_id: int | None = Field(default=None, ge=1, le=LARGEST_ID)
    since: Moment | None = None
    """Opened at this time or later."""
    until: Moment | None = None
    """Opened before this time."""
    open: bool | None = None
    q: Annotated[Name, Field(max_length=200)] = ""
    """Part of a name or of the newest reason, upper and lower case alike. A page looks through 10,000 incidents at most, and
    may be short or empty: as long as there is a `next_cursor`, there is more to look through."""
    limit: Limit = PAGE
    cursor: Cursor = None

    def wanted(self) -> Wanted:
        """For the store."""
        several = ("state", "category", "severity", "source", "kind", "dag_id")
        chosen: dict[str, Any] = {name: [str(one) for one in getattr(self, name)] for name in several}
        named = {name: getattr(self, name) for name in ("run_id", "task_id", "map_index", "storm_id", "since", "until")}
        return Wanted(**chosen, **named, is_open=self.open, text=self.q)


class Feedback(In):
    """What a person says of an incident. At least one thing has to be said."""

    category: Name | None = None
    """The true category, or `none` where nothing had failed."""
    category_correct: bool | None = None
    """Whether the category is right. `false` needs the right one in `category`, or `false_positive`."""
    action_correct: bool | None = None
    false_positive: bool = False
    comment: Annotated[str, Field(max_length=COMMENT_CHARACTERS)] = ""
    expected_updated_at: Moment | None = None
    """`updated_at` of the incident as the page shows it; where it is another by now, the answer is 409."""


class Resolve(In):
    """Why a person closes an incident."""

    reason: Annotated[str, Field(min_length=1, max_length=REASON_CHARACTERS)]
    expected_updated_at: Moment
    """`updated_at` of the incident as the page shows it; where it is another by now, the answer is 409."""


@router.get("", response_model=Page[IncidentRow])
def list_incidents(access: Reader, store: StoreDep, asked: Annotated[Filter, Query()]) -> dict[str, Any]:
    """Incidents of DAGs that you may read, newest first."""
    sight, wanted, before = access.sight, asked.wanted(), behind(asked.cursor)
    with one_look(store.engine):
        down_to = store.browse.stretch(sight, wanted, before)
        found = store.browse.incidents(sight, wanted, asked.limit + 1, before, down_to)
        is_whole = len(found) <= asked.limit and down_to is None
        is_counted = before is None and down_to is None
        total = (len(found) if is_whole else store.browse.count(sight, wanted)) if is_counted else None
    page = page_of(found, asked.limit, _id_of, total)
    if page["next_cursor"] is None and down_to is not None:
        page["next_cursor"] = str(down_to)
    return page | {"items": [row_of(line) for line in page["items"]]}


@router.get("/{incident_id}")
def get_incident(access: Reader, store: StoreDep, incident_id: Id) -> IncidentView:
    """All that is known about one incident."""
    with one_look(store.engine):
        return view_of(store, access, readable(store, access, incident_id))


@router.post("/{incident_id}/feedback", status_code=201)
def feedback(access: Reader, store: StoreDep, incident_id: Id, said: Feedback) -> IncidentView:
    """Say whether the category and the action were right; training learns from it."""
    incident = changeable(store, access, incident_id)
    _check_fresh(incident, said.expected_updated_at)
    category = said.category
    if said.category_correct and category is None:
        category = incident.category
    if said.category_correct is False and category in (None, incident.category) and not said.false_positive:
        raise ApiError(422, "invalid", "category_correct is false: give the right one in category, or false_positive")
    give_feedback(
        store,
        incident_id,
        access.name,
        category=category,
        action_correct=said.action_correct,
        false_positive=said.false_positive,
        comment=said.comment,
    )
    return view_of(store, access, incident)


@router.post("/{incident_id}/resolve")
def resolve(access: Reader, store: StoreDep, incident_id: Id, said: Resolve) -> IncidentView:
    """Close an incident by hand: nothing more is done about it, and what was planned is dropped."""
    incident = changeable(store, access, incident_id)
    _check_fresh(incident, said.expected_updated_at)
    return view_of(store, access, closed_by_hand(store, incident, access.name, said.reason))


def readable(store: Store, access: Access, incident_id: int) -> Incident:
    """The incident, if the user may see it."""
    incident = store.reading.incident(incident_id)
    if incident is None:
        raise missing(f"incident {incident_id}")
    if not access.may_read(incident):
        raise forbidden(f"read incident {incident_id}")
    return incident


def changeable(store: Store, access: Access, incident_id: int) -> Incident:
    """The incident, if the user may act on it."""
    incident = readable(store, access, incident_id)
    if not access.may_change(incident):
        raise forbidden(f"act on incident {incident_id}; it needs the right to edit task instances of {incident.ref.dag_id}")
    return incident


def _check_fresh(incident: Incident, expected: Any) -> None:
    if expected is not None and expected != incident.updated_at:
        raise _stale(incident)


def present(incident: Incident) -> dict[str, Any]:
    """What a page that is behind has to know."""
    return {"id": incident.id, "state": str(incident.state), "updated_at": incident.updated_at.isoformat(), "detail": incident.detail}


def _stale(incident: Incident) -> ApiError:
    return stale(f"incident {incident.id}", present(incident))


def _not_claimed(store: Store, seen: Incident) -> ApiError:
    """Why an incident could not be claimed: it was closed, moved or purged since it was seen, or somebody holds it."""
    incident = store.reading.incident(seen.id)
    if incident is None:
        return missing(f"incident {seen.id}")
    if not incident.is_open or incident.updated_at != seen.updated_at:
        return _stale(incident)
    return _in_progress(incident)


def _in_progress(incident: Incident) -> ApiError:
    return ApiError(409, "in_progress", f"incident {incident.id} is being acted on; try again in a minute", present(incident))


def _id_of(line: Line) -> int:
    return line.incident.id


def closed_by_hand(store: Store, incident: Incident, user: str, reason: str) -> Incident:
    """Close it, under a claim, so that no triage worker acts on it meanwhile."""
    if not incident.is_open:
        raise _stale(incident)
    claimed = store.queue.claim(incident.id, LEASE)
    if claimed is None:
        raise _not_claimed(store, incident)
    try:
        if claimed.state is State.ACTING:
            raise _in_progress(claimed)
        _check_fresh(claimed, incident.updated_at)  # triage may have moved it between the look and the claim
        return store.ledger.closed_by_hand(claimed, user, reason_of(reason))
    finally:
        store.queue.release(incident.id)
