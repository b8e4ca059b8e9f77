"""Incidents that other systems report."""

from __future__ import annotations

from typing import Any

import pytest
from httpx import Response
from tests.cast import NIGHTLY_ORDERS
from tests.show.api.client import Api, error_of

from airflow_oncall.incident import Correlation, Kind, State
from airflow_oncall.store.sql import Store

SLOW = {"title": "Warehouse answers slowly", "description": "p95 is 12 s", "source": "grafana", "severity": "high"}
ABOUT_ORDERS = SLOW | {"dag_id": "nightly", "run_id": NIGHTLY_ORDERS.run_id, "task_id": "load_orders", "try_number": 1}


def report(api: Api, body: dict[str, Any], key: str = "alert-17", user: str = "uma") -> Response:
    return api.post("/incidents", body, user, headers={"Idempotency-Key": key})


def test_a_report_is_an_incident_of_its_source(api: Api) -> None:
    answer = report(api, SLOW)
    assert answer.status_code == 201
    view = answer.json()
    assert [view[name] for name in ("kind", "source", "severity", "state", "dag_id")] == [
        "log",
        "api:grafana",
        "high",
        "open",
        "api:grafana",
    ]
    (logged,) = view["logged"]
    assert logged["text"] == "Warehouse answers slowly\np95 is 12 s"


def test_the_same_report_again_is_the_same_incident(api: Api) -> None:
    first, again = report(api, SLOW), report(api, SLOW)
    assert (again.status_code, again.json()["id"]) == (200, first.json()["id"])
    assert len(again.json()["logged"]) == 1


def test_another_report_with_a_used_key_is_refused(api: Api) -> None:
    first = report(api, SLOW)
    answer = report(api, SLOW | {"severity": "low"})
    assert error_of(answer) == (409, "key_taken")
    assert answer.json()["error"]["detail"] == {"incident_id": first.json()["id"]}


def test_keys_of_two_sources_have_nothing_to_do_with_each_other(api: Api) -> None:
    assert report(api, SLOW).json()["id"] != report(api, SLOW | {"source": "pagerduty"}).json()["id"]


def test_a_report_about_a_task_instance_is_tied_to_it(api: Api, sqlite_store: Store) -> None:
    view = report(api, ABOUT_ORDERS, user="lena").json()
    incident = sqlite_store.reading.incident(view["id"])
    assert incident is not None
    assert (incident.kind, incident.ref, incident.state) == (Kind.LOG, NIGHTLY_ORDERS, State.OPEN)
    assert sqlite_store.logs.events(incident.id)[0].correlation is Correlation.EXPLICIT


def test_secrets_of_a_report_are_masked_before_it_is_stored(api: Api, sqlite_store: Store) -> None:
    view = report(api, SLOW | {"description": "postgresql://app:hunter2@db1/orders"}).json()
    assert "hunter2" not in str(sqlite_store.logs.events(view["id"]))


@pytest.mark.parametrize(
    "wrong",
    [
        {"title": ""},
        {"source": "../airflow"},
        {"dag_id": "nightly"},
        {"severity": "terrible"},
        {"happened_at": "2026-11-21T00:00:00"},
        {"happened_at": "0001-01-01T00:00:00+14:00"},
        {"dag_id": "a\0b", "run_id": "r", "task_id": "t"},
        {"colour": "red"},
    ],
    ids=str,
)
def test_a_report_that_says_nothing_clear_is_refused(api: Api, wrong: dict[str, Any]) -> None:
    assert error_of(report(api, SLOW | wrong)) == (422, "invalid")


def test_a_report_needs_a_key(api: Api) -> None:
    assert error_of(api.post("/incidents", SLOW)) == (422, "invalid")
    assert error_of(report(api, SLOW, key="two words")) == (422, "invalid")


def test_a_report_that_names_no_dag_needs_the_right_to_steer(api: Api) -> None:
    assert error_of(report(api, SLOW, user="lena")) == (403, "forbidden")
    assert error_of(report(api, ABOUT_ORDERS, user="vic")) == (403, "forbidden")
