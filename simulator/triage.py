"""The real triage on a simulated Airflow: a store of its own, the shipped policy, models that never saw the simulation's texts."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any

from sqlalchemy import URL, Engine, SingletonThreadPool, create_engine, event, func, make_url, select

from airflow_oncall import conf
from airflow_oncall.act.policy import Policy
from airflow_oncall.brain import Brain, read_rules
from airflow_oncall.datafile import parse
from airflow_oncall.judgement import Judgement
from airflow_oncall.rest import AirflowApi
from airflow_oncall.store.engine import _begin_sqlite, _prepare_sqlite, engine_for, transaction
from airflow_oncall.store.operator_files import OperatorFiles
from airflow_oncall.store.schema import upgrade
from airflow_oncall.store.sql import Store
from airflow_oncall.store.tables import incidents, open_only
from airflow_oncall.tick import Tick, TickResult
from airflow_oncall.triage.models import TriageModels
from airflow_oncall.upkeep import look_after_models
from simulator.home import models_cache
from simulator.texts import training_examples

PATIENCE = 30.0
WORKER = "simulated-triage"


@contextmanager
def new_store(database: str | None = None) -> Iterator[Store]:
    """An empty store: on SQLite in a temporary folder, or in the empty PostgreSQL database of this URL."""
    with tempfile.TemporaryDirectory(prefix="oncall-simulation-") as folder:
        url = make_url(database) if database else URL.create("sqlite", database=f"{folder}/oncall.db")
        engine = open_engine(url)
        upgrade(engine)
        yield Store.over(engine, WORKER)
        engine.dispose()


def open_engine(url: URL) -> Engine:
    """The store's engine; on SQLite, one that keeps its connection and does not wait for the disk: no simulation survives a power cut."""
    if url.get_backend_name() != "sqlite":
        return engine_for(url, PATIENCE)
    engine = create_engine(url, poolclass=SingletonThreadPool, connect_args={"timeout": PATIENCE})
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "connect", _hurry)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _hurry(connection: Any, _record: object) -> None:
    connection.execute("PRAGMA synchronous = OFF")
    connection.execute("PRAGMA journal_mode = WAL")


def shipped_policy() -> Policy:
    """The shipped ``policy.yaml``."""
    path = conf.shipped_include() / "policy.yaml"
    return parse(Policy, str(path), path.read_text(encoding="utf-8"))


def simulated_brain(*, rules_only: bool) -> Brain:
    """The shipped rules, and starter models trained without the held-out texts (once; the next simulation finds them)."""
    rules = read_rules(OperatorFiles([conf.shipped_include()]))
    return Brain(rules) if rules_only else Brain(rules, lambda: _models(Brain(rules)))


def _models(alone: Brain) -> TriageModels | None:
    from airflow_oncall.learn.starter import NAME, load_starter, train_starter

    cache = models_cache()
    engine = open_engine(URL.create("sqlite", database=str(cache / "registry.db")))
    upgrade(engine)
    versions = Store.over(engine, WORKER).models
    if not versions.champions(NAME):
        train_starter(cache, versions, training_examples(), judge=alone.judge)
    found = load_starter(cache, versions)
    engine.dispose()
    return replace(found[0], version=found[1]) if found else None


QUIET = timedelta(minutes=15)
"""Between two ticks at least, while only people have something to do."""
HEARTBEAT = timedelta(hours=1)
"""Between two ticks at most: the real ones come every minute, but most of them would change nothing."""


def next_tick(store: Store, last: datetime, every: timedelta) -> datetime:
    """When a tick has something to do, but not before ``every`` has passed since the last."""
    hot = store.queue.next_due()
    with transaction(store.engine, reading=True) as connection:
        cold = connection.execute(select(func.min(incidents.c.due_at)).where(open_only)).scalar()
    due: list[datetime] = [last + HEARTBEAT, *([max(hot, last + every)] if hot else []), *([max(cold, last + QUIET)] if cold else [])]
    return min(due)


@dataclass
class Triage:
    """Ticks over one store and one Airflow."""

    store: Store
    api: AirflowApi
    brain: Brain = field(default_factory=lambda: simulated_brain(rules_only=True))
    policy: Policy = field(default_factory=shipped_policy)
    mode: str = "auto"

    def tick(self) -> TickResult:
        """One tick, which stays no longer than there is work."""
        return Tick(self.store, self.api, self._judgement).run(0, 0)

    def look_after_models(self) -> None:
        """What triage does once an hour; in between it does nothing."""
        look_after_models(self.store, self.api)

    @cached_property
    def _judgement(self) -> Judgement:
        judgement = Judgement(self.store, self.mode)
        vars(judgement).update(brain=self.brain, policy=self.policy)
        return judgement
