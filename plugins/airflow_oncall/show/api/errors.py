"""One shape for everything that goes wrong: ``{"error": {"code", "message", "detail"}}``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from airflow_oncall.errors import (
    AirflowApiError,
    BadDataFile,
    BadSetting,
    ChampionChanged,
    OnCallError,
    StoreError,
    StoreRefused,
    UntrustedModel,
)
from airflow_oncall.knowledge.entry import BadEntry
from airflow_oncall.store.knowledge import EntryChanged
from airflow_oncall.store.ledger import LostClaim
from airflow_oncall.store.logs import CursorMoved

AGAIN_SECONDS = 5


class Problem(BaseModel):
    """What went wrong."""

    code: str = Field(description="For programs; it does not change between versions.")
    message: str = Field(description="For people: what is wrong, and the way out.")
    detail: dict[str, Any] = Field(default_factory=dict, description="Figures and names; of a stale page, the state as it is now.")


class ErrorBody(BaseModel):
    """The body of every answer that is no success."""

    error: Problem


RESPONSES: dict[int | str, dict[str, Any]] = {
    status: {"model": ErrorBody, "description": meaning}
    for status, meaning in {
        400: "The body cannot be read: no JSON, or not in UTF-8.",
        401: "Nobody is signed in, or the session is over.",
        403: "Signed in, but Airflow's auth manager does not grant it; or a change asked for by a page of another site.",
        404: "There is no such thing.",
        409: "It changed since it was read, or contradicts what is there; `detail` has the present state.",
        413: "The body is too large.",
        422: "The request is not what is described here.",
        502: "Airflow did not answer as it should.",
        503: "The incident store cannot be used now.",
    }.items()
}


class ApiError(OnCallError):
    """An answer that is no success."""

    def __init__(self, status: int, code: str, message: str, detail: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        self.status, self.code, self.detail = status, code, dict(detail or {})


def missing(what: str) -> ApiError:
    """404."""
    return ApiError(404, "not_found", f"{what} is not there")


def stale(what: str, now: Mapping[str, Any]) -> ApiError:
    """409: the page that asked shows something that is no more; ``now`` is what is."""
    return ApiError(409, "stale", f"{what} changed since the page was loaded; look at it as it is now and decide again", now)


_STATUS: tuple[tuple[type[OnCallError], int, str], ...] = (
    (BadEntry, 422, "bad_entry"),
    (StoreRefused, 422, "refused"),
    (EntryChanged, 409, "stale"),
    (LostClaim, 409, "in_progress"),
    (CursorMoved, 409, "in_progress"),
    (ChampionChanged, 409, "stale"),
    (UntrustedModel, 409, "untrusted_model"),
    (StoreError, 503, "store_unavailable"),
    (AirflowApiError, 502, "airflow_unavailable"),
    (BadDataFile, 500, "bad_file"),
    (BadSetting, 500, "bad_setting"),
    (OnCallError, 500, "failed"),
)
_CODES = {400: "unreadable", 401: "not_signed_in", 403: "forbidden", 404: "not_found", 405: "method_not_allowed"}


def install(app: FastAPI) -> None:
    """Give every error of this app its shape."""
    app.add_exception_handler(ApiError, _own)
    app.add_exception_handler(OnCallError, _of_the_package)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(Exception, _unexpected)


def envelope(
    status: int, code: str, message: str, detail: Mapping[str, Any] | None = None, headers: Mapping[str, str] | None = None
) -> JSONResponse:
    """The answer."""
    body = {"error": {"code": code, "message": message, "detail": dict(detail or {})}}
    return JSONResponse(body, status, headers=dict(headers or {}) | {"Cache-Control": "no-store"})


def _own(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, ApiError)
    return envelope(error.status, error.code, str(error), error.detail)


def _of_the_package(request: Request, error: Exception) -> JSONResponse:
    status, code = next((status, code) for kind, status, code in _STATUS if isinstance(error, kind))
    again = {"Retry-After": str(AGAIN_SECONDS)} if status == 503 else {}
    return envelope(status, code, str(error), headers=again)


def _invalid(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    # Without what was given: it may be a secret, or a megabyte.
    wrong = [{"where": ".".join(map(str, one["loc"])), "problem": one["msg"]} for one in error.errors()[:20]]
    first = wrong[0] if wrong else {"where": "body", "problem": "not what is described"}
    return envelope(422, "invalid", f"{first['where']}: {first['problem']}", {"problems": wrong})


def _http(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    status = error.status_code
    message = {401: "Sign in to Airflow.", 404: "There is nothing under this address."}.get(status, str(error.detail))
    return envelope(status, _CODES.get(status, "http_error"), message, headers=error.headers)


def _unexpected(request: Request, error: Exception) -> JSONResponse:
    return envelope(500, "internal_error", "The API server's log has the reason.")
