"""``report``: what failed, what was done about it, what it saved, and where it should become better."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from airflow_oncall.cli.definition import REPORT_LINES
from airflow_oncall.cli.terminal import command
from airflow_oncall.store import open_store

if TYPE_CHECKING:
    from airflow_oncall.reports.findings import Findings


@command
def report(args: argparse.Namespace) -> int:
    """``report``"""
    from airflow_oncall.reports.findings import findings

    store = open_store(patience=60)
    found = findings(store, args.days)
    with _opened(args.output) as out:
        if args.format == "html":
            from airflow_oncall.reports.page import html

            out.write(html(found))
        elif args.format == "json":
            limit = args.limit if args.limit is not None else sys.maxsize
            whole = store.report.summary(limit) | {"findings": found.plain()}
            out.write(json.dumps(whole, indent=2, default=str, ensure_ascii=False) + "\n")
        else:
            limit = args.limit if args.limit is not None else REPORT_LINES
            _print(Console(file=out, soft_wrap=bool(args.output)), found, store.report.incidents(limit))
    return 0


@contextmanager
def _opened(path: str | None) -> Iterator[IO[str]]:
    if path is None:
        yield sys.stdout
        return
    with Path(path).open("w", encoding="utf-8") as file:
        yield file


def _print(out: Console, found: Findings, incidents: list[dict[str, Any]]) -> None:
    out.print(Text(f"{found.since:%Y-%m-%d} to {found.until:%Y-%m-%d %H:%M} UTC", style="bold"))
    for line in _headline(found):
        out.print(Text(line))
    _say(out, "Where it should become better", found.improve or ["Nothing stands out."])
    _show(out, "top causes", ("category", "incidents"), list(found.by_category.items())[:10])
    again = [
        (one.category or "not diagnosed yet", one.fingerprint, one.number, one.tasks, one.last_id) for one in found.causes if one.number > 1
    ]
    _show(out, "the same failure again and again", ("category", "fingerprint", "incidents", "tasks", "newest"), again[:10])
    for title, noisy in (("noisy tasks", found.noisy), ("flapping tasks", found.flapping)):
        tasks = [(f"{one.dag_id}.{one.task_id}", one.number, one.recovered) for one in noisy]
        _show(out, title, ("task", "incidents", "recovered"), tasks)
    ends = [(one.action, one.tried, one.helped, f"{one.low:.0%} to {one.high:.0%}") for one in found.actions]
    _show(out, "how actions ended", ("action", "tried", "helped", "share (95 %)"), ends)
    _show(out, "models", ("model", "trained", "promoted", "macro-F1", "ECE"), _models(found))
    moved = [(one.category, one.action, one.base, one.auto, one.reason) for one in found.bars]
    _show(out, "thresholds that outcomes moved", ("category", "action", "policy", "now", "why"), moved)
    if found.labels:
        out.print(Text("Learned from: " + ", ".join(f"{number} {name}" for name, number in found.labels.items())))
    _show(out, "newest incidents", ("task instance", "category", "decision", "action", "outcome", "state"), map(_incident, incidents))


def _headline(found: Findings) -> Iterator[str]:
    yield f"{found.opened:,} incidents opened, {found.open:,} open now."
    if found.repair_rate is not None:
        yield f"{found.repair_rate:.0%} of {found.repairs:,} repairs helped."
    times = {"with an action": found.mttr_minutes.with_action, "without": found.mttr_minutes.without}
    known = [f"{minutes:g} min {how}" for how, minutes in times.items() if minutes is not None]
    if known:
        yield f"From a failure to the success after it: {', '.join(known)} (mean)."
    minutes = "" if found.minutes_saved is None else f", about {found.minutes_saved:,.0f} min"
    yield f"{found.tries_saved:,} tries were saved by telling people instead of trying again{minutes}."


def _models(found: Findings) -> Iterator[tuple[str, ...]]:
    for one in found.versions[:5]:
        state = "rolled back" if one.withdrawn_at else f"{one.promoted_at:%Y-%m-%d}" if one.promoted_at else "no"
        figures = (f"{one.figures[name]:.3f}" if name in one.figures else "" for name in ("macro_f1_lenient", "ece"))
        yield (f"{one.name} {one.version}", f"{one.trained_at:%Y-%m-%d}", state, *figures)


def _incident(one: dict[str, Any]) -> tuple[str, ...]:
    mapped = f"[{one['map_index']}]" if one["map_index"] >= 0 else ""
    words = (str(one[field] or "") for field in ("category", "decision", "action", "outcome", "state"))
    return (f"{one['dag_id']}.{one['task_id']}{mapped}", *words)


def _say(out: Console, title: str, lines: Iterable[str]) -> None:
    out.print(Text(title, style="bold"))
    for line in lines:
        out.print(Text(f"- {line}"))


def _show(out: Console, title: str, columns: Iterable[str], rows: Iterable[Iterable[object]]) -> None:
    """A table; nothing where it has no rows. Names come from outside: none of them is markup."""
    table = Table(*columns, title=title, title_justify="left")
    for row in rows:
        table.add_row(*(Text(str(one)) for one in row))
    if table.row_count:
        out.print(table)
