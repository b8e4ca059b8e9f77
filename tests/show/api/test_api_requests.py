"""Requests as they should not be: from other sites, too large, malformed, hostile; and a store that is out of reach."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from httpx import Response
from sqlalchemy import create_engine
from tests.cast import MIDNIGHT
from tests.show.api.client import ROOT, Api, error_of
from tests.show.api.story import Story

from airflow_oncall import __version__
from airflow_oncall.act.policy_file import read_policy
from airflow_oncall.conf import shipped_include
from airflow_oncall.incident import ModelVersion
from airflow_oncall.store.sql import Store

PAUSE = {"paused": True, "reason": "test"}
HOSTILE = "<script>alert(1)</script> \x1b[31mred\x1b[0m \u202etxt.exe {{ 7*7 }} ' OR 1=1 --"


def with_cookie(api: Api, **headers: str) -> Response:
    """A page asks for a change, with its user's cookie."""
    return api.put("/switch", PAUSE, None, headers={"Cookie": f"_token={api.token('ada')}", **headers})


def own(api: Api) -> str:
    return str(api.client.base_url).rstrip("/")


def test_pages_of_this_airflow_change_things_with_their_users_cookie(api: Api) -> None:
    assert with_cookie(api, Origin=own(api)).status_code == 200
    assert with_cookie(api, Referer=f"{own(api)}/plugin/oncall").status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Referer": "https://evil.example/127.0.0.1"},
        {"Origin": "http://[broken"},
    ],
    ids=str,
)
def test_pages_of_other_sites_change_nothing(api: Api, sqlite_store: Store, headers: dict[str, str]) -> None:
    assert error_of(with_cookie(api, **headers)) == (403, "foreign_origin")
    assert sqlite_store.switch.get() is None


def test_the_address_that_is_configured_is_this_airflow_behind_a_proxy_too(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", "https://airflow.example/team")
    assert with_cookie(api, Origin="https://airflow.example").status_code == 200


def test_a_token_is_no_help_to_a_page_of_another_site(api: Api) -> None:
    assert error_of(api.put("/switch", PAUSE, headers={"Origin": "https://evil.example"})) == (403, "foreign_origin")


def test_a_body_that_is_too_large_is_refused(api: Api) -> None:
    assert error_of(api.post("/logs/analyze", {"text": "x" * 3_000_000})) == (413, "too_large")

    def endless() -> Iterator[bytes]:
        yield from (b"x" * 100_000 for _ in range(30))

    assert error_of(api.call("POST", "/api/v1/logs/analyze", content=endless())) == (413, "too_large")


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"nonsense", b"\xff\xfe", b'{"text": "\\ud800"}', b'{"text": 1}', b'{"text": NaN}'])
def test_a_body_that_is_not_what_is_described_is_refused_in_the_one_shape(api: Api, body: bytes) -> None:
    answer = api.call("POST", "/api/v1/logs/analyze", content=body, headers={"Content-Type": "application/json"})
    assert error_of(answer) == (422, "invalid")


def test_what_was_sent_is_not_repeated_in_the_refusal(api: Api) -> None:
    answer = api.put("/switch", {"paused": "hunter2", "reason": 5})
    assert error_of(answer) == (422, "invalid")
    assert "hunter2" not in answer.text


@pytest.mark.parametrize("cursor", ["x", "-1", "99999999999999999999", "1.5", "²"])
def test_a_cursor_of_somebodys_own_making_is_refused(api: Api, cursor: str) -> None:
    assert error_of(api.get(f"/incidents?cursor={cursor}")) == (422, "invalid")


@pytest.mark.parametrize("path", ["/nowhere", "/api/v1/nowhere", "/ui/0.0.0/main.js", f"/ui/{__version__}/%2e%2e/plugin.py", "/me/"])
def test_what_is_not_there_is_told_in_the_one_shape(api: Api, path: str) -> None:
    assert error_of(api.call("GET", path)) == (404, "not_found")


def test_another_method_is_told_in_the_one_shape(api: Api) -> None:
    assert error_of(api.call("PATCH", "/api/v1/me")) == (405, "method_not_allowed")


