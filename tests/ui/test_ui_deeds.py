"""What people do on the pages: the kill switch, feedback, closing by hand, writing down what they know; and what a stale page does."""

from __future__ import annotations

import pytest
from selenium.webdriver.common.by import By
from tests.ui.browser import DIALOG, Reader
from tests.ui.world import World
from tests.waiting import until

pytestmark = pytest.mark.browser
OURS = "[data-oncall]"


def _open(reader: Reader, world: World, name: str) -> None:
    reader.open(f"/plugin/oncall?incident={world.ids[name]}", "Feedback")


def test_the_kill_switch_wants_a_reason_says_who_and_goes_off_again(reader: Reader, world: World, axe: str) -> None:
    reader.sign_in("uma")
    reader.open("/plugin/oncall", "Stop all repairs")
    reader.press("Stop all repairs")
    assert not reader.find(f"{DIALOG}//button[normalize-space()='Stop']").is_enabled(), "it can be stopped without a reason"
    assert reader.serious_violations(axe, "[role=alertdialog]") == []
    reader.picture("kill-switch-light")
    reader.write("Reason", "release night", DIALOG)
    reader.press("Stop", DIALOG)
    reader.sees("Stopped: nothing is repaired and nobody is asked")
    reader.sees("By uma")
    reader.sees("release night")
    assert world.call("GET", "/oncall/api/v1/switch").json()["paused"]["reason"] == "release night"
    reader.picture("stopped-light")
    assert reader.serious_violations(axe, OURS) == []
    reader.press("Resume repairs")
    reader.press("Resume", DIALOG)
    reader.sees("Stop all repairs")
    assert world.call("GET", "/oncall/api/v1/switch").json()["paused"] is None


def test_feedback_becomes_a_label(reader: Reader, world: World) -> None:
    reader.sign_in("olga")
    _open(reader, world, "to_comment_on")
    reader.choose("Is the category right?", "Yes")
    reader.choose("Was the action right?", "No")
    reader.write("Comment", "the vendor told us")
    reader.press("Send feedback")
    reader.sees("Thank you; training learns from it.")
    reader.sees("the vendor told us", "[aria-label='What is known to be true']")
    (label,) = [one for one in world.incident("to_comment_on")["labels"] if one["name"] == "feedback"]
    assert (label["value"], label["given_by"], label["detail"]["action_correct"]) == ("memory_exhaustion", "olga", False)


def test_a_category_that_is_wrong_needs_the_right_one(reader: Reader, world: World) -> None:
    reader.sign_in("olga")
    _open(reader, world, "to_call_wrong")
    reader.choose("Is the category right?", "No")
    assert not reader.find("//button[normalize-space()='Send feedback']").is_enabled()
    reader.choose("The true category", "It was no failure (false positive)")
    reader.press("Send feedback")
    reader.sees("Thank you; training learns from it.")
    (label,) = [one for one in world.incident("to_call_wrong")["labels"] if one["name"] == "feedback"]
    assert (label["value"], label["detail"]["false_positive"]) == ("none", True)


def test_an_incident_is_closed_by_hand_with_a_reason(reader: Reader, world: World) -> None:
    reader.sign_in("olga")
    _open(reader, world, "to_close")
    reader.press("Close by hand")
    reader.write("Reason", "the heap was raised", DIALOG)
    reader.press("Close it", DIALOG)
    reader.sees("the heap was raised")
    reader.sees_no_longer("Close by hand")
    assert world.incident("to_close")["state"] == "closed"


def test_a_stale_page_changes_nothing_and_shows_what_is_now(reader: Reader, world: World, axe: str) -> None:
    reader.sign_in("olga")
    _open(reader, world, "to_close_too_late")
    reader.press("Close by hand")
    reader.write("Reason", "mine", DIALOG)
    body = {"reason": "uma was faster", "expected_updated_at": world.incident("to_close_too_late")["updated_at"]}
    path = f"/oncall/api/v1/incidents/{world.ids['to_close_too_late']}/resolve"
    world.call("POST", path, "uma", json=body).raise_for_status()
    reader.press("Close it", DIALOG)
    reader.sees("This changed in the meantime")
    reader.sees("It is closed now")
    reader.sees("uma was faster")
    until(reader.is_free)
    reader.picture("stale-light")
    assert reader.serious_violations(axe, OURS) == []
    assert "mine" not in world.incident("to_close_too_late")["detail"]


def test_what_is_known_is_written_down_from_the_incident_and_changed(reader: Reader, world: World, axe: str) -> None:
    reader.sign_in("uma")
    _open(reader, world, "to_write_down")
    reader.press("Write down what is known")
    assert reader.field("Fingerprint").get_attribute("value") == world.incident("to_write_down")["fingerprint"]
    reader.picture("knowledge-editor-light")
    assert reader.serious_violations(axe, OURS) == []
    reader.write("Name", "heap-of-orders")
    reader.write("Notes", "ask the warehouse team")
    reader.press("Save")
    reader.sees("ask the warehouse team")
    reader.open("/plugin/oncall?view=knowledge&entry=heap-of-orders", "History")
    reader.press("Edit")
    reader.write("Notes", "ask the platform team")
    reader.press("Save")
    reader.sees("ask the platform team")
    assert world.call("GET", "/oncall/api/v1/knowledge/heap-of-orders").json()["version"] == 2


