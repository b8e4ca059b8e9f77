"""The scripts of the pages without a browser: what is pure is tested by Node.js itself, and what is written twice is alike."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from airflow_oncall import conf, incident
from airflow_oncall.act.approval import APPROVAL_DAG
from airflow_oncall.show.api import schemas
from airflow_oncall.show.mounting import REACT_APPS

ROOT = Path(__file__).parents[2]
UI = ROOT / "plugins" / "airflow_oncall" / "show" / "ui"
SCRIPTS = sorted(UI.rglob("*.js"))
NODE = shutil.which("node")
MOST_LINES = 150
needs_node = pytest.mark.skipif(NODE is None, reason="Node.js is not installed")
DANGEROUS = re.compile(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|srcdoc")


def _node(*arguments: str, zone: str = "UTC", **more: str) -> subprocess.CompletedProcess[str]:
    assert NODE
    environment = {**os.environ, "TZ": zone, **more}
    return subprocess.run([NODE, *arguments], capture_output=True, text=True, cwd=ROOT, timeout=120, env=environment)


def _words() -> Any:
    said = _node("--input-type=module", "-e", f"import * as words from '{UI / 'lib' / 'words.js'}'; console.log(JSON.stringify(words))")
    assert said.returncode == 0, said.stderr
    return json.loads(said.stdout)


@needs_node
@pytest.mark.parametrize("zone", ["UTC", "Asia/Kolkata"])
def test_what_the_scripts_compute_is_right_wherever_the_browser_is(zone: str) -> None:
    units = sorted((Path(__file__).parent / "units").glob("*.test.mjs"))
    done = _node("--test", *map(str, units), zone=zone)
    assert done.returncode == 0, done.stdout[-4000:]


@needs_node
@pytest.mark.parametrize("zone", ["UTC", "Asia/Kolkata"])
def test_components_do_what_their_readers_mean(react: Path, zone: str) -> None:
    tried = sorted((Path(__file__).parent / "components").glob("*.test.mjs"))
    done = _node("--test", *map(str, tried), zone=zone, REACT_HOME=str(react))
    assert done.returncode == 0, done.stdout[-4000:]


@needs_node
def test_pages_know_the_words_of_the_package() -> None:
    words = _words()
    assert words["STATES"] == [str(state) for state in incident.State]
    assert words["CATEGORIES"] == list(incident.CATEGORIES)
    assert sorted(words["SEVERITIES"]) == sorted(incident.SEVERITIES)
    assert words["NO_INCIDENT"] == incident.NO_INCIDENT
    assert list(words["MODES"]) == list(conf.MODES)
    assert words["APPROVAL_DAG"] == APPROVAL_DAG
    assert words["YEARS"] == [schemas.FIRST_YEAR, schemas.LAST_YEAR]


def test_airflow_finds_every_page_in_the_bundle() -> None:
    bundle = (UI / "main.js").read_text(encoding="utf-8")
    assert REACT_APPS
    assert all(str(page["bundle_url"]).endswith("/main.js") for page in REACT_APPS)
    assert all(re.search(rf"\b{page['name']}\b", bundle) for page in REACT_APPS)


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.relative_to(UI).as_posix())
def test_a_script_is_small_and_makes_no_markup_of_text(script: Path) -> None:
    source = script.read_text(encoding="utf-8")
    assert len(source.splitlines()) <= MOST_LINES
    assert not DANGEROUS.search(source)
    assert source.startswith("/** "), "the first line says what it is for"
