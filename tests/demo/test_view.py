"""The demo's table: readable in a narrow terminal, whole in a log."""

from __future__ import annotations

import io
from typing import Any

import pytest
from demo.expectations import Expectation
from demo.view import LOG_WIDTH, View
from rich.console import Console


def shown(view: View) -> str:
    assert isinstance(view.console.file, io.StringIO)
    return view.console.file.getvalue()


def view_of(expectation: Expectation, width: int) -> View:
    return View([expectation], Console(file=io.StringIO(), width=width, highlight=False))


def test_a_log_has_one_line_per_change(reset_connection: Expectation, repaired: dict[str, Any]) -> None:
    view = view_of(reset_connection, LOG_WIDTH)
    runs = {"demo_reset_connection": "manual__1"}

    for incidents in ([], [], [repaired], [repaired]):
        view.update(runs, incidents)

    lines = shown(view).splitlines()
    assert [line.split("load_prices[3]")[1].strip() for line in lines] == [
        "running",
        "resolved, network_connectivity, auto, clear_task, success",
    ]


@pytest.mark.parametrize("width", [80, 100, 120, LOG_WIDTH])
def test_the_summary_fits_and_cuts_nothing(reset_connection: Expectation, repaired: dict[str, Any], width: int) -> None:
    view = view_of(reset_connection, width)

    view.summary([repaired], {})

    assert max(map(len, shown(view).splitlines())) <= width
    assert "…" not in shown(view)
    assert all(word in shown(view) for word in ("✓", "load_prices[3]", "network connectivity", "resolved", "median 3.1 s"))


def test_the_summary_says_what_went_wrong(reset_connection: Expectation, repaired: dict[str, Any]) -> None:
    view = view_of(reset_connection, LOG_WIDTH)

    view.summary([repaired], {reset_connection.name: ["tries of load_prices[4] are success, success instead of success"]})

    assert "✗" in shown(view)
    assert "tries of load_prices[4] are success, success instead of success" in shown(view)
