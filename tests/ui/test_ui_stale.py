"""A page goes on changing while somebody decides or types: what is sent is what was decided on, and what is typed stays."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from selenium.webdriver.common.keys import Keys
from tests.ui.browser import DIALOG, Reader
from tests.ui.world import World
from tests.waiting import until

pytestmark = pytest.mark.browser
REPORT = {"title": "Orders are late", "source": "grafana", "dag_id": "nightly", "run_id": "manual__late", "task_id": "load_orders"}


@pytest.fixture(scope="module")
def reported(world: World) -> Any:
    """An incident that another system reported, as its reporter was told."""
    headers = {"Authorization": f"Bearer {world.token('uma')}", "Idempotency-Key": "late"}
    return world.client.post("/oncall/api/v1/incidents", json=REPORT, headers=headers).raise_for_status().json()


@pytest.fixture
def in_kolkata(reader: Reader) -> Iterator[None]:
    """The browser stands in India, five and a half hours before UTC."""
    reader.driver.execute_cdp_cmd("Emulation.setTimezoneOverride", {"timezoneId": "Asia/Kolkata"})
    yield
    reader.driver.execute_cdp_cmd("Emulation.setTimezoneOverride", {"timezoneId": ""})


def test_a_dialog_outlives_that_its_incident_is_closed_and_leaves_the_page_usable(reader: Reader, world: World, reported: Any) -> None:
    reader.sign_in("olga")
    reader.open(f"/plugin/oncall?incident={reported['id']}", "Feedback")
    reader.press("Close by hand")
    reader.write("Reason", "mine", DIALOG)
    body = {"reason": "uma was faster", "expected_updated_at": reported["updated_at"]}
    world.call("POST", f"/oncall/api/v1/incidents/{reported['id']}/resolve", "uma", json=body).raise_for_status()
    reader.sees("uma was faster")
    assert reader.field("Reason", DIALOG).get_attribute("value") == "mine"
    reader.press("Close it", DIALOG)
    reader.sees("It is closed now: closed by uma: uma was faster")
    reader.sees_no_longer("Close by hand")
    reader.field("Comment").click()  # refused while anything of the dialog lies over the page
    assert reader.errors() == []


def test_a_time_is_typed_digit_by_digit_east_of_greenwich(reader: Reader, in_kolkata: None) -> None:
    reader.sign_in("olga")
    reader.open("/plugin/oncall?within=between", "From")
    reader.field("From").send_keys("01022026", Keys.TAB, "1030AM")
    until(lambda: "since=2026-01-02T05%3A00%3A00.000Z" in reader.driver.current_url)
    assert reader.field("From").get_attribute("value") == "2026-01-02T10:30"
    assert "This did not work" not in reader.text()
