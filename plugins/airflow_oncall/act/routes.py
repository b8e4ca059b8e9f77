"""Who is told of an incident: the route that the policy names for it, else ``[oncall] escalation_notifiers``."""

from __future__ import annotations

from typing import Any

from airflow_oncall import conf
from airflow_oncall.act.effective import Effective, Subject, effective, subject_of
from airflow_oncall.act.policy import Policy
from airflow_oncall.errors import AirflowApiError
from airflow_oncall.incident import TaskRef
from airflow_oncall.rest import AirflowApi


def notifiers_for(policy: Policy, found: Effective) -> list[dict[str, Any]]:
    """Each with ``classpath`` and ``kwargs``. Raises ``BadSetting`` where the settings are asked and wrong."""
    if found.route is None:
        return conf.escalation_notifiers()
    return [one.model_dump() for one in policy.routes[found.route]]


def notifiers_of(policy: Policy, api: AirflowApi, ref: TaskRef) -> list[dict[str, Any]]:
    """As :func:`notifiers_for`, for a task instance of which Airflow tells tags, pool and owners where a route depends on them."""
    return notifiers_for(policy, effective(policy, _subject(policy, api, ref), mode=""))


def _subject(policy: Policy, api: AirflowApi, ref: TaskRef) -> Subject:
    named = Subject(ref.dag_id, ref.task_id)
    if not any(override.route for override in policy.overrides):
        return named
    try:
        return subject_of(ref, api.task(ref.dag_id, ref.task_id))
    except AirflowApiError:  # people are told all the same: of a DAG that is gone, or while Airflow is busy
        return named
