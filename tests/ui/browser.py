"""A reader of the pages: a headless Chromium, signed in as somebody."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from selenium import webdriver
from selenium.common.exceptions import TimeoutException
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.wait import WebDriverWait
from tests.ui.world import World

CHROMIUM, DRIVER = "chromium", "chromedriver"
SECONDS = 60
"""A page of Airflow is seven megabytes of script, and CI's machine is small."""
WIDTH, HEIGHT = 1440, 1000
SERIOUS = frozenset({"serious", "critical"})
ARGUMENTS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    f"--window-size={WIDTH},{HEIGHT}",
)
_CHECKED = """
const [source, root, done] = arguments;
if (!window.axe) (0, eval)(source);
axe.run(root, {resultTypes: ["violations"]}).then((found) => done(JSON.stringify(found.violations.map(
  ({id, impact, nodes}) => ({id, impact, nodes: nodes.map((one) => one.target.join(" ") + ": " + one.failureSummary)})))));
"""
_HELD = """
const page = document.querySelector("[data-oncall]"), {pointerEvents, overflow} = document.body.style;
return page.closest("[aria-hidden=true], [inert], [data-inert]") !== null || pointerEvents === "none" || overflow === "hidden";
"""


def missing() -> str:
    """Why no browser can be had here; empty where one can."""
    gone = [name for name in (CHROMIUM, DRIVER) if shutil.which(name) is None]
    return f"{' and '.join(gone)} not found; install Debian's chromium and chromium-driver" if gone else ""


@contextmanager
def chromium(profile: Path) -> Iterator[webdriver.Chrome]:
    """The browser of the system, with an empty profile."""
    options = webdriver.ChromeOptions()
    options.binary_location = str(shutil.which(CHROMIUM))
    for argument in (*ARGUMENTS, f"--user-data-dir={profile}"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(str(shutil.which(DRIVER))))
    driver.set_script_timeout(SECONDS)
    try:
        yield driver
    finally:
        driver.quit()


