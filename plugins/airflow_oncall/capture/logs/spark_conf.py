"""Ties Spark applications to the task instance that submits them, by ``spark.airflow.*`` properties.

In a DAG: ``SparkSubmitOperator(..., conf={**spark_conf(), "spark.executor.memory": "2g"})``. In code of a running task:
``SparkSession.builder.config(map=spark_conf())``. Event logs, the History Server and Spark's UI then name the task instance.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from airflow_oncall.capture.logs.spark_properties import AIRFLOW_KEYS, AIRFLOW_PREFIX

log = logging.getLogger(__name__)

TEMPLATES = {f"{AIRFLOW_PREFIX}{key}": f"{{{{ ti.{key} }}}}" for key in AIRFLOW_KEYS}
"""For templated fields: Airflow fills them in when the task runs."""
_CONF_FIELDS = {
    "SparkSubmitOperator": "conf",
    "SparkPipelinesOperator": "conf",
    "PySparkOperator": "config_kwargs",
    "SparkSqlOperator": "_conf",
}
"""Operators of the Spark provider that take properties, and the attribute that holds them."""


def spark_conf(context: Mapping[str, Any] | None = None) -> dict[str, str]:
    """Spark properties that name the task instance.

    Inside a running task, or with its ``context``, they carry its ids. Elsewhere, as in a DAG file, they are templates, which
    Airflow fills in where the operator's field is templated (``SparkSubmitOperator.conf`` is, ``SparkSqlOperator.conf`` is not).
    """
    if context is None:
        context = _running_context()
    ti = context.get("ti") if context else None
    if ti is None:
        return dict(TEMPLATES)
    return {f"{AIRFLOW_PREFIX}{key}": str(value) for key in AIRFLOW_KEYS if (value := getattr(ti, key, None)) is not None}


def _running_context() -> Mapping[str, Any] | None:
    from airflow.sdk import get_current_context

    try:
        return get_current_context()
    except RuntimeError:
        return None


def add_spark_conf(task: Any) -> None:
    """For a cluster policy: let a Spark operator name its task instance. What the DAG's author set stays.

    A task that has no such field, or keeps its properties elsewhere, is left as it is: a policy that raises breaks its whole DAG.
    """
    field = _field(task)
    if field is None:
        return
    try:
        if getattr(task, "is_mapped", False):
            _add_to_mapped(task, field)
        else:
            _add(task, field)
    except (AttributeError, TypeError, ValueError) as error:
        log.warning("Spark task %r takes no properties; its applications do not name their task instance: %s", task, error)


def _field(task: Any) -> str | None:
    operator = getattr(task, "operator_class", type(task))
    bases = operator.__mro__ if isinstance(operator, type) else ()
    return next((_CONF_FIELDS[base.__name__] for base in bases if base.__name__ in _CONF_FIELDS), None)


def _add(task: Any, field: str) -> None:
    present = getattr(task, field)
    if present is not None and not isinstance(present, Mapping):
        return
    if field not in task.template_fields:
        if "{{" in str(present):
            # Until now Airflow left these braces alone.
            return
        task.template_fields = (*task.template_fields, field)
    setattr(task, field, {**TEMPLATES, **(present or {})})


def _add_to_mapped(task: Any, field: str) -> None:
    """Only where the field is templated and the same for all mapped tasks; one that is mapped over is its author's."""
    if field not in task.template_fields:
        return
    present = task.partial_kwargs.get(field)
    mapped_over = getattr(task.expand_input, "value", None)
    if (present is None or isinstance(present, Mapping)) and isinstance(mapped_over, Mapping) and field not in mapped_over:
        task.partial_kwargs[field] = {**TEMPLATES, **(present or {})}
