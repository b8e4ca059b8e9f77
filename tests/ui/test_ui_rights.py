"""What each kind of user sees and is offered; and what becomes of a page whose session ends."""

from __future__ import annotations

import pytest
from tests.ui.browser import Reader
from tests.ui.world import World

pytestmark = pytest.mark.browser
STEERS = {"ada": True, "olga": True, "uma": True, "vic": False}
"""By user, of the roles admin, op, user and viewer, whether the page offers changes."""


@pytest.mark.parametrize("user", STEERS)
def test_a_role_is_offered_what_it_may_do_and_nothing_else(user: str, reader: Reader, world: World) -> None:
    reader.sign_in(user)
    reader.open("/plugin/oncall", "nightly › load_orders")
    reader.sees("Mode:")
    assert reader.has_button("Stop all repairs") is STEERS[user]
    reader.open(f"/plugin/oncall?incident={world.ids['repaired']}", "Similar incidents")
    assert ("Feedback" in reader.text("[data-oncall] h2")) is STEERS[user]
    assert reader.has_button("Write down what is known") is STEERS[user]
    reader.picture(f"rights-{user}")


def test_who_may_see_one_dag_only_sees_and_counts_no_other(reader: Reader, world: World) -> None:
    reader.sign_in("lena")
    reader.open("/plugin/oncall", "nightly › load_orders")
    reader.sees("Incidents a day")
    assert "shards" not in reader.text("[data-oncall]")
    assert "Learning" not in reader.text("[data-oncall] nav"), "what is the whole deployment's is offered"
    assert not reader.has_button("Stop all repairs")
    reader.open(f"/plugin/oncall?incident={world.ids['of_shards']}", "You may not do this")
    assert "work [3]" not in reader.text("[data-oncall]")


def test_who_may_see_no_dag_is_told_so_and_shown_nothing(reader: Reader) -> None:
    reader.sign_in("nemo")
    reader.open("/plugin/oncall", "You may not do this")
    assert "load_orders" not in reader.text("[data-oncall]")


def test_a_session_that_ends_leaves_the_page_and_offers_to_log_in(reader: Reader) -> None:
    reader.sign_in("olga")
    reader.open("/plugin/oncall?view=storms&storm=1", "By state")
    reader.driver.execute_script("window.stillHere = true")
    reader.expire()
    reader.sees("Your session has expired")
    link = reader.find("//a[normalize-space()='Log in again']").get_attribute("href")
    assert link
    assert "/api/v2/auth/login?next=" in link
    assert "database_connectivity at db1" in reader.text("[data-oncall]"), "what was there is gone"
