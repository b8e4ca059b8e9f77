"""Between trainings: a bad champion is rolled back, and enough news starts a training before its week is over."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta

from airflow_oncall import conf
from airflow_oncall.errors import AirflowApiError, ChampionChanged
from airflow_oncall.rest import AirflowApi
from airflow_oncall.store.records import now
from airflow_oncall.store.sql import Store
from airflow_oncall.training import NAME, last_training

log = logging.getLogger(__name__)

TRAIN_DAG = "oncall_train"
LOOKED = "upkeep"
"""Cursor: when this was last looked at."""
EVERY = timedelta(hours=1)
EARLIEST = timedelta(days=1)
"""A training is not started early before the last one is this old; drift that training cannot mend would start one after another."""
MEMORY = timedelta(days=180)
"""How far back repairs are counted."""


def look_after_models(store: Store, api: AirflowApi) -> None:
    """What triage does once an hour; an Airflow that does not answer is asked again the next hour."""
    looked = store.cursors.get(LOOKED)
    if looked and now() - datetime.fromisoformat(looked) < EVERY:
        return
    store.cursors.set(LOOKED, now().isoformat())
    roll_back_if_failing(store)
    _name_the_champion(store)
    try:
        start_early(store, api)
    except AirflowApiError as error:
        log.warning("no training is started early: %s", error)


def _name_the_champion(store: Store) -> None:
    """A process that was killed between promoting and saying so has left the old name behind."""
    from airflow_oncall.learn.files import write_latest

    if store.models.champions(NAME):
        write_latest(conf.models_path(), store.models, NAME)


def roll_back_if_failing(store: Store) -> str:
    """Roll the champion back when its repairs succeed less often than its predecessor's; the reason, empty where it stays."""
    from airflow_oncall.learn.reign import failing

    versions = store.models.list(NAME)
    actions = store.labels.verified_actions(now() - MEMORY)
    reason = failing(store.models.champions(NAME), versions, actions, conf.rollback_margin())
    if not reason:
        return ""
    from airflow_oncall.learn.registry import rollback

    try:
        reigning = rollback(conf.models_path(), store.models, NAME, actor="upkeep", reason=reason)
    except ChampionChanged as changed:  # somebody else was faster
        log.info("%s", changed)
        return ""
    log.warning("the champion is rolled back, %s %s reigns: %s", NAME, reigning.version, reason)
    return reason


def start_early(store: Store, api: AirflowApi) -> str:
    """Start a training when there is reason to; the reason, empty where there is none. Asked twice, it is one run."""
    last = last_training(store)
    if last.ended_at is None or last.trained_at is None or now() - last.ended_at < EARLIEST:
        return ""
    reason = _news(store, last.trained_at)
    if reason:
        run_id = f"oncall-early-{last.ended_at:%Y%m%dT%H%M%S}"
        started = api.trigger(TRAIN_DAG, run_id, {"reason": reason})
        log.info("%s %s: %s", TRAIN_DAG, f"{run_id} is started" if started else f"{run_id} was started before", reason)
    return reason


def _news(store: Store, since: datetime) -> str:
    from airflow_oncall.learn.drift import measure_drift

    wanted = conf.train_new_labels()
    fresh = store.labels.count(since)
    if wanted and fresh >= wanted:
        return f"{fresh} new labels since the last training"
    return "; ".join(measure_drift(store.labels, since - (now() - since), since, now()).reasons)
