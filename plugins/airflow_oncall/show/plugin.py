"""Airflow's door to the package. Wiring only: every Airflow process imports this module."""

from __future__ import annotations

from airflow.plugins_manager import AirflowPlugin

from airflow_oncall.capture.listener import OnCallListener


class OnCallPlugin(AirflowPlugin):
    """Registers the listener that notices failures."""

    name = "oncall"
    listeners = [OnCallListener()]  # noqa: RUF012 - the type is Airflow's
