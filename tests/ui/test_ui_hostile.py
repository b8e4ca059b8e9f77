"""Text of logs is shown as the text that it is: nothing in it runs, hides, or turns its neighbours around."""

from __future__ import annotations

import pytest
from tests.ui.browser import Reader
from tests.ui.world import World

pytestmark = pytest.mark.browser


TEXT = "[aria-label='Text of the failure']"


@pytest.fixture
def page(reader: Reader, world: World) -> Reader:
    """The page of an incident whose log wants to harm its reader."""
    reader.sign_in("ada")
    reader.open(f"/plugin/oncall?incident={world.ids['hostile']}", "Similar incidents")
    return reader


def test_markup_is_read_and_does_not_run(page: Reader) -> None:
    text = page.text("[data-oncall]")
    assert "<script>window.hacked='script'</script>" in text
    assert "<b>Bold</b>" in text
    ran, made = "window.hacked ?? null", "document.querySelectorAll('[data-oncall] img, [data-oncall] script').length"
    assert page.driver.execute_script(f"return [{ran}, {made}]") == [None, 0]
    page.picture("hostile-light")


def test_what_cannot_be_seen_is_named_and_colours_are_gone(page: Reader) -> None:
    text = page.text(TEXT)
    assert "red ⟨U+202E⟩exe.txt⟨U+202C⟩ zero⟨U+200B⟩width ⟨U+0007⟩bell" in text
    assert "\u202e" not in page.text("[data-oncall]")


def test_a_line_without_end_is_cut_until_somebody_wants_it(page: Reader) -> None:
    assert "A" * 401 not in page.text(TEXT)
    page.press("Show all (99,600 more characters)")
    page.sees("A" * 100_000, TEXT)
    width = page.driver.execute_script("return document.documentElement.scrollWidth - innerWidth")
    assert width <= 0, "the page is wider than its window"


def test_a_line_of_a_megabyte_says_what_was_left_out_of_it_and_leaves_the_page_usable(reader: Reader, world: World, axe: str) -> None:
    reader.sign_in("olga")
    reader.open(f"/plugin/oncall?incident={world.ids['endless']}", "Similar incidents")
    text = reader.text(TEXT)
    assert text.count("characters left out ...]") == 2, "of the log and of the message"
    assert "<script>window.hacked='endless'</script> ⟨U+202E⟩endless" in text
    assert len(text) < 3000
    assert reader.driver.execute_script("return window.hacked ?? null") is None
    reader.press("Show all (9,600 more characters)")
    reader.sees_no_longer("Show all (9,600 more characters)", TEXT)
    assert reader.driver.execute_script("return document.documentElement.scrollWidth - innerWidth") <= 0
    reader.picture("endless-light")
    assert reader.serious_violations(axe, "[data-oncall]") == []
    reader.choose("Is the category right?", "Yes")
    reader.press("Send feedback")
    reader.sees("Thank you; training learns from it.")
