"""Is there still something to tell, and has somebody answered? Asked at the beginning of each delivery, which takes a minute at most."""

from __future__ import annotations

from collections.abc import Callable

from airflow_oncall.act.verify import look
from airflow_oncall.incident import Incident, Kind, State, StormState
from airflow_oncall.rest import AirflowApi
from airflow_oncall.store.labels import FEEDBACK
from airflow_oncall.store.notices import Notice, Occasion
from airflow_oncall.store.sql import Store

STANDS = {
    Occasion.ASKED: (State.ASKED,),
    Occasion.ESCALATED: (State.ESCALATED, State.ACTING),  # acting: the escalation itself is being recorded
}
"""States of an incident in which it is still as it was told."""
UNANSWERED = frozenset({State.OPEN, State.DIAGNOSED, State.HELD, State.ASKED, State.ESCALATED})
"""States of a probe that waits for people."""


def answered(store: Store, runs_again: Callable[[Incident], bool], notice: Notice) -> bool:
    """Whether nobody has to be told any more: the question was answered, the incident went on, or a person took it.

    Only later steps of a route wait for a person's word or hand, for which ``runs_again`` asks Airflow; the first one is told
    whatever people did already.
    """
    incident = store.reading.incident(notice.incident_id)
    if incident is None:
        return True
    if notice.occasion in (Occasion.RESOLVED, Occasion.LEFT):
        return False
    if notice.occasion is Occasion.HANDED_OVER:
        return _storm_went_on(store, notice)
    if not incident.is_open or incident.decisions != notice.number or incident.state not in STANDS[notice.occasion]:
        return True
    return notice.after > 0 and (_spoken_about(store, notice) or runs_again(incident))


def _storm_went_on(store: Store, notice: Notice) -> bool:
    storm = store.storms.get(notice.storm_id) if notice.storm_id else None
    if storm is None or storm.state is StormState.CLOSED:
        return True
    if not notice.after:
        return False
    probe = store.reading.incident(storm.probe_id) if storm.probe_id else None
    return storm.state is not StormState.ESCALATED or probe is None or probe.state not in UNANSWERED or _spoken_about(store, notice)


def _spoken_about(store: Store, notice: Notice) -> bool:
    """Whether somebody gave feedback since."""
    words = store.reading.labels(notice.incident_id)
    return any(word["name"] == FEEDBACK and notice.made_at and word["given_at"] >= notice.made_at for word in words)


def runs_again(api: AirflowApi, incident: Incident) -> bool:
    """Whether somebody cleared or marked it."""
    return incident.kind in (Kind.TASK, Kind.DAG_RUN) and look(api, incident).state != "failed"
