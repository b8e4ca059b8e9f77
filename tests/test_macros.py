"""Memory that grows by itself, as DAG files read it: in templates, in Spark's conf, in a pod's resources, in Python."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from airflow.providers.common.sql.operators.sql import SQLExecuteQueryOperator
from airflow.sdk.definitions.context import Context
from jinja2.sandbox import SandboxedEnvironment

from airflow_oncall.capture.logs.task_key import task_key
from airflow_oncall.incident import TaskRef
from airflow_oncall.macros import KEY, mebibytes, memory_of_try, oncall_memory, pod_memory, spark_memory, written_as
from airflow_oncall.show.plugin import OnCallPlugin

NIGHTLY_LOAD = TaskRef("nightly", "manual__1", "load")


class StateStore(dict[str, Any]):
    """A task's state store, as its context has it."""


def rendered(template: str, **context: Any) -> str:
    """As Airflow renders a template field of a task that triage gave 6 GiB."""
    macros = type("macros", (), {"oncall": type("oncall", (), {one.__name__: staticmethod(one) for one in OnCallPlugin.macros})})
    context = {"task_state_store": StateStore({KEY: "6144m"}), "params": {}, "macros": macros} | context
    return SandboxedEnvironment().from_string(template).render(context)


def test_a_template_sees_what_triage_said() -> None:
    assert rendered("{{ macros.oncall.oncall_memory('4g') }}") == "6144m"


def test_a_dag_may_give_it_a_shorter_name() -> None:
    assert rendered("{{ oncall_memory('4g') }}", oncall_memory=oncall_memory) == "6144m"


def test_what_a_task_declares_is_what_it_has_at_first() -> None:
    assert rendered("{{ macros.oncall.oncall_memory() }}", task_state_store=StateStore(), params={KEY: "4g"}) == "4g"


def test_a_template_that_is_rendered_outside_a_run_sees_the_first_size() -> None:
    assert rendered("{{ macros.oncall.oncall_memory('4g') }}", task_state_store=None) == "4g"


def test_an_author_who_declares_more_by_now_is_not_given_less() -> None:
    assert rendered("{{ macros.oncall.oncall_memory('8g') }}") == "8g"


def test_an_sql_operator_names_its_try_to_postgresql() -> None:
    options = "-c application_name={{ macros.oncall.oncall_application_name() }}"
    operator = SQLExecuteQueryOperator(task_id="load", sql="SELECT 1", conn_id="dwh", hook_params={"options": options})
    ti = SimpleNamespace(dag_id="nightly", run_id="manual__1", task_id="load", map_index=-1, try_number=2)
    assert "hook_params" in operator.template_fields
    assert rendered(operator.hook_params["options"], ti=ti) == f"-c application_name={task_key(NIGHTLY_LOAD, 2)}"


def test_a_size_is_written_as_its_reader_wants_it() -> None:
    assert rendered("{{ macros.oncall.oncall_memory('4Gi') }}") == "6144Mi"


def test_python_code_reads_the_same() -> None:
    context = Context(task_state_store=StateStore({KEY: "6144m"}), params={KEY: "4g"})  # type: ignore[typeddict-item]
    assert memory_of_try(context) == "6144m"


def test_a_task_without_a_first_size_is_told_how_to_give_one() -> None:
    with pytest.raises(ValueError, match="say how much memory the task has at first"):
        rendered("{{ macros.oncall.oncall_memory() }}")


def test_spark_gets_it_by_its_conf() -> None:
    conf = spark_memory(executor="4g", driver="8g")
    assert {name: rendered(value) for name, value in conf.items()} == {"spark.executor.memory": "6144m", "spark.driver.memory": "8g"}
    assert list(spark_memory(executor="4g")) == ["spark.executor.memory"]


def test_a_pod_gets_it_as_request_and_limit_beside_its_others() -> None:
    resources = pod_memory("2Gi", requests={"cpu": "1"})
    assert {name: rendered(value) for name, value in resources.requests.items()} == {"cpu": "1", "memory": "6144Mi"}
    assert {name: rendered(value) for name, value in resources.limits.items()} == {"memory": "6144Mi"}


def test_the_pod_operator_renders_it() -> None:
    from airflow.providers.cncf.kubernetes.operators.pod import KubernetesPodOperator

    assert "container_resources" in KubernetesPodOperator.template_fields
    task = KubernetesPodOperator(task_id="big", image="busybox", container_resources=pod_memory("2Gi"))
    task.render_template_fields(
        Context(task_state_store=StateStore({KEY: "6144m"}), params={}, macros=_macros()),  # type: ignore[typeddict-item]
        SandboxedEnvironment(),
    )
    assert task.container_resources is not None
    assert task.container_resources.limits == {"memory": "6144Mi"}


def _macros() -> Any:
    return type("macros", (), {"oncall": type("oncall", (), {"oncall_memory": staticmethod(oncall_memory)})})


@pytest.mark.parametrize(
    ("size", "amount"), [("4g", 4096), ("4 GB", 4096), ("4096m", 4096), ("4Gi", 4096), ("1.5g", 1536), ("1t", 1 << 20)]
)
def test_sizes_are_read_as_people_write_them(size: str, amount: int) -> None:
    assert mebibytes(size) == amount


@pytest.mark.parametrize("size", ["", "4", "g", "4 elephants", "-4g", "4g4g", "{{ x }}"])
def test_what_is_no_size_is_told(size: str) -> None:
    with pytest.raises(ValueError, match="is no size of memory"):
        mebibytes(size)


@pytest.mark.parametrize(("like", "written"), [("4g", "512m"), ("4Gi", "512Mi"), ("4GiB", "512Mi"), ("4gb", "512m")])
def test_sizes_are_written_as_the_other_one_was(like: str, written: str) -> None:
    assert written_as(512, like) == written
