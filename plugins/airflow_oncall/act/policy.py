"""``policy.yaml``: what may be done about which failure, and how far the system may go by itself.

Everything but the first five parts has a default, so a short file is a whole policy. ``docs/policy.md`` tells what each
part means.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime, time
from functools import cache
from importlib.metadata import entry_points
from typing import Annotated, ClassVar, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    WithJsonSchema,
    model_validator,
)
from pydantic_core import PydanticCustomError

from airflow_oncall.incident import CATEGORIES, ActionKind

Mode = Literal["shadow", "ask", "auto"]
Share = Annotated[float, Field(strict=True, ge=0, le=1)]
Count = Annotated[int, Field(strict=True, ge=0)]
Whole = Annotated[int, Field(strict=True, ge=1)]
Days = Annotated[int, Field(strict=True, ge=1, le=36_500)]
Price = Annotated[float, Field(strict=True, ge=0, le=1e9)]
Parameters = Mapping[str, JsonValue]
Names = tuple[str, ...]
ENTRY_POINTS = "airflow_oncall.actions"
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


def _category(name: str) -> str:
    if name not in CATEGORIES:
        raise ValueError(f"{name!r} is no category; use one of {', '.join(CATEGORIES)}")
    return name


def _clock(value: object) -> object:
    # YAML reads an unquoted 22:00 as the number 1320, which would be taken for seconds after midnight.
    if isinstance(value, time) and value.tzinfo is None:
        return value
    if not isinstance(value, str) or not re.fullmatch(r"\d\d:\d\d(:\d\d)?", value):
        raise ValueError('a time of the day is written in quotes, like "22:00"; its zone belongs to timezone')
    return value


def _zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError(f"{name!r} is no time zone; use a name such as UTC or Europe/Berlin") from error
    return name


def _addresses(value: object) -> object:
    found = (value,) if isinstance(value, str) else value
    if not isinstance(found, (list, tuple)) or not all(isinstance(one, str) and _ADDRESS.fullmatch(one) for one in found):
        raise ValueError("an address looks like oncall@example.com; several stand in a list")
    return found


def _minutes(value: object) -> object:
    if isinstance(value, int):
        return value
    match = re.fullmatch(r"(\d{1,4})([mhd])", value) if isinstance(value, str) else None
    if not match:
        raise ValueError("a wait is written like 15m, 2h or 1d")
    return int(match[1]) * {"m": 1, "h": 60, "d": 1440}[match[2]]


def _action(name: str) -> str:
    if name not in known_actions():
        raise ValueError(f"{name!r} is no action; use one of {', '.join(sorted(known_actions()))}")
    return name


@cache
def known_actions() -> frozenset[str]:
    """Kinds of action: ours, and those that installed packages register as entry points of ``airflow_oncall.actions``."""
    return frozenset(str(kind) for kind in ActionKind) | {one.name for one in entry_points(group=ENTRY_POINTS)}


# What editors propose; other packages' actions are names of their own.
_OUR_ACTIONS = {"anyOf": [{"enum": [str(kind) for kind in ActionKind]}, {"type": "string"}]}
ActionName = Annotated[str, AfterValidator(_action), WithJsonSchema(_OUR_ACTIONS)]
Category = Annotated[str, AfterValidator(_category), WithJsonSchema({"enum": list(CATEGORIES)})]
Zone = Annotated[str, AfterValidator(_zone)]
Clock = Annotated[time, BeforeValidator(_clock), WithJsonSchema({"type": "string", "pattern": r"^\d\d:\d\d(:\d\d)?$"})]


_ADDRESS = re.compile(r"[^@\s,;<>\"]+@[^@\s,;<>\"]+")
_ONE_OR_MORE = {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}
Addresses = Annotated[Names, BeforeValidator(_addresses), WithJsonSchema(_ONE_OR_MORE)]
_WAIT = {"anyOf": [{"type": "string", "pattern": r"^\d{1,4}[mhd]$"}, {"type": "integer", "minimum": 0}]}
Minutes = Annotated[int, Field(strict=True, ge=0, le=14 * 1440), BeforeValidator(_minutes), WithJsonSchema(_WAIT)]
RouteName = Annotated[str, Field(min_length=1, max_length=100)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, use_attribute_docstrings=True)


class Thresholds(_Part):
    """Probabilities from which a repair is made or proposed."""

    auto: Share
    """From here on it is made without asking, where the mode allows that."""
    ask: Share
    """From here on a person is asked; below, the incident is escalated."""

    @model_validator(mode="after")
    def _ordered(self) -> Thresholds:
        if self.ask > self.auto:
            raise ValueError(f"ask ({self.ask}) must not be above auto ({self.auto})")
        return self


class Costs(_Part):
    """What a decision weighs, in one unit of the operator's choice (money, or minutes of a person)."""

    repaired_run: Price = 10
    """Value of a run that nobody has to repair by hand."""
    attempt_minute: Price = 0.02
    """Price of one minute of an attempt."""
    wrong_action: Price = 4
    """Price of an action that does not help, beside the minutes of its attempts."""


