"""A good policy can still not say what its author means: what ``policy check`` tells about one. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import datetime
from fnmatch import fnmatchcase
from typing import NamedTuple

from airflow_oncall.act.effective import DEFAULT_ROUTE
from airflow_oncall.act.hours import always_quiet
from airflow_oncall.act.policy import ASKS_BY_DEFAULT, NEVER_ALONE, Budgets, CategoryRule, Costs, Match, Override, Policy, Thresholds
from airflow_oncall.incident import CATEGORIES, OWN_DAG_IDS, ActionKind


class Doubt(NamedTuple):
    """Something that is allowed and perhaps not meant."""

    place: str
    text: str


def doubts(policy: Policy, at: datetime) -> list[Doubt]:
    """Everything that can be told of the file alone, in no order; ``at`` says which maintenance is over."""
    checks = (_budgets, _thresholds, _costs, _categories, _overrides, _routes, _holdout)
    return [one for check in checks for one in check(policy)] + list(_times(policy, at))


def unknown_dags(policy: Policy, dag_ids: Collection[str]) -> list[Doubt]:
    """Places that name DAGs which this Airflow does not have."""
    globs = [(f"always_ask.{number}", glob) for number, glob in enumerate(policy.always_ask)]
    globs += [(f"overrides.{number}.match.dag", one.match.dag) for number, one in enumerate(policy.overrides) if one.match.dag]
    globs += [
        (f"maintenance.{number}.dags.{at}", glob) for number, one in enumerate(policy.maintenance) for at, glob in enumerate(one.dags)
    ]
    unknown = [
        Doubt(place, f"no DAG of this Airflow fits {glob!r}") for place, glob in globs if not any(fnmatchcase(one, glob) for one in dag_ids)
    ]
    runbooks = [
        (place, str(rule.parameters["runbook"]))
        for place, rule in _rules(policy)
        if ActionKind.RUN_RUNBOOK in (rule.action, rule.otherwise)
    ]
    missing = [Doubt(f"{place}.parameters.runbook", f"there is no DAG {dag!r}") for place, dag in runbooks if dag not in dag_ids]
    return unknown + missing


def _budgets(policy: Policy) -> Iterator[Doubt]:
    limits = [(f"budgets.{name}", value) for name, value in policy.budgets.model_dump().items()]
    limits += [
        (f"overrides.{number}.budgets.{name}", value)
        for number, override in enumerate(policy.overrides)
        for name, value in override.budgets.items()
    ]
    yield from (Doubt(place, "0: no action is ever made under it") for place, value in limits if value == 0)
    hour = policy.budgets.attempts_per_hour + (policy.budgets.storm_attempts_per_hour or 0)
    for name in Budgets.model_fields:
        value = getattr(policy.budgets, name)
        if name.endswith("_and_hour") and value is not None and value > hour:
            yield Doubt(f"budgets.{name}", f"{value} is never reached: attempts_per_hour is {policy.budgets.attempts_per_hour}")


def _thresholds(policy: Policy) -> Iterator[Doubt]:
    adapt = policy.adapt
    for place, bars in _all_thresholds(policy):
        if adapt.enabled and not adapt.lowest <= bars.auto <= adapt.highest:
            yield Doubt(f"{place}.auto", f"{bars.auto} is outside of what adapt allows ({adapt.lowest} to {adapt.highest})")


def _all_thresholds(policy: Policy) -> Iterator[tuple[str, Thresholds]]:
    found = [("thresholds", policy.thresholds)]
    found += [(f"actions.{name}.thresholds", one.thresholds) for name, one in policy.actions.items() if one.thresholds]
    found += [(f"{place}.thresholds", rule.thresholds) for place, rule in _rules(policy) if rule.thresholds]
    yield from found + [(f"overrides.{number}.thresholds", one.thresholds) for number, one in enumerate(policy.overrides) if one.thresholds]


def _costs(policy: Policy) -> Iterator[Doubt]:
    costs: list[tuple[str, Costs]] = [("costs", policy.costs)]
    costs += [(f"overrides.{number}.costs", one.costs) for number, one in enumerate(policy.overrides) if one.costs]
    for place, one in costs:
        if not one.repaired_run:
            yield Doubt(f"{place}.repaired_run", "0: no action is ever expected to gain anything")


def _rules(policy: Policy) -> Iterator[tuple[str, CategoryRule]]:
    yield from ((f"categories.{name}", rule) for name, rule in policy.categories.items())
    for number, override in enumerate(policy.overrides):
        yield from ((f"overrides.{number}.categories.{name}", rule) for name, rule in override.categories.items())


def _categories(policy: Policy) -> Iterator[Doubt]:
    unnamed = [name for name in CATEGORIES if name not in policy.categories]
    if unnamed:
        yield Doubt("categories", f"not named, so always escalated: {', '.join(unnamed)}")
    for place, rule in _rules(policy):
        for name, kind in (("action", rule.action), ("otherwise", rule.otherwise)):
            if kind and _is_asked(policy, kind):
                yield Doubt(f"{place}.{name}", f"a person decides on {kind}, whatever the thresholds say")
        if rule.otherwise and rule.action == ActionKind.ESCALATE:
            yield Doubt(f"{place}.otherwise", f"{rule.otherwise} is never taken: a person can always be told")
        if rule.action in rule.alternatives:
            yield Doubt(f"{place}.alternatives", f"{rule.action} is the rule's own action, not an alternative to it")


def _is_asked(policy: Policy, kind: str) -> bool:
    said = policy.actions.get(kind)
    return kind in NEVER_ALONE or (kind in ASKS_BY_DEFAULT and (said is None or said.always_ask is not False))


def _overrides(policy: Policy) -> Iterator[Doubt]:
    for number, override in enumerate(policy.overrides):
        place, later = f"overrides.{number}", list(enumerate(policy.overrides))[number + 1 :]
        if override.model_fields_set == {"match"}:
            yield Doubt(place, "it changes nothing")
            continue
        hiding = next((other for other, one in later if covers(one.match, override.match) and _says_as_much(one, override)), None)
        same = next((other for other, one in later if one.match == override.match), None)
        if hiding is not None:
            yield Doubt(place, f"it never takes effect: overrides.{hiding} fits wherever it does and says otherwise")
        elif same is not None:
            yield Doubt(place, f"overrides.{same} has the same match; where both speak, that one wins")
        if override.always_ask and override.mode == "auto":
            yield Doubt(f"{place}.mode", "auto and always_ask contradict each other: a person decides")
        if override.match.dag in OWN_DAG_IDS:
            yield Doubt(f"{place}.match.dag", f"{override.match.dag} is one of our own DAGs, which are never acted on")


def covers(wide: Match, narrow: Match) -> bool:
    """Whether ``wide`` certainly fits wherever ``narrow`` does."""
    parts = [(getattr(wide, name), getattr(narrow, name)) for name in Match.model_fields]
    return all(_glob_covers(glob, own) for glob, own in parts if glob is not None)


def _glob_covers(wide: str, narrow: str | None) -> bool:
    if narrow is None:
        return False
    if wide == narrow or not set("*?[") & set(narrow):
        return fnmatchcase(narrow, wide)
    prefix = wide[:-1]
    return wide.endswith("*") and not set("*?[") & set(prefix) and narrow.startswith(prefix)


def _says_as_much(later: Override, earlier: Override) -> bool:
    """Whether everything that the earlier one says is said otherwise by the later one."""
    plain = earlier.model_fields_set - {"match", "budgets", "categories"}
    whole = plain <= later.model_fields_set and set(earlier.budgets) <= set(later.budgets)
    return whole and set(earlier.categories) <= set(later.categories)


def _routes(policy: Policy) -> Iterator[Doubt]:
    used = {override.route for override in policy.overrides} | {DEFAULT_ROUTE}
    yield from (Doubt(f"routes.{name}", "no override names it, so nobody is told by it") for name in policy.routes if name not in used)
    for name, notifiers in policy.routes.items():
        if not notifiers:
            yield Doubt(f"routes.{name}", "it is empty: nobody is told")
        elif all(one.after for one in notifiers):
            yield Doubt(f"routes.{name}", "each notifier of it waits first: nobody is told at once, nor of what needs no answer")
        yield from (
            Doubt(f"routes.{name}.{number}.tell_of", "it is empty: this one is told of nothing")
            for number, one in enumerate(notifiers)
            if not one.tell_of
        )


def _holdout(policy: Policy) -> Iterator[Doubt]:
    if policy.holdout.share and not policy.holdout.categories:
        yield Doubt("holdout.categories", "none is named, so nothing is left out")


def _times(policy: Policy, at: datetime) -> Iterator[Doubt]:
    if always_quiet(policy.quiet_hours, at):
        yield Doubt("quiet_hours", "they leave no time at all in which people may be asked, so they do not count")
    for number, one in enumerate(policy.maintenance):
        if one.end <= at:
            yield Doubt(f"maintenance.{number}", "it is over")
