"""Every page in both themes: it shows what it is for, is kept as a picture, and axe-core finds nothing serious."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import NamedTuple
from zoneinfo import ZoneInfo

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from sqlalchemy import create_engine, delete, insert, select
from tests.ui.browser import OPEN_LIST, Reader
from tests.ui.scene import RUN
from tests.ui.world import World

from airflow_oncall import conf
from airflow_oncall.store.tables import model_versions

pytestmark = pytest.mark.browser
OURS = "[data-oncall]"
PAGING = "[aria-label='Pages of incidents']"
TASK = f"/dags/nightly/runs/{RUN}/tasks/load_orders/plugin/oncall-task"


class Seen(NamedTuple):
    """A page, and what is to be read there once all of it is loaded."""

    path: str
    texts: tuple[str, ...]
    incident: str = ""
    """Name of the incident whose number ends the address."""


PAGES = {
    "incidents": Seen("/plugin/oncall", ("Questions waiting", "Storms", "By category", "Incidents a day", "nightly › load_orders")),
    "incident-repaired": Seen(
        "/plugin/oncall?incident=",
        ("Timeline", "Evidence", "Decision", "Clear task", "Similar incidents", "vendor-503", "Success"),
        "repaired",
    ),
    "incident-approved": Seen("/plugin/oncall?incident=", ("Guards that held", "Risk: changed code", "Approved by", "grace"), "approved"),
    "incident-asked": Seen("/plugin/oncall?incident=", ("Question", "Approve", "Reject", "Feedback"), "to_look_at"),
    "incident-suggested": Seen(
        "/plugin/oncall?incident=",
        ("Suggested by a language model", "not checked", "Nobody has checked this", "<b>Probably</b>", "Steps it suggests", "test-model"),
        "suggested",
    ),
    "incident-long": Seen("/plugin/oncall?incident=", ("Similar incidents", "[1234]", "Show all (600 more characters)"), "long"),
    "storms": Seen("/plugin/oncall?view=storms", ("database_connectivity at db1",)),
    "storm": Seen("/plugin/oncall?view=storms&storm=1", ("By state", "shards › work [3]")),
    "learning": Seen(
        "/plugin/oncall?view=learning",
        (
            *("Success per action", "Reliability of decisions", "Confusion of v3", "Drift", "What repairs gain over none"),
            *("9 of 12 succeeded within the hour", "percentage points (95 %:", "not-begun", "no result yet"),
            *("wait-or-not", "best so far: clear with delay", "83 % of 12", "What repairs would have saved", "with repairs"),
        ),
    ),
    "knowledge": Seen("/plugin/oncall?view=knowledge&entry=vendor-503", ("History", "heap-space")),
    "task-tab": Seen(TASK, ("Timeline", "Other incidents of this task")),
    "dag-tab": Seen("/dags/nightly/plugin/oncall-dag", ("Record of the last 30 days", "Policy", "By category", "Rate limit")),
    "dashboard": Seen("/", ("On-call", "open incidents", "questions waiting", "mode ")),
}


NARROW = 800
IN_A_NARROW_WINDOW = ("incidents", "incident-long", "incident-suggested", "learning", "storm", "knowledge", "task-tab", "dag-tab")
MEASURED = """
const page = document.querySelector("[data-oncall]");
return [page.scrollWidth - page.clientWidth, [...page.querySelectorAll("td")].map((cell) => cell.getBoundingClientRect().width)];
"""

CUT_OFF = """
const fits = (text) => text.getBoundingClientRect().right <= text.ownerSVGElement.getBoundingClientRect().right;
const texts = [...document.querySelectorAll("[data-oncall] svg text")];
return [texts.length, texts.filter((text) => !fits(text)).map((text) => text.textContent)];
"""


@pytest.fixture
def broken_policy(world: World) -> Iterator[Path]:
    """The operator's ``policy.yaml`` while it is wrong."""
    file = world.home / "include" / "oncall" / "policy.yaml"
    file.parent.mkdir(parents=True, exist_ok=True)
    shipped = (conf.shipped_include() / "policy.yaml").read_text(encoding="utf-8")
    file.write_text(f"{shipped}\nbudget_of_nobody: 1\n", encoding="utf-8")
    yield file
    file.unlink()


