"""Storms: many incidents with one cause."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query

from airflow_oncall.incident import State
from airflow_oncall.show.api.auth import Reader
from airflow_oncall.show.api.errors import missing
from airflow_oncall.show.api.incident_view import question_of, row_of
from airflow_oncall.show.api.schemas import PAGE, Cursor, Id, IncidentRow, Limit, Page, QuestionOut, StormRow, behind, page_of
from airflow_oncall.show.api.store import StoreDep
from airflow_oncall.store.browse import Wanted
from airflow_oncall.store.engine import one_look

router = APIRouter(prefix="/storms", tags=["Storms"])
SHOWN_MEMBERS = 50


class StormView(StormRow):
    """One storm with its newest members."""

    by_state: dict[str, int]
    """Members that the reader may see, by state."""
    dag_ids: list[str]
    incidents: list[IncidentRow]
    """The newest members; `GET /incidents?storm_id=` has all."""
    question: QuestionOut | None
    """What a person is asked about all of it now."""


@router.get("", response_model=Page[StormRow])
def list_storms(
    access: Reader,
    store: StoreDep,
    open: Annotated[bool | None, Query(description="Only those that are on, or only those that are over.")] = None,
    limit: Limit = PAGE,
    cursor: Cursor = None,
) -> dict[str, Any]:
    """Storms with a member that you may see, newest first."""
    found = store.browse.storms(access.sight, limit + 1, behind(cursor), open)
    return page_of(found, limit, lambda storm: storm.id)


@router.get("/{storm_id}")
def get_storm(access: Reader, store: StoreDep, storm_id: Id) -> StormView:
    """One storm, and those of its members that you may see."""
    sight = access.sight
    with one_look(store.engine):
        storm = store.browse.storm(sight, storm_id)
        if storm is None:
            raise missing(f"storm {storm_id}, or a member of it that you may see,")
        members = store.browse.incidents(sight, Wanted(storm_id=storm_id), SHOWN_MEMBERS)
        asked = store.browse.incidents(sight, Wanted(storm_id=storm_id, state=(str(State.ASKED),)), 1)
        states, dag_ids = store.browse.members(sight, storm_id)
    return StormView(
        **StormRow.model_validate(storm).model_dump(),
        by_state=states,
        dag_ids=dag_ids,
        incidents=[IncidentRow(**row_of(line)) for line in members],
        question=question_of(store, asked[0].incident) if asked else None,
    )
