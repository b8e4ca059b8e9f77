"""``airflow oncall simulate-incident``: the whole ladder and the policy on an incident that is made up. Nothing of it is stored."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import asdict, replace
from datetime import datetime
from pathlib import Path

from rich.console import Console
from rich.text import Text

from airflow_oncall import conf
from airflow_oncall.act.decide import decide, effective_of, otherwise
from airflow_oncall.act.policy import Policy
from airflow_oncall.act.policy_file import PolicyFile
from airflow_oncall.act.situation import Situation
from airflow_oncall.brain import Brain, brain_without_airflow
from airflow_oncall.capture.fingerprint import fingerprint
from airflow_oncall.capture.redact import redact
from airflow_oncall.cli.explaining import Explanation
from airflow_oncall.cli.invented import RUN_ID, incident_of, moment, reachable_api, situation, task_of
from airflow_oncall.cli.terminal import command, complain, print_json, require_database
from airflow_oncall.errors import AirflowApiError, OnCallError, StoreError
from airflow_oncall.facts import Facts
from airflow_oncall.incident import UNKNOWN, ActionKind, Diagnosis, Incident, TaskRef
from airflow_oncall.judgement import LOG_CHARACTERS
from airflow_oncall.knowledge.base import KnowledgeBase
from airflow_oncall.rest import AirflowApi, TaskView
from airflow_oncall.situations import Situations
from airflow_oncall.store import open_store
from airflow_oncall.store.records import now


@command
def simulate(args: argparse.Namespace) -> int:
    """``simulate-incident``"""
    require_database()
    file, at = PolicyFile.read(args.file), moment(args.at)
    brain, chain = brain_without_airflow(), tuple(args.exception or ())
    message = redact("\n".join(filter(None, (args.title, args.description))), LOG_CHARACTERS)
    text = "\n".join(filter(None, (_log(args.log), message)))
    ref = TaskRef(args.dag_id, RUN_ID, args.task_id)
    incident = incident_of(ref, at, fingerprint(chain, message, args.operator))
    diagnosis = _known(brain.diagnose(text, chain, args.operator, args.killed), incident, text)
    imagined = _situation(incident, diagnosis, file.policy, brain)
    decision = decide(imagined, file.policy)
    explanation = Explanation(file, effective_of(imagined, file.policy), ref.dag_id, diagnosis.category, decision, at)
    if args.format == "json":
        print_json({"diagnosis": asdict(diagnosis), "fingerprint": incident.fingerprint, "decision": explanation.plain()})
        return 0
    out = Console(soft_wrap=True)
    out.print(Text(f"{ref.dag_id}{'.' if ref.task_id else ''}{ref.task_id}: {message.splitlines()[0]}"))
    _print(out, diagnosis)
    explanation.print(out, evidence=False)
    out.print(Text("Nothing of this was stored, and nothing was done."))
    return 0


def _known(diagnosis: Diagnosis, incident: Incident, text: str) -> Diagnosis:
    try:
        return KnowledgeBase(open_store()).recognise(diagnosis, incident.fingerprint, text)
    except StoreError as error:
        complain(f"what people wrote down is left out: {error}")
        return diagnosis


class ImaginedFacts(Facts):
    """What is known of a run that never was: of its task and DAG all that Airflow says, of the run itself nothing."""

    def __init__(self, task: TaskView | None) -> None:
        super().__init__()
        self._task = task

    def task(self, api: AirflowApi, ref: TaskRef) -> TaskView | None:
        """Without an Airflow, one of which nothing is declared."""
        return self._task or TaskView(0, frozenset(), {}, is_paused=False)

    def waiting(self, api: AirflowApi, ref: TaskRef, most: int) -> int:
        """Nothing waits for it."""
        return 0

    def minutes(self, api: AirflowApi, ref: TaskRef) -> float | None:
        """From the task's own history."""
        return super().minutes(api, ref) if self._task else None

    def has_backfill(self, api: AirflowApi, dag_id: str) -> bool:
        """As it is now."""
        return self._task is not None and super().has_backfill(api, dag_id)

    def run_began(self, api: AirflowApi, ref: TaskRef, noted: Callable[[TaskRef], datetime | None]) -> datetime | None:
        """Just now."""
        return now()

    def changed_code(self, api: AirflowApi, ref: TaskRef) -> bool:
        """Not in a run that began just now."""
        return False


def _situation(incident: Incident, diagnosis: Diagnosis, policy: Policy, brain: Brain) -> Situation:
    """As triage sees it; what a store or an Airflow out of reach would say is left out, with a word on standard error."""
    api = reachable_api()
    task = task_of(api, incident.ref)
    try:
        situations = Situations(open_store(), ImaginedFacts(task), conf.mode())
        return _looked_at(situations, api or AirflowApi("http://localhost", _no_airflow), incident, diagnosis, policy, brain)
    except StoreError as error:
        complain(f"budgets used, breakers and earlier outcomes are left out: {error}")
        return situation(incident, diagnosis, task)


def _looked_at(
    situations: Situations,
    api: AirflowApi,
    incident: Incident,
    diagnosis: Diagnosis,
    policy: Policy,
    brain: Brain,
    instead: str | None = None,
) -> Situation:
    first = replace(situations.first(api, policy, brain, incident, diagnosis, action=instead), at=incident.updated_at)
    action = decide(first, policy).action
    if action is None or action == ActionKind.ESCALATE:
        return first
    try:
        found = situations.risks(api, first, action)
        other = otherwise(found, policy)
        return _looked_at(situations, api, incident, diagnosis, policy, brain, other) if other else found
    except OnCallError as error:
        complain(f"how {action} would be planned is left out, because there is no such run: {error}")
        return first


def _no_airflow() -> str:
    raise AirflowApiError("there is no Airflow to ask", 404)


def _log(name: str | None) -> str:
    return redact(Path(name).read_text(encoding="utf-8", errors="replace"), LOG_CHARACTERS) if name else ""


def _print(out: Console, diagnosis: Diagnosis) -> None:
    again = {True: "a re-run can help", False: "a re-run cannot help", None: "whether a re-run helps is not clear"}[diagnosis.transient]
    unlike = ", unlike anything known" if diagnosis.anomaly else ""
    found = f"{diagnosis.category} ({diagnosis.probability:.0%}, by {diagnosis.decided_by}{unlike})"
    known = f"{UNKNOWN}{unlike}" if diagnosis.category == UNKNOWN else found
    out.print(Text(f"{known}; {again}"))
    for line in diagnosis.evidence:
        out.print(Text(f"   {line}"))
    for name, value in diagnosis.identifiers.items():
        out.print(Text(f"   {name}: {value}"))
