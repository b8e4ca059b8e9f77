"""What monitoring is told: each metric with its name, its kind and its meaning, and its values now.

The Prometheus endpoint shows these (``oncall_queue_age_seconds``), and triage tells Airflow's Stats the same after every tick
(``oncall.queue_age_seconds``). All of them are gauges: what is counted is deleted when it is old, and a counter must never go back.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from airflow_oncall import telemetry
from airflow_oncall.act import killswitch
from airflow_oncall.reports.arithmetic import calibration_error
from airflow_oncall.store.engine import one_look
from airflow_oncall.store.figures import Scope
from airflow_oncall.store.recent import Number
from airflow_oncall.store.records import now
from airflow_oncall.store.sql import Store

TICK = "tick"
"""Cursor: when the last tick ended, and how long it took."""
CALIBRATED_OVER = timedelta(days=30)


class Metric(NamedTuple):
    """One metric as it is documented."""

    name: str
    meaning: str
    labels: tuple[str, ...] = ()


METRICS = (
    Metric("incidents_open", "Open incidents", ("state", "category", "source")),
    Metric("incidents_opened_last_day", "Incidents opened in the last 24 hours", ("category", "source")),
    Metric("decisions_last_day", "Decisions made in the last 24 hours", ("verdict",)),
    Metric("actions_last_day", "Actions planned in the last 24 hours", ("kind", "state")),
    Metric("outcomes_last_day", "Ends of actions seen in the last 24 hours", ("kind",)),
    Metric("queue_due", "Open incidents that triage should look at now"),
    Metric("queue_age_seconds", "Seconds since the first of them was due; 0: none is"),
    Metric("tick_duration_seconds", "Seconds that the last triage tick took"),
    Metric("tick_timestamp_seconds", "When the last triage tick ended, as Unix time; 0: there was none yet"),
    Metric("spool_bytes", "Bytes of failures that wait on this host because the store was down"),
    Metric("model_info", "1 for the version of each model that is in service", ("name", "version")),
    Metric("model_age_seconds", "Seconds since the model in service was trained", ("name",)),
    Metric("calibration_error", "Mean distance of expected and observed success of actions in the last 30 days, from 0 to 1"),
    Metric("breaker_open", "1 while the breaker of such actions is open: the last ones failed", ("kind", "category")),
    Metric("storms_open", "Storms that are on: many incidents with one cause"),
    Metric("storms_last_day", "Storms opened in the last 24 hours, by where they stand", ("state",)),
    Metric("paused", "1 while the kill switch stops all repairs: by command, by the Variable oncall_paused, or as that cannot be read"),
)


class Value(NamedTuple):
    """One value of a metric."""

    name: str
    value: float
    labels: Mapping[str, str] = {}


def measure(store: Store) -> list[Value]:
    """All values now."""
    with one_look(store.engine):
        return list(_measured(store))


def _measured(store: Store) -> Iterator[Value]:
    recent = store.recent
    yield from _numbers("incidents_open", recent.open())
    yield from _numbers("incidents_opened_last_day", recent.opened())
    yield from _numbers("decisions_last_day", recent.decided())
    yield from _numbers("actions_last_day", recent.acted())
    yield from _numbers("outcomes_last_day", recent.ended())
    due, age = recent.due()
    yield Value("queue_due", due)
    yield Value("queue_age_seconds", age)
    last: dict[str, Any] = store.cursors.get(TICK) or {}
    yield Value("tick_duration_seconds", last.get("seconds", 0.0))
    yield Value("tick_timestamp_seconds", datetime.fromisoformat(last["at"]).timestamp() if last else 0.0)
    yield Value("spool_bytes", _spool_bytes())
    yield from _models(store)
    yield Value("calibration_error", calibration_error(store.figures.counted(Scope(None, now() - CALIBRATED_OVER)).tried))
    yield from _breakers(store)
    yield Value("storms_open", recent.storms())
    yield from _numbers("storms_last_day", recent.storms_opened())
    yield Value("paused", int(bool(killswitch.why_paused(store))))


def after_tick(store: Store, seconds: float) -> None:
    """Remember when triage last ran, and tell Stats how things are."""
    telemetry.took("tick", seconds)
    last: dict[str, Any] = store.cursors.get(TICK) or {}
    store.cursors.set(TICK, {**last, "at": now().isoformat(), "seconds": round(seconds, 3)})
    told = defaultdict[str, float](float)
    for one in measure(store):
        told[stat_of(one)] += one.value  # labels that differ only in what no name may hold have one gauge
    for name in {*last.get("told", ())} - {*told}:
        telemetry.gauge(name, 0)  # a gauge keeps its last value until it is told another
    for name, value in told.items():
        telemetry.gauge(name, value)
    store.cursors.set(TICK, {"at": now().isoformat(), "seconds": round(seconds, 3), "told": sorted(told)})


def stat_of(one: Value) -> str:
    """Its name in Airflow's Stats, with the labels as its last parts: a plain StatsD has no tags, and one name would hold them all."""
    return ".".join([one.name, *map(telemetry.word, one.labels.values())])


def _numbers(name: str, numbers: list[Number]) -> Iterator[Value]:
    return (Value(name, one.value, one.labels) for one in numbers)


def _spool_bytes() -> int:
    from airflow_oncall.capture.spool import waiting_bytes

    return waiting_bytes()


def _models(store: Store) -> Iterator[Value]:
    for name in sorted({version.name for version in store.models.list()}):
        for champion in store.models.champions(name)[:1]:
            yield Value("model_info", 1, {"name": name, "version": champion.version})
            yield Value("model_age_seconds", (now() - champion.trained_at).total_seconds(), {"name": name})


def _breakers(store: Store) -> Iterator[Value]:
    """Of the kinds of actions tried lately; the breakers of single DAGs are not told."""
    from airflow_oncall.act.breaker import broken, look_back
    from airflow_oncall.act.guards import breakers_of
    from airflow_oncall.act.policy_file import read_policy
    from airflow_oncall.incident import TaskRef

    breaker = read_policy(store).breaker
    since = now() - look_back(breaker)
    for kind, category in store.recent.tried(since):
        alike, _ = breakers_of(TaskRef("", "", "", -1), category, kind)
        found = broken(store.guards.ended(alike, since, breaker.of), breaker, now())
        yield Value("breaker_open", int(found is not None and found.until is not None), {"kind": kind, "category": category})
