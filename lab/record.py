"""From scenarios to corpus rows: provoke, check that the fault really showed, dress, scrub, label by what was broken."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from airflow_oncall.incident import NO_INCIDENT
from lab.engines.base import Engine, Recording
from lab.scenario import Scenario
from lab.scrub import scrub
from lab.surroundings import dress

CORPUS = Path(__file__).parents[1] / "include" / "oncall" / "corpus"

Row = dict[str, Any]
Progress = Callable[[Scenario, int], None]


class NotProvoked(Exception):
    """The engine did not show the fault that was provoked: the scenario is wrong, or the engine changed."""


def rows(name: str, engine: Engine, scenarios: Iterable[Scenario], progress: Progress = lambda _scenario, _rows: None) -> Iterator[Row]:
    """Every variation of every scenario, provoked on the running engine."""
    number = 0
    for scenario in scenarios:
        before = number
        for variation, values in enumerate(scenario.variations):
            for recording in recordings(engine, scenario, values):
                yield row(name, engine.version, scenario, variation, recording, number)
                number += 1
        progress(scenario, number - before)


def recordings(engine: Engine, scenario: Scenario, values: Mapping[str, str]) -> Iterator[Recording]:
    """One provocation's recordings. Raises :class:`NotProvoked` where none shows what the scenario promises."""
    found = list(engine.provoke(scenario, values))
    if not any(re.search(scenario.fill(scenario.shows, values), recording.text) for recording in found):
        texts = "\n---\n".join(recording.text[-1_500:] for recording in found)
        raise NotProvoked(f"scenario {scenario.id!r} with {dict(values)!r} does not show {scenario.shows!r}. It says:\n{texts}")
    yield from found


def row(name: str, version: str, scenario: Scenario, variation: int, recording: Recording, number: int) -> Row:
    """One line of the corpus."""
    # A dress may stand before every line, and frames are then no longer to be told from output: scrubbed first.
    dressed = dress(replace(recording, text=scrub(recording.text)), scenario.id, number)
    text = scrub(dressed.text)
    identifiers = {**dressed.identifiers, **recording.identifiers}
    return {
        "text": text,
        "category": scenario.category,
        "also": list(scenario.also),
        "transient": None if scenario.category == NO_INCIDENT else scenario.transient,
        "identifiers": {key: value for key, value in sorted(identifiers.items()) if value and value in text},
        "provenance": {
            "made": "provoked",
            "engine": name,
            "version": version,
            "scenario": scenario.id,
            "variation": variation,
            "view": recording.view,
            "surroundings": dressed.style,
        },
    }


def write(name: str, made: Iterable[Row], folder: Path = CORPUS) -> Path:
    """Replace one corpus file, whole or not at all."""
    path = folder / f"{name}.jsonl"
    folder.mkdir(parents=True, exist_ok=True)
    new = path.with_suffix(".new")
    new.write_text("".join(json.dumps(one, ensure_ascii=False, sort_keys=True) + "\n" for one in made), encoding="utf-8")
    new.replace(path)
    return path
