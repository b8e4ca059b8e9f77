"""``experiments`` and ``shadow-report``."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import update
from tests.act.test_decide import policy_with
from tests.cast import vendor_was_down
from tests.cli.conftest import Run
from tests.learn.past import Past

from airflow_oncall.act.assignment import REPAIRED
from airflow_oncall.act.decide import HOLDOUT
from airflow_oncall.cli import experiments, shadow
from airflow_oncall.gain import gain_of
from airflow_oncall.incident import Decision, Label, Outcome, OutcomeKind, State, TaskRef, Verdict
from airflow_oncall.store.experiments import ArmCounts
from airflow_oncall.store.records import now
from airflow_oncall.store.sql import Store
from airflow_oncall.store.tables import decisions

ABOUT = ("--category", "network_connectivity")


@pytest.fixture
def laboratory(deployment: Store, monkeypatch: pytest.MonkeyPatch) -> Store:
    """A policy that allows two ways to mend the network."""
    rule = {"network_connectivity": {"action": "clear_task", "alternatives": ["clear_downstream", "mark_success"]}}
    for module in (experiments, shadow):
        monkeypatch.setattr(module, "open_store", lambda: deployment)
    monkeypatch.setattr(experiments, "read_policy", lambda store: policy_with(categories=rule))
    return deployment


def drawn(store: Store, number: int, arm: str, succeeded_after: timedelta | None, seen_after: timedelta = timedelta(0)) -> None:
    """A repair that was in the draw for being left out, three hours ago."""
    incident_id = store.intake.record(replace(vendor_was_down, ref=TaskRef("nightly", f"{arm}-{number}", "load")))
    assert incident_id is not None
    incident = store.queue.claim(incident_id, timedelta(minutes=5))
    assert incident is not None
    verdict, state = (Verdict.OBSERVE, State.OBSERVED) if arm == HOLDOUT else (Verdict.AUTO, State.VERIFYING)
    decision = Decision(incident_id, 1, verdict, "clear_task", 1, 0.9, ("drawn",), arm=arm)
    decided = store.ledger.decided(incident, decision, state, 0, 0)
    at = now() - timedelta(hours=3)
    if succeeded_after:
        ended_at = at + succeeded_after
        outcome = Outcome(incident_id, OutcomeKind.SUCCESS, ended_at + seen_after, 2, ended_at=ended_at)
        store.ledger.ended(decided, outcome, [], State.RESOLVED, None, "succeeded")
    with store.engine.begin() as connection:
        connection.execute(update(decisions).where(decisions.c.incident_id == incident_id).values(made_at=at))


def test_an_experiment_is_started_listed_and_stopped(laboratory: Store, oncall: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert oncall("experiments", "start", "reach", *ABOUT, "--user", "ann", "--reason", "token=hunter2hunter2") == 0
    assert "reach has begun: clear_task against clear_downstream for network_connectivity" in capsys.readouterr().out
    oncall("experiments", "list", "--format", "json")
    (one,) = json.loads(capsys.readouterr().out)
    assert (one["name"], one["arms"], one["started_by"]) == ("reach", ["clear_task", "clear_downstream"], "ann")
    assert "hunter2hunter2" not in one["detail"]
    assert oncall("experiments", "stop", "reach") == 0
    assert oncall("experiments", "list") == 0
    assert "running" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("Reach It", *ABOUT), "'Reach It' is no name of an experiment"),
        (("reach", *ABOUT, "--arms", "clear_task", "resize_pool"), "'resize_pool' may be no arm"),
        (("reach", *ABOUT, "--arms", "clear_task", "mark_success"), "'mark_success' may be no arm"),
        (("reach", *ABOUT, "--arms", "clear_task"), "an experiment needs two arms"),
        (("reach", "--category", "code_error"), "an experiment needs two arms"),
    ],
)
def test_what_cannot_be_started_says_why(
    laboratory: Store, oncall: Run, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], complaint: str
) -> None:
    assert oncall("experiments", "start", *words) == 1
    assert complaint in capsys.readouterr().err
    assert laboratory.experiments.all() == []


def test_results_rank_the_arms(laboratory: Store, oncall: Run, capsys: pytest.CaptureFixture[str]) -> None:
    oncall("experiments", "start", "reach", *ABOUT)
    past = Past(laboratory)
    for _ in range(3):
        past.repaired(past.failed())
    with laboratory.engine.begin() as connection:
        connection.execute(update(decisions).values(arm="reach/clear_task"))
    capsys.readouterr()
    assert oncall("experiments", "results", "reach", "--format", "json") == 0
    first, second = json.loads(capsys.readouterr().out)["reach"]
    assert (first["arm"], first["counts"]["successes"], second["counts"]["successes"]) == ("clear_task", 3, 0)
    assert first["best"] > second["best"]
    assert oncall("experiments", "results") == 0
    assert "reach: network_connectivity" in capsys.readouterr().out


def test_results_of_nothing_say_so(laboratory: Store, oncall: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert oncall("experiments", "results", "reach") == 1
    assert "no experiment 'reach'" in capsys.readouterr().err
    assert oncall("experiments", "results") == 0
    assert "No experiment is running." in capsys.readouterr().out


def test_the_gain_is_what_repairs_do_better_than_doing_nothing(laboratory: Store, oncall: Run, capsys: pytest.CaptureFixture[str]) -> None:
    soon, late = timedelta(minutes=5), timedelta(hours=2)
    for number in range(8):
        drawn(laboratory, number, REPAIRED, soon if number < 7 else late)
        drawn(laboratory, number, HOLDOUT, soon if number < 2 else late)
    assert oncall("experiments", "results", "--format", "json") == 0
    gain = json.loads(capsys.readouterr().out)["holdout"]
    assert (gain["repaired"]["successes"], gain["left_out"]["successes"]) == (7, 2)
    assert 0 < gain["difference"]["low"] < gain["difference"]["mean"] < gain["difference"]["high"] < 1
    assert gain["minutes"] == {"repaired": 5.0, "left_out": 120.0}
    assert oncall("experiments", "results") == 0
    assert "left out: 2 of 8 succeeded within 1 h" in capsys.readouterr().out


def test_both_arms_have_the_same_time_by_airflows_clock(laboratory: Store) -> None:
    just, late = timedelta(minutes=59), timedelta(minutes=61)
    for number, arm in enumerate((REPAIRED, HOLDOUT)):
        drawn(laboratory, number, arm, just, seen_after=timedelta(minutes=15))
        drawn(laboratory, number + 2, arm, late)
        drawn(laboratory, number + 4, arm, None)
    gain = gain_of(laboratory)
    assert gain is not None
    assert gain.repaired == gain.left_out == ArmCounts(1, 2)
    assert gain.minutes == {"repaired": 60.0, "left_out": 60.0}


def test_the_shadow_report_for_people_and_programs(laboratory: Store, oncall: Run, capsys: pytest.CaptureFixture[str]) -> None:
    incident = Past(laboratory).failed()
    basis = {"would_be": "auto", "attempts": 1, "minutes": 2.0}
    decision = Decision(incident.id, 1, Verdict.OBSERVE, "clear_task", 1, 0.9, ("shadow",), mode="shadow", basis=basis)
    observed = laboratory.ledger.decided(incident, decision, State.OBSERVED, 0)
    outcome = Outcome(incident.id, OutcomeKind.SUCCESS, now(), 2)
    label = Label(incident.id, "outcome_without_us", "success", "airflow", now())
    laboratory.ledger.ended(observed, outcome, [label], State.RESOLVED, None, "succeeded at try 2")
    assert oncall("shadow-report", "--format", "json") == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["failures"], told["would"]["repair"]["succeeded"], len(told["not_known"])) == (1, 1, 5)
    assert oncall("shadow-report") == 0
    shown = capsys.readouterr().out
    assert "failures decided about in mode shadow: 1, of which still open: 0." in shown
    assert "Repairs whose re-run is known: 1, of which right: 1." in shown
    assert "What this cannot tell:" in shown


def test_the_shadow_report_without_anything_is_one_line(laboratory: Store, oncall: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert oncall("shadow-report", "--days", "7") == 0
    assert len(capsys.readouterr().out.splitlines()) == 1
