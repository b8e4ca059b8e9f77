"""The bars, and what people see of a simulation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.table import Table

AT_LEAST, AT_MOST = ">=", "<="


@dataclass(frozen=True)
class Bar:
    """What a figure must reach."""

    name: str
    path: tuple[str, ...]
    sign: str
    limit: float
    is_share: bool = False

    def value(self, report: Mapping[str, Any]) -> float | None:
        """The figure, ``None`` where its part was not simulated."""
        found: Any = report
        for key in self.path:
            found = found.get(key) if isinstance(found, Mapping) else None
        return None if found is None else float(found)

    def holds(self, value: float) -> bool:
        """Whether that is enough."""
        return value >= self.limit if self.sign == AT_LEAST else value <= self.limit

    def shown(self, value: float) -> str:
        """As people read it."""
        return f"{value:.1%}" if self.is_share else f"{value:g}"


BARS = (
    Bar("failed runs repaired without a person, of the repairable", ("repaired_share",), AT_LEAST, 0.56, True),
    Bar("compute saved against blind retries", ("compute_saved_share",), AT_LEAST, 0.50, True),
    Bar("wrong automatic actions", ("wrong_action_share",), AT_MOST, 0.05, True),
    Bar("storm: clears before the probe was verified, at least", ("storm", "clears_before_probe_verified"), AT_LEAST, 1),
    Bar("storm: clears before the probe was verified, at most", ("storm", "clears_before_probe_verified"), AT_MOST, 1),
    Bar("storm: seconds until all is decided", ("storm", "seconds"), AT_MOST, 60),
    Bar("storm: MB of memory at most", ("storm", "peak_mb"), AT_MOST, 400),
    Bar("crashes: kills that the simulated month was too short for", ("crashes", "short_of"), AT_MOST, 0),
    Bar("crashes: failures lost", ("crashes", "lost"), AT_MOST, 0),
    Bar("crashes: cleared twice", ("crashes", "double"), AT_MOST, 0),
    Bar("crashes: beyond a budget", ("crashes", "over_budget"), AT_MOST, 0),
    Bar("crashes: clears in waves, so that their budget was tried", ("crashes", "in_waves"), AT_LEAST, 1),
)


def missed(report: Mapping[str, Any]) -> list[Bar]:
    """Bars whose figure is there and does not reach them."""
    known = ((bar, bar.value(report)) for bar in BARS)
    return [bar for bar, value in known if value is not None and not bar.holds(value)]


def show(report: Mapping[str, Any], console: Console) -> None:
    """The figures against their bars, then how each cause fared."""
    table = Table("figure", "value", "bar", "", title="airflow-oncall, simulated", title_justify="left")
    for bar in BARS:
        value = bar.value(report)
        if value is not None:
            mark = "[green]held[/]" if bar.holds(value) else "[red]missed[/]"
            table.add_row(bar.name, bar.shown(value), f"{bar.sign} {bar.shown(bar.limit)}", mark)
    console.print(table)
    if month := report.get("month"):
        _show_month(month, console)
    if crashes := report.get("crashes"):
        console.print(f"Triage was killed {crashes['n']} times in {crashes['ticks']} ticks; {crashes['clears']} clears were made.")


def _show_month(month: Mapping[str, Any], console: Console) -> None:
    causes = Table("cause", "failed", "repairable", "repaired", "automatic actions", "wrong", title="By cause", title_justify="left")
    for name, line in month["by_process"].items():
        causes.add_row(name, *(str(line[key]) for key in ("failed", "repairable", "repaired", "auto", "wrong")))
    console.print(causes)
    console.print(
        f"{month['runs']} runs, {month['in_trouble']} in trouble, {month['failed']} failed for good, {month['repairable']} repairable:\n"
        f"{month['repaired']} repaired without a person; blind retries would have got {month['repaired_share_blind']:.0%} through.\n"
        f"Re-runs that failed again: {month['wasted_minutes']} minutes, {month['wasted_minutes_blind']} with blind retries, "
        f"{month['wasted_minutes_nobody']} with what authors wrote. Automatic actions that did not help: "
        f"{month['failed_action_share']:.0%}; people answered {month['answers_of_people']} questions."
    )
