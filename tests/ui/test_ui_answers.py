"""Questions are answered on the page, through Airflow's own endpoints: under the reader's name, and once."""

from __future__ import annotations

import pytest
from selenium.webdriver.common.keys import Keys
from tests.ui.browser import DIALOG, Reader, button
from tests.ui.world import World
from tests.waiting import until

pytestmark = pytest.mark.browser
PANEL = "//section[.//h2[normalize-space()='Question']]"


def _answer(reader: Reader, option: str) -> None:
    reader.press(option, PANEL)
    reader.press(option, DIALOG)


@pytest.mark.parametrize(("name", "option"), [("to_approve", "Approve"), ("to_reject", "Reject")])
def test_a_question_is_answered_under_the_readers_name(name: str, option: str, reader: Reader, world: World) -> None:
    reader.sign_in("olga")
    reader.open(f"/plugin/oncall?incident={world.ids[name]}", "Clear nightly.load_orders?")
    _answer(reader, option)
    reader.sees(f"olga answered {option}")
    answered = world.answer_of(name)
    assert answered["chosen_options"] == [option]
    assert answered["responded_by_user"]["name"] == "olga"
    assert reader.errors() == []


def test_a_dialog_that_is_cancelled_answers_nothing(reader: Reader, world: World) -> None:
    reader.sign_in("olga")
    reader.open(f"/plugin/oncall?incident={world.ids['to_look_at']}", "Clear nightly.load_orders?")
    reader.press("Approve", PANEL)
    reader.press("Cancel", DIALOG)
    reader.sees("Reject")
    assert not world.answer_of("to_look_at")["response_received"]


def test_the_keyboard_opens_a_dialog_and_leaves_it_where_it_was(reader: Reader, world: World) -> None:
    reader.sign_in("olga")
    reader.open(f"/plugin/oncall?incident={world.ids['to_look_at']}", "Clear nightly.load_orders?")
    approve = reader.find(PANEL + button("Approve"))
    approve.send_keys(Keys.ENTER)
    reader.find(DIALOG)
    inside = "return document.activeElement.closest('[role=alertdialog]') !== null"
    until(lambda: bool(reader.driver.execute_script(inside)))
    reader.driver.switch_to.active_element.send_keys(Keys.ESCAPE)
    until(lambda: reader.driver.switch_to.active_element == approve)
    assert not world.answer_of("to_look_at")["response_received"]


def test_who_is_second_is_told_who_was_first_and_what_was_answered(reader: Reader, world: World) -> None:
    reader.sign_in("olga")
    reader.open(f"/plugin/oncall?incident={world.ids['to_answer_twice']}", "Clear nightly.load_orders?")
    reader.press("Approve", PANEL)
    reader.find(DIALOG)
    world.call("PATCH", world.question("to_answer_twice"), "uma", json={"chosen_options": ["Reject"]}).raise_for_status()
    reader.press("Approve", DIALOG)
    reader.sees("This changed in the meantime")
    reader.sees("Reject by uma")
    until(reader.is_free)
    assert world.answer_of("to_answer_twice")["chosen_options"] == ["Reject"]


def test_a_question_that_names_its_approvers_offers_nothing_to_others(reader: Reader, world: World) -> None:
    reader.sign_in("olga")
    reader.open(f"/plugin/oncall?incident={world.ids['for_somebody_else']}", "Only grace may answer.")
    assert not reader.has_button("Approve")


def test_who_may_not_answer_reads_the_question_only(reader: Reader, world: World) -> None:
    reader.sign_in("vic")
    reader.open(f"/plugin/oncall?incident={world.ids['to_look_at']}", "You may read this question, but not answer it.")
    assert not reader.has_button("Approve")
    assert not reader.has_button("Reject")
