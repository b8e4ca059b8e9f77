"""Who tells of one Spark run: the driver's log with or without its INFO lines, its JSON log, its event log, the client, an executor."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from airflow_oncall.incident import NO_INCIDENT
from lab.engines import spark_events, spark_log
from lab.engines.base import NotProvoked, Raised, Recording
from lab.engines.script import LAB_PYTHON
from lab.scenario import Scenario

SHOWN = 2
"""Views recorded of one fault, beside the event log's and the executor's; which of them changes from run to run."""
STRETCHES = 5
_NAMES = {
    "application_id": re.compile(r"\b(local-\d{10,}|app-\d{14}-\d{4})\b"),
    "executor_id": re.compile(r"\bexecutor (driver|\d+)\b"),
    "stage_id": re.compile(r"\bstage (\d+)\.\d+ "),
}


@dataclass(frozen=True)
class Said:
    """All that one run wrote."""

    log: str
    structured: str = ""
    trace: str = ""
    raised: tuple[Raised, ...] = ()
    exit_code: int | None = None
    executors: tuple[str, ...] = ()
    events: str = ""
    """What its event log has of it."""


def views(scenario: Scenario, values: Mapping[str, str], said: Said, run: int) -> Iterator[Recording]:
    """The recordings of one run, each of which shows the fault."""
    names = {name: scenario.fill(value, values) for name, value in scenario.identifiers.items()}
    chosen = _healthy(scenario, said, run) if scenario.category == NO_INCIDENT else _faulty(scenario, values, said, run)
    for one in chosen:
        text = one.text.replace(str(LAB_PYTHON.parents[1]), "/usr/local")
        yield replace(one, text=text, identifiers={**_shown(text), **names})


def _healthy(scenario: Scenario, said: Said, run: int) -> Iterator[Recording]:
    if said.raised or said.exit_code:
        raise NotProvoked(f"scenario {scenario.id!r} is to go well, and ended with {said.exit_code}:\n{said.log[-2_000:]}")
    dice = random.Random(f"{scenario.id}:{run}")
    log = spark_log.shorten(said.log)
    parts = [log] if scenario.options.get("whole") else spark_log.windows(log, dice, int(scenario.options.get("stretches", STRETCHES)))
    for number, part in enumerate(parts):
        yield Recording(part, "driver", dressable=number % 3 == 2, exit_code=0)


def _faulty(scenario: Scenario, values: Mapping[str, str], said: Said, run: int) -> Iterator[Recording]:
    shows = re.compile(scenario.fill(scenario.shows, values))
    raised = tuple(Raised(one.kind, spark_log.shorten(one.message)) for one in said.raised)
    ended = Recording("", "", raised=raised, exit_code=said.exit_code)
    log = spark_log.shorten(said.log)
    candidates = [
        replace(ended, text=spark_log.ending(log, lead=run % 6), view="driver", dressable=run % 2 == 0),
        replace(ended, text=spark_log.troubles(log), view="driver at WARN", dressable=False),
        replace(ended, text=spark_log.shorten(said.trace), view="client"),
        replace(ended, text=spark_log.structured(said.structured.splitlines()), view="driver in JSON", dressable=False),
    ]
    told = {one.text: one for one in reversed(candidates)}
    fit = [one for one in reversed(told.values()) if one.text and shows.search(one.text)] or candidates[:1]
    yield from (fit * 2)[run % len(fit) :][: min(SHOWN, len(fit))]
    if shows.search(events := spark_events.failures(said.events)):
        yield Recording(events, "eventlog", dressable=False)
    if text := next(filter(shows.search, map(spark_log.shorten, said.executors)), ""):
        yield Recording(spark_log.ending(text, lead=4), "executor", dressable=False)


def _shown(text: str) -> dict[str, str]:
    """Names that Spark chose; one that is not the only one of its kind identifies nothing."""
    found = {name: set(pattern.findall(text)) for name, pattern in _NAMES.items()}
    return {name: values.pop() for name, values in found.items() if len(values) == 1}
