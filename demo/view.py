"""What the demo shows: a live table in a terminal, one line per change elsewhere, and the summary at the end."""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.measure import Measurement
from rich.padding import Padding
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from demo.expectations import Expectation, incident_problems, incidents_of

Incidents = Sequence[Mapping[str, Any]]

STYLES = {
    "resolved": "green",
    "self_healed": "green",
    "success": "green",
    "escalated": "yellow",
    "escalate": "yellow",
    "ask": "magenta",
    "asked": "magenta",
    "failed_same": "red",
    "failed_other": "red",
}
HEADINGS = ("", "task instance", "fault", "category", "sure", "decision", "action", "outcome", "state", "acted")
LEFT_OUT = ("fault", "action", "outcome", "sure", "acted")
"""Columns a narrow terminal goes without, in this order."""
NUMBERS = ("sure", "acted")
LOG_WIDTH = 160


class View:
    """Everything the demo prints goes through here. Use it as a context manager around the time things change."""

    def __init__(self, expectations: Sequence[Expectation], console: Console | None = None) -> None:
        self.console = console or _console()
        self._expectations = expectations
        self._started_at = time.monotonic()
        self._step = ""
        self._shown: dict[str, str] = {}
        self._runs: Mapping[str, str] = {}
        self._incidents: Incidents = ()
        self._spinner = Spinner("dots")
        self._live = Live(console=self.console, get_renderable=self._screen, refresh_per_second=4, transient=True)

    def __enter__(self) -> View:
        if self.console.is_terminal:
            self._live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._live.stop()

    @property
    def elapsed(self) -> float:
        """Seconds since the demo began."""
        return time.monotonic() - self._started_at

    def step(self, text: str) -> None:
        """What is going on now."""
        self._step = text
        if not self.console.is_terminal:
            self._print_line(text)

    def update(self, runs: Mapping[str, str], incidents: Incidents) -> None:
        """``runs`` maps the DAGs that were triggered to their run_ids."""
        self._runs, self._incidents = runs, incidents
        if self.console.is_terminal:
            return
        for expectation in self._expectations:
            line = self._change(expectation)
            if line != self._shown.get(expectation.name, ""):
                self._shown[expectation.name] = line
                self._print_line(f"{expectation.name:<38} {line}")

    def summary(self, incidents: Incidents, problems: Mapping[str, Sequence[str]]) -> None:
        """The table of what became of every fault, and what differs from what was expected."""
        self._incidents = incidents
        self.console.print(Padding(self._table(problems), (1, 0), expand=False))
        seconds = [incident["seconds_to_action"] for incident in incidents if incident["seconds_to_action"] is not None]
        if seconds:
            self.console.print(
                f"  From failure to cleared task instance: median {statistics.median(seconds):.1f} s, worst {max(seconds):.1f} s."
            )
        for name, sentences in problems.items():
            self.console.print(Text(f"  {name}", "bold red"))
            for sentence in sentences:
                self.console.print(Text(f"    {sentence}", "red"), soft_wrap=True)

    def _print_line(self, text: str) -> None:
        self.console.print(f"[{self.elapsed:5.1f} s] {text}".rstrip(), markup=False, soft_wrap=True)

    def _change(self, expectation: Expectation) -> str:
        mine = incidents_of(expectation, self._incidents)
        if not mine:
            return "running" if expectation.dag_id in self._runs else ""
        known = [mine[0][field] for field in ("state", "category", "decision", "action", "outcome")]
        return ", ".join(str(value) for value in known if value)

    def _screen(self) -> RenderableType:
        self._spinner.update(text=Text(f"{self.elapsed:4.0f} s  {self._step}", "bold"))
        return Group(Padding(self._spinner, (1, 0)), self._table({}) if self._runs else Text())

    def _table(self, problems: Mapping[str, Sequence[str]]) -> Table:
        rows = [self._row(expectation, failed=bool(problems.get(expectation.name))) for expectation in self._expectations]
        wide = self.console.options.update(max_width=LOG_WIDTH)
        for count in range(len(LEFT_OUT) + 1):
            table = _table_of(rows, [heading for heading in HEADINGS if heading not in LEFT_OUT[:count]])
            if Measurement.get(self.console, wide, table).maximum <= self.console.width:
                break
        return table

    def _row(self, expectation: Expectation, failed: bool) -> dict[str, Text]:
        mine = incidents_of(expectation, self._incidents)
        row = {"task instance": Text(expectation.name.removeprefix("demo_")), "fault": Text(expectation.fault, "dim")}
        if not mine:
            state = "running" if expectation.dag_id in self._runs else "to come"
            return {**row, "": _mark("·", failed), "state": Text(state, "dim")}
        incident = mine[0]
        return {
            **row,
            **{field: _word(incident[field]) for field in ("category", "decision", "action", "outcome", "state")},
            "": _mark("·" if incident_problems(expectation, self._incidents) else "✓", failed),
            "sure": _number("{:.0%}", incident["confidence"]),
            "acted": _number("{:.1f} s", incident["seconds_to_action"]),
        }


def _table_of(rows: Sequence[Mapping[str, Text]], headings: Sequence[str]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim")
    for heading in headings:
        table.add_column(heading, no_wrap=True, overflow="ellipsis", justify="right" if heading in NUMBERS else "left")
    for row in rows:
        table.add_row(*(row.get(heading, "") for heading in headings))
    return table


def _console() -> Console:
    """A log file has no width of its own; what is written there shall be whole."""
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=LOG_WIDTH)


def _mark(mark: str, failed: bool) -> Text:
    return Text("✗", "bold red") if failed else Text(mark, "green" if mark == "✓" else "dim")


def _word(value: str | None) -> Text:
    return Text((value or "").replace("_", " "), STYLES.get(value or "", "default"))


def _number(form: str, value: float | None) -> Text:
    return Text("" if value is None else form.format(value))
