"""What a report says is what the store holds, on both databases."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from html.parser import HTMLParser

import pytest
from tests.reports.conftest import HOSTILE

from airflow_oncall.reports.findings import findings
from airflow_oncall.reports.page import html
from airflow_oncall.store.records import now
from airflow_oncall.store.sql import Store


class Page(HTMLParser):
    """The tags and attributes of a page, and its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes.update(name for name, _ in attrs)

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_week_is_told(week: Store) -> None:
    found = findings(week, 7)
    assert (found.opened, found.open, found.repairs, found.repair_rate) == (5, 1, 5, 0.8)
    assert found.by_category == {"network_timeout": 5}
    assert found.mttr_minutes.without is None
    assert found.mttr_minutes.with_action is not None
    assert [(one.dag_id, one.number, one.recovered) for one in found.noisy] == [("nightly", 4, 3), (HOSTILE.dag_id, 1, 1)]
    assert [one.dag_id for one in found.flapping] == ["nightly"]
    assert [(one.action, one.helped, one.tried) for one in found.actions] == [("clear_task", 4, 5)]
    assert [(one.category, one.decided, one.tried, one.helped) for one in found.handled] == [("network_timeout", 5, 5, 4)]
    assert [(one.version, one.figures["ece"]) for one in found.versions] == [("7", 0.04)]
    assert found.labels["category"] == 5
    assert [bar.auto for bar in found.bars] == [0.65]
    assert [(day.opened, day.resolved) for day in found.days if day.opened] == [(5, 4)]
    assert len(found.days) == 8


def test_the_same_failure_again_and_again_is_one_cause(week: Store) -> None:
    (cause,) = findings(week, 7).causes
    assert (cause.category, cause.number, cause.tasks) == ("network_timeout", 5, 2)


def test_a_report_is_told_to_programs(week: Store) -> None:
    told = json.loads(json.dumps(findings(week, 7).plain(), default=str))
    assert told["repair_rate"] == 0.8
    assert told["noisy"][0]["task_id"] == "load_orders"
    assert told["bars"][0]["reason"] == "9 of 10 helped"


def test_what_is_older_is_not_in_it(week: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    later = now() + timedelta(days=30)
    monkeypatch.setattr("airflow_oncall.reports.findings.now", lambda: later)
    found = findings(week, 7)
    assert (found.opened, found.open, found.repairs, found.noisy) == (0, 1, 0, [])


def test_the_page_is_inert_and_whole(week: Store) -> None:
    page = Page(html(findings(week, 7)))
    assert not page.tags & {"script", "img", "iframe", "link", "object", "form"}
    assert not any(name.startswith("on") or name in {"src", "href"} for name in page.attributes)
    assert f"{HOSTILE.dag_id}.{HOSTILE.task_id}" in page.text
    assert "9 of 10 helped" in page.text
    assert "80%" in page.text


def test_the_page_reads_in_light_and_dark_and_loads_nothing(week: Store) -> None:
    text = html(findings(week, 7))
    assert "prefers-color-scheme: dark" in text
    assert "default-src 'none'" in text
    assert not re.search(r"https?:|url\(|@import", text)
    colours = re.findall(r"(--[a-z]+): #", text)
    assert all(colours.count(name) == 2 for name in colours), "each colour has one of its own in the dark"


def test_each_sentence_on_learning_is_a_paragraph(week: Store) -> None:
    text = html(findings(week, 7))
    assert "<p>Learned from: 5 category.</p>" in text
    assert "<p>Expected and seen success differ by 10% on average.</p>" in text


def test_an_empty_store_has_a_page_too(store: Store) -> None:
    found = findings(store, 30)
    page = Page(html(found))
    assert "Nothing failed in this time." in page.text
    assert found.improve == []
    assert found.repair_rate is None
