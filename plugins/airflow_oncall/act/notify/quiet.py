"""Until when people are not to be told."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from datetime import datetime

from airflow_oncall.act.guards import LONGEST_SECONDS
from airflow_oncall.act.hours import quiet_until, silent_until
from airflow_oncall.act.policy import Policy
from airflow_oncall.act.situation import CRITICAL
from airflow_oncall.rest import AirflowApi
from airflow_oncall.store.records import now


def silence(policy: Policy, api: AirflowApi, dag_ids: Sequence[str]) -> datetime | None:
    """Until when people are not told of these DAGs, for quiet hours or maintenance; ``None``: they are told at once."""
    return silent_until(policy, dag_ids, spared(policy, lambda: critical_dags(api)), now())


def spared(policy: Policy, critical: Callable[[], Collection[str]]) -> Collection[str]:
    """DAGs of which people are told in quiet hours, too; which are ``critical`` is only asked while it is quiet."""
    return critical() if quiet_until(policy.quiet_hours, now()) else ()


def critical_dags(api: AirflowApi) -> Collection[str]:
    """DAGs that their authors declared critical."""
    return api.dag_ids(CRITICAL)


def seconds_until(moment: datetime) -> float:
    """Until then, but not so long that nobody looks whether the policy, or the task instance, is another by now."""
    return min(max((moment - now()).total_seconds(), 1), LONGEST_SECONDS)
