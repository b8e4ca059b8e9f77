"""One server and one browser for all tests of the pages. Without a browser they are skipped, and say why."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium import webdriver
from tests.ui.browser import Reader, chromium, missing
from tests.ui.world import ROOT, World, served

SCREENSHOTS = ROOT / ".screenshots"
TOOLS = ROOT / ".cache" / "ui"
AXE_VERSION, REACT_VERSION = "4", "19"
"""Of React the major version of Airflow's own pages."""


@pytest.fixture(scope="session")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    """A real browser."""
    if reason := missing():
        pytest.skip(reason)
    with chromium(tmp_path_factory.mktemp("profile")) as driver:
        yield driver


@pytest.fixture(scope="session")
def world(driver: webdriver.Chrome, airflow_database: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Airflow with a month behind it."""
    with served(tmp_path_factory.mktemp("airflow-home"), airflow_database) as world:
        yield world


@pytest.fixture
def reader(driver: webdriver.Chrome, world: World) -> Reader:
    """Somebody at the browser, who has to sign in first."""
    SCREENSHOTS.mkdir(exist_ok=True)
    return Reader(driver, world, SCREENSHOTS)


@pytest.fixture(scope="session")
def axe(axe_or_why_not: tuple[str, str]) -> str:
    """Source of axe-core; empty where it cannot be had: a page is to show what it is for all the same."""
    return axe_or_why_not[0]


@pytest.fixture(scope="session")
def axe_or_why_not() -> tuple[str, str]:
    """Source of axe-core, from the npm registry: it is only a tool of these tests, and no part of what is shipped."""
    why_not = _fetch(TOOLS, f"axe-core@{AXE_VERSION}")
    return ("", why_not) if why_not else ((TOOLS / "node_modules" / "axe-core" / "axe.min.js").read_text(encoding="utf-8"), "")


@pytest.fixture(scope="session")
def react() -> Path:
    """A folder with React and what draws it without a browser, from the npm registry."""
    folder = TOOLS / "react"  # of its own: npm takes out what it did not put there itself
    if why_not := _fetch(folder, f"react@{REACT_VERSION}", f"react-test-renderer@{REACT_VERSION}"):
        pytest.skip(f"components are not tried, React cannot be had: {why_not}")
    return folder


def _fetch(folder: Path, *packages: str) -> str:
    """Have npm put packages into a folder, unless they are there; why it could not."""
    if all((folder / "node_modules" / package.partition("@")[0]).exists() for package in packages):
        return ""
    folder.mkdir(parents=True, exist_ok=True)
    command = ["npm", "install", "--no-audit", "--no-fund", "--no-save", "--prefix", str(folder), *packages]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    return done.stderr[-300:] if done.returncode else ""
