"""``policy.yaml``: what may be done about which failure, and how far the system may go by itself.

Everything but the first five parts has a default, so a short file is a whole policy. ``docs/policy.md`` tells what each
part means.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, time
from functools import cache
from importlib.metadata import entry_points
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, model_validator

from airflow_oncall.incident import CATEGORIES, ActionKind

Mode = Literal["shadow", "ask", "auto"]
Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=0)]
Names = tuple[str, ...]
ENTRY_POINTS = "airflow_oncall.actions"
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


def _category(name: str) -> str:
    if name not in CATEGORIES:
        raise ValueError(f"{name!r} is no category; use one of {', '.join(CATEGORIES)}")
    return name


def _zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError(f"{name!r} is no time zone; use a name such as UTC or Europe/Berlin") from error
    return name


def _action(name: str) -> str:
    if name not in known_actions():
        raise ValueError(f"{name!r} is no action; use one of {', '.join(sorted(known_actions()))}")
    return name


@cache
def known_actions() -> frozenset[str]:
    """Kinds of action: ours, and those that installed packages register as entry points of ``airflow_oncall.actions``."""
    return frozenset(str(kind) for kind in ActionKind) | {one.name for one in entry_points(group=ENTRY_POINTS)}


ActionName = Annotated[str, AfterValidator(_action)]
Category = Annotated[str, AfterValidator(_category)]
Zone = Annotated[str, AfterValidator(_zone)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Thresholds(_Part):
    """Probabilities from which a repair is made or proposed."""

    auto: Share
    ask: Share

    @model_validator(mode="after")
    def _ordered(self) -> Thresholds:
        if self.ask > self.auto:
            raise ValueError(f"ask ({self.ask}) must not be above auto ({self.auto})")
        return self


class Costs(_Part):
    """What a decision weighs, in one unit of the operator's choice (money, or minutes of a person)."""

    repaired_run: float = Field(default=10, ge=0)
    """Value of a run that nobody has to repair by hand."""
    attempt_minute: float = Field(default=0.02, ge=0)
    """Price of one minute of an attempt."""
    wrong_action: float = Field(default=4, ge=0)
    """Price of an action that does not help, beside the minutes of its attempts."""


class Budgets(_Part):
    """Most runs that actions may re-arm; ``None``: no limit of this kind."""

    attempts_per_task_instance: Count
    attempts_per_hour: Count
    attempts_per_task_and_day: Count | None = None
    attempts_per_dag_and_hour: Count | None = None
    attempts_per_category_and_hour: Count | None = None
    attempts_per_action_and_hour: Count | None = None
    actions_in_flight: Count | None = None
    """Most actions whose end was not seen yet."""


class AfterFailure(_Part):
    """What a failed repair changes for the next one."""

    probability_factor: float = Field(gt=0, le=1)
    wait_factor: float = Field(ge=1)


class CategoryRule(_Part):
    """What may be done about one category."""

    action: ActionName
    """A kind of action (``clear_task``, ``retry_with_more_memory``, ...), ``escalate``, or one that another package registered."""
    wait_seconds: int = Field(default=0, ge=0, le=86_400)
    parameters: Mapping[str, Any] = Field(default_factory=dict)
    """Of the action, e.g. ``{runbook: restart_service}``."""
    thresholds: Thresholds | None = None
    alternatives: tuple[ActionName, ...] = ()
    """Actions that an experiment may try instead."""


class Breaker(_Part):
    """Stops an action that keeps failing, for one category or one DAG; then lets one through to see."""

    failures: int = Field(default=4, ge=1)
    """So many of the last ``of`` outcomes must have failed."""
    of: int = Field(default=6, ge=1)
    pause_minutes: int = Field(default=60, ge=1)

    @model_validator(mode="after")
    def _possible(self) -> Breaker:
        if self.failures > self.of:
            raise ValueError(f"failures ({self.failures}) must not be above of ({self.of}): the breaker would never open")
        return self


class Storms(_Part):
    """When incidents are one storm, and how fast its members follow the probe."""

    members: int = Field(default=10, ge=2)
    """Open incidents with one cause, opened within ``window_minutes``, that make a storm."""
    window_minutes: int = Field(default=15, ge=1)
    first_wave: int = Field(default=4, ge=1)
    growth: float = Field(default=2, ge=1)
    most_probes: int = Field(default=4, ge=1)
    """After so many failed probes it is a person's."""
    wait_seconds: int = Field(default=120, ge=0)
    """Between a failed probe and the next; grows with ``after_failure.wait_factor``."""


