"""``make bench``: measure, print, and write ``bench-report.json`` as ``{name: {value, unit, peer, ratio}}``."""

from __future__ import annotations

import json
import logging
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
REPORT = ROOT / "bench-report.json"


def main() -> int:
    """Run every benchmark in a home of its own."""
    sys.path.insert(0, str(ROOT / "plugins"))  # the package is not installed in a checkout
    logging.disable(logging.WARNING)  # a spooled failure is logged; the terminal is not what is measured
    from benchmarks import capture

    with tempfile.TemporaryDirectory(prefix="oncall-bench-") as home:
        results = capture.measure(Path(home))
    width = max(map(len, results))
    for name, one in results.items():
        print(f"{name:{width}}  {one['value']:9.2f} {one['unit']}  peer {one['peer']:8.2f} {one['unit']}  ratio {one['ratio']:8.2f}")
    REPORT.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
