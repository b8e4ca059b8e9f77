"""The documents say what the code does: generated parts are current, commands and settings are the real ones."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
import yaml
from airflow.cli.cli_config import GroupCommand

from airflow_oncall import __version__, conf
from airflow_oncall.act.decide import DECLARATIONS
from airflow_oncall.cli.definition import COMMANDS
from docs import generate

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
DESIGN = (ROOT / "docs" / "design.md").read_text(encoding="utf-8")
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
CI = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
TARGETS = set(re.findall(r"^([a-z0-9]+):.*## ", MAKEFILE, re.MULTILINE))
GROUPS = "|".join(command.name for command in COMMANDS if isinstance(command, GroupCommand))
NAMING_COMMANDS = {".md", ".py", ".js", ".html"}
BINARY = {".png", ".jpg", ".ico", ".gz", ".zip"}


def repository_files() -> list[Path]:
    """Every file that is or would be committed."""
    listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, check=True, capture_output=True, text=True)
    paths = [ROOT / line for line in listed.stdout.splitlines()]
    return [path for path in paths if path.is_file() and path.suffix not in BINARY]


@pytest.mark.parametrize("path", generate.documents(), ids=lambda path: path.name)
def test_generated_parts_are_current(path: Path) -> None:
    assert path.read_text(encoding="utf-8") == generate.documents()[path], "run `make docs`"


@pytest.mark.parametrize("name", conf.OPTIONS)
def test_every_setting_has_its_section_and_its_function(name: str) -> None:
    assert f"\n## {name}\n" in (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
    documented = [function.__doc__ for function in vars(conf).values() if callable(function) and function.__doc__]
    assert any(f"[oncall] {name}" in text for text in documented), f"no function of conf.py reads {name}"


@pytest.mark.parametrize("path", [path for path, _ in generate.walk(COMMANDS)])
def test_every_command_has_its_section(path: str) -> None:
    assert f"\n## {path}\n" in (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")


def test_the_readme_shows_ten_settings_that_exist() -> None:
    assert len(set(generate.THAT_MATTER)) == 10
    assert set(generate.THAT_MATTER) <= set(conf.OPTIONS)


@pytest.mark.parametrize(
    "path", [path for path in repository_files() if path.suffix in NAMING_COMMANDS], ids=lambda path: str(path.relative_to(ROOT))
)
def test_documents_name_only_commands_that_exist(path: Path) -> None:
    named = set(re.findall(rf"airflow oncall ((?:(?:{GROUPS}) )?[a-z]+(?:-[a-z]+)*)", path.read_text(encoding="utf-8")))
    assert named <= {name for name, _ in generate.walk(COMMANDS)} | {*GROUPS.split("|")}


def test_every_setting_and_declaration_in_the_readme_exists() -> None:
    assert {name.lower() for name in re.findall(r"AIRFLOW__ONCALL__([A-Z_]+)", README)} <= set(conf.OPTIONS)
    assert set(re.findall(r"`oncall:([a-z]+)`", README)) - {"op", "critical"} == set(DECLARATIONS)


def test_the_readmes_connections_are_the_default_ones() -> None:
    named = set(re.findall(r"AIRFLOW_CONN_([A-Z_]+)=", README))
    assert named == {conf.OPTIONS["conn_id"].default.upper(), conf.OPTIONS["airflow_conn_id"].default.upper()}


def test_the_readmes_two_commands_are_the_ones_ci_runs() -> None:
    block = re.search(r"## Two commands.*?```bash\n(.*?)```", README, re.DOTALL)
    assert block
    commands = [line.split("#")[0].strip() for line in block[1].splitlines()]
    assert commands == ["make demo", "make test"]
    assert {command.removeprefix("make ") for command in commands} <= TARGETS
    assert re.search(r"^exec make test$", CI, re.MULTILINE)


@pytest.mark.parametrize("text", [README, DESIGN], ids=["README", "design"])
def test_links_lead_somewhere(text: str) -> None:
    base = ROOT if text is README else ROOT / "docs"
    links = [link for link in re.findall(r"\]\(([^)]+)\)", text) if "://" not in link]
    assert links
    for link in links:
        path, _, anchor = link.partition("#")
        target = base / path if path else base / "design.md"
        assert target.is_file(), link
        if anchor:
            headings = re.findall(r"^#+ (.+)$", target.read_text(encoding="utf-8"), re.MULTILINE)
            assert anchor in {re.sub(r"[^a-z0-9 -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_the_changelog_knows_this_version() -> None:
    assert f"\n## {__version__} " in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_every_target_is_declared_phony() -> None:
    phony = re.search(r"^\.PHONY: (.+)$", MAKEFILE, re.MULTILINE)
    assert phony
    assert set(phony[1].split()) == TARGETS


@pytest.mark.parametrize("name", ["airflow_settings.yaml", ".pre-commit-config.yaml"])
def test_yaml_files_are_yaml(name: str) -> None:
    assert isinstance(yaml.safe_load((ROOT / name).read_text(encoding="utf-8")), dict)


def test_the_commented_connections_are_valid_and_the_default_ones() -> None:
    lines = (ROOT / "airflow_settings.yaml").read_text(encoding="utf-8").splitlines()
    uncommented = "\n".join(line.replace("  #  ", "    ", 1) if line.startswith("  #  ") else line for line in lines)
    connections = yaml.safe_load(uncommented)["airflow"]["connections"]
    assert [one["conn_id"] for one in connections] == ["oncall_airflow", "oncall_db"]


def test_hooks_use_the_tools_of_the_environment() -> None:
    repositories = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))["repos"]
    assert {one["repo"] for one in repositories} <= {"local", "meta"}
    entries = [hook["entry"] for one in repositories if one["repo"] == "local" for hook in one["hooks"]]
    assert all(entry.startswith(".venv/bin/") for entry in entries)


def test_the_image_can_build_the_wheel() -> None:
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    needed = {"plugins", "dags", "include", "pyproject.toml", "README.md", "LICENSE", "requirements.txt", "packages.txt"}
    assert not needed & set(ignored)
    assert re.search(r"^FROM \S+/runtime:3\.\d", (ROOT / "Dockerfile").read_text(encoding="utf-8"), re.MULTILINE)


def test_requirements_are_the_packages_dependencies() -> None:
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    declared = re.search(r"^dependencies = \[\n(.*?)^\]", project, re.DOTALL | re.MULTILINE)
    assert declared
    required = [line for line in (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines() if line and line[0] != "#"]
    assert sorted(required) == sorted(re.findall(r'"([^"]+)"', declared[1]))


def test_nothing_of_one_machine_is_in_the_repository() -> None:
    # Put together here, so that this file does not find itself.
    patterns = {
        "registry": "|".join(["index" + "-url", r'"resolved" *: *"' + "http"]),
        "home": "|".join(["/ho" + r"me/(?!airflow\b)\w", "/Us" + r"ers/\w", "/ro" + r"ot/\.", "/work" + "/(main|shared)"]),
    }
    found = [
        f"{path.relative_to(ROOT)}:{number} ({what})"
        for path in repository_files()
        for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1)
        for what, pattern in patterns.items()
        if re.search(pattern, line)
    ]
    assert not found


def test_there_is_no_lock_file() -> None:
    locks = {"uv.lock", "poetry.lock", "pdm.lock", "Pipfile.lock", "package-lock.json", "yarn.lock"}
    assert not [path for path in repository_files() if path.name in locks]
