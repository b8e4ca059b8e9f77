"""What Prometheus reads: every metric with its values, and a dashboard that asks for no other."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import insert
from tests.show.api.client import Api
from tests.show.api.exposed import samples
from tests.show.api.story import SHARD, Story

from airflow_oncall.incident import LogEvent, Verdict
from airflow_oncall.measures import METRICS, after_tick
from airflow_oncall.reports.arithmetic import calibration_error
from airflow_oncall.show import metrics
from airflow_oncall.show.api.app import create_app
from airflow_oncall.store.figures import CalibrationCell
from airflow_oncall.store.records import now
from airflow_oncall.store.sql import Store
from airflow_oncall.store.tables import storms

DOCS = Path(__file__).parents[3] / "docs"
NAMES = {metrics.PREFIX + metric.name for metric in METRICS}


@pytest.fixture(autouse=True)
def nothing_kept() -> None:
    """Whatever was told before is asked for anew."""
    metrics.exposition.cache.clear()


def test_metrics_tell_how_things_are(api: Api, story: Story, sqlite_store: Store) -> None:
    story.asked(SHARD)
    sqlite_store.switch.pause("ada", "the vendor migrates")
    after_tick(sqlite_store, 1.5)
    answer = api.call("GET", "/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == metrics.CONTENT_TYPE
    found = samples(answer.text)
    assert found['oncall_incidents_open{state="asked",category="network_timeout",source="airflow"}'] == 1
    assert found['oncall_incidents_opened_last_day{category="network_timeout",source="airflow"}'] == 1
    assert found[f'oncall_decisions_last_day{{verdict="{Verdict.ASK}"}}'] == 1
    assert found['oncall_actions_last_day{kind="clear_task",state="planned"}'] == 1
    assert found["oncall_paused"] == 1
    assert found["oncall_tick_duration_seconds"] == 1.5
    assert found["oncall_tick_timestamp_seconds"] == pytest.approx(now().timestamp(), abs=60)


def test_the_variable_pauses_for_the_metrics_too(sqlite_store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    assert samples(metrics.exposition(sqlite_store))["oncall_paused"] == 0
    metrics.exposition.cache.clear()
    monkeypatch.setenv("AIRFLOW_VAR_ONCALL_PAUSED", "true")
    assert samples(metrics.exposition(sqlite_store))["oncall_paused"] == 1


def test_an_empty_store_has_all_metrics(api: Api) -> None:
    text = api.call("GET", "/metrics").text
    assert set(re.findall(r"^# TYPE (\w+) gauge$", text, re.MULTILINE)) == NAMES
    assert samples(text)["oncall_queue_age_seconds"] == 0


def test_what_waits_too_long_is_seen(api: Api, story: Story, sqlite_store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    story.failed(SHARD)
    later = now() + timedelta(minutes=20)
    monkeypatch.setattr("airflow_oncall.store.recent.now", lambda: later)
    found = samples(metrics.exposition(sqlite_store))
    assert found["oncall_queue_due"] == 1
    assert 1000 < found["oncall_queue_age_seconds"] <= 1201


def test_storms_of_the_last_day_are_told_by_what_became_of_them(sqlite_store: Store) -> None:
    rows = [("a", "probing", None, 0), ("b", "closed", 0, 0), ("c", "closed", 0, 0), ("d", "closed", 2, 2)]
    with sqlite_store.engine.begin() as connection:
        for cause, state, closed, opened in rows:
            at = {"opened_at": now() - timedelta(days=opened), "closed_at": None if closed is None else now() - timedelta(days=closed)}
            connection.execute(insert(storms).values(cause=cause, state=state, **at))
    found = {name: value for name, value in samples(metrics.exposition(sqlite_store)).items() if "storms" in name}
    assert found == {"oncall_storms_open": 1, 'oncall_storms_last_day{state="probing"}': 1, 'oncall_storms_last_day{state="closed"}': 2}


def test_no_source_can_add_more_than_a_few_time_series(sqlite_store: Store, story: Story) -> None:
    for number in range(30):
        story.engine_logged(LogEvent(f"tool {number}", f"file:{number}", now(), "FATAL: out of memory", "pg-oom"))
    opened = {name for name in samples(metrics.exposition(sqlite_store)) if name.startswith("oncall_incidents_opened")}
    assert len(opened) == 21
    assert any('source="other"' in name for name in opened)


def test_labels_are_escaped(story: Story, sqlite_store: Store) -> None:
    story.engine_logged(replace(LogEvent("a", "file:1", now(), "FATAL: out of memory", "pg-oom"), source='evil"\n\\source'))
    text = metrics.exposition(sqlite_store)
    assert 'source="evil\\"\\n\\\\source"' in text
    assert samples(text)


def test_metrics_are_open_where_the_setting_says_so(sqlite_store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__ONCALL__METRICS_PUBLIC", "True")
    app = create_app()
    app.state.store = sqlite_store
    answer = TestClient(app).get("/metrics")
    assert answer.status_code == 200
    assert samples(answer.text)


def test_calibration_error_is_the_weighted_distance_of_expected_and_seen() -> None:
    sure = CalibrationCell("clear_task", 9, successes=9, number=10, expected=9.5, resolved=9, minutes=0)
    doubtful = CalibrationCell("clear_task", 2, successes=6, number=10, expected=2.5, resolved=6, minutes=0)
    assert calibration_error([sure, doubtful]) == pytest.approx((0.5 + 3.5) / 20)
    assert calibration_error([]) == 0


def test_the_dashboard_asks_for_metrics_that_exist() -> None:
    dashboard = json.loads((DOCS / "grafana" / "oncall.json").read_text(encoding="utf-8"))
    asked = [set(re.findall(r"oncall_\w+", target["expr"])) for panel in dashboard["panels"] for target in panel["targets"]]
    assert all(asked)
    assert set().union(*asked) == NAMES


def test_the_dashboard_groups_by_labels_that_its_metrics_have() -> None:
    dashboard = json.loads((DOCS / "grafana" / "oncall.json").read_text(encoding="utf-8"))
    labels = {metrics.PREFIX + metric.name: {*metric.labels} for metric in METRICS}
    grouped = 0
    for target in [target for panel in dashboard["panels"] for target in panel["targets"]]:
        named = re.findall(r"by \(([^)]*)\)", target["expr"]) + re.findall(r"\{\{(\w+)\}\}", target.get("legendFormat", ""))
        wanted = {label.strip() for one in named for label in one.split(",")}
        (name,) = re.findall(r"oncall_\w+", target["expr"])
        assert wanted <= labels[name], target["expr"]
        grouped += bool(wanted)
    assert grouped > 5


def test_every_metric_is_documented() -> None:
    page = (DOCS / "metrics.md").read_text(encoding="utf-8")
    for metric in METRICS:
        labels = ", ".join(f"`{label}`" for label in metric.labels)
        assert f"| `oncall_{metric.name}` | `oncall.{metric.name}` | {labels} | {metric.meaning} |" in page
    named = set(re.findall(r"oncall_[a-z_]+", page)) - {"oncall_triage"}
    assert named <= NAMES