def test_what_the_store_refuses_is_said_in_the_form(reader: Reader) -> None:
    reader.sign_in("uma")
    reader.open("/plugin/oncall?view=knowledge", "heap-space")
    reader.press("New entry")
    reader.write("Name", "known-by-nothing")
    reader.choose("Category", "Rate limit")
    reader.press("Save")
    reader.sees("known by nothing")


def test_what_a_tick_proposed_counts_once_it_is_confirmed(reader: Reader, world: World) -> None:
    reader.sign_in("uma")
    reader.open("/plugin/oncall?view=knowledge&entry=heap-space", "proposed, not confirmed")
    reader.press("Confirm")
    reader.sees_no_longer("proposed, not confirmed")
    assert world.call("GET", "/oncall/api/v1/knowledge/heap-space").json()["is_proposed"] is False


def _is_told_to_log_in(reader: Reader, inside: str) -> None:
    expired = reader.find(f"{inside}//*[@role='alert'][contains(., 'Your session has expired')]")
    assert "what you typed stay as they are" in expired.text
    link = expired.find_element(By.XPATH, ".//a[normalize-space()='Log in again']")
    assert "/api/v2/auth/login?next=" in str(link.get_attribute("href"))
    assert link.get_attribute("target") == "_blank", "following the link would lose what was typed"


def test_a_session_that_ends_before_the_kill_switch_is_pressed_loses_no_reason(reader: Reader, world: World, axe: str) -> None:
    reader.sign_in("uma")
    reader.open("/plugin/oncall", "Stop all repairs")
    reader.press("Stop all repairs")
    reader.write("Reason", "the vendor's release", DIALOG)
    reader.expire()
    reader.press("Stop", DIALOG)
    _is_told_to_log_in(reader, DIALOG)
    reader.picture("signed-out-light")
    assert reader.serious_violations(axe, "[role=alertdialog]") == []
    assert reader.field("Reason", DIALOG).get_attribute("value") == "the vendor's release"
    assert world.call("GET", "/oncall/api/v1/switch").json()["paused"] is None
    reader.sign_in_again("uma")
    reader.press("Stop", DIALOG)
    reader.sees("Stopped: nothing is repaired and nobody is asked")
    assert world.call("GET", "/oncall/api/v1/switch").json()["paused"]["reason"] == "the vendor's release"
    reader.press("Resume repairs")
    reader.press("Resume", DIALOG)
    reader.sees("Stop all repairs")


def test_a_session_that_ends_before_an_incident_is_closed_loses_no_reason(reader: Reader, world: World) -> None:
    reader.sign_in("olga")
    _open(reader, world, "to_close_signed_out")
    before = world.incident("to_close_signed_out")
    reader.press("Close by hand")
    reader.write("Reason", "the heap was raised", DIALOG)
    reader.expire()
    reader.press("Close it", DIALOG)
    _is_told_to_log_in(reader, DIALOG)
    assert reader.field("Reason", DIALOG).get_attribute("value") == "the heap was raised"
    assert world.incident("to_close_signed_out") == before
    reader.sign_in_again("olga")
    reader.press("Close it", DIALOG)
    reader.sees("closed by olga: the heap was raised")
    assert world.incident("to_close_signed_out")["state"] == "closed"


def test_a_session_that_ends_before_feedback_is_sent_loses_no_word_of_it(reader: Reader, world: World) -> None:
    reader.sign_in("olga")
    _open(reader, world, "to_comment_on_signed_out")
    reader.choose("Was the action right?", "No")
    reader.write("Comment", "the vendor told us")
    reader.expire()
    reader.press("Send feedback")
    _is_told_to_log_in(reader, "//form[@aria-label='Feedback']")
    assert reader.field("Comment").get_attribute("value") == "the vendor told us"
    assert world.incident("to_comment_on_signed_out")["labels"] == []
    reader.sign_in_again("olga")
    reader.press("Send feedback")
    reader.sees("Thank you; training learns from it.")


def test_a_session_that_ends_before_a_question_is_answered_answers_nothing(reader: Reader, world: World) -> None:
    reader.sign_in("olga")
    reader.open(f"/plugin/oncall?incident={world.ids['to_approve_signed_out']}", "Clear nightly.load_orders?")
    reader.press("Approve")
    reader.find(DIALOG)
    assert not reader.is_free()
    reader.expire()
    reader.press("Approve", DIALOG)
    _is_told_to_log_in(reader, DIALOG)
    assert not world.answer_of("to_approve_signed_out")["response_received"]
    reader.sign_in_again("olga")
    reader.press("Approve", DIALOG)
    reader.sees("olga answered Approve")
    assert world.answer_of("to_approve_signed_out")["chosen_options"] == ["Approve"]
