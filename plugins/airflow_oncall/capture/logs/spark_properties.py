"""What Spark's properties tell: the task instance that submitted the application, and the settings that decide about memory."""

from __future__ import annotations

from collections.abc import Mapping

AIRFLOW_PREFIX = "spark.airflow."
AIRFLOW_KEYS = ("dag_id", "run_id", "task_id", "map_index", "try_number")
_SETTINGS = {
    "spark.app.id": "application_id",
    "spark.app.name": "app_name",
    "spark.master": "master",
    "spark.submit.deployMode": "deploy_mode",
    "spark.driver.memory": "driver_memory",
    "spark.driver.memoryOverhead": "driver_memory_overhead",
    "spark.executor.memory": "executor_memory",
    "spark.executor.memoryOverhead": "executor_memory_overhead",
    "spark.executor.pyspark.memory": "executor_pyspark_memory",
    "spark.memory.offHeap.size": "off_heap_size",
    "spark.executor.cores": "executor_cores",
    "spark.openlineage.parentRunId": "openlineage_parent_run_id",
}
_ENVIRONMENTS = ("spark.yarn.appMasterEnv.", "spark.kubernetes.driverEnv.", "spark.executorEnv.")
_CONTEXT = {"dag_id": "DAG_ID", "run_id": "DAG_RUN_ID", "task_id": "TASK_ID", "try_number": "TRY_NUMBER"}
_LONGEST = 250
"""Characters of an identifier; Airflow's ids are no longer."""


def settings(properties: Mapping[str, str]) -> dict[str, str]:
    """Identifiers and memory settings of an application."""
    return {name: str(properties[key])[:_LONGEST] for key, name in _SETTINGS.items() if properties.get(key)}


def task_instance(properties: Mapping[str, str]) -> dict[str, str]:
    """Who submitted, from the first that says so: ``spark.airflow.*``, a driver's ``AIRFLOW_CTX_*``, OpenLineage's parent job."""
    readings = [{key: properties.get(AIRFLOW_PREFIX + key, "") for key in AIRFLOW_KEYS}]
    readings += [{key: properties.get(f"{place}AIRFLOW_CTX_{name}", "") for key, name in _CONTEXT.items()} for place in _ENVIRONMENTS]
    readings.append(_openlineage(properties))
    told = ({key: value for key, value in reading.items() if _is_value(value)} for reading in readings)
    return next((reading for reading in told if reading.get("dag_id")), {})


def _is_value(value: object) -> bool:
    """Whether it is a value at all: a template that nobody rendered is none."""
    return isinstance(value, str) and 0 < len(value) <= _LONGEST and "{{" not in value


def _openlineage(properties: Mapping[str, str]) -> dict[str, str]:
    """The parent job is ``dag_id.task_id``; as both may hold dots, the root job (``dag_id``) says where to split."""
    parent = properties.get("spark.openlineage.parentJobName", "")
    root = properties.get("spark.openlineage.rootParentJobName", "")
    if root and parent.startswith(f"{root}."):
        return {"dag_id": root, "task_id": parent[len(root) + 1 :]}
    dag_id, _, task_id = parent.partition(".")
    return {"dag_id": dag_id, "task_id": task_id} if task_id and "." not in task_id else {}
