"""``airflow oncall notify test``: what became of a message, for every notifier of a route."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.act.notify.stage import PHONE, Phone, phones
from tests.cli.conftest import Run

from airflow_oncall import conf
from airflow_oncall.store.sql import Store

ROUTES = f"""
routes:
  default:
    - {{ classpath: {PHONE}, kwargs: {{ owner: ann }} }}
    - {{ classpath: {PHONE}, kwargs: {{ owner: bob }}, after: 30m }}
  sales:
    - {{ classpath: {PHONE}, kwargs: {{ owner: sal, text: "{{{{ oncall.subject }}}}" }} }}
"""


@pytest.fixture
def routes(deployment: Store, home: Path, no_airflow: None) -> Path:
    """The operator's policy, with two routes."""
    folder = home / "include" / "oncall"
    folder.mkdir(parents=True)
    shipped = (conf.shipped_include() / "policy.yaml").read_text()
    (folder / "policy.yaml").write_text(shipped + ROUTES)
    return folder


def test_everybody_of_the_default_route_hears_of_it_at_once(routes: Path, oncall: Run, capsys: pytest.CaptureFixture[str]) -> None:
    with phones() as heard:
        assert oncall("notify", "test") == 0
    assert sorted(owner for owner, _ in heard) == ["ann", "bob"]
    assert {told["subject"] for _, told in heard} == {"Test of routes.default.0", "Test of routes.default.1"}
    out = capsys.readouterr().out
    assert f"told      routes.default.0, at once: {PHONE}" in out
    assert f"told      routes.default.1, after 30 min without an answer: {PHONE}" in out


def test_a_route_is_chosen_by_its_name(routes: Path, oncall: Run) -> None:
    with phones() as heard:
        assert oncall("notify", "test", "--route", "sales") == 0
    assert [(owner, told["text"]) for owner, told in heard] == [("sal", "Test of routes.sales.0")]


def test_what_did_not_go_is_said_and_the_others_go_all_the_same(routes: Path, oncall: Run, capsys: pytest.CaptureFixture[str]) -> None:
    with phones() as heard:
        Phone.raising.add("ann")
        assert oncall("notify", "test", "--format", "json") == 1
    assert [owner for owner, _ in heard] == ["bob"]
    answer = {one["place"]: one["problem"] for one in json.loads(capsys.readouterr().out)}
    assert answer == {"routes.default.0": f"notifier {PHONE} failed with ConnectionError, see this task's log", "routes.default.1": ""}


def test_a_route_that_does_not_exist_is_answered_with_those_that_do(routes: Path, oncall: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert oncall("notify", "test", "--route", "slaes") == 1
    assert "'slaes' is no route; there are: default, sales" in capsys.readouterr().err


def test_where_nobody_is_told_the_way_out_is_named(
    deployment: Store, no_airflow: None, oncall: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    assert oncall("notify", "test") == 1
    assert "nobody is told: give policy.yaml a route" in capsys.readouterr().err


def test_a_template_that_is_wrong_is_named_by_the_test_and_by_the_policy_check(
    routes: Path, oncall: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    (routes / "templates").mkdir()
    (routes / "templates" / "subject.txt").write_text("{{ oncall.sbject }}")
    with phones() as heard:
        assert oncall("notify", "test", "--route", "sales") == 0
    assert heard[0][1]["subject"] == "Test of routes.sales.0"
    assert "has no attribute 'sbject'; the shipped template is used" in capsys.readouterr().err
    assert oncall("policy", "check") == 0
    assert "templates: " in capsys.readouterr().out
