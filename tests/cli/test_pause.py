"""``pause`` and ``resume``."""

from __future__ import annotations

import pytest
from tests.cli.conftest import Run

from airflow_oncall.cli import killswitch
from airflow_oncall.store.sql import Store


@pytest.fixture
def switchboard(deployment: Store, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.setattr(killswitch, "open_store", lambda **_: deployment)
    return deployment


def test_pause_stops_repairs_in_ones_name(switchboard: Store, oncall: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert oncall("pause", "--reason", "the cluster moves", "--user", "ann") == 0
    stop = switchboard.switch.get()
    assert stop is not None
    assert (stop.by, stop.reason) == ("ann", "the cluster moves")
    assert "oncall resume" in capsys.readouterr().out


def test_resume_lets_them_go_on(switchboard: Store, oncall: Run, capsys: pytest.CaptureFixture[str]) -> None:
    oncall("pause", "--user", "ann")
    assert oncall("resume") == 0
    assert switchboard.switch.get() is None
    assert "The pause by ann is over.\nRepairs go on." in capsys.readouterr().out


def test_resume_where_nothing_was_paused_says_so(switchboard: Store, oncall: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert oncall("resume") == 0
    assert "had paused nothing" in capsys.readouterr().out


def test_resume_tells_that_the_variable_still_stops_them(
    switchboard: Store, oncall: Run, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_VAR_ONCALL_PAUSED", "yes")
    assert oncall("resume") == 1
    assert "Variable oncall_paused (yes); delete it" in capsys.readouterr().out


def test_a_secret_in_a_reason_is_masked(switchboard: Store, oncall: Run) -> None:
    oncall("pause", "--reason", "password=hunter2hunter2")
    stop = switchboard.switch.get()
    assert stop is not None
    assert "hunter2hunter2" not in stop.reason
