"""Which task instance a pod belongs to: what Airflow writes on pods, and what can be read back from it.

The Kubernetes executor writes the ids as annotations, exactly. ``KubernetesPodOperator`` writes labels, which hold fewer characters:
an id that does not fit is shortened and ends in a hash. :func:`pod_annotations` gives such a pod the exact ids as well.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

_IDS = ("dag_id", "run_id", "task_id", "map_index", "try_number")
_PERHAPS_SHORTENED = re.compile(r"-[0-9a-f]{9}$")


def pod_annotations() -> dict[str, str]:
    """Annotations for a ``KubernetesPodOperator`` (its ``annotations`` are templated) that name its task instance exactly."""
    return {
        "dag_id": "{{ ti.dag_id }}",
        "run_id": "{{ ti.run_id }}",
        "task_id": "{{ ti.task_id }}",
        "map_index": "{{ ti.map_index }}",
        "try_number": "{{ ti.try_number }}",
    }


def add_pod_annotations(task: Any) -> None:
    """For a cluster policy: let the pod of a ``KubernetesPodOperator`` name its task instance. What the DAG's author set stays."""
    bases = getattr(type(task), "__mro__", ())
    present = getattr(task, "annotations", None)
    if any(base.__name__ == "KubernetesPodOperator" for base in bases) and (present is None or isinstance(present, Mapping)):
        task.annotations = pod_annotations() | dict(present or {})


def task_instance(metadata: Mapping[str, Any]) -> dict[str, str]:
    """Ids from a pod's annotations, else from its labels; a label that may be shortened stands as ``run_id_label`` and so on."""
    annotations, labels = metadata.get("annotations") or {}, metadata.get("labels") or {}
    if "dag_id" in annotations and "task_id" in annotations:
        return {name: str(annotations[name]) for name in _IDS if annotations.get(name)}
    if "dag_id" not in labels or "task_id" not in labels:
        return {}
    return {f"{name}_label" if _PERHAPS_SHORTENED.search(labels[name]) else name: str(labels[name]) for name in _IDS if labels.get(name)}


def without_task_instance(identifiers: Mapping[str, str]) -> dict[str, str]:
    """The identifiers without what :func:`task_instance` found."""
    return {name: value for name, value in identifiers.items() if name.removesuffix("_label") not in _IDS}


def matches_label(exact: str, label: str) -> bool:
    """Whether Airflow writes the id ``exact`` as this label; without the provider, which shortens it, never."""
    try:
        from airflow.providers.cncf.kubernetes.pod_generator import make_safe_label_value
    except ImportError:
        return False
    return bool(make_safe_label_value(exact) == label)
