"""Scenarios: what is broken, as data. One YAML file, ``ENGINE_THEME.yaml``, holds those of one engine and theme; see ``docs/lab.md``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from string import Template
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, field_validator

from airflow_oncall.datafile import parse
from airflow_oncall.errors import BadDataFile
from airflow_oncall.incident import CATEGORIES, NO_INCIDENT

FOLDER = Path(__file__).parent / "scenarios"
LEAST_VARIATIONS = 3


class Scenario(BaseModel):
    """One fault (or one healthy run), provoked once a variation."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str = Field(pattern=r"^[a-z0-9][a-z0-9-]+$")
    category: str
    transient: bool | None
    """Whether the same run, unchanged, can succeed later; ``null`` when that is not to be told."""
    run: str
    """What the engine runs, in its own language; ``$name`` stands for a value of the variation."""
    shows: str = ""
    """Regular expression that every true recording matches; what the fault is known by."""
    variations: tuple[Mapping[str, str], ...] = Field(min_length=LEAST_VARIATIONS)
    """Values for the placeholders: other names, nesting, versions."""
    identifiers: Mapping[str, str] = {}
    """Identifiers that the text shows, beside those the engine and the surroundings add; placeholders allowed."""
    options: Mapping[str, Any] = {}
    """What the engine needs to know, e.g. its server's settings."""
    also: tuple[str, ...] = ()
    """Categories that a second person may give this fault with equal right."""

    @field_validator("category")
    @classmethod
    def _known(cls, value: str) -> str:
        if value not in (*CATEGORIES, NO_INCIDENT):
            raise ValueError(f"{value!r} is no category; the categories are {', '.join(CATEGORIES)} and {NO_INCIDENT}")
        return value

    def fill(self, text: str, values: Mapping[str, str]) -> str:
        """``text`` with the variation's values; what is not a placeholder stays (``$1`` of a shell, say)."""
        return Template(text).safe_substitute(values)


class ScenarioFile(BaseModel):
    """One file of scenarios."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    engine: str
    scenarios: tuple[Scenario, ...]


def read_scenarios(engine: str, folder: Path = FOLDER) -> Iterator[Scenario]:
    """All scenarios of one engine, in the order of its files ``ENGINE_*.yaml``; no other file is read.

    Raises ``BadDataFile`` naming file, line and field.
    """
    seen: dict[str, str] = {}
    for path in sorted(folder.glob(f"{engine}_*.yaml")):
        file = parse(ScenarioFile, path.name, path.read_text(encoding="utf-8"))
        if file.engine != engine:
            raise BadDataFile(path.name, f"is {file.engine!r}; a file of this name holds scenarios of {engine!r}", line=1, field="engine")
        for scenario in file.scenarios:
            if scenario.id in seen:
                raise BadDataFile(path.name, f"{scenario.id!r} is in {seen[scenario.id]} too; ids are unique within an engine", field="id")
            seen[scenario.id] = path.name
            yield scenario
