"""``airflow oncall experiments list|start|stop|results``: which of several actions helps most, and what repairs gain."""

from __future__ import annotations

import argparse
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from airflow_oncall.act.assignment import LEFT_OUT, ArmEstimate, arms_of, standings
from airflow_oncall.act.policy_file import read_policy
from airflow_oncall.cli.terminal import command, print_json, this_user
from airflow_oncall.errors import OnCallError
from airflow_oncall.feedback import reason_of
from airflow_oncall.gain import Gain, gain_of
from airflow_oncall.store import open_store
from airflow_oncall.store.experiments import Experiment
from airflow_oncall.store.records import now
from airflow_oncall.store.sql import Store

NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,49}")


@command
def list_experiments(args: argparse.Namespace) -> int:
    """``experiments list``"""
    found = open_store().experiments.all()
    if args.format == "json":
        print_json([asdict(one) for one in found])
        return 0
    table = Table("name", "category", "fingerprint", "arms", "assignment", "since (UTC)", "until (UTC)", "by", "why")
    for one in found:
        until = f"{one.stopped_at:%Y-%m-%d %H:%M}" if one.stopped_at else "running"
        about = (one.name, one.category, one.fingerprint, ", ".join(one.arms), one.assignment)
        table.add_row(*map(Text, (*about, f"{one.started_at:%Y-%m-%d %H:%M}", until, one.started_by, one.detail)))
    Console().print(table)
    return 0


@command
def start(args: argparse.Namespace) -> int:
    """``experiments start``"""
    store = open_store()
    arms = _arms(store, args.category, args.arms)
    if not NAME.fullmatch(args.name):
        raise OnCallError(f"{args.name!r} is no name of an experiment; use up to 50 small letters, digits, - and _")
    by, why = args.user or this_user(), reason_of(args.reason)
    experiment = Experiment(args.name, args.category, arms, args.assignment, by, now(), args.fingerprint or "", detail=why)
    store.experiments.start(experiment)
    about = f"{args.category} with fingerprint {args.fingerprint}" if args.fingerprint else args.category
    print(f"{args.name} has begun: {' against '.join(arms)} for {about}, inside the policy's bars, budgets and guards.")
    return 0


@command
def stop(args: argparse.Namespace) -> int:
    """``experiments stop``"""
    ended = open_store().experiments.stop(args.name, args.user or this_user(), reason_of(args.reason))
    print(f"{ended.name} is over; `airflow oncall experiments results {ended.name}` shows what came of it.")
    return 0


@command
def results(args: argparse.Namespace) -> int:
    """``experiments results``"""
    store = open_store()
    chosen = [_named(store, args.name)] if args.name else [one for one in store.experiments.all() if one.stopped_at is None]
    found = {one.name: standings(store.experiments.counts(one)) for one in chosen}
    gain = None if args.name else gain_of(store)
    if args.format == "json":
        shown = {name: [_plain(one) for one in ranked] for name, ranked in found.items()}
        print_json(shown if args.name else {"experiments": shown, "holdout": _plain(gain) if gain else None})
        return 0
    _print(Console(soft_wrap=True), chosen, found, gain)
    return 0


def _arms(store: Store, category: str, named: Sequence[str] | None) -> tuple[str, ...]:
    """The arms, each of which the policy's rule of the category has to allow."""
    rule = read_policy(store).categories.get(category)
    allowed = arms_of(rule) if rule else ()
    arms = tuple(dict.fromkeys(named or allowed))
    wrong = [arm for arm in arms if arm not in allowed]
    if wrong:
        known = ", ".join(allowed) or "none"
        raise OnCallError(f"{wrong[0]!r} may be no arm: categories.{category} of policy.yaml allows {known}; see its alternatives")
    if len(arms) < 2:
        raise OnCallError(f"an experiment needs two arms; name what {category} may be repaired with in alternatives of policy.yaml")
    return arms


def _named(store: Store, name: str) -> Experiment:
    found = store.experiments.get(name)
    if found is None:
        raise OnCallError(f"there is no experiment {name!r}; `airflow oncall experiments list` shows those there are")
    return found


def _plain(value: Any) -> Any:
    """Named tuples as objects."""
    if hasattr(value, "_asdict"):
        return {name: _plain(part) for name, part in value._asdict().items()}
    return round(value, 4) if isinstance(value, float) else value


def _print(out: Console, chosen: Sequence[Experiment], found: Mapping[str, Sequence[ArmEstimate]], gain: Gain | None) -> None:
    if not chosen:
        out.print(Text("No experiment is running."))
    for one in chosen:
        table = Table("arm", "helped", "did not", "under way", "not done", "helps (95 %)", "the best", title=f"{one.name}: {one.category}")
        for arm in found[one.name]:
            done = (arm.counts.successes, arm.counts.failures, arm.counts.under_way, arm.counts.not_done)
            table.add_row(arm.arm, *map(str, done), f"{arm.mean:.0%} ({arm.low:.0%} to {arm.high:.0%})", f"{arm.best:.0%}")
        out.print(table)
    if gain:
        out.print(Text("Hold-out: what repairs gain", style="bold"))
        for line in _told(gain):
            out.print(Text(line))


def _told(gain: Gain) -> list[str]:
    hours = LEFT_OUT.total_seconds() / 3600
    lines = [
        f"{name}: {counts.successes} of {counts.successes + counts.failures} succeeded within {hours:g} h"
        for name, counts in (("repaired", gain.repaired), ("left out", gain.left_out))
    ]
    took = [f"{name.replace('_', ' ')} {minutes:g} min" for name, minutes in gain.minutes.items() if minutes is not None]
    found = gain.difference
    points = [round(100 * value) for value in found]
    lines.append(f"Repairs make {points[0]:+d} percentage points of difference (95 %: {points[1]:+d} to {points[2]:+d}).")
    return [*lines, *([f"Median time from the decision to the success: {', '.join(took)}."] if took else [])]
