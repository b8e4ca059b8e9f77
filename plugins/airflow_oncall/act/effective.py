"""The policy as it is for one task instance: the general part, then every override that fits, the later one first.

Pure. Each value comes with its place in ``policy.yaml`` (``overrides.2.thresholds``), so that people can be told which line
made it so.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from airflow_oncall.act.policy import ASKS_BY_DEFAULT, NEVER_ALONE, Budgets, CategoryRule, Costs, Match, Names, Override, Policy, Thresholds
from airflow_oncall.incident import TaskRef

if TYPE_CHECKING:
    from airflow_oncall.rest import TaskView

SETTING = "[oncall] mode"
"""Place of the mode where the policy says nothing about it."""
DEFAULT_ROUTE = "default"


@dataclass(frozen=True)
class Subject:
    """The task instance that a policy is asked about, as far as overrides can tell it apart."""

    dag_id: str
    task_id: str = ""
    tags: frozenset[str] = frozenset()
    """Of its DAG."""
    pool: str = ""
    owners: frozenset[str] = frozenset()


@dataclass(frozen=True)
class ThresholdsAt:
    """The thresholds of a category and action, and where they stand."""

    thresholds: Thresholds
    place: str


@dataclass(frozen=True)
class Effective:
    """What the policy says about one task instance. Make one with :func:`effective`."""

    policy: Policy
    mode: str
    always_ask: bool
    costs: Costs
    budgets: Budgets
    approvers: Names
    route: str | None
    """Name of the list of notifiers; ``None``: those of ``[oncall] escalation_notifiers``."""
    places: Mapping[str, str]
    """Where ``mode``, ``always_ask``, ``costs``, ``approvers``, ``route`` and ``budgets.<field>`` come from; empty: a default."""
    overrides: tuple[int, ...] = ()
    """Numbers of the overrides that fit, in the order of the file."""
    rules: Mapping[str, tuple[CategoryRule, int]] = field(default_factory=dict)
    """Of each category its rule, and the number of its override (-1: the general part)."""

    def rule(self, category: str) -> CategoryRule | None:
        """What may be done about this category; ``None`` where the policy does not know it."""
        found = self.rules.get(category)
        return found[0] if found else None

    def rule_place(self, category: str) -> str:
        """Where the rule of this category stands; empty where there is none."""
        found = self.rules.get(category)
        return _place(found[1], f"categories.{category}") if found else ""

    def bars(self, category: str, action: str) -> ThresholdsAt:
        """Thresholds of an action about a category: the newest override that has some, the category's, the action's, the general ones."""
        rule, of_rule = self.rules.get(category, (None, -1))
        general = max((number for number in self.overrides if self.policy.overrides[number].thresholds), default=-1)
        if rule and rule.thresholds and of_rule >= general:
            return ThresholdsAt(rule.thresholds, _place(of_rule, f"categories.{category}.thresholds"))
        own = self.policy.overrides[general].thresholds if general >= 0 else None
        if own:
            return ThresholdsAt(own, _place(general, "thresholds"))
        of_action = self.policy.actions.get(action)
        if of_action and of_action.thresholds:
            return ThresholdsAt(of_action.thresholds, f"actions.{action}.thresholds")
        return ThresholdsAt(self.policy.thresholds, "thresholds")

    def thresholds(self, category: str, action: str) -> Thresholds:
        """As :meth:`bars`, without the place."""
        return self.bars(category, action).thresholds

    def asks(self, action: str) -> str | None:
        """The place that has a person decide on this action, whatever its probability; ``None`` where none does."""
        if self.always_ask:
            return self.places["always_ask"]
        said = self.policy.actions.get(action)
        if action in NEVER_ALONE:
            return f"{action} is never done alone"
        if said and said.always_ask is not None:
            return f"actions.{action}.always_ask" if said.always_ask else None
        return f"{action} asks by default" if action in ASKS_BY_DEFAULT else None


def effective(policy: Policy, subject: Subject, mode: str) -> Effective:
    """Resolve the policy for one task instance; ``mode`` is that of the settings, which the policy may replace."""
    fitting = tuple(number for number, override in enumerate(policy.overrides) if fits(override.match, subject))
    places: dict[str, str] = {"mode": SETTING}
    values: dict[str, Any] = {"mode": mode, "always_ask": False, "route": None}
    _general(policy, subject, values, places)
    budgets, rules = policy.budgets, {category: (rule, -1) for category, rule in policy.categories.items()}
    for number in fitting:
        override = policy.overrides[number]
        _apply(override, number, values, places)
        budgets = budgets.model_copy(update=dict(override.budgets))
        places |= {f"budgets.{name}": _place(number, f"budgets.{name}") for name in override.budgets}
        rules |= {category: (rule, number) for category, rule in override.categories.items()}
    return Effective(policy=policy, budgets=budgets, places=places, overrides=fitting, rules=rules, **values)


def subject_of(ref: TaskRef, task: TaskView) -> Subject:
    """A task instance as Airflow describes its task."""
    return Subject(ref.dag_id, ref.task_id, task.tags, task.pool, task.owners)


def fits(match: Match, subject: Subject) -> bool:
    """Whether an override is for this task instance: every part that it names fits."""
    wanted = (
        (match.dag, (subject.dag_id,)),
        (match.task, (subject.task_id,)),
        (match.tag, subject.tags),
        (match.pool, (subject.pool,)),
        (match.owner, subject.owners),
    )
    return all(any(fnmatchcase(name, glob) for name in names) for glob, names in wanted if glob is not None)


def _general(policy: Policy, subject: Subject, values: dict[str, Any], places: dict[str, str]) -> None:
    values |= {"costs": policy.costs, "approvers": policy.approvers}
    places |= {name: name if name in policy.model_fields_set else "" for name in ("costs", "approvers")}
    places |= {f"budgets.{name}": f"budgets.{name}" if name in policy.budgets.model_fields_set else "" for name in Budgets.model_fields}
    if policy.mode:
        values["mode"], places["mode"] = policy.mode, "mode"
    critical = next((number for number, glob in enumerate(policy.always_ask) if fnmatchcase(subject.dag_id, glob)), None)
    values["always_ask"], places["always_ask"] = critical is not None, "" if critical is None else f"always_ask.{critical}"
    known = DEFAULT_ROUTE in policy.routes
    values["route"], places["route"] = (DEFAULT_ROUTE, f"routes.{DEFAULT_ROUTE}") if known else (None, "")


def _apply(override: Override, number: int, values: dict[str, Any], places: dict[str, str]) -> None:
    for name in ("mode", "always_ask", "costs", "approvers", "route"):
        said = getattr(override, name)
        if said is not None:
            values[name], places[name] = said, _place(number, name)


def _place(number: int, field_name: str) -> str:
    return field_name if number < 0 else f"overrides.{number}.{field_name}"
