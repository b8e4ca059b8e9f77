"""What every kind of action can be asked: to plan itself, whether it was done, whether it may still be done, to do it, to verify it.

    plan ──> parameters stored with the decision ──> (a person approves) ──> already_done? ── precondition? ── execute ──> verify
                                                                                  ^                               │
                                                                                  └───────── later (seconds) ─────┘

``execute`` is called again after a crash and after every :func:`later`, so each of its steps first looks whether it was done, and
names what it changes so exactly that it can never hit anything else: a task instance at its try, a session by its start, a pod by its
uid. Other packages register kinds of their own as entry points of ``airflow_oncall.actions``; ``docs/actions.md`` shows one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cached_property
from typing import Any, Protocol

from airflow_oncall import conf
from airflow_oncall.act.effective import Subject, effective, subject_of
from airflow_oncall.act.policy_file import read_policy
from airflow_oncall.errors import OnCallError
from airflow_oncall.incident import Action, ActionKind, ActionState, Diagnosis, Incident, Kind, OutcomeKind, State
from airflow_oncall.rest import NOTE_LIMIT, TIMEOUT, AirflowApi, TaskInstanceView, TaskView
from airflow_oncall.store.ledger import LostClaim
from airflow_oncall.store.sql import Store

SAFE_LEASE = timedelta(seconds=3 * TIMEOUT)
"""Something is only changed while the claim lasts this much longer, so that no other worker can do the same."""


class TargetError(OnCallError):
    """The system that an action works on (a database, a cluster) gave no answer or said no. Trying again may help if ``transient``."""

    def __init__(self, message: str, *, transient: bool) -> None:
        super().__init__(message)
        self.transient = transient


@dataclass(frozen=True)
class PlanContext:
    """What a plan is made from."""

    store: Store
    api: AirflowApi
    incident: Incident
    diagnosis: Diagnosis
    task: TaskView
    parameters: Mapping[str, Any] = field(default_factory=dict)
    """Of the policy's rule."""


@dataclass(frozen=True)
class Plan:
    """What would be done."""

    attempts: int
    """Runs that it re-arms, with their retries: what budgets count."""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    """What :meth:`ActionType.execute` needs, as JSON: the exact target as it is now."""
    wait_seconds: int = 0
    ask: str = ""
    """Why a person has to decide, whatever the probability; empty where nothing speaks against doing it unasked."""


@dataclass(frozen=True)
class Impossible:
    """Why this action cannot be done about this incident."""

    reason: str


@dataclass(frozen=True)
class ActContext:
    """What an action is done with."""

    store: Store
    api: AirflowApi
    incident: Incident
    action: Action
    reason: str = ""
    """Why it is done, for the note on the task instance."""

    @cached_property
    def instance(self) -> TaskInstanceView:
        """The task instance at this look. Raises ``NotFound``."""
        return self.api.task_instance(self.action.ref)

    @property
    def parameters(self) -> Mapping[str, Any]:
        """What was planned."""
        return self.action.parameters

    @property
    def note(self) -> str:
        """The note for the task instance, with the mark by which a crash is reconciled."""
        return compose_note(self.action, self.reason, self.instance.note)

    def make_sure_of_claim(self) -> None:
        """To be called right before each change of anything. Raises ``LostClaim`` when another worker could do the same by now."""
        if not self.store.ledger.holds(self.action.incident_id, SAFE_LEASE):
            raise LostClaim(f"incident {self.action.incident_id}: the claim ends too soon to act safely; the next tick goes on")


@dataclass(frozen=True)
class Result:
    """How one call of ``execute`` ended; made by the five functions below."""

    state: ActionState
    detail: str
    seconds: float = 0
    is_look: bool = True
    """Whether the action got as far as to look at what it works on; such looks are limited."""


def done(detail: str) -> Result:
    """All of it is done."""
    return Result(ActionState.DONE, detail)


def overtaken(detail: str) -> Result:
    """Somebody else moved what it was decided about; what became of it is seen by verifying."""
    return Result(ActionState.SUPERSEDED, detail)


def refused(detail: str) -> Result:
    """It cannot be done; a person's now."""
    return Result(ActionState.REFUSED, detail)


def later(seconds: float, detail: str) -> Result:
    """One step is done, or waited for; ``execute`` is called again in so many seconds."""
    return Result(ActionState.PLANNED, detail, seconds)


def not_yet(seconds: float, detail: str) -> Result:
    """Something else stands before it; it is tried in so many seconds as if this had been no try."""
    return Result(ActionState.PLANNED, detail, seconds, is_look=False)