@dataclass
class Reader:
    """Somebody at the browser."""

    driver: webdriver.Chrome
    world: World
    pictures: Path
    theme: str = "light"

    def sign_in(self, user: str, theme: str = "light") -> None:
        """Become this user, and look at Airflow in this theme."""
        self.driver.get(f"{self.world.url}/oncall/health")
        self.expire()
        self.driver.execute_script("localStorage.setItem('theme', arguments[0])", theme)
        self.theme = theme
        self.sign_in_again(user)

    def expire(self) -> None:
        """The session ends while the page is looked at."""
        self.driver.delete_all_cookies()

    def sign_in_again(self, user: str) -> None:
        """Sign in elsewhere in the same browser; the page stays as it is."""
        self.driver.add_cookie({"name": "_token", "value": self.world.token(user), "path": "/"})

    def open(self, path: str, shown: str) -> None:
        """Go to a page and wait until it shows a text."""
        self.driver.get(self.world.url + path)
        self.sees(shown)
        dark = self.driver.execute_script("return document.documentElement.classList.contains('dark')")
        assert dark is (self.theme == "dark"), f"{path} is not shown in the {self.theme} theme"

    def text(self, css: str = "body") -> str:
        """What is to be read there now; empty while it is not there."""
        said: str = self.driver.execute_script(
            "return [...document.querySelectorAll(arguments[0])].map((one) => one.innerText).join('\\n')", css
        )
        return said

    def sees(self, text: str, css: str = "body") -> None:
        """Wait until a text is shown."""
        self._wait(lambda: text in self.text(css), f"{text!r} is not shown")

    def sees_no_longer(self, text: str, css: str = "body") -> None:
        """Wait until a text is gone."""
        self._wait(lambda: text not in self.text(css), f"{text!r} is still shown")

    def find(self, xpath: str) -> WebElement:
        """An element, once it is there."""
        self._wait(lambda: bool(self.driver.find_elements(By.XPATH, xpath)), f"{xpath} is not there")
        return self.driver.find_elements(By.XPATH, xpath)[0]

    def has_button(self, name: str) -> bool:
        """Whether there is such a button now."""
        return bool(self.driver.find_elements(By.XPATH, button(name)))

    def press(self, name: str, inside: str = "") -> None:
        """Press a button; ``inside``: XPath of what it is in."""
        self._click(inside + button(name))

    def follow(self, name: str) -> None:
        """Follow a link."""
        self._click(f"//a[normalize-space()='{name}']")

    def write(self, label: str, text: str, inside: str = "") -> None:
        """Fill a field."""
        field = self.field(label, inside)
        field.clear()
        field.send_keys(text)

    def choose(self, label: str, option: str) -> None:
        """Choose of a list, by what it shows."""
        field = self.field(label)
        field.find_element(By.XPATH, f".//option[normalize-space()='{option}']").click()

    def tick(self, label: str, *options: str) -> None:
        """Choose several of a list that opens, by what it shows; one that is chosen is taken back."""
        self._click(f"//label[normalize-space()='{label}']/..//button[@role='combobox']")
        for option in options:
            self._click(f"{OPEN_LIST}//*[@role='option' and normalize-space()='{option}']")
        self.driver.switch_to.active_element.send_keys(Keys.ESCAPE)

    def field(self, label: str, inside: str = "") -> WebElement:
        """The field with this label."""
        named = self.find(f"{inside}//label[starts-with(normalize-space(), '{label}')]")
        return self.driver.find_element(By.ID, str(named.get_attribute("for")))

    @contextmanager
    def window(self, width: int, height: int = HEIGHT) -> Iterator[None]:
        """Inside, the window has this size."""
        self.driver.set_window_size(width, height)
        yield
        self.driver.set_window_size(WIDTH, HEIGHT)

    def picture(self, name: str, width: int = WIDTH) -> None:
        """Keep what the page looks like in a window of this width, all of it."""
        self.driver.set_window_size(width, HEIGHT)
        height = self.driver.execute_script(
            "return Math.max(...[...document.querySelectorAll('main, body, #root')].map((one) => one.scrollHeight)) + 120"
        )
        with self.window(width, min(max(int(height), HEIGHT), 4000)):
            self.driver.save_screenshot(str(self.pictures / f"{name}.png"))

    def is_free(self) -> bool:
        """Whether the page can be used: no dialog holds it, not even one that is gone."""
        held: bool = self.driver.execute_script(_HELD)
        return not held

    def serious_violations(self, axe: str, root: str) -> list[Any]:
        """What axe-core holds serious or critical below an element; ``axe``: its source, without which nothing is looked at."""
        if not axe:
            return []
        found = json.loads(self.driver.execute_async_script(_CHECKED, axe, root))
        return [one for one in found if one["impact"] in SERIOUS]

    def errors(self) -> list[str]:
        """What our scripts complained about in the console since this was asked last."""
        said = self.driver.get_log("browser")  # type: ignore[no-untyped-call]
        return [str(one["message"]) for one in said if one["level"] == "SEVERE" and "/oncall/ui/" in one["message"]]

    def _click(self, xpath: str) -> None:
        element = self.find(xpath)
        self._wait(element.is_enabled, f"{xpath} cannot be pressed")
        self.driver.execute_script("arguments[0].scrollIntoView({block: 'center'}); arguments[0].click()", element)

    def _wait(self, condition: Any, message: str) -> None:
        try:
            WebDriverWait(self.driver, SECONDS, 0.1).until(lambda _: condition())
        except TimeoutException as error:
            said = self.text()
            shown = said if len(said) <= 6000 else f"{said[:3000]}\n[...]\n{said[-3000:]}"
            raise AssertionError(f"{message}; {self.driver.current_url} says:\n{shown}") from error


def button(name: str) -> str:
    """XPath of a button."""
    return f"//button[normalize-space()='{name}']"


OPEN_LIST = "//*[@role='listbox' and @data-state='open']"
DIALOG = "//*[@role='alertdialog' and @data-state='open']"
