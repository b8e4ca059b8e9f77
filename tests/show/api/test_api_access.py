"""Nobody gets at anything without the right to it: every route there is, tried by those who must not."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import jwt
import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute
from sqlalchemy import func, select
from starlette.routing import Mount
from tests.show.api.client import Api, error_of
from tests.show.api.story import SHARD, Story

from airflow_oncall import __version__
from airflow_oncall.show.api.app import create_app
from airflow_oncall.show.api.auth import Access
from airflow_oncall.show.mounting import MOUNT, PREFIX
from airflow_oncall.show.plugin import OnCallPlugin
from airflow_oncall.store.sql import Store
from airflow_oncall.store.tables import audit, cursors, knowledge, labels

ENTRY = {"name": "vendor-503", "category": "network_timeout", "pattern": "503 Service Unavailable", "actions": ["clear_task"]}
REPORT = {"title": "Warehouse is slow", "source": "grafana", "dag_id": "shards", "run_id": "manual__1", "task_id": "work"}


@dataclass(frozen=True)
class Call:
    """How a route is called, and who must not call it though signed in."""

    path: str
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    refused: tuple[str, ...] = ("nemo",)


READ, READ_SHARDS, INSPECT = ("nemo",), ("nemo", "lena"), ("nemo", "lena")
ACT_ON_SHARDS, STEER = ("nemo", "lena", "vic"), ("nemo", "lena", "vic")
OPEN = {("GET", "/health")}
"""Routes that anybody may call."""
METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"}
CALLS: dict[tuple[str, str], Call] = {
    ("GET", "/api/v1/incidents"): Call("/api/v1/incidents", refused=READ),
    ("POST", "/api/v1/incidents"): Call("/api/v1/incidents", REPORT, {"Idempotency-Key": "1"}, ACT_ON_SHARDS),
    ("GET", "/api/v1/incidents/{incident_id}"): Call("/api/v1/incidents/1", refused=READ_SHARDS),
    ("POST", "/api/v1/incidents/{incident_id}/feedback"): Call("/api/v1/incidents/1/feedback", {"comment": "no"}, refused=ACT_ON_SHARDS),
    ("POST", "/api/v1/incidents/{incident_id}/resolve"): Call(
        "/api/v1/incidents/1/resolve", {"reason": "no", "expected_updated_at": "2026-11-21T00:00:00Z"}, refused=ACT_ON_SHARDS
    ),
    ("GET", "/api/v1/storms"): Call("/api/v1/storms"),
    ("GET", "/api/v1/storms/{storm_id}"): Call("/api/v1/storms/1"),
    ("GET", "/api/v1/statistics"): Call("/api/v1/statistics"),
    ("GET", "/api/v1/decisions"): Call("/api/v1/decisions"),
    ("GET", "/api/v1/actions"): Call("/api/v1/actions"),
    ("GET", "/api/v1/knowledge"): Call("/api/v1/knowledge", refused=INSPECT),
    ("POST", "/api/v1/knowledge"): Call("/api/v1/knowledge", ENTRY, refused=STEER),
    ("GET", "/api/v1/knowledge/{name}"): Call("/api/v1/knowledge/known", refused=INSPECT),
    ("PUT", "/api/v1/knowledge/{name}"): Call("/api/v1/knowledge/known", {"notes": "no", "expected_version": 1}, refused=STEER),
    ("POST", "/api/v1/knowledge/{name}/confirm"): Call("/api/v1/knowledge/known/confirm", {"expected_version": 1}, refused=STEER),
    ("DELETE", "/api/v1/knowledge/{name}"): Call("/api/v1/knowledge/known?expected_version=1", refused=STEER),
    ("GET", "/api/v1/models"): Call("/api/v1/models", refused=INSPECT),
    ("GET", "/api/v1/models/{name}/{version}"): Call("/api/v1/models/triage/1", refused=INSPECT),
    ("GET", "/api/v1/drift"): Call("/api/v1/drift", refused=INSPECT),
    ("GET", "/api/v1/experiments"): Call("/api/v1/experiments", refused=INSPECT),
    ("GET", "/api/v1/shadow"): Call("/api/v1/shadow", refused=INSPECT),
    ("GET", "/api/v1/policy"): Call("/api/v1/policy?dag_id=shards", refused=READ_SHARDS),
    ("POST", "/api/v1/logs/analyze"): Call("/api/v1/logs/analyze", {"text": "no"}),
    ("GET", "/metrics"): Call("/metrics", refused=INSPECT),
    ("GET", "/api/v1/me"): Call("/api/v1/me"),
    ("GET", "/api/v1/switch"): Call("/api/v1/switch"),
    ("PUT", "/api/v1/switch"): Call("/api/v1/switch", {"paused": True, "reason": "no"}, refused=STEER),
    # The two last ones tell nothing of this deployment: it is enough to be signed in.
    ("GET", "/ui/{version}/{name:path}"): Call(f"/ui/{__version__}/main.js", refused=()),
    ("GET", "/openapi.json"): Call("/openapi.json", refused=()),
}


def _try(api: Api, route: tuple[str, str], user: str | None, **headers: str) -> tuple[int, str]:
    call = CALLS[route]
    return error_of(api.call(route[0], call.path, user, json=call.body, headers={**call.headers, **headers}))


def served(app: FastAPI) -> set[tuple[str, str]]:
    """Methods and paths of its routes."""
    return {(method, route.path) for route in app.routes if isinstance(route, APIRoute) for method in route.methods}


def asked_for(route: APIRoute) -> set[Any]:
    """All dependencies of a route, theirs included."""
    found, waiting = set[Any](), [route.dependant]
    while waiting:
        one = waiting.pop()
        found.add(one.call)
        waiting += one.dependencies
    return found


def _written(store: Store) -> tuple[int, ...]:
    with store.engine.connect() as connection:
        return tuple(
            connection.execute(select(func.count()).select_from(table)).scalar_one() for table in (audit, cursors, knowledge, labels)
        )


@pytest.fixture(autouse=True)
def nothing_changes(story: Story, sqlite_store: Store) -> Iterator[None]:
    """What is to be got at: an incident of the DAG ``shards``; and nothing is different when the tests are through."""
    story.asked(SHARD)
    before = _written(sqlite_store)
    yield
    assert _written(sqlite_store) == before


def test_every_route_is_tried_here(api: Api) -> None:
    others = [route for route in api.ours.routes if not isinstance(route, APIRoute)]
    assert others == [], "a mount, a web socket or a page of FastAPI's own is no route that is tried here"
    assert served(api.ours) == set(CALLS) | OPEN


def test_nothing_of_ours_is_served_elsewhere(api: Api) -> None:
    from airflow.api_fastapi.app import cached_app

    assert OnCallPlugin.fastapi_apps == [MOUNT]
    assert not OnCallPlugin.fastapi_root_middlewares + OnCallPlugin.flask_blueprints + OnCallPlugin.appbuilder_views
    mounts = [route for route in cached_app(apps="core").routes if isinstance(route, Mount) and PREFIX in route.path]
    assert [mount.path for mount in mounts] == [PREFIX]


def test_only_scripts_and_the_description_need_no_right_but_to_be_signed_in() -> None:
    assert [path for (_, path), call in CALLS.items() if not call.refused] == ["/ui/{version}/{name:path}", "/openapi.json"]


def test_no_method_opens_a_route_that_its_routes_do_not_have(api: Api) -> None:
    paths = {path: call.path for (_, path), call in CALLS.items()} | {path: path for _, path in OPEN}
    tried = {
        (method, template): path
        for template, path in paths.items()
        for method in METHODS - {one for one, at in served(api.ours) if at == template}
    }
    answers = {one: api.call(one[0], path, None).status_code for one, path in tried.items()}
    assert answers == dict.fromkeys(tried, 405)


def test_public_metrics_open_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__ONCALL__METRICS_PUBLIC", "True")
    app = create_app()
    assert served(app) == set(CALLS) | OPEN
    unguarded = {route.path for route in app.routes if isinstance(route, APIRoute) and Access not in asked_for(route)}
    assert unguarded == {"/metrics", "/health"}


def test_without_signing_in_nothing_is_to_be_had(api: Api) -> None:
    assert {route: _try(api, route, None) for route in CALLS} == dict.fromkeys(CALLS, (401, "not_signed_in"))


def test_a_session_that_is_over_opens_nothing(api: Api) -> None:
    expired = api.expired_token("ada")
    for headers in ({"Authorization": f"Bearer {expired}"}, {"Cookie": f"_token={expired}"}):
        assert {route: _try(api, route, None, **headers) for route in CALLS} == dict.fromkeys(CALLS, (401, "not_signed_in"))


def test_a_token_that_this_airflow_did_not_sign_opens_nothing(api: Api) -> None:
    forged = jwt.encode({"sub": "ada", "role": "ADMIN", "exp": 4102444800}, "another secret, just as long as the right one is" * 2)
    answers = {route: _try(api, route, None, Authorization=f"Bearer {forged}") for route in CALLS}
    assert answers == dict.fromkeys(CALLS, (403, "forbidden"))


def test_a_cookie_that_this_airflow_did_not_sign_opens_nothing(api: Api) -> None:
    answers = {route: _try(api, route, None, Cookie="_token=eyJhbGciOiJub25lIn0.eyJzdWIiOiJhZGEifQ.") for route in CALLS}
    assert {status for status, _ in answers.values()} <= {401, 403}


def test_who_lacks_the_right_is_refused(api: Api) -> None:
    tried = [(route, user) for route, call in CALLS.items() for user in call.refused]
    assert {one: _try(api, *one) for one in tried} == dict.fromkeys(tried, (403, "forbidden"))


def test_health_is_open_and_names_nothing(api: Api) -> None:
    assert api.call("GET", "/health", None).json() == {"status": "ok"}
