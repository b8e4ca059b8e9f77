"""One incident with all that is known about it, for its page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

from airflow_oncall.act.approval import APPROVAL_DAG, QUESTION_TASK
from airflow_oncall.incident import Diagnosis, Incident, Occurrence, State
from airflow_oncall.show.api.auth import Access
from airflow_oncall.show.api.schemas import ActionOut, DecisionOut, IncidentRow, LoggedOut, Out, OutcomeOut, QuestionOut, StormRow
from airflow_oncall.store.browse import Line, Wanted
from airflow_oncall.store.sql import Store

SIMILAR = 5
SHORTEST_DECISIVE = 8
"""Characters of a line below which finding it again in the evidence says nothing."""


class TimelineOut(Out):
    """One step of an incident's story."""

    at: datetime
    what: str
    """`noticed`, `diagnosed`, `decided`, `asked`, `answered`, `acted`, `verified`, `told`, `closed`, `feedback`, or another word."""
    actor: str
    detail: str


class LineOut(Out):
    """One line of what the try said."""

    text: str
    decisive: bool
    """Whether the diagnosis rests on it."""


class EvidenceOut(Out):
    """What is known about one failed try. Secrets were masked before it was stored."""

    exception_chain: list[str]
    message: str
    lines: list[LineOut]
    operator: str | None
    hostname: str | None
    duration: float | None


class OccurrenceOut(Out):
    """One failed try."""

    try_number: int
    happened_at: datetime
    seen_by: str
    by_hand: bool
    will_retry: bool
    evidence: EvidenceOut


class DiagnosisOut(Out):
    """What is wrong, and what carried the judgement."""

    category: str
    probability: float
    transient: bool | None
    transient_probability: float
    anomaly: bool
    decided_by: str
    model_version: str | None
    evidence: list[str]
    """Most decisive first."""
    identifiers: dict[str, str]
    alternatives: dict[str, float]
    """What the model held likely, most likely first; empty where no model was asked."""


class LabelOut(Out):
    """What somebody said, or what was seen, of which training learns."""

    name: str
    value: str
    given_by: str
    given_at: datetime
    detail: dict[str, Any]


class SuggestionOut(Out):
    """What a language model suggests about such a failure. Nobody has checked it, and nothing acts on it."""

    category: str
    explanation: str
    steps: list[str]
    model: str
    asked_at: datetime


class IncidentView(IncidentRow):
    """One incident with all that is known about it."""

    fingerprint: str
    timeline: list[TimelineOut]
    occurrences: list[OccurrenceOut]
    diagnosis: DiagnosisOut | None
    decisions: list[DecisionOut]
    """Oldest first."""
    actions: list[ActionOut]
    outcomes: list[OutcomeOut]
    similar: list[IncidentRow]
    """The newest others of the same fingerprint that the reader may see."""
    knowledge: list[str]
    """Names of entries about exactly this failure, where the reader may see knowledge."""
    suggestion: SuggestionOut | None
    """Only where the reader may see every incident of the same fingerprint, and the DAGs of those that were purged: it was made of
    the evidence of one of them.
    """
    logged: list[LoggedOut]
    labels: list[LabelOut]
    question: QuestionOut | None
    """What a person is asked about it now."""
    storm: StormRow | None
    may_act: bool
    """Whether the reader may give feedback and close it."""


def view_of(store: Store, access: Access, incident: Incident) -> IncidentView:
    """The page of an incident that the user may see."""
    read = store.reading
    diagnoses, decisions = read.diagnoses(incident.id), read.decisions(incident.id)
    diagnosis = diagnoses[-1] if diagnoses else None
    newest = decisions[-1] if decisions else None
    line = Line(
        incident,
        diagnosis.probability if diagnosis else None,
        str(newest.verdict) if newest else None,
        str(newest.action) if newest and newest.action else None,
    )
    storm = store.browse.storm(access.sight, incident.storm_id) if incident.storm_id else None
    suggested = store.suggestions.get(incident.fingerprint)
    if suggested and not store.browse.sees_all_of(access.sight, incident.fingerprint):
        suggested = None
    return IncidentView(
        **row_of(line),
        fingerprint=incident.fingerprint,
        timeline=[TimelineOut(**step) for row in read.history(incident.id) for step in _steps(row)],
        occurrences=[_occurrence(one, diagnosis) for one in read.occurrences(incident.id)],
        diagnosis=diagnosis_out(diagnosis) if diagnosis else None,
        decisions=[DecisionOut.model_validate(one) for one in decisions],
        actions=[action_out(one) for one in read.actions(incident.id)],
        outcomes=[OutcomeOut.model_validate(one) for one in read.outcomes(incident.id)],
        similar=[IncidentRow(**row_of(one)) for one in _similar(store, access, incident)],
        knowledge=[one.name for one in store.knowledge.of_fingerprint(incident.fingerprint)] if access.may_inspect else [],
        suggestion=SuggestionOut.model_validate(suggested) if suggested else None,
        logged=[LoggedOut.model_validate(one) for one in store.logs.events(incident.id)],
        labels=[LabelOut.model_validate(one) for one in read.labels(incident.id)],
        question=question_of(store, incident),
        storm=StormRow.model_validate(storm) if storm else None,
        may_act=access.may_change(incident),
    )


