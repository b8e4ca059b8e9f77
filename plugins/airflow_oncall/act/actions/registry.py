"""Kinds of action by name: ours, and those of installed packages."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.metadata import entry_points
from typing import Any

from airflow_oncall.act.actions.base import ActionType, Impossible, Plan, PlanContext
from airflow_oncall.act.actions.clear_downstream import ClearDownstream
from airflow_oncall.act.actions.clear_run import ClearRun
from airflow_oncall.act.actions.clear_task import ClearTask
from airflow_oncall.act.actions.clear_with_delay import ClearWithDelay
from airflow_oncall.act.actions.kill_spark_application import KillSparkApplication
from airflow_oncall.act.actions.mark import MarkSuccess, Skip
from airflow_oncall.act.actions.pause_dag import PauseDag
from airflow_oncall.act.actions.resize_pool import ResizePool
from airflow_oncall.act.actions.restart_pod import RestartPod
from airflow_oncall.act.actions.retry_with_more_memory import RetryWithMoreMemory
from airflow_oncall.act.actions.run_runbook import RunRunbook
from airflow_oncall.act.actions.terminate_blocker import TerminateBlocker
from airflow_oncall.act.policy import ENTRY_POINTS
from airflow_oncall.errors import OnCallError

OURS: tuple[ActionType, ...] = (
    ClearTask(),
    ClearRun(),
    ClearDownstream(),
    ClearWithDelay(),
    RetryWithMoreMemory(),
    ResizePool(),
    TerminateBlocker(),
    KillSparkApplication(),
    RestartPod(),
    PauseDag(),
    MarkSuccess(),
    Skip(),
    RunRunbook(),
)


class UnknownAction(OnCallError):
    """No kind of action has this name, or the package that registers it cannot be loaded."""


@cache
def action_type(kind: str) -> ActionType:
    """The kind of this name; ours cannot be replaced. Raises :class:`UnknownAction`."""
    ours = {one.kind: one for one in OURS}
    if kind in ours:
        return ours[kind]
    registered = {one.name: one for one in entry_points(group=ENTRY_POINTS)}
    if kind not in registered:
        known = ", ".join(sorted({*ours, *registered}))
        raise UnknownAction(f"action {kind!r} is not known; there are {known}. Is the package that registers it still installed?")
    try:
        found = registered[kind].load()
    except (ImportError, AttributeError) as error:
        raise UnknownAction(f"action {kind!r} ({registered[kind].value}) cannot be loaded: {error}") from error
    made: ActionType = found() if isinstance(found, type) else found
    return made


def plan(kind: str, context: PlanContext) -> Plan | Impossible:
    """What an action of this kind would do about an incident, or why it can do nothing; changes nothing."""
    try:
        return action_type(kind).plan(context)
    except UnknownAction as error:
        return Impossible(str(error))


def for_member(kind: str, parameters: Mapping[str, Any]) -> str:
    """The kind of action for the members of a storm that follow its probe, which one of this kind was seen to help."""
    try:
        asked = getattr(action_type(kind), "for_member", None)  # a package may be older than this question
    except UnknownAction:
        return kind
    return str(asked(parameters)) if asked else kind


def describe(kind: str, parameters: Mapping[str, Any]) -> str:
    """What an action would do, in one line; its name where it cannot be asked."""
    try:
        return action_type(kind).describe(parameters)
    except UnknownAction:
        return kind.replace("_", " ")
