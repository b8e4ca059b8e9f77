"""One code base, three installs: each is complete, and two at once do no harm."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import pytest
from tests.examples import include_few
from tests.packaging.installation import ROOT, Answer, Installation

from airflow_oncall import conf

pytestmark = pytest.mark.slow

PACKAGE = ROOT / "plugins" / "airflow_oncall"
SCRIPTS = list((PACKAGE / "show" / "ui").rglob("*.js"))
"""What a browser loads of the pages."""
DAGS = ["oncall_approval", "oncall_poll", "oncall_train", "oncall_triage"]
LOADED = """
import json, sys
from airflow.configuration import conf
from airflow.listeners.listener import get_listener_manager

listeners = [type(one).__module__ for one in get_listener_manager().pm.get_plugins() if type(one).__name__ == "OnCallListener"]
folder = conf.get("core", "plugins_folder")
files = {name: getattr(module, "__file__", None) or "" for name, module in sys.modules.items()}
bare = [name for name, file in files.items() if file.startswith(folder) and not name.startswith("airflow_oncall.")]
print(json.dumps({"listeners": listeners, "bare": sorted(bare), "package": files["airflow_oncall"], "listener": files[listeners[0]]}))
"""
PARSED = """
import json
from airflow.dag_processing.bundles.manager import DagBundlesManager
from airflow.dag_processing.dagbag import DagBag

dags, errors, paths = [], {}, {}
for bundle in DagBundlesManager().get_all_dag_bundles():
    bundle.initialize()
    bag = DagBag(bundle.path, bundle_path=bundle.path, bundle_name=bundle.name)
    dags += sorted(bag.dags)
    errors |= bag.import_errors
    paths[bundle.name] = str(bundle.path)
print(json.dumps({"dags": dags, "errors": errors, "paths": paths}))
"""


def times_listed(answer: Answer) -> int:
    """How often ``airflow plugins`` lists ours."""
    return sum(row["name"] == "oncall" for row in answer.rows)


def serves_every_dag_once(parsed: dict[str, Any]) -> bool:
    """Whether all bundles together give our DAGs, each once, and nothing else."""
    return bool(parsed["errors"] == {} and parsed["dags"] == DAGS)


def test_the_wheel_carries_dags_rules_policy_corpus_and_pages(wheel: Path) -> None:
    assert wheel.name == "airflow_oncall-0.1.0-py3-none-any.whl"
    files = set(zipfile.ZipFile(wheel).namelist())
    shipped = [path for folder in ("dags", "examples", "include/oncall") for path in (ROOT / folder).rglob("*") if path.is_file()]
    expected = {f"airflow_oncall/{path.relative_to(ROOT)}" for path in shipped if "__pycache__" not in path.parts}
    assert expected <= files
    assert "airflow_oncall/store/migrations/versions/0001_first_schema.py" in files
    assert {f"airflow_oncall/{path.relative_to(PACKAGE)}" for path in SCRIPTS} <= files
    assert {file.split("/")[0] for file in files} == {"airflow_oncall", "airflow_oncall-0.1.0.dist-info"}


def test_the_wheel_brings_commands_defaults_plugin_and_provider(wheel_install: Installation) -> None:
    answers = wheel_install.airflow(
        "oncall --help",
        "oncall db upgrade",
        "oncall list --format json",
        "config get-value oncall mode",
        "plugins --output json",
        "providers list --output json",
    )
    assert [answer.code for answer in answers] == [0] * 6
    commands, upgraded, listed, mode, plugins, providers = answers
    assert {"db", "doctor", "list", "show", "classify", "report"} <= set(commands.text.split())
    assert "is at revision" in upgraded.text
    assert json.loads(listed.text) == []
    assert mode.text.strip().splitlines()[-1] == conf.OPTIONS["mode"].default
    assert times_listed(plugins) == 1
    assert "airflow-oncall" in {row["package_name"] for row in providers.rows}


def test_the_wheels_bundle_serves_every_dag(wheel_install: Installation) -> None:
    parsed = wheel_install.script(PARSED)
    assert serves_every_dag_once(parsed), parsed
    assert Path(parsed["paths"]["oncall"]).is_relative_to(wheel_install.python.parents[1])


def test_the_wheel_finds_the_rules_inside_itself(wheel_install: Installation, tmp_path: Path) -> None:
    own = str(include_few(tmp_path / "own"))  # no rules, but models in a moment
    text = "FATAL: sorry, too many clients already"
    found = wheel_install.run("-m", "airflow_oncall", "classify", "--text", text, AIRFLOW__ONCALL__INCLUDE_PATH=own)
    assert found.returncode == 0, found.stderr
    assert '"database_connectivity"' in found.stdout


def test_folders_in_airflow_home_are_a_whole_install(folder_install: Installation) -> None:
    plugins = folder_install.home / "plugins"
    upgraded = folder_install.run("-m", "airflow_oncall", "db", "upgrade", PYTHONPATH=str(plugins))
    assert upgraded.returncode == 0, upgraded.stderr
    assert (folder_install.home / "oncall" / "oncall.db").is_file()
    assert (plugins / ".airflowignore").read_text() == "drafts/\nairflow_oncall/\n"
    assert all((plugins / "airflow_oncall" / path.relative_to(PACKAGE)).is_file() for path in SCRIPTS)
    parsed = folder_install.script(PARSED)
    assert serves_every_dag_once(parsed), parsed


def test_the_plugin_loader_runs_no_file_of_the_package_by_its_bare_name(folder_install: Installation) -> None:
    loaded = folder_install.script(LOADED)
    assert loaded["bare"] == ["airflow_oncall", "airflow_oncall_plugin", "somebody_elses"]
    assert loaded["listeners"] == ["airflow_oncall.capture.listener"]
    assert Path(loaded["package"]).is_relative_to(folder_install.home)


def test_a_checkout_beside_airflow_serves_plugin_and_dags(bundle_install: Installation) -> None:
    (plugins,) = bundle_install.airflow("plugins --output json")
    assert times_listed(plugins) == 1
    parsed = bundle_install.script(PARSED)
    assert serves_every_dag_once(parsed), parsed
    assert Path(parsed["paths"]["oncall"]) == ROOT / "dags"


def test_wheel_and_folders_at_once_are_one_plugin(both: Installation) -> None:
    plugins, upgraded, listed = both.airflow("plugins --output json", "oncall db upgrade", "oncall list --format json")
    assert times_listed(plugins) == 1
    assert (upgraded.code, listed.code) == (0, 0)
    loaded = both.script(LOADED)
    assert loaded["listeners"] == ["airflow_oncall.capture.listener"]
    assert Path(loaded["package"]).parent == Path(loaded["listener"]).parents[1], "two copies of the package are at work"
    assert loaded["bare"] == ["airflow_oncall_plugin", "somebody_elses"]
