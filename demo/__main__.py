"""``python -m demo [--keep]``, started by ``make demo``."""

from __future__ import annotations

import argparse
import sys

import httpx

from demo.deployment import ROOT, DeploymentError


def main() -> int:
    """Parse the command line and play the demo."""
    parser = argparse.ArgumentParser(prog="demo", description="Real Airflow, real faults, and airflow-oncall looking after them.")
    parser.add_argument("--keep", action="store_true", help="leave Airflow up and print its URL until Ctrl-C")
    keep = parser.parse_args().keep
    sys.path.insert(0, str(ROOT / "plugins"))  # the package is not installed here, Airflow finds it in its plugins folder
    from airflow_oncall.errors import OnCallError
    from demo.run import run

    try:
        return run(keep=keep)
    except (DeploymentError, OnCallError, httpx.HTTPError) as error:
        print(f"The demo could not go on: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Interrupted; everything was stopped.", file=sys.stderr)
        return 130


if __name__ == "__main__":
    raise SystemExit(main())