@dataclass(frozen=True)
class Verified:
    """What an action itself knows of its end, where the task instance's own state does not tell."""

    outcome: OutcomeKind | None
    """``None``: nothing is to be learned from it."""
    state: State
    detail: str


class ActionType(Protocol):
    """One kind of action."""

    kind: str

    def plan(self, context: PlanContext) -> Plan | Impossible:
        """What would be done, with the exact target; changes nothing."""

    def for_member(self, parameters: Mapping[str, Any]) -> str:
        """The kind of action for the members of a storm that follow its probe, which this was seen to help."""

    def describe(self, parameters: Mapping[str, Any]) -> str:
        """What was planned, in one line, for the person who is asked."""

    def already_done(self, context: ActContext) -> str | None:
        """What shows that all of it was done before a crash; ``None`` where nothing does."""

    def precondition(self, context: ActContext) -> str | None:
        """Why what was decided about is not so any more; ``None`` while it is."""

    def execute(self, context: ActContext) -> Result:
        """Do the next step, at most once however often this is called."""

    def verify(self, context: ActContext, state: str) -> Verified | None:
        """How it ended, seen after it was done; ``None``: as the task instance, which is in ``state`` now."""


class TaskAction:
    """What kinds share that run one failed task instance again, after something else was put right or not."""

    kind = ""

    def plan(self, context: PlanContext) -> Plan | Impossible:
        """The task's retries and one."""
        return no_task_instance(context) or Plan(context.task.retries + 1)

    def for_member(self, parameters: Mapping[str, Any]) -> str:
        """The same: it is about each of them by itself."""
        return self.kind

    def describe(self, parameters: Mapping[str, Any]) -> str:
        """What happens to the task instance."""
        return "the task instance runs again, with its full retries"

    def already_done(self, context: ActContext) -> str | None:
        """The note that the clear wrote carries our mark."""
        return "cleared (seen in Airflow after a restart)" if context.action.mark in context.instance.note else None

    def precondition(self, context: ActContext) -> str | None:
        """It still stands failed at the try that was decided about."""
        found, answers = context.instance, context.action.answers_try
        if found.state == "failed" and found.try_number == answers:
            return None
        return f"not done: it is {found.state} at try {found.try_number}, not failed at {answers}"

    def execute(self, context: ActContext) -> Result:
        """Clear exactly it."""
        return clear(context)

    def verify(self, context: ActContext, state: str) -> Verified | None:
        """As the task instance ends."""
        return None


class SharedAction(TaskAction):
    """What kinds share that first change something that many tasks use: once is enough for all members of a storm."""

    def for_member(self, parameters: Mapping[str, Any]) -> str:
        """Only their task instances run again."""
        return str(ActionKind.CLEAR_TASK)


def clear(context: ActContext) -> Result:
    """Clear exactly the task instance, and what waits for it as ``upstream_failed``, with our mark on the note."""
    context.make_sure_of_claim()
    cleared = context.api.clear(context.action.ref, context.note)
    if context.action.ref not in cleared:
        return overtaken("not cleared: Airflow found it no longer failed")
    others = len(cleared) - 1
    return done(f"cleared try {context.action.answers_try}" + (f" and {others} task instance(s) that waited for it" if others else ""))


def no_task_instance(context: PlanContext) -> Impossible | None:
    """A task instance is needed, and a run, a DAG file or a log is none."""
    if context.incident.kind is Kind.TASK:
        return None
    return Impossible(f"it needs a failed task instance; this is about a {context.incident.kind}")


def why_forbidden(context: ActContext) -> str:
    """Why nothing may be done any more, though it was decided: people can stop the system until the last moment."""
    ref = context.action.ref
    if context.api.is_paused(ref.dag_id):
        return "not done: the DAG is paused by now; a person stopped it"
    policy, subject = read_policy(context.store), Subject(ref.dag_id, ref.task_id)
    if any(override.mode for override in policy.overrides):
        subject = subject_of(ref, context.api.task(ref.dag_id, ref.task_id))
    if effective(policy, subject, conf.mode()).mode == "shadow":
        return "not done: the mode is shadow by now"
    return ""


def compose_note(action: Action, reason: str, old: str) -> str:
    """The mark and why in one paragraph (they must survive Airflow's limit), then what people wrote there before."""
    kept = old.partition("\n\n")[2] if old.startswith("[oncall #") else old
    ours = f"{action.mark} {' '.join(reason.split())}"[: max(NOTE_LIMIT // 2, NOTE_LIMIT - len(kept) - 2)]
    return "\n\n".join(filter(None, (ours, kept)))[:NOTE_LIMIT]
