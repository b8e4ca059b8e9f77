"""Automated on-call for Apache Airflow. The public names load lazily: importing the package costs next to nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"
__all__ = ["OnCallDagBundle", "OnCallNotifier", "__version__", "on_failure"]

_HOMES = {
    "on_failure": "airflow_oncall.capture.callbacks",
    "OnCallNotifier": "airflow_oncall.capture.notifier",
    "OnCallDagBundle": "airflow_oncall.bundle",
}

if TYPE_CHECKING:
    from airflow_oncall.bundle import OnCallDagBundle
    from airflow_oncall.capture.callbacks import on_failure
    from airflow_oncall.capture.notifier import OnCallNotifier


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)
