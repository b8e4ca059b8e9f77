"""From scenarios to corpus rows: provoke, check that the fault really showed, dress, scrub, label by what was broken."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any
from zlib import crc32

from airflow_oncall.incident import NO_INCIDENT
from lab.engines.base import Engine, NotProvoked, Raised, Recording
from lab.scenario import Scenario
from lab.scrub import scrub
from lab.surroundings import dress

CORPUS = Path(__file__).parents[1] / "include" / "oncall" / "corpus"

STUBS = frozenset({"reply", "lines", "redis", "mysql", "rpc", "sftp"})
"""Options that tell a local stub server what to answer: such words are the lab's, whatever the client makes of them."""

Row = dict[str, Any]


def rows(name: str, engine: Engine, scenario: Scenario) -> Iterator[Row]:
    """Every variation of the scenario, provoked on the running engine."""
    for variation, values in enumerate(scenario.variations):
        nth: Counter[str] = Counter()
        for recording in recordings(engine, scenario, values):
            yield row(name, engine.version, scenario, variation, recording, nth[recording.view])
            nth[recording.view] += 1


def distinct(found: Iterable[Row]) -> list[Row]:
    """The rows without those whose text, up to white space, an earlier one has."""
    first: dict[str, Row] = {}
    for one in found:
        first.setdefault(" ".join(one["text"].split()), one)
    return list(first.values())


def recordings(engine: Engine, scenario: Scenario, values: Mapping[str, str]) -> list[Recording]:
    """One provocation's recordings. Raises :class:`NotProvoked` where none shows what the scenario promises, twice."""
    try:
        return _provoked(engine, scenario, values)
    except NotProvoked:  # a fault that depends on time may not show on a busy machine
        return _provoked(engine, scenario, values)


def _provoked(engine: Engine, scenario: Scenario, values: Mapping[str, str]) -> list[Recording]:
    found = list(engine.provoke(scenario, values))
    if not any(re.search(scenario.fill(scenario.shows, values), recording.text) for recording in found):
        texts = "\n---\n".join(recording.text[-1_500:] for recording in found)
        raise NotProvoked(f"scenario {scenario.id!r} with {dict(values)!r} does not show {scenario.shows!r}. It says:\n{texts}")
    return found


def row(name: str, version: str, scenario: Scenario, variation: int, recording: Recording, nth: int) -> Row:
    """One line of the corpus; ``nth`` among the recordings of this view and variation.

    A scenario's variations take one style after the other, each view beginning elsewhere: so all views wear all styles about equally.
    """
    # A dress may stand before every line, and frames are then no longer to be told from output: scrubbed first.
    raised = tuple(Raised(one.kind, scrub(one.message)) for one in recording.raised)
    turn = crc32(f"{scenario.id} {recording.view}".encode()) + variation + nth
    key = f"{scenario.id} {variation} {recording.view} {nth}"
    dressed = dress(replace(recording, text=scrub(recording.text), raised=raised), key, turn)
    text = scrub(dressed.text)
    identifiers = {**dressed.identifiers, **recording.identifiers}
    return {
        "text": text,
        "category": scenario.category,
        "also": list(scenario.also),
        "transient": None if scenario.category == NO_INCIDENT else scenario.transient,
        "identifiers": {key: value for key, value in sorted(identifiers.items()) if value and value in text},
        "provenance": {
            "made": "stubbed" if STUBS & scenario.options.keys() else "provoked",
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
