"""A report as one HTML file: no script, nothing loaded, plots in SVG, readable in light and dark, every text escaped."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from airflow_oncall import __version__
from airflow_oncall.reports.arithmetic import Day
from airflow_oncall.reports.findings import Findings

if TYPE_CHECKING:
    from jinja2 import Template

TEMPLATE = Path(__file__).parent / "report.html"
MOST_SHARES = 12
"""Bars of one list."""
WIDTH, HEIGHT, GAP = 720, 160, 2


class Bar(NamedTuple):
    """One rectangle of a plot."""

    x: float
    y: float
    width: float
    height: float
    series: str
    label: str


class Plot(NamedTuple):
    """Bars and what they are measured by."""

    bars: list[Bar]
    most: int
    width: int = WIDTH
    height: int = HEIGHT


def html(found: Findings) -> str:
    """The whole page."""
    return _template().render(found=found, plot=_days(found.days), categories=_shares(found.by_category), version=__version__)


def _days(days: Sequence[Day]) -> Plot:
    """For each day what was opened, what ended well, and what people were told of."""
    series = [("opened", "opened"), ("ended", "ended with a success"), ("escalated", "told to people")]
    values = [(day.day, (day.opened, day.resolved + day.self_healed, day.escalated)) for day in days]
    most = max([1, *(number for _, numbers in values for number in numbers)])
    step = WIDTH / max(1, len(days))
    width = max(0.5, (step - GAP) / len(series))
    bars = [
        Bar(
            place * step + number * width,
            HEIGHT * (1 - count / most),
            width,
            HEIGHT * count / most,
            series[number][0],
            _said(day, series, numbers),
        )
        for place, (day, numbers) in enumerate(values)
        for number, count in enumerate(numbers)
        if count
    ]
    return Plot(bars, most)


def _said(day: str, series: Sequence[tuple[str, str]], numbers: Sequence[int]) -> str:
    return f"{day}: " + ", ".join(f"{number} {name}" for (_, name), number in zip(series, numbers, strict=True))


def _shares(counts: dict[str, int]) -> list[dict[str, Any]]:
    """The largest ones with the length of their bar in percent."""
    largest = max(counts.values(), default=1)
    return [
        {"name": name, "number": number, "percent": round(100 * number / largest, 1)} for name, number in list(counts.items())[:MOST_SHARES]
    ]


@cache
def _template() -> Template:
    from jinja2 import Environment, StrictUndefined

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters["share"] = lambda value: "–" if value is None else f"{value:.0%}"
    environment.filters["minutes"] = lambda value: "–" if value is None else f"{value:,.1f} min"
    return environment.from_string(TEMPLATE.read_text(encoding="utf-8"))
