"""Text in, diagnosis out: for logs that no incident knows of."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from threading import Lock
from typing import Annotated

from fastapi import APIRouter, Request
from pydantic import Field

from airflow_oncall import conf
from airflow_oncall.brain import Brain, read_rules
from airflow_oncall.capture.redact import redact
from airflow_oncall.judgement import LOG_CHARACTERS
from airflow_oncall.knowledge.base import KnowledgeBase
from airflow_oncall.show.api.auth import Reader
from airflow_oncall.show.api.incident_view import DiagnosisOut, LineOut, diagnosis_out, marked_lines
from airflow_oncall.show.api.schemas import In, Out
from airflow_oncall.show.api.store import StoreDep
from airflow_oncall.store.operator_files import OperatorFiles
from airflow_oncall.store.sql import Store
from airflow_oncall.triage.diagnose import diagnose
from airflow_oncall.triage.models import TriageModels

router = APIRouter(prefix="/logs", tags=["Logs"])
MOST_CHARACTERS = 1_000_000
FRESH_SECONDS = 60.0
"""For how long rules, models and knowledge are used before they are read anew."""


class TextIn(In):
    """What a task or an engine logged."""

    text: Annotated[str, Field(min_length=1, max_length=MOST_CHARACTERS)]
    operator: Annotated[str, Field(max_length=250)] | None = None
    """Class of the operator that failed, where it is known."""


class AnalysisOut(Out):
    """What is wrong, by the text alone. Nothing is stored and nothing is done."""

    diagnosis: DiagnosisOut
    lines: list[LineOut]
    """The text as it was read: secrets masked, of a long one its beginning and its end."""


@dataclass
class _Analyst:
    """Rules, models and knowledge of one API server process."""

    brain: Brain
    knowledge: KnowledgeBase
    read_at: float

    @property
    def is_fresh(self) -> bool:
        return time.monotonic() - self.read_at < FRESH_SECONDS


_reading = Lock()


@router.post("/analyze")
def analyze(access: Reader, store: StoreDep, request: Request, given: TextIn) -> AnalysisOut:
    """Diagnose a text. Answers `none` where it shows no failure, `unknown` where nobody can tell."""
    analyst, text = _analyst(request, store), redact(given.text, LOG_CHARACTERS)
    found = diagnose(text, operator=given.operator, rules=analyst.brain.rules, models=analyst.brain.models)
    found = analyst.knowledge.recognise(found, "", text)
    return AnalysisOut(diagnosis=diagnosis_out(found), lines=marked_lines(text, found.evidence))


def _analyst(request: Request, store: Store) -> _Analyst:
    with _reading:
        known: _Analyst | None = getattr(request.app.state, "analyst", None)
        if known is None or not known.is_fresh:
            rules = read_rules(OperatorFiles(conf.include_paths(), store.good_files))
            known = _Analyst(Brain(rules, lambda: _champion(store)), KnowledgeBase(store), time.monotonic())
            request.app.state.analyst = known
        return known


def _champion(store: Store) -> TriageModels | None:
    """The model in force; none is trained here, which would keep the API server busy."""
    from airflow_oncall.learn.starter import load_starter

    found = load_starter(conf.models_path(), store.models)
    return replace(found[0], version=found[1]) if found else None
