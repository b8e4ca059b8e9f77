"""Causes of failure: drawn once, the same for everybody, and ended by what the table says."""

from __future__ import annotations

import random
from datetime import timedelta

import pytest
from simulator.causes import HORIZON, PROCESSES, Process, Trouble, draw
from simulator.clock import START
from simulator.course import AUTO, Clear, Story
from simulator.month import judge
from simulator.site import Plan, draw_site
from simulator.texts import held_out, is_held_out, training_examples

from airflow_oncall.incident import TaskRef
from simulator import baselines

LASTING = Process("a bug", ("code_error", False), 1.0, deceives=0)
MOMENT = Process("a glitch", ("network_connectivity", True), 1.0, again=0.5, deceives=0)
WINDOW = Process("an outage", ("database_connectivity", True), 1.0, lasts=20, deceives=0)


def plan(trouble: Trouble, retries: int = 0, by_hand: bool = False) -> Plan:
    """Ten minutes a try, half of it when it fails."""
    ref = TaskRef("nightly", "scheduled__1", "load")
    return Plan(ref, START, retries, (), trouble, (10.0,) * 12, 0.5, voiceless=False, by_hand=by_hand, reaction_minutes=60)


def trouble(process: Process = LASTING, **what: object) -> Trouble:
    return Trouble(process, "a text", **what)  # type: ignore[arg-type]


def test_the_shares_of_all_causes_make_a_whole() -> None:
    assert sum(process.share for process in PROCESSES) == pytest.approx(1)


def test_every_cause_has_texts_that_training_does_not_see() -> None:
    assert all(held_out()[process.kind] for process in PROCESSES)
    assert not any(is_held_out(example.group) for example in training_examples())


def test_a_lasting_cause_fails_at_every_try_and_nothing_repairs_it() -> None:
    drawn = draw(LASTING, START, random.Random(1))
    assert all(drawn.fails(nth, START + timedelta(days=nth)) for nth in range(1, 9))
    assert not drawn.is_repairable(START)


def test_a_moments_trouble_is_over_after_some_tries() -> None:
    drawn = draw(MOMENT, START, random.Random(1))
    assert drawn.fails(1, START)
    assert not drawn.fails(drawn.bad_tries + 1, START)
    assert drawn.is_repairable(START)


def test_a_window_ends_by_itself_and_is_repairable_only_within_the_horizon() -> None:
    drawn = draw(WINDOW, START, random.Random(1))
    assert drawn.until is not None
    assert drawn.fails(9, drawn.until - timedelta(seconds=1))
    assert not drawn.fails(1, drawn.until)
    assert drawn.is_repairable(START)
    assert not drawn.is_repairable(drawn.until - HORIZON - timedelta(seconds=1))


def test_want_of_memory_is_ended_by_memory_alone() -> None:
    assert trouble(memory=1.9).fails(7, START, memory=1.5)
    assert not trouble(memory=1.9).fails(7, START, memory=2.0)


def test_some_texts_mislead_in_both_directions() -> None:
    dice = random.Random(1)
    misled = Process("a lie", ("network_connectivity", True), 1.0, again=0.1, deceives=1)
    passes = Process("a lie", ("code_error", False), 1.0, deceives=1)
    assert draw(misled, START, dice).lasting
    assert draw(passes, START, dice).is_repairable(START)


def test_blind_retries_waste_three_tries_on_what_lasts() -> None:
    found = baselines.replay(plan(trouble(lasting=True)), baselines.BLIND)
    assert not found.succeeded
    assert found.wasted_minutes == found.rerun_minutes == 15


def test_blind_retries_waste_nothing_on_a_moments_trouble() -> None:
    found = baselines.replay(plan(trouble(bad_tries=1)), baselines.BLIND)
    assert found.succeeded
    assert (found.rerun_minutes, found.wasted_minutes) == (10, 0)


def test_the_same_seed_draws_the_same_site() -> None:
    assert draw_site(1, 7) == draw_site(1, 7)
    assert draw_site(1, 7) != draw_site(1, 8)


def test_more_weight_on_passing_causes_means_more_of_them() -> None:
    few, many = (sum(one.trouble.process.passes for one in draw_site(5, 1, passing).plans) for passing in (0.2, 5))
    assert few < many


def cleared(by: str) -> Clear:
    return Clear(TaskRef("nightly", "scheduled__1", "load"), 1, 1, START, START, by)


def test_an_automatic_clear_of_what_lasts_is_wrong() -> None:
    story = Story(plan(trouble(lasting=True)), by=AUTO, failed_at=START, clears=[cleared(AUTO)], failed_clears=1)
    assert judge([story])["wrong_actions"] == 1


def test_an_automatic_clear_of_what_a_person_wanted_failed_is_wrong() -> None:
    story = Story(plan(trouble(bad_tries=1), by_hand=True), by=AUTO, failed_at=START, clears=[cleared(AUTO)])
    assert judge([story])["wrong_actions"] == 1


def test_a_repair_that_a_person_helped_with_does_not_count() -> None:
    alone = Story(plan(trouble(bad_tries=1)), by=AUTO, failed_at=START, succeeded=True)
    helped = Story(plan(trouble(bad_tries=1)), by=AUTO, failed_at=START, succeeded=True, person_helped=True)
    figures = judge([alone, helped])
    assert figures["repairable"] == 2
    assert figures["repaired_share"] == 0.5