def test_hostile_text_stays_data(api: Api, story: Story) -> None:
    incident = story.said(HOSTILE)
    answer = api.get(f"/incidents/{incident.id}")
    headers = {name: answer.headers[name] for name in ("content-type", "x-content-type-options", "cache-control")}
    assert headers == {"content-type": "application/json", "x-content-type-options": "nosniff", "cache-control": "no-store"}
    assert [line["text"] for line in answer.json()["occurrences"][0]["evidence"]["lines"]] == [HOSTILE]
    assert api.get("/incidents", params={"q": HOSTILE[:200]}).json()["items"] == []
    analysed = api.post("/logs/analyze", {"text": HOSTILE + "x" * 900_000})
    assert analysed.status_code == 200
    assert analysed.json()["lines"][0]["text"].startswith("<script>")


def test_a_text_is_diagnosed_and_its_secrets_are_masked(api: Api) -> None:
    text = "psycopg2.OperationalError: FATAL: password authentication failed for user app\npassword=hunter2"
    found = api.post("/logs/analyze", {"text": text}).json()
    assert found["diagnosis"]["category"] == "authentication"
    assert "hunter2" not in str(found)
    assert found["lines"][0]["decisive"] is True


def test_a_store_that_is_out_of_reach_is_told_as_such(api: Api) -> None:
    api.use(Store.over(create_engine("sqlite:////nowhere/at/all.db"), "nobody"))
    answer = api.get("/incidents")
    assert error_of(answer) == (503, "store_unavailable")
    assert answer.headers["retry-after"] == "5"
    assert api.call("GET", "/health", None).json() == {"status": "degraded"}


def test_the_pages_scripts_are_served_as_scripts_that_may_be_kept(api: Api) -> None:
    answer = api.call("GET", f"/ui/{__version__}/main.js")
    assert answer.headers["content-type"] == "text/javascript; charset=utf-8"
    assert answer.headers["cache-control"] == "private, max-age=31536000, immutable"
    assert answer.text == (ROOT / "plugins/airflow_oncall/show/ui/main.js").read_text(encoding="utf-8")


def test_the_description_is_served_to_programs(api: Api) -> None:
    described = api.call("GET", "/openapi.json", "vic").json()
    assert described["servers"] == [{"url": "/oncall"}]
    assert "/api/v1/incidents" in described["paths"]


def test_no_page_is_served_whose_scripts_come_from_elsewhere(api: Api) -> None:
    assert error_of(api.call("GET", "/docs", "vic")) == (404, "not_found")


def test_models_are_read_with_their_figures(api: Api, sqlite_store: Store) -> None:
    reports = {"challenger": {"unseen groups": {"macro_f1_lenient": 0.9}}}
    trained = ModelVersion("triage", "0.1.0", "triage/0.1.0", "00", "scikit-learn 1.7.2", MIDNIGHT, {"reports": reports})
    sqlite_store.models.register(trained)
    sqlite_store.models.promote("triage", "0.1.0")
    (shown,) = api.get("/models").json()["items"]
    assert (shown["state"], shown["metrics"]["reports"]) == ("champion", reports)
    assert api.get("/models/triage/0.1.0").json()["version"] == "0.1.0"


def test_without_a_training_there_is_nothing_to_drift_from(api: Api) -> None:
    drift = api.get("/drift").json()
    assert (drift["since"], drift["mix"], drift["reasons"]) == (None, None, [])


def test_what_is_the_deployments_is_read_through_the_api(api: Api) -> None:
    assert api.get("/models").json() == {"items": []}
    assert error_of(api.get("/models/triage/0.1.0")) == (404, "not_found")
    assert api.get("/experiments").json() == {"items": [], "holdout": None}
    assert api.get("/shadow?days=7").json()["failures"] == 0
    policy = api.get("/policy?dag_id=nightly").json()
    assert policy["said"]["mode"]["value"] == "ask"
    assert policy["rules"]["rate_limit"]["where"].endswith(tuple("0123456789"))


def test_while_the_policy_file_is_wrong_the_one_in_force_is_shown_and_the_problem_told(
    api: Api, sqlite_store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW__ONCALL__INCLUDE_PATH", str(tmp_path))
    own, good = tmp_path / "policy.yaml", (shipped_include() / "policy.yaml").read_text(encoding="utf-8")
    own.write_text(good.replace("attempts_per_hour: 100", "attempts_per_hour: 7"))
    read_policy(sqlite_store)
    assert api.get("/policy?dag_id=nightly").json()["problem"] == ""
    own.write_text(good.replace("attempts_per_hour: 100", "attempts_per_hour: many"))
    shown = api.get("/policy?dag_id=nightly").json()
    assert (shown["file"], shown["said"]["budgets.attempts_per_hour"]["value"]) == ("last good policy.yaml", 7)
    assert str(own) in shown["problem"]
    assert "'many'" in shown["problem"]
