"""What was trained, which version reigns, and how good each was measured to be."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Path

from airflow_oncall.incident import ModelVersion
from airflow_oncall.learn.drift import MIX, UNSEEN, Drift, measure_drift
from airflow_oncall.show.api.auth import Inspector
from airflow_oncall.show.api.errors import missing
from airflow_oncall.show.api.schemas import Out
from airflow_oncall.show.api.store import StoreDep
from airflow_oncall.store.records import now
from airflow_oncall.store.sql import Store
from airflow_oncall.training import last_training

router = APIRouter(tags=["Models"])
Word = Annotated[str, Path(pattern=r"^[\w.-]{1,60}$")]


class ModelOut(Out):
    """One version of one model."""

    name: str
    version: str
    state: str
    """`champion`, `predecessor`, `rolled back` or `not promoted`."""
    library: str
    trained_at: datetime
    promoted_at: datetime | None
    withdrawn_at: datetime | None
    metrics: dict[str, Any]
    """Figures of its evaluation, its training and its gate."""


class ModelsOut(Out):
    """Every version, the newest first."""

    items: list[ModelOut]


class ModelView(ModelOut):
    """One version with its files."""

    files: dict[str, str]
    """SHA-256 by name."""


class DriftOut(Out):
    """What happened since the last training, against as long a time before it; `null` where there is too little to tell."""

    since: datetime | None
    """When that was; `null` before the first one."""
    mix: float | None
    """Population stability index of the category mix."""
    unseen: float | None
    """Share of incidents whose fingerprint had never been seen."""
    success_before: float | None
    success_since: float | None
    """Of the repairs whose end was seen, the share that helped."""
    reasons: list[str]
    """What counts as drift, in words; empty where nothing does."""
    most_mix: float
    most_unseen: float
    """Above these it counts."""


@router.get("/models")
def list_models(access: Inspector, store: StoreDep) -> ModelsOut:
    """Champions and challengers with their figures."""
    states = _states(store)
    return ModelsOut(items=[ModelOut(**_fields(one, states)) for one in store.models.list()])


@router.get("/models/{name}/{version}")
def get_model(access: Inspector, store: StoreDep, name: Word, version: Word) -> ModelView:
    """One version."""
    found = store.models.get(name, version)
    if found is None:
        raise missing(f"model {name!r} {version!r}")
    return ModelView(**_fields(found, _states(store)), files=dict(found.files))


@router.get("/drift")
def get_drift(access: Inspector, store: StoreDep) -> DriftOut:
    """Whether the world moved away from what the newest version learned."""
    since, until = last_training(store).trained_at, now()
    found = Drift(None, None, None, None) if since is None else measure_drift(store.labels, since - (until - since), since, until)
    return DriftOut(since=since, **asdict(found), reasons=list(found.reasons), most_mix=MIX, most_unseen=UNSEEN)


def _fields(model: ModelVersion, states: dict[tuple[str, str], str]) -> dict[str, Any]:
    names = ("name", "version", "library", "trained_at", "promoted_at", "withdrawn_at", "metrics")
    return {name: getattr(model, name) for name in names} | {"state": states[model.name, model.version]}


def _states(store: Store) -> dict[tuple[str, str], str]:
    listed = store.models.list()
    states = {(one.name, one.version): "rolled back" if one.withdrawn_at else "not promoted" for one in listed}
    for name in {one.name for one in listed}:
        for place, champion in enumerate(store.models.champions(name)):
            states[name, champion.version] = "predecessor" if place else "champion"
    return states