class Budgets(_Part):
    """Most runs that actions may re-arm; ``None``: no limit of this kind."""

    attempts_per_task_instance: Count
    """For one task instance, ever."""
    attempts_per_hour: Count
    """For everything together."""
    attempts_per_task_and_day: Count | None = None
    """For one task over all its runs, in 24 hours."""
    attempts_per_dag_and_hour: Count | None = None
    """For all tasks of one DAG."""
    attempts_per_category_and_hour: Count | None = None
    """For all incidents of one category."""
    attempts_per_action_and_hour: Count | None = None
    """For one kind of action."""
    actions_in_flight: Count | None = None
    """Most actions whose end was not seen yet."""
    storm_attempts_per_hour: Count | None = None
    """For members of storms whose probe was seen to succeed, in place of ``attempts_per_hour``, for which they then do not count."""


def _budget(name: str) -> str:
    if name not in Budgets.model_fields:
        raise ValueError(f"{name!r} is no budget; use one of {', '.join(Budgets.model_fields)}")
    return name


BudgetName = Annotated[str, AfterValidator(_budget), WithJsonSchema({"enum": list(Budgets.model_fields)})]


class AfterFailure(_Part):
    """What a failed repair, or retries of Airflow itself that failed with the same cause, change for the next one."""

    probability_factor: float = Field(strict=True, gt=0, le=1)
    """The next one is this much less likely to help."""
    wait_factor: float = Field(strict=True, ge=1, le=100)
    """The next wait is this much longer, up to a day."""
    wait_seconds: int = Field(default=0, strict=True, ge=0, le=86_400)
    """The wait after the first failed repair at least, also where the category itself needs none; the longest after failed retries."""


class CategoryRule(_Part):
    """What may be done about one category."""

    action: ActionName
    """A kind of action (``clear_task``, ``retry_with_more_memory``, ...), ``escalate``, or one that another package registered."""
    wait_seconds: int = Field(default=0, strict=True, ge=0, le=86_400)
    """What this kind of trouble needs before a re-run makes sense."""
    parameters: Parameters = Field(default_factory=dict)
    """Of the action, e.g. ``{runbook: restart_service}``."""
    thresholds: Thresholds | None = None
    """Instead of the general ones."""
    otherwise: ActionName | None = None
    """Another action, taken where the first cannot be done, e.g. because a task does not declare its memory."""
    repeat: bool = True
    """Whether a repair that failed with the same cause may be followed by another without asking."""
    alternatives: tuple[ActionName, ...] = ()
    """Actions that an experiment may try instead."""

    @model_validator(mode="after")
    def _runbook_is_named(self) -> CategoryRule:
        if ActionKind.RUN_RUNBOOK in (self.action, self.otherwise) and not isinstance(self.parameters.get("runbook"), str):
            raise ValueError("run_runbook needs parameters.runbook, the dag_id of a DAG with the tag oncall-runbook")
        return self

    @model_validator(mode="after")
    def _otherwise_is_another(self) -> CategoryRule:
        if self.otherwise == self.action:
            raise ValueError(f"otherwise is the action itself ({self.action}), which cannot be done where otherwise is taken")
        return self


class ActionRule(_Part):
    """What holds for one kind of action, whatever the category."""

    thresholds: Thresholds | None = None
    """Used where neither an override nor the category has thresholds of its own."""
    always_ask: bool | None = None
    """A person decides, however probable it is; where nothing is said, the kind of action decides."""


class Breaker(_Part):
    """Stops an action that keeps failing, for one category or one DAG; then lets one through to see."""

    failures: Whole = 4
    """So many of the last ``of`` outcomes must have failed."""
    of: Whole = 6
    """Outcomes that are looked at, the newest."""
    pause_minutes: Whole = 60
    """How long the action is stopped before one is let through."""

    @model_validator(mode="after")
    def _possible(self) -> Breaker:
        if self.failures > self.of:
            raise ValueError(f"failures ({self.failures}) must not be above of ({self.of}): the breaker would never open")
        return self


