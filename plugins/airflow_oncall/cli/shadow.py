"""``airflow oncall shadow-report``: what mode ``auto`` would have done while nothing was done."""

from __future__ import annotations

import argparse
from collections.abc import Mapping

from rich.console import Console
from rich.table import Table
from rich.text import Text

from airflow_oncall.cli.terminal import command, print_json
from airflow_oncall.shadow import REPAIRS, UNKNOWABLE, Hits, Savings, ShadowReport, shadow_report
from airflow_oncall.store import open_store


@command
def shadow(args: argparse.Namespace) -> int:
    """``shadow-report``"""
    found = shadow_report(open_store(), args.days)
    if args.format == "json":
        print_json(found.plain())
    else:
        _print(Console(soft_wrap=True), found)
    return 0


def _print(out: Console, found: ShadowReport) -> None:
    days = f"{found.since:%Y-%m-%d} to {found.until:%Y-%m-%d}"
    out.print(Text(f"{days}: failures decided about in mode shadow: {found.failures}, of which still open: {found.still_open}."))
    if found.self_healed:
        out.print(Text(f"Healed by Airflow's own retries, so that nothing would have been done: {found.self_healed}."))
    if not found.failures:
        return
    out.print(_table("it would", found.would))
    if found.by_category:
        out.print(_table("repairs of", found.by_category))
    for line in _told(found.would[REPAIRS], found.savings):
        out.print(Text(line))
    out.print(Text("What this cannot tell:", style="bold"))
    for line in UNKNOWABLE:
        out.print(Text(f"- {line}"))


def _table(first: str, rows: Mapping[str, Hits]) -> Table:
    table = Table(first, "failures", "re-run succeeded", "failed", "not known", "succeeded (95 %)", "expected")
    for name, hits in rows.items():
        share = "" if hits.share is None else f"{hits.share:.0%} ({hits.low:.0%} to {hits.high:.0%})"
        expected = "" if hits.expected is None else f"{hits.expected:.0%}"
        table.add_row(name, *map(str, (hits.decisions, hits.succeeded, hits.failed, hits.not_known)), share, expected)
    return table


def _told(repairs: Hits, savings: Savings) -> list[str]:
    known = repairs.succeeded + repairs.failed
    lines = [f"Repairs whose re-run is known: {known}, of which right: {repairs.succeeded}."]
    if savings.runs and savings.minutes_without is not None and savings.minutes_with is not None:
        lines.append(
            f"They took {savings.minutes_without:g} min to succeed (median); with us it would have been {savings.minutes_with:g} min. "
            f"Runs would have stood failed for {savings.hours_saved:g} h less."
        )
    lines.append(f"Wrong repairs would have cost {savings.attempt_minutes_spent:g} attempt-minutes.")
    lines.append(
        f"Tries of failures that were a person's, which failed again, took {savings.attempt_minutes_saved:g} attempt-minutes; "
        "a person who had been told the cause would have been spared them."
    )
    return lines
