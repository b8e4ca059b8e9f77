"""``python -m lab [ENGINE ...]`` provokes every scenario and writes the corpus; ``--only ID`` shows one scenario's recordings."""

from __future__ import annotations

import argparse
import sys

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from lab.engines import ENGINES, open_engine
from lab.record import NotProvoked, Row, recordings, row, rows, write
from lab.scenario import Scenario, read_scenarios


def main() -> int:
    """See the module; the exit status is 1 when a fault did not show, and that engine's corpus is left as it was."""
    parser = argparse.ArgumentParser(prog="python -m lab", description=__doc__)
    parser.add_argument("engines", nargs="*", metavar="ENGINE", help=f"one of {', '.join(ENGINES)}; all of them without one")
    parser.add_argument("--only", metavar="ID", help="provoke scenarios whose id contains this, and print what they say")
    given = parser.parse_args()
    unknown = set(given.engines) - set(ENGINES)
    if unknown:
        parser.error(f"unknown engine {', '.join(sorted(unknown))!s}; the engines are {', '.join(ENGINES)}")
    console = Console()
    try:
        for name in given.engines or ENGINES:
            scenarios = [one for one in read_scenarios(name) if not given.only or given.only in one.id]
            if given.only:
                show(name, scenarios, console)
            elif scenarios:
                console.print(f"{name}: {len(made(name, scenarios, console))} rows")
    except NotProvoked as error:
        console.print(str(error), style="red", markup=False)
        return 1
    return 0


def made(name: str, scenarios: list[Scenario], console: Console) -> list[Row]:
    """Provoke all scenarios of an engine and write its corpus file."""
    columns = (TextColumn("{task.description:40.40}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as progress, open_engine(name) as engine:
        bar = progress.add_task(name, total=len(scenarios))

        def advance(scenario: Scenario, _rows: int) -> None:
            progress.update(bar, advance=1, description=f"{name}: {scenario.id}")

        found = list(rows(name, engine, scenarios, advance))
    write(name, found)
    return found


def show(name: str, scenarios: list[Scenario], console: Console) -> None:
    """Print the rows of some scenarios, and write nothing."""
    with open_engine(name) as engine:
        for scenario in scenarios:
            number = 0
            for variation, values in enumerate(scenario.variations):
                for recording in recordings(engine, scenario, values):
                    made_row = row(name, engine.version, scenario, variation, recording, number)
                    number += 1
                    console.rule(
                        f"{scenario.id} {dict(values)} · {made_row['provenance']['view']} · {made_row['provenance']['surroundings']}"
                    )
                    console.print(made_row["text"], markup=False, highlight=False)
                    console.print(str(made_row["identifiers"]), markup=False, style="dim")


if __name__ == "__main__":
    sys.exit(main())