class Window(_Part):
    """A time of the day, on some days; where ``end`` is not after ``start`` it ends on the next day."""

    start: time
    end: time
    days: tuple[Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"], ...] = DAYS  # type: ignore[assignment]
    """Days on which it begins."""
    timezone: Zone = "UTC"


class Maintenance(_Part):
    """A time in which nothing is done to these DAGs; incidents wait for its end."""

    start: AwareDatetime
    end: AwareDatetime
    dags: Names = ("*",)
    reason: str = ""

    @model_validator(mode="after")
    def _ordered(self) -> Maintenance:
        if self.end <= self.start:
            raise ValueError(f"end ({self.end}) must be after start ({self.start})")
        return self

    def covers(self, at: datetime) -> bool:
        """Whether this moment lies in it."""
        return self.start <= at < self.end


class Risk(_Part):
    """Beyond these a person is asked."""

    downstream: Count = 200
    """Task instances that wait for this one."""
    run_age_hours: float = Field(default=72, ge=0)
    changed_code: Literal["ask", "allow"] = "ask"
    """The DAG's code changed since the failure: a re-run would run something else."""
    backfill: Literal["wait", "allow"] = "wait"
    """While a backfill of the DAG runs."""


class Holdout(_Part):
    """A share of the repairs that would be automatic is left out, so that the gain is measured without bias."""

    share: float = Field(default=0, ge=0, le=0.2)
    categories: tuple[Category, ...] = ()


class Adapt(_Part):
    """How far measured outcomes may move the ``auto`` bar of a category and action, each move in the audit log."""

    enabled: bool = False
    lowest: Share = 0.4
    highest: Share = 0.95
    least_outcomes: int = Field(default=30, ge=5)
    step: float = Field(default=0.05, gt=0, le=0.2)

    @model_validator(mode="after")
    def _ordered(self) -> Adapt:
        if self.lowest > self.highest:
            raise ValueError(f"lowest ({self.lowest}) must not be above highest ({self.highest})")
        return self


class Match(_Part):
    """Which task instances an override is for; every given part must fit. Globs: ``*`` and ``?``."""

    dag: str | None = None
    task: str | None = None
    tag: str | None = None
    pool: str | None = None
    owner: str | None = None

    @model_validator(mode="after")
    def _says_something(self) -> Match:
        if not self.model_fields_set:
            raise ValueError("an override that fits everything is no override; name a dag, task, tag, pool or owner")
        return self


class Override(_Part):
    """What differs for some task instances. Later overrides win over earlier ones."""

    match: Match
    mode: Mode | None = None
    always_ask: bool | None = None
    thresholds: Thresholds | None = None
    costs: Costs | None = None
    budgets: Mapping[str, Count] = Field(default_factory=dict)
    """Some of the fields of ``budgets``."""
    categories: Mapping[Category, CategoryRule] = Field(default_factory=dict)
    approvers: Names | None = None
    route: str | None = None


class Notifier(_Part):
    """One notifier, as in ``[oncall] escalation_notifiers``."""

    classpath: str
    kwargs: Mapping[str, Any] = Field(default_factory=dict)


class Retention(_Part):
    """Days that things are kept; ``None``: for ever."""

    closed_incidents: int | None = Field(default=None, ge=1)
    log_events: int | None = Field(default=30, ge=1)


class Logs(_Part):
    """Trouble that a log tells of and that belongs to no task instance."""

    escalate: tuple[Category, ...] = (
        "database_connectivity",
        "database_performance",
        "storage_exhaustion",
        "memory_exhaustion",
        "infrastructure_failure",
    )
    """Categories of which people are told; others are kept for those who look."""


class Policy(_Part):
    """``policy.yaml``."""

    version: Literal[1]
    thresholds: Thresholds
    budgets: Budgets
    after_failure: AfterFailure
    categories: Mapping[Category, CategoryRule]
    mode: Mode | None = None
    """In place of ``[oncall] mode``."""
    costs: Costs = Costs()
    breaker: Breaker = Breaker()
    storms: Storms = Storms()
    risk: Risk = Risk()
    holdout: Holdout = Holdout()
    adapt: Adapt = Adapt()
    quiet_hours: tuple[Window, ...] = ()
    """Nobody is asked or told in these, unless it is critical; repairs that need nobody go on."""
    maintenance: tuple[Maintenance, ...] = ()
    always_ask: Names = ()
    """DAGs (globs) of which much depends: a person decides, always."""
    approvers: Names = ()
    """Users who may answer questions; empty: whoever Airflow lets."""
    overrides: tuple[Override, ...] = ()
    routes: Mapping[str, tuple[Notifier, ...]] = Field(default_factory=dict)
    """Named lists of notifiers; ``default`` is used where an override names none, then ``[oncall] escalation_notifiers``."""
    retention: Retention = Retention()
    logs: Logs = Logs()

    @model_validator(mode="after")
    def _routes_exist(self) -> Policy:
        for number, override in enumerate(self.overrides):
            if override.route is not None and override.route not in self.routes:
                known = ", ".join(self.routes) or "none"
                raise ValueError(f"overrides.{number}.route: {override.route!r} is no route; there are: {known}")
        return self


NEVER_ALONE = frozenset({str(kind) for kind in (ActionKind.MARK_SUCCESS, ActionKind.SKIP)})
"""Actions that only a person decides on."""
