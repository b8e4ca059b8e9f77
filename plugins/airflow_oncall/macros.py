"""For DAG files: memory that grows by itself after a try ran out of it.

``retry_with_more_memory`` writes the memory of the next try into the task's state store; what is here reads it. In templates::

    {{ macros.oncall.oncall_memory("4g") }}

or, with ``user_defined_macros={"oncall_memory": oncall_memory}`` on the DAG, ``{{ oncall_memory("4g") }}``. A task that declares
``params={"oncall_memory": "4g"}`` needs no argument, and tells triage how much it has.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from jinja2 import pass_context

KEY = "oncall_memory"
"""Key in the task's state store, and name of the param."""
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kmgt])(i?)b?", re.IGNORECASE)
_MEBIBYTES = {"k": 1 / 1024, "m": 1, "g": 1024, "t": 1024 * 1024}


def mebibytes(size: str) -> int:
    """Read ``4g``, ``4096m``, ``4Gi``. Raises ``ValueError``."""
    match = _SIZE.fullmatch(str(size).strip())
    if match is None:
        raise ValueError(f"{size!r} is no size of memory; write one such as 4g, 4096m or 4Gi")
    return round(float(match[1]) * _MEBIBYTES[match[2].lower()])


def written_as(amount: int, like: str) -> str:
    """Mebibytes as Kubernetes (``6144Mi``) or Spark and Java (``6144m``) read them, whichever ``like`` is."""
    return f"{amount}Mi" if str(like).rstrip("bB").endswith("i") else f"{amount}m"


def memory_of_try(context: Mapping[str, Any], default: str = "") -> str:
    """Memory that this try shall have: what triage raised it to, and never less than ``default`` (else the param ``oncall_memory``).

    For Python tasks: ``memory_of_try(get_current_context(), "4g")``.
    """
    declared = str(default or (context.get("params") or {}).get(KEY) or "")
    if not declared:
        raise ValueError(f'say how much memory the task has at first: oncall_memory("4g"), or params={{"{KEY}": "4g"}}')
    store = context.get("task_state_store")
    raised = store.get(KEY) if store is not None else None  # rendered outside a run, there is none
    if raised is None or mebibytes(str(raised)) <= mebibytes(declared):
        return declared
    return written_as(mebibytes(str(raised)), declared)


@pass_context
def oncall_memory(context: Any, default: str = "") -> str:
    """The template macro, see :func:`memory_of_try`."""
    return memory_of_try(context, default)


def _template(default: str) -> str:
    mebibytes(default)
    return f"{{{{ macros.oncall.oncall_memory('{default}') }}}}"


def spark_memory(executor: str = "", driver: str = "") -> dict[str, str]:
    """For ``SparkSubmitOperator(conf=...)``: memory of executors, of the driver, or of both; both grow to what triage says."""
    sizes = {"spark.executor.memory": executor, "spark.driver.memory": driver}
    return {name: _template(size) for name, size in sizes.items() if size}


def pod_memory(memory: str, **more: Mapping[str, str]) -> Any:
    """``V1ResourceRequirements`` for ``KubernetesPodOperator(container_resources=...)``: request and limit of memory.

    ``more``: other requests and limits, e.g. ``requests={"cpu": "1"}``.
    """
    from kubernetes.client.models import V1ResourceRequirements  # type: ignore[import-untyped]

    template = {"memory": _template(memory)}
    return V1ResourceRequirements(**{name: {**more.get(name, {}), **template} for name in ("requests", "limits")})
