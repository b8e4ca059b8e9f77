"""The import rings and size limits of docs/design.md, read from the source without running it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest
from airflow._shared.module_loading import find_path_from_directory

ROOT = Path(__file__).parents[1]
PLUGINS = ROOT / "plugins"
PACKAGE = PLUGINS / "airflow_oncall"

NOUNS, MEMORY, STAGES, COMPOSITION = range(4)
RING = {
    **dict.fromkeys(("incident", "errors", "conf", "macros", "aside", "inert"), NOUNS),
    **dict.fromkeys(("store", "rest", "tasklog", "connections", "datafile", "regexes", "telemetry"), MEMORY),
    **dict.fromkeys(("capture", "triage", "act", "learn"), STAGES),
    **dict.fromkeys(("show", "cli", "dags", "bundle", "provider_info", "tick", "judgement", "brain", "__main__"), COMPOSITION),
    **dict.fromkeys(("training", "upkeep", "feedback", "retry_policy", "logbook", "storms"), COMPOSITION),
    **dict.fromkeys(("facts", "situations", "knowledge", "shadow", "gain", "suggesting", "measures", "reports"), COMPOSITION),
}
"""Every part of the package; a new one has to take its place here."""
FACES = {"show", "cli", "dags"}
"""Where people and Airflow meet the system; what two of them need stands further inward."""
FRIENDS = {("learn", f"triage.{name}") for name in ("features", "models", "memory", "table")}
"""Training and serving read a text alike, and training fills what serving loads."""
HEAVY = frozenset({"sklearn", "numpy", "pandas", "sqlalchemy", "alembic", "fastapi", "joblib", "airflow_client"})
MADE_FOR_HEAVY = re.compile(r"store\.(?!__init__|base).*|rest|learn\..*|show\.api\..*")
DOORS = ("show.plugin", "capture.callbacks", "capture.notifier", "capture.cluster_policy", "capture.trigger", "provider_info", "bundle")
"""What Airflow imports in processes that are not ours."""
ASKS_AUTH_MANAGER = "show.api.auth"
"""Asks Airflow's auth manager, which is a part of Airflow's own API."""
BORDERS = {"capture.record", "capture.listener", "aside"}


class Import(NamedTuple):
    """One imported module, and whether importing the importer imports it."""

    name: str
    line: int
    at_import: bool


class Module(NamedTuple):
    """One file: its dotted name inside the package (``dags.oncall_triage`` for a DAG file)."""

    name: str
    path: Path

    @property
    def part(self) -> str:
        """The part of the package it belongs to."""
        return self.name.split(".")[0]

    def at(self, line: int) -> str:
        """Place for a failure message."""
        return f"{self.path.relative_to(ROOT)}:{line}"


def _modules() -> list[Module]:
    inside = [Module(".".join(path.relative_to(PACKAGE).with_suffix("").parts), path) for path in sorted(PACKAGE.rglob("*.py"))]
    dags = [Module(f"dags.{path.stem}", path) for path in sorted((ROOT / "dags").glob("*.py"))]
    return [module for module in inside if module.name != "__init__"] + dags


MODULES = _modules()
every_module = pytest.mark.parametrize("module", MODULES, ids=lambda module: module.name)


@cache
def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


@cache
def _imports(path: Path) -> list[Import]:
    return list(_walk_imports(_tree(path), at_import=True))


def _walk_imports(node: ast.AST, at_import: bool) -> Iterator[Import]:
    if isinstance(node, ast.Import):
        yield from (Import(alias.name, node.lineno, at_import) for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        assert node.level == 0, f"line {node.lineno}: relative import"
        yield from (Import(f"{node.module}.{alias.name}", node.lineno, at_import) for alias in node.names)
    deferred = isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) or _is_type_checking(node)
    for child in ast.iter_child_nodes(node):
        yield from _walk_imports(child, at_import and not deferred)


def _is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def _inside(imported: Import) -> str | None:
    """Dotted name inside the package, ``None`` for imports from elsewhere and of the package's own lazy names."""
    package, _, name = imported.name.partition(".")
    return name if package == "airflow_oncall" and name.split(".")[0] in RING else None


def test_every_part_of_the_package_has_its_ring() -> None:
    assert {module.part for module in MODULES} == set(RING)


@every_module
def test_imports_point_inward(module: Module) -> None:
    outward = [
        f"{module.at(one.line)} imports {one.name}"
        for one in _imports(module.path)
        if (name := _inside(one)) and RING[name.split(".")[0]] > RING[module.part]
    ]
    assert not outward


@every_module
def test_stages_know_nothing_of_each_other(module: Module) -> None:
    siblings = [
        f"{module.at(one.line)} imports {one.name}"
        for one in _imports(module.path)
        if (name := _inside(one)) and RING[module.part] == STAGES and _is_stranger(module.part, name)
    ]
    assert not siblings


