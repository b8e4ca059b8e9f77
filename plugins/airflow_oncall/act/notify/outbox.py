"""Put what people are to be told into the outbox: a notice for every notifier of the route, those of later steps with their wait."""

from __future__ import annotations

import logging

from airflow_oncall.act.policy import Policy
from airflow_oncall.act.routes import targets_of
from airflow_oncall.errors import BadSetting
from airflow_oncall.incident import Incident, Storm
from airflow_oncall.rest import AirflowApi
from airflow_oncall.store.notices import Notice, Occasion
from airflow_oncall.store.sql import Store

log = logging.getLogger(__name__)

ENDS = (Occasion.LEFT, Occasion.RESOLVED)
"""Nobody has to answer these, so they have no later steps."""


def put(
    store: Store, api: AirflowApi, policy: Policy, incident: Incident, occasion: Occasion, detail: str, storm: Storm | None = None
) -> str:
    """Have people told; put in twice, it is one notice. Gives back what is wrong with the settings, which must not stop an escalation.

    Of a storm ``incident`` is its probe.
    """
    try:
        targets = targets_of(policy, api, incident.ref)
    except BadSetting as error:
        log.error("%s", error)
        return str(error)
    storm_id = storm.id if storm else None
    heard = [target for target in targets if target.hears(occasion) and not (target.after and occasion in ENDS)]
    store.notices.add([Notice(incident.id, incident.decisions, occasion, target.place, detail, storm_id, target.after) for target in heard])
    return ""
