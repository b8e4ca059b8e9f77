"""Airflow's door to the package. Wiring only: every Airflow process imports this module."""

from __future__ import annotations

from airflow.plugins_manager import AirflowPlugin

from airflow_oncall.capture.listener import OnCallListener
from airflow_oncall.capture.logs.task_key import oncall_application_name
from airflow_oncall.macros import oncall_memory
from airflow_oncall.show.mounting import MOUNT, REACT_APPS
from airflow_oncall.show.task_link import OnCallLink


class OnCallPlugin(AirflowPlugin):
    """Registers the listener that notices failures, the macros, the API, the pages and the task link."""

    name = "oncall"
    listeners = [OnCallListener()]  # noqa: RUF012 - the type is Airflow's
    macros = [oncall_memory, oncall_application_name]  # noqa: RUF012
    fastapi_apps = [MOUNT]  # noqa: RUF012
    react_apps = REACT_APPS
    global_operator_extra_links = [OnCallLink()]  # noqa: RUF012
