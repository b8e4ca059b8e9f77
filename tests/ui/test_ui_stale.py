"""A page goes on changing while somebody decides: what is sent is what was decided on."""

from __future__ import annotations

from typing import Any

import pytest
from tests.ui.browser import DIALOG, Reader
from tests.ui.world import World

pytestmark = pytest.mark.browser
REPORT = {"title": "Orders are late", "source": "grafana", "dag_id": "nightly", "run_id": "manual__late", "task_id": "load_orders"}


@pytest.fixture(scope="module")
def reported(world: World) -> Any:
    """An incident that another system reported, as its reporter was told."""
    headers = {"Authorization": f"Bearer {world.token('uma')}", "Idempotency-Key": "late"}
    return world.client.post("/oncall/api/v1/incidents", json=REPORT, headers=headers).raise_for_status().json()


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
