"""The app under ``/oncall``: routes, errors, limits. Made with the first request, see :mod:`airflow_oncall.show.mounting`."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Depends, FastAPI, Response

from airflow_oncall import __version__, conf
from airflow_oncall.show.api import (
    analysis,
    errors,
    experiments,
    incidents,
    knowledge,
    models,
    outside,
    policy,
    records,
    service,
    statistics,
    steering,
    storms,
)
from airflow_oncall.show.api.auth import Access, same_origin
from airflow_oncall.show.api.limits import BodyLimit

PREFIX = "/api/v1"
DESCRIPTION = (
    "Incidents of this Airflow deployment: what failed, why, what was done about it and how it ended. "
    "Sign in as for Airflow's own API, with the UI's cookie or a bearer token of `POST /auth/token`; Airflow's auth manager "
    "decides what you may see and do. Lists give pages, newest first: pass `next_cursor` on as `cursor`."
)
NOUNS = (incidents, outside, storms, statistics, records, knowledge, models, experiments, policy, analysis, steering)
"""Each has a ``router``."""


def for_one_reader(response: Response) -> None:
    """Nobody but the reader keeps an answer, and nobody takes it for anything but data. A dependency."""
    response.headers.update({"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"})


def create_app() -> FastAPI:
    """The app, without a store until a request needs one."""
    served_by_us: dict[str, Any] = {"docs_url": None, "redoc_url": None, "openapi_url": None}
    app = FastAPI(title="Airflow on-call", version=__version__, description=DESCRIPTION, redirect_slashes=False, **served_by_us)
    guarded = APIRouter(dependencies=[Depends(Access), Depends(same_origin), Depends(for_one_reader)], responses=errors.RESPONSES)
    for noun in NOUNS:
        guarded.include_router(noun.router, prefix=PREFIX)
    guarded.include_router(service.router)
    if conf.metrics_public():
        app.include_router(service.metrics_router)
    else:
        guarded.include_router(service.metrics_router, dependencies=[Depends(service.may_scrape)])
    app.include_router(service.open_router)
    app.include_router(guarded)
    app.add_middleware(BodyLimit)
    errors.install(app)
    return app
