"""DAGs of which nothing is repaired for a while, whatever it is."""

from __future__ import annotations

from collections.abc import Sequence

from airflow_oncall.act.breaker import broken, look_back
from airflow_oncall.act.guards import breaker_of
from airflow_oncall.act.hours import maintenance_until
from airflow_oncall.act.policy import Policy
from airflow_oncall.store.records import now
from airflow_oncall.store.sql import Store


def resting(store: Store, policy: Policy, dag_ids: Sequence[str]) -> set[str]:
    """Those of these DAGs that are under maintenance, or whose circuit breaker is open."""
    at = now()
    since = at - look_back(policy.breaker)
    failing = set(dag_ids).intersection(store.guards.failing_dags(since, policy.breaker.failures))
    found = {dag_id: broken(store.guards.ended(breaker_of(dag_id), since, policy.breaker.of), policy.breaker, at) for dag_id in failing}
    tripped = {dag_id for dag_id, one in found.items() if one and one.until}
    return tripped | {dag_id for dag_id in dag_ids if maintenance_until(policy, dag_id, at)}
