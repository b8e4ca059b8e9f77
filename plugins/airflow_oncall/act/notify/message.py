"""What a message says: the facts that templates and notifiers see as ``oncall``, every text of them inert.

``key`` is the same for all that is told of one incident or storm, ``message_id`` for one message and its repeats.
docs/notifications.md lists the fields.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from airflow_oncall.act.approval import APPROVAL_DAG, QUESTION_TASK, link
from airflow_oncall.act.storm_text import facts_of_storm
from airflow_oncall.incident import Decision, Diagnosis, Incident
from airflow_oncall.inert import inert, one_line
from airflow_oncall.store.notices import Notice, Occasion
from airflow_oncall.store.records import now
from airflow_oncall.store.sql import Store

DECISION_REASON_CHARACTERS, LINE_CHARACTERS, NAME_CHARACTERS = 1_000, 500, 250
LINES_SHOWN = 3
MESSAGES_SHOWN = 20
"""Of what a digest sums up."""
DECIDED = (Occasion.ASKED, Occasion.ESCALATED)
"""Occasions that follow from a decision, whose reasons are told."""


def facts_of(store: Store, base_url: str, notice: Notice) -> dict[str, Any] | None:
    """The facts of one notice, as they stand now; ``None`` where its incident is gone."""
    incident = store.reading.incident(notice.incident_id)
    if incident is None:
        return None
    decision = store.reading.decision(incident.id) if notice.occasion in DECIDED else None
    asked = store.ledger.open_action(incident.id, notice.number) if notice.occasion is Occasion.ASKED else None
    question = f"{base_url}/dags/{APPROVAL_DAG}/runs/{asked.own_run_id}/tasks/{QUESTION_TASK}/required_actions" if asked else ""
    found = _of_incident(incident, store.reading.diagnosis(incident.id), decision, notice, base_url) | {"question": question}
    storm = store.storms.get(notice.storm_id) if notice.storm_id else None
    if storm:
        found |= facts_of_storm(store, storm, notice.detail, found["reasons"] if decision else ())
    return found | {"reasons": _inert(found["reasons"]), "title": one_line(found["title"], NAME_CHARACTERS)}


def digest(found: Sequence[dict[str, Any]], first: Notice) -> dict[str, Any]:
    """One message in place of many; ``found``: their facts, of which the first ones are shown."""
    key = f"oncall-digest-{first.id}"
    shown = [{name: one[name] for name in ("title", "status", "category", "link")} for one in found[:MESSAGES_SHOWN]]
    told = {"status": "digest", "title": f"{len(found)} more from Airflow's on-call", "messages": shown, "more": len(found) - len(shown)}
    return EMPTY | {"key": key, "message_id": key, **told}


def trial(place: str, base_url: str) -> dict[str, Any]:
    """What ``notify test`` sends; each one is a message of its own, or a mail server would show the first one only."""
    key = f"oncall-test-{now():%Y%m%d%H%M%S%f}"
    return EMPTY | {"key": key, "message_id": key, "status": "test", "title": f"Test of {place}", "link": base_url}


def _of_incident(
    incident: Incident, diagnosis: Diagnosis | None, decision: Decision | None, notice: Notice, base_url: str
) -> dict[str, Any]:
    resolved, ref = notice.occasion is Occasion.RESOLVED, incident.ref
    key = f"oncall-storm-{notice.storm_id}" if notice.storm_id else f"oncall-{incident.id}"
    return EMPTY | {
        "key": key,
        "message_id": f"{key}.{notice.id}",
        "status": str(notice.occasion if notice.occasion in (Occasion.ASKED, Occasion.RESOLVED) else Occasion.ESCALATED),
        "action": "resolve" if resolved else "trigger",
        "title": str(ref),
        "category": diagnosis.category if diagnosis else "unknown",
        "severity": incident.severity or "medium",
        "state": str(incident.state).replace("_", " "),
        "reasons": [notice.detail, *(decision.reasons if decision else ())],
        "evidence": [one_line(line, LINE_CHARACTERS) for line in diagnosis.evidence[:LINES_SHOWN]] if diagnosis and not resolved else [],
        "link": link(incident, base_url),
        "waited": notice.after,
        "incident_id": incident.id,
        "storm_id": notice.storm_id,
        "dag_id": one_line(ref.dag_id, NAME_CHARACTERS),
        "run_id": one_line(ref.run_id, NAME_CHARACTERS),
        "task_id": one_line(ref.task_id, NAME_CHARACTERS),
        "map_index": ref.map_index,
    }


def _inert(reasons: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(inert(reason, DECISION_REASON_CHARACTERS) for reason in reasons if reason))


EMPTY: dict[str, Any] = {
    "key": "",
    "message_id": "",
    "status": "",
    "action": "trigger",
    "title": "",
    "category": "",
    "severity": "medium",
    "state": "",
    "reasons": [],
    "evidence": [],
    "link": "",
    "question": "",
    "waited": 0,
    "messages": [],
    "more": 0,
    "file": "",
    "incident_id": None,
    "storm_id": None,
    "dag_id": "",
    "run_id": "",
    "task_id": "",
    "map_index": -1,
}
"""Every field, so that a template can rely on it."""


def _sample(status: str, **more: Any) -> dict[str, Any]:
    told = {"key": "oncall-1", "message_id": "oncall-1.1", "title": "nightly/manual/load", "category": "code_error", "state": "escalated"}
    said = {"reasons": ["Mode ask."], "evidence": ["KeyError: 'id'"], "link": "https://airflow.example.com/dags/nightly"}
    return EMPTY | told | said | {"status": status, **more}


_SHOWN = [{"title": "nightly/manual/load", "status": "escalated", "category": "code_error", "link": "https://airflow.example.com"}]
SAMPLES: tuple[dict[str, Any], ...] = (
    _sample("asked", question="https://airflow.example.com/dags/oncall_approval", waited=15),
    _sample("escalated", storm_id=1),
    _sample("resolved", action="resolve", state="self healed", evidence=[]),
    _sample("digest", messages=_SHOWN, more=3),
    _sample("test", reasons=[], evidence=[]),
)
"""One of every kind: a template that fails on one of these is wrong."""
