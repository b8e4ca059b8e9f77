"""A simulated month: the same troubles for this project, for blind retries, and for nobody."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from airflow_oncall.act.policy_file import read_policy
from simulator import baselines
from simulator.clock import START, SimulatedClock, running_on
from simulator.course import AUTO, Course, Story
from simulator.people import People
from simulator.site import draw_site
from simulator.triage import Triage, new_store, next_tick, simulated_brain
from simulator.wire import api_over, into

AT_ONCE = timedelta(seconds=2)
"""From a failure to the tick that the AssetWatcher starts."""
EVERY = timedelta(minutes=2)
"""Between two ticks at least, while a repair is under way. The real ones come every minute."""
AFTERWARDS = timedelta(days=1)
"""What began on the last day may end."""
Say = Callable[[str], None]


@dataclass(frozen=True)
class Settings:
    """What a month is played with."""

    days: float = 30
    seed: int = 1
    passing: float = 1.0
    """Weight of troubles that pass by themselves, against docs/simulator.md."""
    rules_only: bool = False
    database: str | None = None
    """URL of an empty PostgreSQL database; SQLite without one."""


def play(settings: Settings, say: Say = lambda text: None) -> dict[str, Any]:
    """Play it and give the figures."""
    began, clock = time.monotonic(), SimulatedClock()
    site = draw_site(settings.days, settings.seed, settings.passing)
    with new_store(settings.database) as store, running_on(clock):
        course = Course(site, clock, store)
        api = api_over(into(course.airflow))
        people = People(course, store, api, settings.seed)
        triage = Triage(store, api, simulated_brain(rules_only=settings.rules_only), read_policy(store))
        ticks = drive(course, people, triage, site.ends_at + AFTERWARDS, say)
        stories = list(course.stories.values())
        states = Counter(store.reading.count_by("state"))
    figures = judge(stories) | {"runs": site.runs, "ticks": ticks, "answers_of_people": people.answered, "incident_states": dict(states)}
    return figures | {"seconds": round(time.monotonic() - began, 1)}


def drive(course: Course, people: People, triage: Triage, ends_at: datetime, say: Say = lambda text: None) -> int:
    """Events and ticks in turn until the end; the number of ticks."""
    ticks, day, next_at = 0, 0, course.clock.at
    while course.clock.at < ends_at:
        course.advance_to(min(next_at, ends_at))
        if course.news:
            course.news = False
            course.advance_to(course.clock.at + AT_ONCE)
        last_tick = course.clock.at
        triage.tick()
        triage.look_after_models()
        ticks += 1
        course.notice_clears()
        people.notice_questions()
        next_at = next_tick(triage.store, last_tick, EVERY)
        if (course.clock.at - START).days > day:
            day = (course.clock.at - START).days
            say(f"day {day}: {len(course.stories)} task instances in trouble, {ticks} ticks")
    return ticks


def judge(stories: list[Story]) -> dict[str, Any]:
    """The figures of a month."""
    failed = [story for story in stories if story.failed_at]
    repairable = [story for story in failed if _is_repairable(story)]
    repaired = [story for story in repairable if story.succeeded and story.by == AUTO and not story.person_helped]
    actions = [clear for story in stories for clear in story.clears if clear.by == AUTO]
    wrong = sum(_wrong(story) for story in stories)
    plans = [story.plan for story in stories]
    blind, nobody = baselines.blind(plans), baselines.nobody(plans)
    ours, theirs = sum(story.wasted_minutes for story in stories), sum(one.wasted_minutes for one in blind)
    saved_by_blind = sum(replay.succeeded for story, replay in zip(stories, blind, strict=True) if story in repairable)
    return {
        "in_trouble": len(stories),
        "failed": len(failed),
        "repairable": len(repairable),
        "repaired": len(repaired),
        "repaired_share": _share(len(repaired), len(repairable)),
        "repaired_share_blind": _share(saved_by_blind, len(repairable)),
        "self_healed": sum(one.succeeded for one in nobody),
        "auto_actions": len(actions),
        "wrong_actions": wrong,
        "wrong_action_share": _share(wrong, len(actions)),
        "failed_action_share": _share(sum(story.failed_clears for story in stories), len(actions)),
        "rerun_minutes": round(sum(story.rerun_minutes for story in stories)),
        "rerun_minutes_blind": round(sum(one.rerun_minutes for one in blind)),
        "wasted_minutes": round(ours),
        "wasted_minutes_blind": round(theirs),
        "wasted_minutes_nobody": round(sum(one.wasted_minutes for one in nobody)),
        "compute_saved_share": round(1 - ours / theirs, 4) if theirs else 0.0,
        "by_process": _by_process(failed, repaired),
    }


def _is_repairable(story: Story) -> bool:
    assert story.failed_at is not None
    return not story.plan.by_hand and story.plan.trouble.is_repairable(story.failed_at)


def _wrong(story: Story) -> int:
    """Automatic actions on what no re-run mends, or on what was not to be repaired."""
    automatic = sum(clear.by == AUTO for clear in story.clears)
    if story.plan.by_hand:
        return automatic
    return story.failed_clears if story.failed_at and not _is_repairable(story) else 0


def _by_process(failed: list[Story], repaired: list[Story]) -> dict[str, dict[str, int]]:
    found: dict[str, Counter[str]] = {}
    done = {story.plan.ref for story in repaired}
    for story in failed:
        line = found.setdefault(story.plan.trouble.process.name, Counter())
        line["failed"] += 1
        line["repairable"] += _is_repairable(story)
        line["repaired"] += story.plan.ref in done
        line["auto"] += sum(clear.by == AUTO for clear in story.clears)
        line["wrong"] += _wrong(story)
    return {name: dict(line) for name, line in sorted(found.items())}


def _share(part: int, whole: int) -> float:
    return round(part / whole, 4) if whole else 0.0