@pytest.fixture
def untrained(world: World) -> Iterator[None]:
    """A deployment whose models are still to be trained."""
    engine = create_engine(f"sqlite:///{world.home}/oncall/oncall.db")
    with engine.begin() as connection:
        trained = [dict(row) for row in connection.execute(select(model_versions)).mappings()]
        connection.execute(delete(model_versions))
    yield
    with engine.begin() as connection:
        connection.execute(insert(model_versions), trained)
    engine.dispose()


@pytest.fixture
def abroad(reader: Reader, request: pytest.FixtureRequest) -> Iterator[Reader]:
    """A reader whose computer is in another time zone than the server."""
    reader.driver.execute_cdp_cmd("Emulation.setTimezoneOverride", {"timezoneId": request.param})
    yield reader
    reader.driver.execute_cdp_cmd("Emulation.setTimezoneOverride", {"timezoneId": ""})


def test_axe_core_finds_what_is_wrong_with_a_page(reader: Reader, axe_or_why_not: tuple[str, str]) -> None:
    source, why_not = axe_or_why_not
    if not source:
        pytest.skip(f"no page is checked for accessibility, axe-core cannot be had: {why_not}")
    reader.driver.get("data:text/html,<main><button></button></main>")
    assert [one["id"] for one in reader.serious_violations(source, "main")] == ["button-name"]


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("name", PAGES)
def test_a_page_shows_what_it_is_for_to_everybody(name: str, theme: str, reader: Reader, world: World, axe: str) -> None:
    path, texts, incident = PAGES[name]
    reader.sign_in("ada", theme)
    reader.open(path + (str(world.ids[incident]) if incident else ""), texts[0])
    for text in texts:
        reader.sees(text, OURS)
    reader.picture(f"{name}-{theme}")
    assert reader.serious_violations(axe, OURS) == []
    assert reader.errors() == []


def test_no_word_of_a_plot_is_cut_off(reader: Reader) -> None:
    reader.sign_in("ada")
    reader.open("/plugin/oncall?view=learning", "Reliability of v3")
    for text in PAGES["learning"].texts:
        reader.sees(text, OURS)
    number, cut_off = reader.driver.execute_script(CUT_OFF)
    assert number > 0
    assert cut_off == []


def test_a_decision_tells_what_made_it(reader: Reader, world: World) -> None:
    reader.sign_in("ada")
    reader.open(f"/plugin/oncall?incident={world.ids['approved']}", "Guards that held")
    reader.sees("More than 200 task instances wait for it", "[aria-label='Guards that held']")
    reader.sees("The DAG's code changed since it failed", "[aria-label='Guards that held']")
    assert "Network timeout\n60 %\nRate limit\n30 %" in reader.text(OURS), "the probabilities are not shown"
    reader.sees("nightly › load_orders", "[aria-label='Similar incidents']")
    reader.find("//summary[starts-with(normalize-space(), 'Figures')]").click()
    reader.sees("Policy: rule\ncategories.network_timeout", OURS)
    reader.sees("Probability\nbefore 0.8, after 0.8, transient 0.8, failed repairs 0\n", OURS)
    assert "Used\n" not in reader.text(OURS), "a line says nothing"
    reader.picture("decision-light")


def test_the_timeline_tells_the_whole_story_in_its_order(reader: Reader, world: World) -> None:
    reader.sign_in("ada")
    reader.open(f"/plugin/oncall?incident={world.ids['approved']}", "Timeline")
    steps = [step.text for step in reader.driver.find_elements(By.XPATH, "//section[.//h2[normalize-space()='Timeline']]//li")]
    told = ["Noticed", "Diagnosed", "Decided", "Asked", "Answered", "Acted", "Verified"]
    assert [step.split()[0] for step in steps] == told
    assert "by grace" in steps[told.index("Answered")]
    assert "cleared, one attempt granted" in steps[told.index("Acted")]
    assert "the task instance succeeded" in steps[told.index("Verified")]


