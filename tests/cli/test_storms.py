"""Storms as the commands show them."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from sqlalchemy import text
from tests.cast import vendor_was_down
from tests.cli.conftest import Run
from tests.tick.scene import NETWORK

from airflow_oncall.cli import storms
from airflow_oncall.incident import State, StormState, TaskRef
from airflow_oncall.store.sql import Store
from airflow_oncall.store.storms import Flood


@pytest.fixture
def stormy(deployment: Store, monkeypatch: pytest.MonkeyPatch) -> Store:
    """Three members, of which incident 2 is the probe."""
    monkeypatch.setattr(storms, "open_store", lambda: deployment)
    for number in range(3):
        deployment.intake.record(replace(vendor_was_down, ref=TaskRef("nightly", f"run-{number}", "load")))
    deployment.storms.gather_flood(Flood(vendor_was_down.fingerprint, 1), "network_connectivity at vendor", NETWORK, "auto")
    deployment.storms.probe(deployment.storms.open()[0], 2, StormState.PROBING, "probe 1 is incident 2")
    return deployment


def test_storms_tells_cause_size_and_probe(stormy: Store, oncall: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert oncall("storms", "list", "--format", "json") == 0
    (one,) = json.loads(capsys.readouterr().out)
    assert (one["cause"], one["members"], one["held"], one["probe_id"]) == ("network_connectivity at vendor", 3, 2, 2)
    assert (one["progress"]["held"], one["progress"]["in_flight"]) == (2, 1)


def test_storms_for_people_counts_them(stormy: Store, oncall: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert oncall("storms", "list") == 0
    assert "1 storm(s)" in capsys.readouterr().out


def rejected(store: Store) -> None:
    """People said no."""
    (storm,) = store.storms.open()
    store.storms.answered(storm, False, "bob")
    store.storms.move(storm, StormState.ESCALATED, "rejection by bob", 300)


def said(store: Store) -> list[tuple[str, str, dict[str, object]]]:
    """What the audit log keeps of storms: who, what, and what of it."""
    with store.engine.begin() as connection:
        rows = connection.execute(text("SELECT actor, what, detail FROM oncall_audit WHERE incident_id IS NULL ORDER BY id")).all()
    return [(row.actor, row.what, json.loads(row.detail)) for row in rows]


def test_a_rejected_storm_is_released_for_its_next_probe(stormy: Store, oncall: Run, capsys: pytest.CaptureFixture[str]) -> None:
    rejected(stormy)
    assert oncall("storms", "release", "1", "--user", "ann", "--reason", "the vendor is up, password=hunter2") == 0
    assert "The next probe of storm 1 comes with the next tick; 2 members wait for it." in capsys.readouterr().out
    (storm,) = stormy.storms.open()
    assert (storm.state, storm.probes, storm.answer, storm.answered_by) == (StormState.WAITING, 0, "", "")
    assert storm.detail.startswith("released by ann: the vendor is up")
    (actor, what, detail) = said(stormy)[-1]
    assert (actor, what, detail["by"], detail["storm"]) == ("ann", "storm released", "ann", 1)
    assert str(detail["reason"]).startswith("the vendor is up")
    assert "hunter2" not in str(said(stormy)) + storm.detail


def test_members_of_a_storm_are_let_go_apart(stormy: Store, oncall: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert oncall("storms", "release", "1", "--apart", "--user", "ann") == 0
    assert "Storm 1 is over; 2 members are decided about by themselves" in capsys.readouterr().out
    assert stormy.storms.open() == []
    assert {one.state for one in stormy.reading.incidents()} == {State.DIAGNOSED}
    assert said(stormy)[-1][:2] == ("ann", "storm disbanded")


def test_an_approval_of_a_storm_outlives_its_release(stormy: Store, oncall: Run) -> None:
    (storm,) = stormy.storms.open()
    stormy.storms.answered(storm, True, "bob")
    stormy.storms.move(storm, StormState.WAITING, "the probe failed", 300)
    assert oncall("storms", "release", "1") == 0
    assert (stormy.storms.open()[0].answer, stormy.storms.open()[0].answered_by) == ("approved", "bob")


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["9"], "storm 9: there is no such storm; `airflow oncall storms list` shows them"),
        (["1"], "storm 1: it is probing by itself (probe 1 is incident 2); --apart ends it"),
    ],
)
def test_what_cannot_be_released_is_told(
    stormy: Store, oncall: Run, capsys: pytest.CaptureFixture[str], words: list[str], why: str
) -> None:
    assert oncall("storms", "release", *words) == 1
    assert why in capsys.readouterr().err


def test_a_storm_that_is_over_or_empty_is_not_released(stormy: Store, oncall: Run, capsys: pytest.CaptureFixture[str]) -> None:
    stormy.storms.release(stormy.storms.open()[0], 9, True, "wave 1")
    assert oncall("storms", "release", "1", "--apart") == 1
    assert "it holds no member; nothing is left to release" in capsys.readouterr().err
    stormy.storms.move(stormy.storms.open()[0], StormState.CLOSED, "over")
    assert oncall("storms", "release", "1") == 1
    assert "storm 1: it is over" in capsys.readouterr().err


def test_a_question_that_is_open_is_answered_and_not_passed_over(stormy: Store, oncall: Run, capsys: pytest.CaptureFixture[str]) -> None:
    rejected(stormy)
    with stormy.engine.begin() as connection:
        connection.execute(text("UPDATE oncall_incidents SET state = 'asked' WHERE id = 2"))
    assert oncall("storms", "release", "1") == 1
    assert "the question about incident 2 is open; approve it for another probe" in capsys.readouterr().err


def test_show_of_a_member_names_its_storm_and_the_probe(stormy: Store, oncall: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert oncall("show", "1") == 0
    shown = capsys.readouterr().out
    assert "Member of storm 1, which is probing" in shown
    assert "its probe is incident 2" in shown
    assert oncall("show", "2", "--format", "json") == 0
    assert json.loads(capsys.readouterr().out)["storm"]["probe_id"] == 2


def test_list_names_the_storm_of_a_member(stormy: Store, oncall: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert oncall("list", "--state", str(State.HELD), "--format", "json") == 0
    assert {one["storm_id"] for one in json.loads(capsys.readouterr().out)} == {1}
