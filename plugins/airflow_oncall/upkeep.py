"""Once an hour: a bad champion is rolled back, bars follow outcomes, and enough news starts a training before its week is over."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime, timedelta

from airflow_oncall import conf
from airflow_oncall.act.adaptation import moved
from airflow_oncall.act.effective import Effective, Subject, effective
from airflow_oncall.act.policy import Policy
from airflow_oncall.act.policy_file import read_policy
from airflow_oncall.errors import AirflowApiError, ChampionChanged
from airflow_oncall.rest import AirflowApi
from airflow_oncall.store.bars import Bar, Tried
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
OUTCOMES_COUNT = timedelta(days=90)
"""How far back outcomes may move a bar."""
MEMORY = timedelta(days=180)
"""How far back repairs are counted."""


def look_after_models(store: Store, api: AirflowApi) -> None:
    """What triage does once an hour; an Airflow that does not answer is asked again the next hour."""
    looked = store.cursors.get(LOOKED)
    if looked and timedelta() <= now() - datetime.fromisoformat(looked) < EVERY:  # a clock that was ahead keeps nobody waiting
        return
    store.cursors.set(LOOKED, now().isoformat())
    roll_back_if_failing(store)
    policy = read_policy(store)
    adapt_bars(store, policy)
    forget_the_old(store, policy)
    look_after_knowledge(store)
    log.info("audit log: the newest row has the hash %s", store.audit.head())  # kept where a change of the database does not reach
    _name_the_champion(store)
    try:
        start_early(store, api)
    except AirflowApiError as error:
        log.warning("no training is started early: %s", error)


def forget_the_old(store: Store, policy: Policy) -> None:
    """Delete what is older than the policy keeps it."""
    from airflow_oncall.store.retention import forget

    days = policy.retention
    closed = now() - timedelta(days=days.closed_incidents) if days.closed_incidents else None
    logged = now() - timedelta(days=days.log_events) if days.log_events else None
    gone = forget(store.engine, closed, logged)
    if days.audit:
        store.audit.cut(now() - timedelta(days=days.audit))
    if any(gone):
        log.info("forgotten, as the policy's retention says: %s closed incidents, %s log events", gone.incidents, gone.log_events)


def look_after_knowledge(store: Store) -> None:
    """Propose what people resolved repeatedly, and read into the indexes what triage had no time for."""
    from airflow_oncall.knowledge.base import KnowledgeBase
    from airflow_oncall.knowledge.proposing import propose

    for name in propose(store):
        log.info("knowledge %s is proposed; `airflow oncall knowledge confirm %s` lets it count", name, name)
    KnowledgeBase(store).catch_up()


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


def adapt_bars(store: Store, policy: Policy) -> list[Bar]:
    """Let measured outcomes move ``auto`` bars by one step, where the policy allows it; the bars that moved.

    Where overrides give some DAGs thresholds of their own, those stay as they are.
    """
    if not policy.adapt.enabled:
        return []
    general, known = effective(policy, Subject(""), mode=""), {(bar.category, bar.action): bar for bar in store.bars.all()}
    tried = store.bars.tried(now() - OUTCOMES_COUNT)
    made = [_adapted(general, known.get(pair), *pair, tried) for pair in sorted({(one.category, one.action) for one in tried})]
    found = [bar for bar in made if bar]
    for bar in found:
        store.bars.move(bar)
        log.info("the bar of %s for %s: %s", bar.action, bar.category, bar.reason)
    return found


def _adapted(general: Effective, known: Bar | None, category: str, action: str, tried: Sequence[Tried]) -> Bar | None:
    base = general.thresholds(category, action).auto
    bar = known if known and known.base == base else None  # what the operator wrote since counts
    mine = [one for one in tried if (one.category, one.action) == (category, action) and (bar is None or one.seen_at > bar.changed_at)]
    auto = bar.auto if bar else base
    move = moved(auto, [(one.probability, one.helped) for one in mine], general.policy.adapt, shift=auto - base)
    return Bar(category, action, move.auto, base, move.reason, now()) if move else None


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
