"""A report as one HTML file: no script, nothing loaded, plots in SVG, readable in light and dark. And in short, for mail.

Every text in either is escaped.
"""

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

PAGE, MAIL = "report.html", "mail.html"
MOST_SHARES = 12
"""Bars of one list."""
WIDTH, HEIGHT, GAP = 720, 160, 2


class Figure(NamedTuple):
    """One number that a report begins with."""

    name: str
    value: str
    more: str = ""


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
    plot, categories = _days(found.days), _shares(found.by_category)
    return _template(PAGE).render(found=found, figures=_figures(found), plot=plot, categories=categories, version=__version__)


def summary(found: Findings, attached: str) -> str:
    """What a mail says that the page is attached to: mail clients leave plots and colours out. ``attached``: the file's name."""
    return _template(MAIL).render(found=found, figures=_figures(found), attached=attached, version=__version__)


def _figures(found: Findings) -> list[Figure]:
    saved = "" if found.minutes_saved is None else f"about {_minutes(found.minutes_saved)}"
    return [
        Figure("Incidents", f"{found.opened:,}"),
        Figure("Open now", f"{found.open:,}"),
        Figure("Repairs that helped", _share(found.repair_rate), f"of {found.repairs:,}"),
        Figure("Time to repair with an action", _minutes(found.mttr_minutes.with_action)),
        Figure("Without one", _minutes(found.mttr_minutes.without)),
        Figure("Tries saved", f"{found.tries_saved:,}", saved),
    ]


def _share(value: float | None) -> str:
    return "–" if value is None else f"{value:.0%}"


def _minutes(value: float | None) -> str:
    return "–" if value is None else f"{value:,.1f} min"


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
def _template(name: str) -> Template:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["share"] = _share
    return environment.get_template(name)