@pytest.mark.parametrize("abroad", ["Asia/Kolkata", "America/St_Johns", "Pacific/Kiritimati"], indirect=True)
def test_a_browser_in_another_time_zone_shows_the_same_instant(abroad: Reader, world: World) -> None:
    zone = abroad.driver.execute_script("return Intl.DateTimeFormat().resolvedOptions().timeZone")
    opened = datetime.fromisoformat(world.incident("approved")["opened_at"])
    here, utc = opened.astimezone(ZoneInfo(zone)), opened.astimezone(timezone.utc)
    assert here.utcoffset() != utc.utcoffset()
    abroad.sign_in("ada")
    abroad.open(f"/plugin/oncall?incident={world.ids['approved']}", "Opened")
    moment = abroad.find("//dt[normalize-space()='Opened']/following-sibling::dd[1]/time")
    assert moment.text.startswith(f"{here.day} ")
    assert f"{here:%H:%M:%S} GMT" in moment.text, "the zone is not named"
    assert moment.get_attribute("title") == f"{utc:%Y-%m-%d %H:%M:%S} UTC"


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_policy_that_is_wrong_is_told_with_its_line_and_the_last_good_one_stays_in_force(
    theme: str, broken_policy: Path, reader: Reader, axe: str
) -> None:
    reader.sign_in("ada", theme)
    reader.open("/dags/nightly/plugin/oncall-dag", "The file is wrong")
    line = len(broken_policy.read_text(encoding="utf-8").splitlines())
    reader.sees(f"{broken_policy}, line {line}: field 'budget_of_nobody'", "[data-oncall] [role=alert]")
    reader.sees("From last good policy.yaml")
    reader.sees("Rate limit", "[aria-label='Policy by category']")
    reader.picture(f"policy-wrong-{theme}")
    assert reader.serious_violations(axe, OURS) == []
    assert reader.errors() == []


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.usefixtures("untrained")
def test_where_nothing_was_trained_yet_the_learning_view_says_who_decides(theme: str, reader: Reader, axe: str) -> None:
    reader.sign_in("ada", theme)
    reader.open("/plugin/oncall?view=learning", "Nothing was trained yet; rules decide until then.")
    reader.sees("Nothing was trained yet, so there is nothing to drift from.")
    for other in ("What repairs would have saved", "What repairs gain over none"):
        reader.sees(other, OURS)
    reader.picture(f"untrained-{theme}")
    assert reader.serious_violations(axe, OURS) == []
    assert reader.errors() == []


@pytest.mark.parametrize("name", IN_A_NARROW_WINDOW)
def test_nothing_is_cut_off_in_a_narrow_window_however_long_names_are(name: str, reader: Reader, world: World) -> None:
    path, texts, incident = PAGES[name]
    reader.sign_in("ada", "dark")
    reader.open(path + (str(world.ids[incident]) if incident else ""), texts[0])
    for text in texts:
        reader.sees(text, OURS)
    reader.picture(f"{name}-narrow-dark", NARROW)
    with reader.window(NARROW):
        cut_off, widths = reader.driver.execute_script(MEASURED)
    assert cut_off <= 0
    assert all(width < NARROW * 0.7 for width in widths), "a cell leaves no room for those beside it"


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("/plugin/oncall", ("There was none in this time.", "Nothing yet.", "No incident fits.")),
        ("/plugin/oncall?view=storms", ("There was no storm yet",)),
        ("/plugin/oncall?view=learning", ("No action was seen to its end yet.",)),
        ("/dags/oncall_triage/plugin/oncall-dag", ("There was none in this time.", "No incident fits.")),
    ],
)
def test_where_nothing_happened_yet_the_pages_say_so(path: str, told: tuple[str, ...], theme: str, reader: Reader, axe: str) -> None:
    reader.sign_in("zoe", theme)
    reader.open(path, told[0])
    for text in told:
        reader.sees(text, OURS)
    reader.picture(f"nothing-{path.rstrip('/').rsplit('/', 1)[-1].replace('?view=', '-')}-{theme}")
    assert reader.serious_violations(axe, OURS) == []
    assert reader.errors() == []


def test_the_dashboard_takes_one_line(reader: Reader) -> None:
    reader.sign_in("ada")
    reader.open("/", "open incidents")
    assert reader.find("//*[@data-oncall]").size["height"] <= 40


