"""What is not about incidents: health, metrics, the UI's files, and this API's own description."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import FileResponse, JSONResponse, PlainTextResponse, Response

from airflow_oncall import __version__
from airflow_oncall.errors import OnCallError
from airflow_oncall.show.api.auth import Inspector, SignedIn
from airflow_oncall.show.api.errors import missing
from airflow_oncall.show.api.schemas import Out
from airflow_oncall.show.api.store import StoreDep, the_store
from airflow_oncall.show.metrics import CONTENT_TYPE, exposition

open_router = APIRouter(tags=["Service"])
"""Routes that nobody has to be signed in for."""
router = APIRouter(tags=["Service"])
metrics_router = APIRouter(tags=["Service"])
"""Open, or for those who may read what is the whole deployment's: `[oncall] metrics_public`."""
UI = Path(__file__).parents[1] / "ui"
A_YEAR = 31_536_000


class HealthOut(Out):
    """Whether the store answers."""

    status: str
    """`ok` or `degraded`."""


@open_router.get("/health")
def health(request: Request) -> HealthOut:
    """Whether pages can be served. As open as Airflow's own health: it names nothing."""
    try:
        the_store(request).switch.get()
    except OnCallError:
        return HealthOut(status="degraded")
    return HealthOut(status="ok")


def may_scrape(access: Inspector) -> None:
    """A dependency of the metrics, where they are not public."""


@metrics_router.get("/metrics", response_class=PlainTextResponse)
def metrics(store: StoreDep) -> PlainTextResponse:
    """How things are, in the text format of Prometheus; as it was at most 15 seconds ago.

    A scraper signs in with a bearer token. With `[oncall] metrics_public` nobody has to.
    """
    return PlainTextResponse(exposition(store), media_type=CONTENT_TYPE)


@router.get("/ui/{version}/{name:path}", include_in_schema=False)
def ui_file(access: SignedIn, version: str, name: str) -> Response:
    """A script of the pages. Its address has the version, so that a browser may keep it."""
    path = _scripts().get(name) if version == __version__ else None
    if path is None:
        raise missing(f"script {name[:100]!r} of version {version[:20]!r}")
    kept = {"Cache-Control": f"private, max-age={A_YEAR}, immutable", "X-Content-Type-Options": "nosniff"}
    return FileResponse(path, media_type="text/javascript", headers=kept)


@router.get("/openapi.json", include_in_schema=False)
def openapi(access: SignedIn, request: Request) -> JSONResponse:
    """This API, for programs."""
    described: dict[str, Any] = request.app.openapi()
    return JSONResponse(described | {"servers": [{"url": request.scope.get("root_path", "")}]})


@cache
def _scripts() -> dict[str, Path]:
    """Every script by its name: what is asked for is looked up here and never becomes a path."""
    return {path.relative_to(UI).as_posix(): path for path in UI.rglob("*.js")}
