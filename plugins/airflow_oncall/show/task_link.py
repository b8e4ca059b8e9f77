"""The link on a task instance's page that leads to its incident. Every Airflow process imports this, so it loads nothing."""

from __future__ import annotations

import logging
from functools import cache
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperatorLink

from airflow_oncall.show.mounting import base_path

if TYPE_CHECKING:
    from airflow_oncall.store.sql import Store

log = logging.getLogger(__name__)
PATIENCE = 2.0
"""Seconds: Airflow's own page waits."""


class OnCallLink(BaseOperatorLink):
    """Leads to the newest incident of a task instance; no link where there was none."""

    name = "Oncall"

    def get_link(self, operator: Any, *, ti_key: Any) -> str:
        """Address of the incident's page. Airflow's API server asks; a store that is out of reach must not break its page."""
        from airflow_oncall.errors import OnCallError
        from airflow_oncall.incident import TaskRef

        try:
            incident = _store().logs.task_incident(TaskRef(ti_key.dag_id, ti_key.run_id, ti_key.task_id, ti_key.map_index))
        except OnCallError as error:
            log.info("no link to an incident: %s", error)
            return ""
        return f"{base_path()}/plugin/oncall?incident={incident.id}" if incident else ""


@cache
def _store() -> Store:
    from airflow_oncall.store import open_store

    return open_store(migrate=False, patience=PATIENCE)