def test_filters_take_several_values_live_in_the_address_and_survive_a_reload(reader: Reader, world: World) -> None:
    filtered = {"category": ["memory_exhaustion", "network_timeout"], "severity": ["critical", "low"], "open": True}
    total = world.call("GET", "/oncall/api/v1/incidents", params=filtered).json()["total"]
    assert 0 < total < world.call("GET", "/oncall/api/v1/incidents", params={"open": True}).json()["total"]
    reader.sign_in("ada")
    reader.open("/plugin/oncall", "nightly › load_orders")
    reader.tick("Category", "Memory exhaustion", "Network timeout")
    reader.tick("Severity", "Critical", "Low")
    reader.sees(f"{total} incidents", PAGING)
    reader.sees_no_longer("Code error", "[aria-label=Incidents]")
    assert "category=memory_exhaustion&category=network_timeout&severity=critical&severity=low" in reader.driver.current_url
    reader.driver.refresh()
    reader.sees(f"{total} incidents", PAGING)
    reader.sees("2: Memory exhaustion, Network timeout", "[role=combobox]")
    reader.tick("Category", "Memory exhaustion")
    reader.sees("No incident fits.", OURS)
    reader.press("Clear filters")
    reader.sees("Code error", "[aria-label=Incidents]")
    assert "category" not in reader.driver.current_url


def test_a_list_of_values_stays_open_while_its_reader_chooses_and_can_be_used_by_everybody(reader: Reader, axe: str) -> None:
    reader.sign_in("ada", "dark")
    reader.open("/plugin/oncall", "nightly › load_orders")
    reader.find("//label[normalize-space()='State']/..//button[@role='combobox']").send_keys(Keys.ENTER)
    reader.find(OPEN_LIST).send_keys(Keys.END, Keys.ENTER, Keys.HOME, Keys.ENTER)
    reader.sees("2: Closed, Watching", "[role=combobox]")
    assert reader.find(OPEN_LIST).get_attribute("aria-multiselectable") == "true"
    assert reader.serious_violations(axe, "[role=listbox]") == []
    reader.picture("filters-dark")


def test_dags_are_offered_while_their_name_is_typed(reader: Reader, world: World) -> None:
    both = {"dag_id": ["nightly", "shards"], "open": True}
    total = world.call("GET", "/oncall/api/v1/incidents", params=both).json()["total"]
    reader.sign_in("ada")
    reader.open("/plugin/oncall", "team/broken.py")
    for name in ("nightly", "shards"):
        reader.write("DAG", name[:4])
        # As soon as it comes first: while the list grows shorter, what is pressed moves away.
        reader.find(f"{OPEN_LIST}//*[@role='option'][1][normalize-space()='{name}']").click()
    reader.sees(f"{total} incidents", PAGING)
    reader.sees_no_longer("team/broken.py", "[aria-label=Incidents]")
    assert "dag_id=nightly&dag_id=shards" in reader.driver.current_url
    reader.driver.switch_to.active_element.send_keys(Keys.ESCAPE)
    reader.find("//button[@aria-label='Without nightly']").click()
    reader.sees_no_longer("nightly", "[aria-label=Incidents]")
    assert "dag_id=nightly" not in reader.driver.current_url


def test_more_incidents_than_a_page_holds_are_reached_by_paging(reader: Reader) -> None:
    reader.sign_in("ada")
    reader.open("/plugin/oncall?open=any", "nightly › load_orders")
    numbers = "[aria-label=Incidents] a"
    newest = reader.text(numbers).splitlines()
    reader.press("Older")
    reader.sees_no_longer(newest[0], numbers)
    older = reader.text(numbers).splitlines()
    assert older
    assert not {*newest} & {*older}
    reader.press("Newest")
    reader.sees(newest[-1], numbers)
    assert reader.text(numbers).splitlines() == newest


def test_what_happens_meanwhile_appears_by_itself(reader: Reader, world: World) -> None:
    reader.sign_in("ada")
    reader.open("/plugin/oncall?source=api:grafana", "No incident fits.")
    report = {"title": "Warehouse is slow", "source": "grafana", "dag_id": "nightly", "run_id": "manual__live", "task_id": "load_orders"}
    said = world.client.post(
        "/oncall/api/v1/incidents", json=report, headers={"Authorization": f"Bearer {world.token('ada')}", "Idempotency-Key": "live"}
    )
    assert said.status_code == 201, said.text
    reader.sees("api:grafana", "[aria-label=Incidents]")
    assert "source=api" in reader.driver.current_url


def test_the_operators_link_leads_to_the_incident(reader: Reader, world: World) -> None:
    path = f"/api/v2/dags/nightly/dagRuns/{RUN}/taskInstances/load_orders/links"
    link = world.call("GET", path).json()["extra_links"]["Oncall"]
    assert link.endswith(f"/plugin/oncall?incident={world.ids['repaired']}")
    reader.sign_in("ada")
    reader.open(link.removeprefix(world.url), f"Incident #{world.ids['repaired']}")
