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
AXE_VERSION = "4"


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
    file = TOOLS / "node_modules" / "axe-core" / "axe.min.js"
    if not file.exists():
        command = ["npm", "install", "--no-audit", "--no-fund", "--no-save", "--prefix", str(TOOLS), f"axe-core@{AXE_VERSION}"]
        TOOLS.mkdir(parents=True, exist_ok=True)
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=120)
        except (OSError, subprocess.TimeoutExpired) as error:
            return "", str(error)
        if done.returncode:
            return "", done.stderr[-300:]
    return file.read_text(encoding="utf-8"), ""
