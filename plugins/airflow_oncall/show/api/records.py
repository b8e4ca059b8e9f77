"""Decisions and actions over all incidents."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query

from airflow_oncall.show.api.auth import Reader
from airflow_oncall.show.api.incident_view import action_out
from airflow_oncall.show.api.schemas import LARGEST_ID, PAGE, ActionOut, Cursor, DecisionOut, Limit, Page, behind, page_of
from airflow_oncall.show.api.store import StoreDep

router = APIRouter()
OfIncident = Annotated[int | None, Query(ge=1, le=LARGEST_ID, description="Only those of this incident.")]


class MadeDecision(DecisionOut):
    """A decision, and when it was made."""

    id: int
    made_at: datetime


@router.get("/decisions", response_model=Page[MadeDecision], tags=["Decisions"])
def list_decisions(
    access: Reader, store: StoreDep, incident_id: OfIncident = None, limit: Limit = PAGE, cursor: Cursor = None
) -> dict[str, Any]:
    """Decisions about incidents that you may see, newest first."""
    found = store.browse.decisions(access.sight, limit + 1, behind(cursor), incident_id)
    page = page_of(found, limit, lambda pair: pair[0].id)
    return page | {"items": [MadeDecision(**vars(decision), made_at=at) for decision, at in page["items"]]}


@router.get("/actions", response_model=Page[ActionOut], tags=["Actions"])
def list_actions(
    access: Reader, store: StoreDep, incident_id: OfIncident = None, limit: Limit = PAGE, cursor: Cursor = None
) -> dict[str, Any]:
    """Actions about incidents that you may see, newest first."""
    found = store.browse.actions(access.sight, limit + 1, behind(cursor), incident_id)
    page = page_of(found, limit, lambda action: action.id)
    return page | {"items": [action_out(action) for action in page["items"]]}
