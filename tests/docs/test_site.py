"""The documentation as a site: it builds without a warning, loads nothing from elsewhere, and tells of everything there is."""

from __future__ import annotations

import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from airflow_oncall.act.actions.registry import OURS
from airflow_oncall.cli import production
from airflow_oncall.cli.doctor import CHECKS
from airflow_oncall.incident import ActionKind
from airflow_oncall.show.api.app import create_app

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.glob("*.md"))
HEADING = re.compile(r"^#{1,4} (.+)$", re.MULTILINE)
CODE = re.compile(r"^ *```.*?^ *```$|`[^`\n]+`", re.DOTALL | re.MULTILINE)
LOADED = re.compile(r"<(?:script|link|img|iframe)\b[^>]*\b(?:src|href)=\"((?:https?:)?//[^\"]+)", re.IGNORECASE)
"""What a browser fetches by itself; a link that a reader follows is something else."""
MESSAGES = re.findall(r"^### `(.+)`$", (DOCS / "troubleshooting.md").read_text(encoding="utf-8"), re.MULTILINE)
OF_OTHERS = {"invalid choice: 'oncall'", "No module named 'airflow_oncall'", "Can't locate revision identified by …", "503"}
"""Messages of Python, Alembic and HTTP themselves."""
LEAST_LETTERS = 6


@cache
def text_of(page: str) -> str:
    return (DOCS / page).read_text(encoding="utf-8")


def headings(page: str) -> set[str]:
    return set(HEADING.findall(text_of(page)))


@cache
def code() -> str:
    """All of our Python in one line, so that a message is found that stands over two."""
    whole = "".join(path.read_text(encoding="utf-8") for path in sorted((ROOT / "plugins").rglob("*.py")))
    return re.sub(r'"\s*\n\s*f?"', "", whole)


def said_by_code(message: str) -> bool:
    """Whether what stands between the places that differ is in the code."""
    parts = [part.strip() for part in message.split("…") if len(part.strip()) >= LEAST_LETTERS]
    return bool(parts) and all(part in code() for part in parts)


def test_the_site_builds_with_every_page_in_its_menu_and_every_link_leading_somewhere(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path)]
    built = subprocess.run(command, cwd=ROOT, env={"NO_MKDOCS_2_WARNING": "1"}, capture_output=True, text=True, timeout=300)
    assert built.returncode == 0, built.stderr
    assert {page.stem for page in PAGES} <= {page.stem for page in tmp_path.glob("*.html")}
    loaded = {address for page in tmp_path.rglob("*.html") for address in LOADED.findall(page.read_text(encoding="utf-8"))}
    assert not loaded, "a page of the site loads something from elsewhere"


@pytest.mark.parametrize("kind", [*(action.kind for action in OURS), str(ActionKind.ESCALATE)])
def test_every_action_has_its_heading(kind: str) -> None:
    assert kind in headings("actions.md")
    assert f"](#{kind})" in text_of("actions.md"), "the table of actions leads to it"


def test_every_route_has_its_heading() -> None:
    routes = {f"{method.upper()} /oncall{path}" for path, methods in create_app().openapi()["paths"].items() for method in methods}
    assert routes
    assert routes <= headings("api.md")


def test_every_example_runbook_has_its_heading() -> None:
    assert {path.stem for path in (ROOT / "examples" / "runbooks").glob("*.py") if path.stem != "__init__"} <= headings("runbooks.md")


@pytest.mark.parametrize("check", [*CHECKS, *production.CHECKS], ids=lambda check: str(check.__doc__))
def test_troubleshooting_tells_of_every_line_of_doctor(check: object) -> None:
    assert f"\n| {str(check.__doc__).strip()} | " in text_of("troubleshooting.md")


@pytest.mark.parametrize("message", [message for message in MESSAGES if message not in OF_OTHERS])
def test_troubleshooting_quotes_messages_that_there_are(message: str) -> None:
    assert said_by_code(message)


def test_troubleshooting_quotes_reasons_that_there_are() -> None:
    reasons = [found for found in re.findall(r"^\| `(.+?)` \|", text_of("troubleshooting.md"), re.MULTILINE) if " " in found]
    assert len(reasons) >= 10
    assert not [reason for reason in reasons if not said_by_code(reason)]


def words_not_used() -> list[tuple[str, str]]:
    """What the concepts page says that a thing is not called, with the word that it is called by."""
    sections = re.findall(r"^### (.+?)\n(.*?)(?=^#|\Z)", text_of("concepts.md"), re.DOTALL | re.MULTILINE)
    lines = [(name, found[1]) for name, section in sections if (found := re.search(r"^Not called: (.+)\.$", section, re.MULTILINE))]
    return [(word, name) for name, line in lines for word in line.split(", ")]


@pytest.mark.parametrize(("word", "concept"), words_not_used())
def test_no_page_calls_a_thing_by_another_word(word: str, concept: str) -> None:
    pages = [*(page for page in PAGES if page.name != "concepts.md"), ROOT / "README.md"]
    prose = {page.name: CODE.sub("", page.read_text(encoding="utf-8")).lower() for page in pages}
    assert not [page for page, text in prose.items() if re.search(rf"\b{re.escape(word.lower())}s?\b", text)], f"write {concept!r}"


def test_every_concept_is_told_once() -> None:
    concepts = HEADING.findall(text_of("concepts.md"))
    assert len(words_not_used()) >= 10
    assert len(concepts) == len(set(concepts))
