"""Where ``[oncall] policy_hook`` is on: adds the failure callback to every task, and lets engines know whose work they do.

The callback is needed only where the plugin's listener cannot run. Spark operators and pods get their task instance's ids as properties
and annotations, so that what their engines log is tied to it without an edit of any DAG. The wheel registers this module; without it,
``config/airflow_local_settings.py`` says ``from airflow_oncall.capture.cluster_policy import task_policy``.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any

from airflow.policies import hookimpl

from airflow_oncall import conf
from airflow_oncall.capture.callbacks import on_failure
from airflow_oncall.capture.logs.pod_owner import add_pod_annotations
from airflow_oncall.capture.logs.spark_conf import add_spark_conf
from airflow_oncall.incident import OWN_DAG_IDS

log = logging.getLogger(__name__)


@hookimpl
def task_policy(task: Any) -> None:
    """Append the callback once; a task that takes none stays as it is, for a policy that raises breaks its whole DAG."""
    if not conf.policy_hook() or getattr(task, "dag_id", None) in OWN_DAG_IDS:
        return
    add_spark_conf(task)
    add_pod_annotations(task)
    present = getattr(task, "on_failure_callback", None) or []
    callbacks = list(present) if isinstance(present, Iterable) else [present]
    if on_failure in callbacks:
        return
    try:
        # One of the few attributes that a mapped operator lets a policy set.
        task.on_failure_callback = [*callbacks, on_failure]
    except (AttributeError, TypeError, ValueError) as error:
        log.warning("Task %r takes no failure callback; its failures are left to listener and sweep: %s", task, error)