@every_module
def test_faces_know_nothing_of_each_other(module: Module) -> None:
    others = FACES - {module.part}
    wrong = [f"{module.at(one.line)} imports {one.name}" for one in _imports(module.path) if (_inside(one) or "").split(".")[0] in others]
    assert not wrong or module.part not in FACES


def _is_stranger(part: str, name: str) -> bool:
    friend = any(part == who and (name == whom or name.startswith(f"{whom}.")) for who, whom in FRIENDS)
    return RING[name.split(".")[0]] == STAGES and name.split(".")[0] != part and not friend


@every_module
def test_heavy_libraries_load_only_where_they_are_used(module: Module) -> None:
    if MADE_FOR_HEAVY.fullmatch(module.name):
        return
    heavy = [f"{module.at(one.line)} imports {one.name}" for one in _imports(module.path) if one.at_import and _is_heavy(one)]
    assert not heavy


@pytest.mark.parametrize("door", [*DOORS, "cli.definition", *(module.name for module in MODULES if module.part == "dags")])
def test_what_airflow_imports_everywhere_reaches_no_heavy_library(door: str) -> None:
    by_name = {module.name.removesuffix(".__init__"): module for module in MODULES}
    waiting, seen = [door], set[str]()
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        loaded = [one for one in _imports(by_name[name].path) if one.at_import]
        assert not list(filter(_is_heavy, loaded)), f"{door} loads {name}, which loads a heavy library"
        waiting += [found for one in loaded if (inside := _inside(one)) and (found := _longest_known(inside, by_name))]


def _longest_known(name: str, known: dict[str, Module]) -> str | None:
    """The module of ``package.module.attribute``."""
    while name and name not in known:
        name = name.rpartition(".")[0]
    return name or None


def _is_heavy(imported: Import) -> bool:
    return imported.name.split(".")[0] in HEAVY


@every_module
def test_airflows_metadata_database_is_never_touched(module: Module) -> None:
    forbidden = re.compile(r"airflow\.(models|settings|utils\.(session|db)|jobs|api_fastapi)\b|airflow\..*\.(provide_session|NEW_SESSION)$")
    names = [one for one in _imports(module.path) if forbidden.match(one.name)]
    asked = "airflow.api_fastapi." if module.name == ASKS_AUTH_MANAGER else None
    assert not [f"{module.at(one.line)} imports {one.name}" for one in names if not (asked and one.name.startswith(asked))]


@every_module
def test_broad_excepts_stand_at_the_borders_only(module: Module) -> None:
    broad = [handler.lineno for handler in ast.walk(_tree(module.path)) if isinstance(handler, ast.ExceptHandler) and _is_broad(handler)]
    assert not broad or module.name in BORDERS, f"broad except at {[module.at(line) for line in broad]}"


def _is_broad(handler: ast.ExceptHandler) -> bool:
    if handler.type is None:
        return True
    return any(isinstance(node, ast.Name) and node.id in {"Exception", "BaseException"} for node in ast.walk(handler.type))


@every_module
def test_rooms_are_small(module: Module) -> None:
    assert len(module.path.read_text(encoding="utf-8").splitlines()) <= 600
    functions = [node for node in ast.walk(_tree(module.path)) if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))]
    # The two halves of a migration are generated lists of columns.
    long = [node.name for node in functions if (node.end_lineno or 0) - node.lineno >= 80 and "migrations.versions" not in module.name]
    assert not long, f"functions above 80 lines: {long}"


def test_dags_are_written_against_the_public_interface() -> None:
    public = re.compile(r"(airflow\.sdk|airflow\.providers\.standard|airflow_oncall)\.")
    imported = [one for module in MODULES if module.part == "dags" for one in _imports(module.path)]
    ours_or_airflows = [one.name for one in imported if one.name.startswith("airflow")]
    assert ours_or_airflows
    assert not [name for name in ours_or_airflows if not public.match(name)]


@pytest.mark.parametrize("syntax", ["glob", "regexp"])
def test_the_plugin_loader_runs_our_door_and_nothing_else(syntax: str) -> None:
    """It runs every file it finds under its bare name: ``airflow_oncall/conf.py`` would become a module ``conf``."""
    found = [Path(path) for path in find_path_from_directory(PLUGINS, ".airflowignore", syntax)]
    assert [path.relative_to(PLUGINS) for path in found if path.suffix == ".py"] == [Path("airflow_oncall_plugin.py")]


@pytest.mark.parametrize("syntax", ["glob", "regexp"])
def test_a_dag_bundle_at_the_project_root_finds_the_dags_only(syntax: str) -> None:
    found = {Path(path).relative_to(ROOT) for path in find_path_from_directory(ROOT, ".airflowignore", syntax)}
    tracked = {path for path in found if path.suffix in {".py", ".zip"}}
    assert tracked == {path.relative_to(ROOT) for path in (ROOT / "dags").glob("*.py")}
