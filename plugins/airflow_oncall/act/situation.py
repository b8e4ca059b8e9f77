"""Everything that a decision depends on, as plain values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from airflow_oncall.act.economics import Statistic
from airflow_oncall.act.effective import Subject
from airflow_oncall.incident import Diagnosis, Incident
from airflow_oncall.store.limits import Ended, Used

CRITICAL = "oncall:critical"
"""Tag of a DAG of which much depends; like every other word behind ``oncall:``, it also means that a person is asked."""


@dataclass(frozen=True)
class AdaptedBar:
    """An ``auto`` bar that measured outcomes moved."""

    auto: float
    base: float
    """The policy's bar when it was moved first; another bar in the policy voids the move."""


@dataclass(frozen=True)
class Situation:
    """Everything a decision depends on; what is not given is not known, and then nothing speaks against a repair."""

    incident: Incident
    diagnosis: Diagnosis
    mode: str
    """Of the settings; the policy may say another."""
    declared: str | None = None
    """``auto``, ``ask``, ``never``, or nothing said."""
    retries: int = 0
    is_paused: bool = False
    is_removed: bool = False
    """The task is no longer part of its DAG."""
    subject: Subject | None = None
    """What overrides of the policy go by; else they see the names only."""
    at: datetime | None = None
    """The time of the decision; else that of the incident's newest change."""

    action: str | None = None
    """The kind of action that was assigned, in place of the one that the policy's rule names."""
    arm: str = ""
    """The experiment and its arm that assigned it."""
    is_held_out: bool = False
    """Drawn to be left out, if it would be repaired without asking."""
    planned_attempts: int | None = None
    """Runs that the action re-arms; else the task's retries and one."""
    parameters: Mapping[str, object] = field(default_factory=dict)
    """What the action shall be done with."""
    planned_wait: int = 0
    """Seconds that the action itself wants to wait."""
    impossible: str = ""
    """Why the action cannot be done here."""
    asks: str = ""
    """Why the action itself wants a person to decide."""

    failed_repairs: int = 0
    """Repairs of this incident after which it failed with the same cause."""
    outlasted: timedelta | None = None
    """How long it kept failing with the same cause while Airflow retried it; ``None`` where Airflow did not."""
    chance: float | None = None
    """P(the action resolves it), as the confidence model has it."""
    statistic: Statistic | None = None
    """How this action ended for incidents of this fingerprint and category."""
    adapted: AdaptedBar | None = None
    minutes: float | None = None
    """How long one attempt of this task takes."""

    in_wave: bool = False
    """It is a member of a storm whose cause was seen to be gone."""
    used: Mapping[str, Used] = field(default_factory=dict)
    """By the name of the limit, see :func:`airflow_oncall.act.guards.limits_of`."""
    ended: Mapping[str, tuple[Ended, ...]] = field(default_factory=dict)
    """By the name of the breaker, newest first, see :func:`airflow_oncall.act.guards.breakers_of`."""
    why_paused: str = ""
    """Why the kill switch is on; empty while it is off."""
    has_backfill: bool = False
    downstream: int = 0
    """Task instances of the run that wait for it."""
    run_began: datetime | None = None
    never_succeeded: bool = False
    """Airflow knows no success of the task."""
    changed_code: bool = False
    """Its DAG's code changed since it failed."""
    is_critical: bool = False

    advice: str = ""
    """How the models rank what can be done, for people."""
    alike: tuple[str, ...] = ()
    """What was known and done about incidents like it, for people."""
    alike_statistics: Mapping[str, Statistic] = field(default_factory=dict)
    """By action: how it ended for other failures, weighed by their likeness."""
    severity: str = ""
    """How bad it is and why, for people."""

    @property
    def attempts(self) -> int:
        """Runs that the action re-arms."""
        return self.retries + 1 if self.planned_attempts is None else max(self.planned_attempts, 1)

    @property
    def moment(self) -> datetime:
        """The time by which guards go."""
        return self.at or self.incident.updated_at
