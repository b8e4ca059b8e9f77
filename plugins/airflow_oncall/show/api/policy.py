"""What the policy says about a DAG or a task, and where each line of it stands."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query

from airflow_oncall import conf
from airflow_oncall.act.effective import Effective, Subject, effective
from airflow_oncall.act.policy_file import PolicyFile
from airflow_oncall.show.api.auth import Reader, forbidden
from airflow_oncall.show.api.schemas import Name, Out
from airflow_oncall.show.api.store import StoreDep

router = APIRouter(prefix="/policy", tags=["Policy"])
Names = Annotated[list[Name], Query(max_length=50)]


class SaidOut(Out):
    """One thing that the policy says."""

    value: Any
    where: str
    """File and line; a setting; or `default`."""


class RuleOut(Out):
    """What may be done about a category."""

    action: str
    alternatives: list[str]
    wait_seconds: int
    auto: float
    """Probability from which it is done without asking."""
    ask: float
    """Probability from which a person is asked; below it, a person is told."""
    asks_always: bool
    where: str


class PolicyOut(Out):
    """The policy as it is for one DAG or task."""

    file: str
    problem: str
    """What is wrong with `policy.yaml`, which is not in force then: `file` is its last good version. Empty: nothing is."""
    said: dict[str, SaidOut]
    """`mode`, `always_ask`, `costs`, `approvers`, `route` and `budgets.<name>`."""
    rules: dict[str, RuleOut]
    """By category."""
    overrides: list[int]
    """Numbers of the overrides that fit, in the order of the file."""


@router.get("")
def get_policy(
    access: Reader,
    store: StoreDep,
    dag_id: Annotated[Name, Query(min_length=1)],
    task_id: Annotated[Name, Query(description="Empty: the DAG's tasks in general.")] = "",
    tag: Names = [],  # noqa: B006 - FastAPI copies it
    owner: Names = [],  # noqa: B006
    pool: Name = "",
) -> PolicyOut:
    """The policy in force for a task. Overrides by tag, owner or pool fit only what is named here, as Airflow's own API gives it."""
    if not access.may("GET", dag_id):
        raise forbidden(f"read the DAG {dag_id!r}")
    file, problem = PolicyFile.in_force(store)
    subject = Subject(dag_id, task_id, frozenset(tag), pool, frozenset(owner))
    found = effective(file.policy, subject, conf.mode())
    said, rules = _said(file, found), _rules(file, found)
    return PolicyOut(file=str(file.path), problem=problem, said=said, rules=rules, overrides=list(found.overrides))


def _said(file: PolicyFile, found: Effective) -> dict[str, SaidOut]:
    values: dict[str, Any] = {
        "mode": found.mode,
        "always_ask": found.always_ask,
        "costs": found.costs.model_dump(),
        "approvers": list(found.approvers),
        "route": found.route,
        **{f"budgets.{name}": most for name, most in found.budgets.model_dump(exclude_none=True).items()},
    }
    return {name: SaidOut(value=value, where=file.where(found.places[name])) for name, value in values.items()}


def _rules(file: PolicyFile, found: Effective) -> dict[str, RuleOut]:
    rules = {}
    for category, (rule, _) in found.rules.items():
        bars = found.thresholds(category, rule.action)
        rules[category] = RuleOut(
            action=rule.action,
            alternatives=list(rule.alternatives),
            wait_seconds=rule.wait_seconds,
            auto=bars.auto,
            ask=bars.ask,
            asks_always=found.asks(rule.action) is not None,
            where=file.where(found.rule_place(category)),
        )
    return rules