class Storms(_Part):
    """When incidents are one storm, and how fast its members follow the probe."""

    members: int = Field(default=5, strict=True, ge=2)
    """Open incidents with one cause, opened within ``window_minutes``, that make a storm."""
    window_minutes: Whole = 30
    """Time within which they opened."""
    first_wave: Whole = 4
    """Members that follow when the probe was seen to succeed."""
    growth: float = Field(default=2, strict=True, ge=1, le=100)
    """Each wave is so many times as large as the one before it."""
    most_probes: Whole = 5
    """After so many failed probes it is a person's."""
    wait_seconds: Count = 120
    """Between a failed probe and the next; grows with ``after_failure.wait_factor``."""


class Window(_Part):
    """A time of the day, on some days; where ``end`` is not after ``start`` it ends on the next day."""

    start: Clock
    """Time of the day, in quotes."""
    end: Clock
    """Time of the day, in quotes."""
    days: tuple[Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"], ...] = DAYS  # type: ignore[assignment]
    """Days on which it begins."""
    timezone: Zone = "UTC"
    """Zone of both times, e.g. ``Europe/Berlin``."""


class Maintenance(_Part):
    """A time in which nothing is done to these DAGs; incidents wait for its end."""

    start: AwareDatetime
    """First moment, with its zone."""
    end: AwareDatetime
    """First moment after it, with its zone."""
    dags: Names = ("*",)
    """Globs of dag_ids."""
    reason: str = ""
    """Shown with each incident that waits."""

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
    run_age_hours: float = Field(default=72, strict=True, ge=0)
    """Hours since the run began."""
    never_succeeded: Share = 0.7
    """The ``auto`` bar is at least this for a task that never succeeded: its failure may be a mistake of its author."""
    changed_code: Literal["ask", "allow"] = "ask"
    """The DAG's code changed since the failure: a re-run would run something else."""
    backfill: Literal["wait", "allow"] = "wait"
    """While a backfill of the DAG runs."""


class Holdout(_Part):
    """A share of the repairs that would be automatic is left out, so that the gain is measured without bias."""

    share: float = Field(default=0, strict=True, ge=0, le=0.2)
    """Of such repairs; 0: none."""
    categories: tuple[Category, ...] = ()
    """Only these; choose ones in which a run that stays failed for an hour hurts nobody."""


class Adapt(_Part):
    """How far measured outcomes may move the ``auto`` bar of a category and action, each move in the audit log."""

    enabled: bool = False
    """Whether bars move at all."""
    lowest: Share = 0.4
    """No bar is moved below this."""
    highest: Share = 0.95
    """No bar is moved above this."""
    least_outcomes: int = Field(default=30, strict=True, ge=5)
    """Outcomes of a category and action without which its bar stays; those of one outage or storm count as one."""
    step: float = Field(default=0.05, strict=True, gt=0, le=0.2)
    """Most that a bar moves in one hour."""

    @model_validator(mode="after")
    def _ordered(self) -> Adapt:
        if self.lowest > self.highest:
            raise ValueError(f"lowest ({self.lowest}) must not be above highest ({self.highest})")
        return self


class Match(_Part):
    """Which task instances an override is for; every given part must fit. Globs: ``*`` and ``?``."""

    dag: str | None = None
    """Glob of the dag_id."""
    task: str | None = None
    """Glob of the task_id."""
    tag: str | None = None
    """Glob that one of the DAG's tags fits."""
    pool: str | None = None
    """Glob of the task's pool."""
    owner: str | None = None
    """Glob that one of the owners fits."""

    @model_validator(mode="after")
    def _says_something(self) -> Match:
        if not self.model_fields_set:
            raise ValueError("an override that fits everything is no override; name a dag, task, tag, pool or owner")
        return self


class Override(_Part):
    """What differs for some task instances. Later overrides win over earlier ones."""

    match: Match
    """Which task instances it is for."""
    mode: Mode | None = None
    """``shadow``, ``ask`` or ``auto``."""
    always_ask: bool | None = None
    """A person decides, always; ``false`` takes back what the general list says."""
    thresholds: Thresholds | None = None
    """For every category that this override gives none of its own."""
    costs: Costs | None = None
    """In place of all the general ones."""
    budgets: Mapping[BudgetName, Count] = Field(default_factory=dict)
    """Some of the fields of ``budgets``."""
    categories: Mapping[Category, CategoryRule] = Field(default_factory=dict)
    """Rules of single categories, each in place of the whole general rule."""
    approvers: Names | None = None
    """In place of the general ones."""
    route: str | None = None
    """Name of one of ``routes``."""


class Notifier(_Part):
    """One line of a route: a notifier of any provider, or addresses that get an e-mail, and when it is their turn."""

    classpath: str | None = None
    """Of a ``BaseNotifier``; not with ``email``."""
    email: Addresses = ()
    """One address or several, told by the SMTP provider; not with ``classpath``."""
    kwargs: Parameters = Field(default_factory=dict)
    """What the notifier is made with; what it signs in with belongs into an Airflow connection."""
    after: Minutes = 0
    """How long somebody else may answer first, e.g. ``15m`` or ``2h``; 0: told at once."""
    tell_of: tuple[Literal["asked", "escalated", "resolved"], ...] = ("asked", "escalated", "resolved")
    """Questions, what is left to people, and how it ended (only to whoever was told before)."""

    @model_validator(mode="after")
    def _one_way(self) -> Notifier:
        if bool(self.classpath) == bool(self.email):
            raise ValueError("a notifier needs either classpath or email")
        return self


class Notifications(_Part):
    """How people are told."""

    per_hour: Whole = 60
    """Most messages an hour through one notifier; what is more is summed up in the last of them."""


class Retention(_Part):
    """Days that things are kept; ``None``: for ever."""

    closed_incidents: Days | None = None
    """Days after its end that an incident is kept; its diagnoses, decisions and labels, from which training learns, go with it."""
    log_events: Days | None = 30
    """Days that what logs told is kept; about an open incident it stays, but about one that a log opened only the newest hundred events."""
    audit: Days | None = None
    """Days that rows of the audit log are kept; what is cut off leaves a row that says so."""


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

    unquoted: ClassVar = frozenset({"routes"})
    """Fields that hold what notifiers sign in with: messages never quote their values."""

    version: Literal[1]
    """Of the file's form."""
    mode: Mode | None = None
    """In place of ``[oncall] mode``."""
    thresholds: Thresholds
    """Probabilities from which a repair is made or proposed."""
    costs: Costs = Costs()
    """What a decision weighs."""
    budgets: Budgets
    """Most runs that actions may re-arm; 0: none at all."""
    after_failure: AfterFailure
    """What a failed repair, or retries of Airflow itself that failed with the same cause, change for the next one."""
    categories: Mapping[Category, CategoryRule]
    """What may be done about each category; one that is not named is escalated."""
    actions: Mapping[ActionName, ActionRule] = Field(default_factory=dict)
    """What holds for one kind of action, whatever the category."""
    always_ask: Names = ()
    """DAGs (globs) of which much depends: a person decides, always."""
    approvers: Names = ()
    """Users who may answer questions; empty: whoever Airflow lets."""
    overrides: tuple[Override, ...] = ()
    """What differs for some DAGs, tasks, tags, pools or owners; of two that fit, the later one wins."""
    routes: Mapping[RouteName, tuple[Notifier, ...]] = Field(default_factory=dict)
    """Named lists of notifiers; ``default`` is used where an override names none, then ``[oncall] escalation_notifiers``."""
    notifications: Notifications = Notifications()
    """How people are told."""
    quiet_hours: tuple[Window, ...] = ()
    """Nobody is asked or told in these, unless it is critical; repairs that need nobody go on."""
    maintenance: tuple[Maintenance, ...] = ()
    """Times in which nothing is done to some DAGs."""
    risk: Risk = Risk()
    """What has a person asked however probable success is."""
    breaker: Breaker = Breaker()
    """Stops an action that keeps failing."""
    storms: Storms = Storms()
    """Many incidents with one cause."""
    holdout: Holdout = Holdout()
    """Repairs left out at random, so that the gain is measured."""
    adapt: Adapt = Adapt()
    """Bars that follow measured outcomes."""
    retention: Retention = Retention()
    """How long things are kept."""
    logs: Logs = Logs()
    """Trouble that a log tells of and that belongs to no task instance."""

    @model_validator(mode="after")
    def _routes_exist(self) -> Policy:
        for number, override in enumerate(self.overrides):
            if override.route is not None and override.route not in self.routes:
                known = ", ".join(self.routes) or "none"
                told = {"place": ("overrides", number, "route"), "route": repr(override.route), "known": known}
                raise PydanticCustomError("unknown_route", "{route} is no route; there are: {known}", told)
        return self


NEVER_ALONE = frozenset({str(kind) for kind in (ActionKind.MARK_SUCCESS, ActionKind.SKIP)})
"""Actions that only a person decides on."""
ASKS_BY_DEFAULT = frozenset({str(kind) for kind in (ActionKind.TERMINATE_BLOCKER, ActionKind.PAUSE_DAG)})
"""Actions that touch more than what failed: a person decides on them unless the policy says otherwise."""