def row_of(line: Line) -> dict[str, Any]:
    """The fields of ``IncidentRow``."""
    incident = line.incident
    names = ("id", "kind", "try_number", "state", "category", "severity", "source", "opened_at", "updated_at", "closed_at", "detail")
    own = {name: getattr(incident, name) for name in (*names, "storm_id")}
    return own | asdict(incident.ref) | {"probability": line.probability, "verdict": line.verdict, "action": line.action}


def action_out(action: Any) -> ActionOut:
    """The fields of an action, its task instance among them."""
    plain = {name: value for name, value in vars(action).items() if name != "ref"}
    return ActionOut(**plain, **asdict(action.ref))


def question_of(store: Store, incident: Incident) -> QuestionOut | None:
    """The question that is open about an incident."""
    action = store.ledger.open_action(incident.id, incident.decisions) if incident.state is State.ASKED else None
    if action is None:
        return None
    return QuestionOut(dag_id=APPROVAL_DAG, run_id=action.own_run_id, task_id=QUESTION_TASK, map_index=-1)


_WORDS = {
    "approval": "answered",
    "rejection": "answered",
    "no_answer": "answered",
    "no answer": "answered",
    "success": "verified",
    "failed_same": "verified",
    "failed_other": "verified",
    "superseded": "verified",
    "expired": "verified",
    "self_healed": "verified",
    "resolved": "verified",
    "closed by hand": "closed",
}
_BEGINNINGS = {"decided": "decided", "action": "acted"}


def _steps(row: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """An audit row as a step of the story; a decision to ask is two."""
    said = str(row["what"])
    what = _WORDS.get(said) or _BEGINNINGS.get(said.split(" ")[0], said)
    step = {"at": row["at"], "actor": row["actor"], "detail": _told(said, row["detail"])}
    yield step | {"what": what}
    if said == "decided ask":
        yield step | {"what": "asked", "detail": "a person is asked in Airflow's UI"}


def _told(said: str, detail: Mapping[str, Any]) -> str:
    if detail.get("detail"):
        return str(detail["detail"])
    shown = {name: value for name, value in detail.items() if name not in ("state", "detail") and value not in (None, "", False)}
    return ", ".join([said.replace("_", " "), *(f"{name.replace('_', ' ')} {value}" for name, value in shown.items())])


def _occurrence(one: Occurrence, diagnosis: Diagnosis | None) -> OccurrenceOut:
    evidence = one.evidence
    lines = marked_lines(evidence.text, diagnosis.evidence if diagnosis else ())
    names = ("message", "operator", "hostname", "duration")
    return OccurrenceOut(
        try_number=one.try_number,
        happened_at=one.happened_at,
        seen_by=one.seen_by,
        by_hand=one.by_hand,
        will_retry=one.will_retry,
        evidence=EvidenceOut(
            exception_chain=list(evidence.exception_chain), lines=lines, **{name: getattr(evidence, name) for name in names}
        ),
    )


def marked_lines(text: str, evidence: Sequence[str]) -> list[LineOut]:
    """The lines of a text, with those marked that the diagnosis quotes."""
    quoted = [part for said in evidence for part in (said, said.partition(": ")[2]) if len(part) >= SHORTEST_DECISIVE]
    return [LineOut(text=line, decisive=_is_quoted(line.strip(), quoted)) for line in text.splitlines()]


def _is_quoted(line: str, quoted: Sequence[str]) -> bool:
    return len(line) >= SHORTEST_DECISIVE and any(part in line or line in part for part in quoted)


def diagnosis_out(diagnosis: Diagnosis) -> DiagnosisOut:
    """A diagnosis as it goes out."""
    return DiagnosisOut(**asdict(diagnosis))


def _similar(store: Store, access: Access, incident: Incident) -> list[Line]:
    if not incident.fingerprint:
        return []
    found = store.browse.incidents(access.sight, Wanted(fingerprint=incident.fingerprint), SIMILAR + 1)
    return [one for one in found if one.incident.id != incident.id][:SIMILAR]
