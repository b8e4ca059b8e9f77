"""``make bench``: measure, print, and write ``bench-report.json`` as ``{name: {value, unit, peer, ratio}}``.

``python -m benchmarks classify training`` measures these two only; what the report says of other suites stays.
"""

from __future__ import annotations

import argparse
import importlib
import json
import logging
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
REPORT = ROOT / "bench-report.json"
SUITES = ("alarms", "capture", "claims", "classify", "ingest", "knowledge", "pages", "scan", "storm", "tick", "training")


def main(arguments: list[str] | None = None) -> int:
    """Run the suites, each in a home of its own."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measure against a peer in the same run.")
    parser.add_argument("suites", nargs="*", metavar="SUITE", help=f"{', '.join(SUITES)}; all if none is named")
    chosen = parser.parse_args(arguments).suites or list(SUITES)
    if unknown := set(chosen) - set(SUITES):
        parser.error(f"unknown: {', '.join(sorted(unknown))}; the suites are {', '.join(SUITES)}")
    sys.path.insert(0, str(ROOT / "plugins"))  # the package is not installed in a checkout
    logging.disable(logging.WARNING)  # a spooled failure is logged; the terminal is not what is measured
    try:
        results = _measure(chosen)
    finally:
        logging.disable(logging.NOTSET)
    kept = {} if set(chosen) == set(SUITES) else _earlier()
    REPORT.write_text(json.dumps(kept | results, indent=2) + "\n", encoding="utf-8")
    return 0


def _measure(chosen: list[str]) -> dict[str, dict[str, float | str]]:
    results: dict[str, dict[str, float | str]] = {}
    for suite in chosen:
        with tempfile.TemporaryDirectory(prefix="oncall-bench-") as home:
            measured = importlib.import_module(f"benchmarks.{suite}").measure(Path(home))
        for name, one in measured.items():
            peer = f"peer {one['peer']:10.2f} {one['unit']:7}"
            print(f"{name:32}  {one['value']:10.2f} {one['unit']:7}  {peer}  ratio {one['ratio']:8.2f}", flush=True)
        results |= measured
    return results


def _earlier() -> dict[str, dict[str, float | str]]:
    try:
        report = json.loads(REPORT.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return report if isinstance(report, dict) else {}


if __name__ == "__main__":
    raise SystemExit(main())
