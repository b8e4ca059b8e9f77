"""What people read of a storm: in the question about its probe, and in its one message."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from airflow_oncall.incident import Incident, Storm
from airflow_oncall.store.sql import Store

DAGS_SHOWN = 5
FOLLOWS = (
    "When it is seen to succeed, the other members follow in growing waves without another question; "
    "when it fails, they wait and another probe comes later"
)


def facts(store: Store, storm: Storm, incident: Incident) -> list[tuple[str, str]]:
    """Rows of the question: how many, of what cause, which one is the probe, and what follows."""
    if storm.probe_id == incident.id:
        role = f"This one is the probe: of {storm.members} members it is repaired first"
        return [("Storm", said(store, storm)), ("Probe", role), ("What follows", FOLLOWS)]
    role = "One member of several that a person is asked about; your answer holds for all of those"
    return [("Storm", said(store, storm)), ("Probe", f"Incident {storm.probe_id} was repaired"), ("What follows", role)]


def said(store: Store, storm: Storm) -> str:
    """One line: size, cause, DAGs."""
    dags = store.storms.dags(storm)
    more = f" and {len(dags) - DAGS_SHOWN} more" if len(dags) > DAGS_SHOWN else ""
    return f"Storm {storm.id}: {storm.members} task instances failed with one cause, {storm.cause}; of {', '.join(dags[:DAGS_SHOWN])}{more}"


def facts_of_storm(store: Store, storm: Storm, detail: str, reasons: Iterable[str]) -> dict[str, Any]:
    """What a message says of a storm in place of its probe."""
    held = f"{storm.held} of its members are held; `airflow oncall storms list` shows how it stands" if storm.held else ""
    return {
        "title": f"A storm of {storm.members} failed task instances",
        "category": storm.category,
        "state": str(storm.state),
        "reasons": [said(store, storm), detail, held, *reasons],
    }
