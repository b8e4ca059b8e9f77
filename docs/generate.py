"""Write what is generated of the documents: ``make docs``. A test fails while one of them is not current.

settings.md and the README's table of settings come from ``airflow_oncall.conf``, cli.md from ``airflow_oncall.cli.definition``,
policy.schema.json and the reference in policy.md from ``airflow_oncall.act.policy`` and the shipped policy.yaml,
knowledge.schema.json from ``airflow_oncall.knowledge.exchange``, the reference in api.md from the API's own description, the ways to
install and what is never done from the README.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "plugins"))  # the package is not installed in a checkout

from airflow.cli.cli_config import CLICommand, GroupCommand  # noqa: E402

from airflow_oncall import conf  # noqa: E402
from airflow_oncall.cli.definition import COMMANDS  # noqa: E402
from airflow_oncall.knowledge import exchange  # noqa: E402
from docs import api_reference, policy_reference  # noqa: E402

THAT_MATTER = (
    "mode",
    "conn_id",
    "airflow_conn_id",
    "ignore_dags",
    "approval_timeout",
    "verify_timeout",
    "escalation_notifiers",
    "include_path",
    "models_path",
    "spool_path",
)
"""The settings that the README shows."""
API = ROOT / "docs" / "api.md"
GENERATED = "<!-- made by `make docs`; edit {source} instead -->\n\n"


def settings() -> str:
    """docs/settings.md."""
    sections = [
        GENERATED.format(source="plugins/airflow_oncall/conf.py"),
        "# Settings\n\n",
        f"Section `[{conf.SECTION}]` of `airflow.cfg`, or environment variables `AIRFLOW__{conf.SECTION.upper()}__...`. ",
        "None has to be set. What may be done about which failure is not here but in `include/oncall/policy.yaml`.\n",
    ]
    for name, option in conf.OPTIONS.items():
        default = f"`{option.default}`" if option.default else "empty"
        sections.append(f"\n## {name}\n\n{option.description}\n\n- Type: {option.type}. Default: {default}.\n")
        sections.append(f"- Environment: `AIRFLOW__{conf.SECTION.upper()}__{name.upper()}`\n")
        if option.example:
            sections.append(f"- Example: `{option.example}`\n")
    return "".join(sections)


def settings_table() -> str:
    """The README's table."""
    chosen = {name: conf.OPTIONS[name] for name in THAT_MATTER}
    defaults = {name: f"`{option.default}`" if option.default else "" for name, option in chosen.items()}
    rows = [f"| `{name}` | {defaults[name]} | {_cell(option.description)} |\n" for name, option in chosen.items()]
    return "".join(["| setting | default | what it does |\n|---|---|---|\n", *rows])


def from_readme(heading: str) -> str:
    """What the README says below a heading, as a page of its own says it."""
    _, found, rest = (ROOT / "README.md").read_text(encoding="utf-8").partition(f"\n## {heading}\n")
    if not found:
        raise SystemExit(f"README.md has no heading {heading!r}")
    section = rest.partition("\n## ")[0].replace("](docs/", "](")
    return re.sub(r"^##(#+ )", r"#\1", section, flags=re.MULTILINE).strip() + "\n"


def commands() -> str:
    """docs/cli.md."""
    return "".join(
        [
            GENERATED.format(source="plugins/airflow_oncall/cli/definition.py"),
            "# Commands\n\n",
            "`airflow oncall ...` where the wheel is installed; `python -m airflow_oncall ...` everywhere, with `plugins/` on ",
            "`PYTHONPATH` in a folder install. A command that fails says why on standard error and ends with exit code 1.\n",
            *(_command(path, command) for path, command in walk(COMMANDS)),
        ]
    )


def walk(found: Iterable[CLICommand], before: str = "") -> Iterator[tuple[str, Any]]:
    """Every command that can be run, with its words."""
    for command in found:
        path = f"{before} {command.name}".strip()
        if isinstance(command, GroupCommand):
            yield from walk(command.subcommands, path)
        else:
            yield path, command


def _command(path: str, command: Any) -> str:
    rows = [f"| `{_usage(arg)}` | {_cell(str(arg.kwargs.get('help', '')))} |\n" for arg in command.args]
    table = ["\n| argument | |\n|---|---|\n", *rows] if rows else []
    return "".join([f"\n## {path}\n\n{command.help}.\n", *table])


def _usage(arg: Any) -> str:
    if not arg.flags[0].startswith("-"):
        name = str(arg.kwargs.get("metavar") or arg.flags[0])
        return f"[{name}]" if arg.kwargs.get("nargs") == "?" else name
    if arg.kwargs.get("action") == "store_true":
        return ", ".join(arg.flags)
    value = arg.kwargs.get("metavar") or "|".join(map(str, arg.kwargs.get("choices", ()))) or arg.flags[-1].lstrip("-").upper()
    return f"{', '.join(arg.flags)} {value}" + (" ..." if arg.kwargs.get("nargs") == "+" else "")


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def documents() -> dict[Path, str]:
    """Every file that this command writes, with the text it has to have."""
    readme, policy = ROOT / "README.md", ROOT / "docs" / "policy.md"
    index, install = ROOT / "docs" / "index.md", ROOT / "docs" / "install.md"
    include = ROOT / "include" / "oncall"
    shipped = (include / "policy.yaml").read_text(encoding="utf-8")
    return {
        ROOT / "docs" / "settings.md": settings(),
        ROOT / "docs" / "cli.md": commands(),
        readme: _filled(readme, "settings", settings_table()),
        index: _filled(index, "never", from_readme("What it will never do")),
        install: _filled(install, "ways", from_readme("Install")),
        policy: _filled(policy, "reference", policy_reference.reference(shipped)),
        include / "policy.schema.json": policy_reference.schema(),
        include / "knowledge.schema.json": json.dumps(exchange.schema(), indent=2) + "\n",
    }


def api(described: Mapping[str, Any]) -> str:
    """docs/api.md, from the description that the API gives of itself."""
    return _filled(API, "reference", api_reference.reference(described))


def _filled(path: Path, name: str, made: str) -> str:
    """The file with what is made between two comments that name it."""
    place = re.compile(rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)", re.DOTALL)
    text, found = place.subn(lambda match: match[1] + made + match[2], path.read_text(encoding="utf-8"))
    if found != 1:
        raise SystemExit(f"{path}: exactly one place between <!-- {name} --> and <!-- /{name} --> is needed, found {found}")
    return text


if __name__ == "__main__":
    from airflow_oncall.show.api.app import create_app  # Airflow's API server with all its parts, so not by the way

    for path, text in (documents() | {API: api(create_app().openapi())}).items():
        path.write_text(text, encoding="utf-8")
