"""``python -m lab [ENGINE ...]`` provokes every scenario and writes the corpus; ``--only ID`` shows one scenario's recordings."""

from __future__ import annotations

import argparse
import json
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from types import FrameType

from rich.console import Console

from airflow_oncall.errors import BadDataFile
from lab import catalogues
from lab.engines import ENGINES, open_engine
from lab.engines.base import Engine, NotPossible, NotProvoked
from lab.record import CORPUS, Row, distinct, rows, write
from lab.scenario import Scenario, read_scenarios

CATALOGUES = "catalogues"
NAMES = (*ENGINES, CATALOGUES)
AT_ONCE, LOOK = 2, 0.5
"""Engines that run together; seconds between looks whether one has ended."""


def main() -> int:
    """See the module; the exit status is 1 when a fault did not show, and that engine's corpus is left as it was."""
    parser = argparse.ArgumentParser(prog="python -m lab", description=__doc__)
    parser.add_argument("engines", nargs="*", metavar="ENGINE", help=f"one of {', '.join(NAMES)}; all of them without one")
    parser.add_argument("--only", metavar="ID", help="provoke scenarios whose id contains this, and print what they say")
    given = parser.parse_args()
    if unknown := set(given.engines) - set(NAMES):
        parser.error(f"unknown engine {', '.join(sorted(unknown))}; the engines are {', '.join(NAMES)}")
    signal.signal(signal.SIGTERM, _end)
    if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:  # nohup: what is provoked would ignore it too, a handler is not inherited
        signal.signal(signal.SIGHUP, lambda _number, _frame: None)
    console = Console()
    wanted = tuple(given.engines or NAMES)
    if given.only:
        results = [show(name, given.only, console) for name in wanted]
    else:
        results = side_by_side(wanted) if len(wanted) > 1 else [record(wanted[0], console)]
    if failed := [name for name, went_well in zip(wanted, results, strict=True) if not went_well]:
        console.print(f"not recorded, see above: {', '.join(failed)}", style="red")
    return 1 if failed else 0


def side_by_side(names: Sequence[str]) -> list[bool]:
    """Record each in a process of its own, :data:`AT_ONCE` at a time, as much of the work is waiting; whether each went well."""
    told: list[int] = []
    # Noted instead of raised: a process that is just being started must be ended too.
    signal.signal(signal.SIGTERM, lambda number, _frame: told.append(number))
    waiting, running, went_well = list(names), dict[str, subprocess.Popen[bytes]](), dict[str, bool]()
    try:
        while (waiting or running) and not told:
            while waiting and len(running) < AT_ONCE:
                name = waiting.pop(0)
                running[name] = subprocess.Popen([sys.executable, "-m", "lab", name])
            time.sleep(LOOK)
            for name in [name for name, process in running.items() if process.poll() is not None]:
                went_well[name] = running.pop(name).returncode == 0
    finally:
        for process in running.values():
            process.terminate()
        for process in running.values():
            process.wait()
    if told:
        sys.exit(128 + told[0])
    return [went_well[name] for name in names]


def _end(number: int, _frame: FrameType | None) -> None:
    """Unwind, so that servers end and mounts go."""
    signal.signal(number, signal.SIG_IGN)
    sys.exit(128 + number)


def record(name: str, console: Console) -> bool:
    """Write one corpus file; whether all went well. Where a fault does not show the file is left as it was."""
    started = time.monotonic()
    try:
        found = list(catalogues.made()) if name == CATALOGUES else _provoked(name, list(read_scenarios(name)), console)
    except (BadDataFile, NotProvoked) as error:
        console.print(f"{name}: {error}", style="red", markup=False)
        return False
    kept = distinct(found)
    path = write(name, kept)
    minutes, size = (time.monotonic() - started) / 60, path.stat().st_size / 1e6
    console.print(f"{name}: {len(kept)} rows, {len(found) - len(kept)} of the same text left out, {size:.2f} MB, {minutes:.1f} minutes")
    return True


def _provoked(name: str, scenarios: list[Scenario], console: Console) -> list[Row]:
    """Rows of all scenarios. Raises :class:`NotProvoked` at the end with every one that did not show its fault."""
    found: list[Row] = []
    missed: list[str] = []
    with open_engine(name) as engine:
        for number, scenario in enumerate(scenarios, 1):
            made, problem = _recorded(f"{name} {number}/{len(scenarios)}", name, engine, scenario, console)
            found += made
            missed += [problem] if problem else []
    if missed:
        raise NotProvoked("\n\n".join(missed))
    return found


def _recorded(place: str, name: str, engine: Engine, scenario: Scenario, console: Console) -> tuple[list[Row], str]:
    """A scenario's rows, or why there are none; rows recorded elsewhere stay where this machine cannot provoke it."""
    started, problem = time.monotonic(), ""
    try:
        made = list(rows(name, engine, scenario))
        told = f"{len(made)} rows"
    except NotPossible as error:
        made = _shipped(name, scenario)
        told = f"skipped, its {len(made)} shipped rows stay: {error}"
    except NotProvoked as error:
        made, told, problem = [], "does not show its fault", str(error)
    console.print(f"{place} {scenario.id}: {told}, {time.monotonic() - started:.1f} s", markup=False, highlight=False)
    return made, problem


def _shipped(name: str, scenario: Scenario) -> list[Row]:
    path = CORPUS / f"{name}.jsonl"
    lines = path.read_text(encoding="utf-8").split("\n") if path.exists() else ()
    return [one for one in map(json.loads, filter(None, lines)) if one["provenance"]["scenario"] == scenario.id]


def show(name: str, wanted: str, console: Console) -> bool:
    """Print the rows of the scenarios whose id contains ``wanted``, and write nothing; whether they show their faults."""
    scenarios = [one for one in read_scenarios(name) if wanted in one.id] if name in ENGINES else []
    if not scenarios:
        return True
    try:
        with open_engine(name) as engine:
            for made in (made for scenario in scenarios for made in rows(name, engine, scenario)):
                place = made["provenance"]
                console.rule(f"{place['scenario']} {place['variation']} · {place['view']} · {place['surroundings']} · {place['made']}")
                console.print(made["text"], markup=False, highlight=False)
                console.print(str(made["identifiers"]), markup=False, style="dim")
    except (NotPossible, NotProvoked) as error:
        console.print(str(error), markup=False, style="red")
        return False
    return True


if __name__ == "__main__":
    sys.exit(main())
