"""Airflow below a path of its host: pages, tabs, calls of both APIs and links stay below it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from selenium import webdriver
from tests.ui.browser import DIALOG, Reader
from tests.ui.conftest import SCREENSHOTS
from tests.ui.scene import RUN
from tests.ui.world import World, served

pytestmark = pytest.mark.browser
BASE = "/teams/data/airflow"
INSTANCE = f"/dags/nightly/runs/{RUN}/tasks/load_orders"


@pytest.fixture(scope="module")
def below(driver: webdriver.Chrome, airflow_database: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """The scene in an Airflow whose ``[api] base_url`` has a path."""
    with served(tmp_path_factory.mktemp("airflow-below"), airflow_database, BASE) as world:
        yield world


@pytest.fixture
def visitor(driver: webdriver.Chrome, below: World) -> Reader:
    """Somebody signed in there."""
    SCREENSHOTS.mkdir(exist_ok=True)
    reader = Reader(driver, below, SCREENSHOTS)
    reader.sign_in("ada")
    return reader


def asked_elsewhere(visitor: Reader) -> list[str]:
    """What the page loaded or asked for outside the base path."""
    said = visitor.driver.execute_script("return performance.getEntriesByType('resource').map((one) => one.name)")
    assert said, "the page asked for nothing"
    return [one for one in said if one.startswith("http") and not urlsplit(one).path.startswith(f"{BASE}/")]


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        ("/plugin/oncall", "nightly › load_orders"),
        ("/plugin/oncall?view=learning", "Confusion of v3"),
        (f"{INSTANCE}/plugin/oncall-task", "Other incidents of this task"),
        ("/dags/nightly/plugin/oncall-dag", "Rate limit"),
        ("/", "open incidents"),
    ],
)
def test_every_page_and_tab_is_drawn_and_asks_only_below_the_path(path: str, shown: str, visitor: Reader) -> None:
    visitor.open(path, shown)
    assert urlsplit(visitor.driver.current_url).path.startswith(f"{BASE}/")
    assert asked_elsewhere(visitor) == []
    assert visitor.errors() == []


def test_links_lead_to_pages_that_are_there(visitor: Reader, below: World) -> None:
    visitor.open(f"/plugin/oncall?incident={below.ids['repaired']}", "Similar incidents")
    links = visitor.driver.execute_script("return [...document.querySelectorAll('[data-oncall] a')].map((one) => one.href)")
    assert all(urlsplit(link).path.startswith(f"{BASE}/") for link in links), links
    visitor.follow("nightly › load_orders")
    visitor.sees("Oncall incident", "a")
    assert urlsplit(visitor.driver.current_url).path == f"{BASE}{INSTANCE}"
    visitor.follow("Oncall incident")
    visitor.sees("Other incidents of this task")


def test_the_task_instances_own_link_leads_to_the_incident(visitor: Reader, below: World) -> None:
    path = f"/api/v2/dags/nightly/dagRuns/{RUN}/taskInstances/load_orders/links"
    link = below.call("GET", path).json()["extra_links"]["Oncall"]
    assert link == f"{BASE}/plugin/oncall?incident={below.ids['repaired']}"
    visitor.open(link.removeprefix(BASE), f"Incident #{below.ids['repaired']}")


def test_questions_and_the_kill_switch_work_there(visitor: Reader, below: World) -> None:
    visitor.open(f"/plugin/oncall?incident={below.ids['to_reject']}", "Reject")
    visitor.press("Reject")
    visitor.press("Reject", DIALOG)
    visitor.sees("answered Reject")
    assert below.answer_of("to_reject")["chosen_options"] == ["Reject"]
    visitor.press("Stop all repairs")
    visitor.write("Reason", "the vendor is down", DIALOG)
    visitor.press("Stop", DIALOG)
    visitor.sees("the vendor is down")
    visitor.press("Resume repairs")
    visitor.press("Resume", DIALOG)
    visitor.sees("Mode: ask")


def test_the_description_of_the_api_names_the_path(below: World) -> None:
    described = below.call("GET", "/oncall/openapi.json").json()
    assert described["servers"] == [{"url": f"{BASE}/oncall"}]


def test_a_session_that_ended_leads_to_the_login_there(visitor: Reader) -> None:
    visitor.open("/plugin/oncall?view=storms&storm=1", "By state")
    visitor.expire()
    visitor.sees("Your session has expired")
    link = str(visitor.find("//a[normalize-space()='Log in again']").get_attribute("href"))
    assert urlsplit(link).path == f"{BASE}/api/v2/auth/login"
