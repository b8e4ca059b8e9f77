"""``make simulate``: a month, a storm and many crashes, checked against their bars; ``python -m simulator month`` plays one of them."""

from __future__ import annotations

import argparse
import json
import logging
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from rich.console import Console

ROOT = Path(__file__).resolve().parents[1]
REPORT = ROOT / "simulation-report.json"
PARTS = ("month", "storm", "crashes")
OF_A_MONTH = ("repaired_share", "compute_saved_share", "wrong_action_share")


def main(arguments: list[str] | None = None) -> int:
    """Play what is asked for; 1 when a bar is missed."""
    options = _parser().parse_args(arguments)
    sys.path.insert(0, str(ROOT / "plugins"))  # the package is not installed in a checkout
    from simulator.home import settle

    settle()
    from simulator.report import missed, show

    logging.disable(logging.WARNING)  # the simulated trouble is logged, too; the terminal is for the figures
    console = Console()
    try:
        report = _earlier() if options.parts else {}
        for part in options.parts or PARTS:
            report |= _play(part, options, lambda text, part=part: console.print(f"{part}: {text}", style="dim"))  # type: ignore[misc]
    finally:
        logging.disable(logging.NOTSET)
    REPORT.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    show(report, console)
    return 1 if missed(report) else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m simulator", description="The real triage code against a simulated Airflow.")
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], metavar="PART", help=f"{', '.join(PARTS)}; all if none is named")
    parser.add_argument("--days", type=float, default=30, help="length of the month (30)")
    parser.add_argument("--passing", type=float, default=1.0, help="weight of causes that pass by themselves (1.0)")
    parser.add_argument("--size", type=int, default=10_000, help="failed task instances of the storm (10000)")
    parser.add_argument("--kills", type=int, default=1_000, help="how often triage is killed (1000)")
    parser.add_argument("--seed", type=int, default=1, help="another seed draws another month (1)")
    parser.add_argument("--rules", action="store_true", help="rules alone diagnose, without models")
    parser.add_argument("--database", help="URL of an empty PostgreSQL database for the store, for one part; default: SQLite")
    return parser


def _play(part: str, options: argparse.Namespace, say: Callable[[str], None]) -> Mapping[str, Any]:
    if part == "month":
        from simulator import month

        settings = month.Settings(options.days, options.seed, options.passing, options.rules, options.database)
        figures = month.play(settings, say)
        return {name: figures[name] for name in OF_A_MONTH} | {"month": figures}
    if part == "storm":
        from simulator import storm

        return {part: storm.play(options.size, options.database, say)}
    from simulator import crashes

    return {part: crashes.play(options.kills, options.seed, options.database, say)}


def _earlier() -> dict[str, Any]:
    try:
        report = json.loads(REPORT.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return report if isinstance(report, dict) else {}


if __name__ == "__main__":
    raise SystemExit(main())
