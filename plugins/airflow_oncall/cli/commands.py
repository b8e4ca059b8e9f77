"""The commands about incidents. Each loads what it needs when it runs, and returns its exit code."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from airflow_oncall.cli.terminal import command, complain, print_json
from airflow_oncall.errors import OnCallError
from airflow_oncall.incident import Incident, State
from airflow_oncall.store import open_store


@command
def db_upgrade(args: argparse.Namespace) -> int:
    """``db upgrade``"""
    from airflow_oncall.store.engine import shown
    from airflow_oncall.store.schema import HEAD

    store = open_store(migrate=True)
    print(f"incident store {shown(store.engine.url)} is at revision {HEAD}")
    return 0


@command
def list_incidents(args: argparse.Namespace) -> int:
    """``list``"""
    store = open_store()
    incidents = store.reading.incidents([State(state) for state in args.state or ()], args.dag_id, args.limit)
    if args.format == "json":
        print_json([_plain(incident) for incident in incidents])
        return 0
    names = ("id", "state", "category", "task instance", "try", "since (UTC)", "last")
    table = Table(*(Column(name, overflow="fold") for name in names), title=f"{len(incidents)} incident(s)")
    for one in incidents:
        since = f"{one.opened_at:%Y-%m-%d %H:%M:%S}"
        state = f"{one.state} (storm {one.storm_id})" if one.storm_id else str(one.state)
        cells = (str(one.id), state, one.category or "", str(one.ref), str(one.try_number), since, one.detail)
        table.add_row(*map(Text, cells))
    Console().print(table)
    return 0


@command
def show_incident(args: argparse.Namespace) -> int:
    """``show ID``"""
    store = open_store()
    incident = store.reading.incident(args.incident_id)
    if incident is None:
        raise OnCallError(f"there is no incident {args.incident_id}; `airflow oncall list` shows those there are")
    read = store.reading
    parts: dict[str, Iterable[Any]] = {
        "occurrences": read.occurrences(incident.id),
        "diagnoses": read.diagnoses(incident.id),
        "decisions": read.decisions(incident.id),
        "actions": read.actions(incident.id),
        "outcomes": read.outcomes(incident.id),
        "logged": store.logs.events(incident.id),
    }
    whole: dict[str, Any] = {"incident": _plain(incident)} | {name: [_plain(one) for one in found] for name, found in parts.items()}
    whole |= {"labels": read.labels(incident.id), "history": read.history(incident.id)}
    storm = store.storms.get(incident.storm_id) if incident.storm_id else None
    whole["storm"] = asdict(storm) if storm else None
    if args.format == "json":
        print_json(whole)
    else:
        from airflow_oncall.cli.pages import print_incident

        print_incident(incident, whole)
    return 0


@command
def classify(args: argparse.Namespace) -> int:
    """``classify``"""
    from airflow_oncall.brain import brain_without_airflow

    brain = brain_without_airflow()
    if args.text is not None:
        found = brain.classify({"id": "text", "source": "", "text": args.text})
        Console().print_json(data=found)
        return 0
    wrong = 0
    for number, line in enumerate(sys.stdin.buffer, 1):
        if not line.strip():
            continue
        try:
            print(json.dumps(brain.classify(_record(line))), flush=True)
        except ValueError as error:
            wrong += 1
            complain(f"standard input, line {number}: {error}; the line was left out")
    return 1 if wrong else 0


def _record(line: bytes) -> dict[str, Any]:
    record = json.loads(line.decode("utf-8", "replace"))
    if not isinstance(record, dict) or not isinstance(record.get("text"), str) or "id" not in record:
        raise ValueError('not an object with "id" and a string "text"')
    return record


def _plain(noun: Any) -> dict[str, Any]:
    plain = asdict(noun)
    return plain | {"ref": str(noun.ref)} if isinstance(noun, Incident) else plain
