"""Short courses of each simulation: the real triage, store and client, and what the report says of them."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
import simulator.__main__ as command
from rich.console import Console
from simulator.clock import START
from simulator.course import AUTO, Clear
from simulator.home import private
from simulator.people import working_time
from simulator.report import missed, show
from simulator.triage import shipped_policy
from simulator.world import Mutation

from airflow_oncall.incident import TaskRef
from simulator import crashes, month, storm

LOAD = TaskRef("nightly", "scheduled__1", "load")
GOOD = {
    "repaired_share": 0.6,
    "compute_saved_share": 0.5,
    "wrong_action_share": 0.05,
    "storm": {"incidents": 10_000, "clears_before_probe_verified": 1, "seconds": 60, "peak_mb": 400},
    "crashes": {"n": 1000, "short_of": 0, "lost": 0, "double": 0, "over_budget": 0, "in_waves": 20, "ticks": 1500, "clears": 300},
}


@pytest.fixture(autouse=True)
def _auto(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__ONCALL__MODE", "auto")


@pytest.mark.slow
def test_a_day_leaves_every_failure_at_its_end() -> None:
    figures = month.play(month.Settings(days=1, rules_only=True))
    assert figures["failed"] > 3
    assert figures["auto_actions"] > 0
    assert set(figures["incident_states"]) <= {"resolved", "self_healed", "closed"}
    assert sum(line["failed"] for line in figures["by_process"].values()) == figures["failed"]


@pytest.mark.slow
def test_twenty_kills_lose_nothing_and_do_nothing_twice() -> None:
    figures = crashes.play(kills=20)
    assert figures["n"] >= 20
    assert figures["short_of"] <= 0
    assert figures["repaired"] > 0
    assert (figures["lost"], figures["double"], figures["over_budget"]) == (0, 0, 0)


def test_a_storm_is_probed_once_before_a_wave_follows() -> None:
    figures = storm.play(size=100)
    assert figures["clears_before_probe_verified"] == 1
    assert figures["clears_after_it"] > 1


class Site:
    """What is left of a course for the check."""

    def __init__(self, *clears: Clear, notes: tuple[str, ...] = ()) -> None:
        self.cleared, self.instances, self.stories = list(clears), dict[Any, Any](), dict[Any, Any]()
        self.mutations = [Mutation("clear", "nightly", {"note": note}) for note in notes]
        self.airflow = self

    def did(self, what: str) -> list[Any]:
        return [one for one in self.mutations if one.what == what]


def test_a_try_that_was_cleared_twice_is_seen() -> None:
    twice = Clear(LOAD, 1, 1, START, START, AUTO)
    assert crashes.check(Site(twice, twice), shipped_policy())["double"] == 1  # type: ignore[arg-type]


def test_a_decision_that_was_carried_out_twice_is_seen_though_the_second_found_nothing() -> None:
    site = Site(notes=("[oncall #7.1] a re-run helps", "[oncall #7.1] a re-run helps", "[oncall #7.2] again"))
    assert crashes.check(site, shipped_policy())["double"] == 1  # type: ignore[arg-type]


def test_clears_beyond_a_task_instances_budget_are_seen() -> None:
    many = [Clear(LOAD, nth, 3, START, START, AUTO) for nth in (1, 2, 3)]
    assert crashes.check(Site(*many), shipped_policy())["over_budget"] == 1  # type: ignore[arg-type]


def clears(*minutes: int, attempts: int = 1) -> list[Clear]:
    """Clears of one task instance each, so many minutes after the start; all of them failed long before."""
    others = [replace(LOAD, run_id=f"scheduled__{number}") for number in range(len(minutes))]
    return [
        Clear(ref, 1, attempts, START, START + timedelta(minutes=at), AUTO, f"[oncall #{at}.1] a re-run helps")
        for ref, at in zip(others, minutes, strict=True)
    ]


def beyond(*made: Clear, waves: Collection[str] = (), **budgets: int) -> int:
    """How many clears are beyond these budgets."""
    policy = crashes.budgeted(shipped_policy(), {"attempts_per_task_instance": 9, "attempts_per_hour": 2, **budgets})
    found: int = crashes.check(Site(*made), policy, waves)["over_budget"]  # type: ignore[arg-type]
    return found


def test_clears_beyond_an_hours_budget_are_seen_whenever_what_they_repair_had_failed() -> None:
    assert beyond(*clears(100, 130, 159)) == 1
    assert beyond(*clears(100, 130, 160)) == 0
    assert beyond(*clears(100, 159, attempts=2)) == 1


def test_waves_have_an_hour_of_their_own() -> None:
    many = clears(100, 110, 120, 130, 140)
    waves = {"[oncall #100.1]", "[oncall #110.1]", "[oncall #120.1]"}
    assert beyond(*many, waves=waves, storm_attempts_per_hour=3) == 0
    assert beyond(*many, waves=waves, storm_attempts_per_hour=2) == 1


def test_a_report_at_its_bars_misses_none() -> None:
    assert missed(GOOD) == []


@pytest.mark.parametrize("clears", [0, 2])
def test_any_other_number_of_probes_than_one_is_missed(clears: int) -> None:
    report = GOOD | {"storm": {"clears_before_probe_verified": clears}}
    assert [bar.path for bar in missed(report)] == [("storm", "clears_before_probe_verified")]


@pytest.fixture
def report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A report file of this test's own, and simulations that take no time."""
    path = tmp_path / "simulation-report.json"
    monkeypatch.setattr(command, "REPORT", path)
    monkeypatch.setattr("simulator.home.settle", lambda: None)
    monkeypatch.setattr(storm, "play", lambda *_: GOOD["storm"])
    monkeypatch.setattr(crashes, "play", lambda *_: GOOD["crashes"] | {"lost": 1})  # type: ignore[operator]
    return path


def test_the_command_ends_with_1_when_a_bar_is_missed_and_keeps_what_other_parts_said(report: Path) -> None:
    assert command.main(["storm"]) == 0
    assert command.main(["crashes"]) == 1
    assert set(json.loads(report.read_text())) == {"storm", "crashes"}


def test_people_read_the_bars_and_how_they_were_met() -> None:
    console = Console(record=True, width=120)
    show(GOOD, console)
    text = console.export_text()
    assert "repaired without a person" in text
    assert "killed 1000 times" in text


@pytest.mark.parametrize(
    ("begins", "minutes", "ends"),
    [
        ("2026-06-01T09:00", 30, "2026-06-01T09:30"),
        ("2026-06-01T17:50", 30, "2026-06-02T08:20"),
        ("2026-06-05T17:50", 30, "2026-06-08T08:20"),
        ("2026-06-06T12:00", 30, "2026-06-08T08:30"),
        ("2026-06-01T03:00", 30, "2026-06-01T08:30"),
    ],
)
def test_people_work_in_office_hours(begins: str, minutes: float, ends: str) -> None:
    begin, end = (datetime.fromisoformat(text).replace(tzinfo=timezone.utc) for text in (begins, ends))
    assert working_time(begin, minutes) == end


def test_models_are_never_loaded_from_a_folder_that_others_can_write_to(tmp_path: Path) -> None:
    open_to_all = tmp_path / "open"
    open_to_all.mkdir()
    open_to_all.chmod(0o777)
    with pytest.raises(SystemExit, match="not this user's alone"):
        private(open_to_all)
