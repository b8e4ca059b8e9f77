"""The second part of ``doctor``: is this installation fit for production? What is not is advice, with what to do, and fails nothing."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from datetime import datetime, timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_oncall import conf
from airflow_oncall.errors import OnCallError
from airflow_oncall.store.records import now

if TYPE_CHECKING:
    from airflow_oncall.act.policy import Policy
    from airflow_oncall.cli.doctor import Patient

ONE_HOST = ("LocalExecutor",)
GIB = 1024**3
LEAST_FREE = GIB
TICK_LATE, QUEUE_LATE, LOGS_LATE = timedelta(minutes=15), timedelta(minutes=15), timedelta(hours=1)
MODEL_OLD, SKEW = timedelta(days=30), timedelta(minutes=1)
MODES = {
    "shadow": "nothing is repaired",
    "ask": "a person approves every repair",
    "auto": "what the policy allows is repaired without asking",
}


class Advice(OnCallError):
    """It works, but not as it should in production; ``mend`` is what to do."""

    def __init__(self, problem: str, mend: str) -> None:
        super().__init__(problem)
        self.mend = mend


def database(patient: Patient) -> str:
    """database"""
    from airflow.configuration import conf as airflow_conf

    executor = str(airflow_conf.get("core", "executor"))
    kind = patient.store.engine.dialect.name
    if kind == "sqlite" and executor not in ONE_HOST:
        mend = f"put it on PostgreSQL: connection {conf.conn_id()!r}, then `airflow oncall db upgrade`"
        raise Advice(f"the incident store is SQLite, a file of this host, and {executor} may run tasks on others", mend)
    return f"{kind} with {executor}"


def disk(patient: Patient) -> str:
    """disk"""
    free = {str(place): shutil.disk_usage(place).free for place in sorted(_folders(patient))}
    low = [f"{place} has {bytes_ / GIB:.1f} GiB free" for place, bytes_ in free.items() if bytes_ < LEAST_FREE]
    if low:
        raise Advice("; ".join(low), "make room: models, the spool and SQLite's file lie there")
    return ", ".join(f"{bytes_ / GIB:.0f} GiB free under {place}" for place, bytes_ in free.items())


def _folders(patient: Patient) -> set[Path]:
    """Where something of ours grows on this host; what is not made yet will lie under the nearest folder that is."""
    models = conf.models_path()
    places = [conf.airflow_home(), conf.spool_path(), *([models] if isinstance(models, Path) else [])]
    if patient.store.engine.dialect.name == "sqlite":
        places.append(Path(str(patient.store.engine.url.database)).parent)
    return {next(one for one in (place, *place.parents) if one.is_dir()) for place in map(Path.absolute, places)}


def mode(patient: Patient) -> str:
    """mode"""
    from airflow_oncall.act import killswitch
    from airflow_oncall.act.effective import SETTING

    if stop := patient.store.switch.get():
        raise Advice(
            f"{stop.by} paused all repairs on {stop.at:%Y-%m-%d %H:%M} UTC: {stop.reason}", "`airflow oncall resume` lets them go on"
        )
    if said := killswitch.why_paused(patient.store):
        raise Advice(said, "look under Admin, Variables in Airflow, and whether its secrets backend answers")
    policy = _policy(patient)
    general, place = (policy.mode, "`mode` of policy.yaml") if policy.mode else (conf.mode(), SETTING)
    others = (f"; overrides.{number} says {one.mode}" for number, one in enumerate(policy.overrides) if one.mode not in (None, general))
    told = f"{general}: {MODES[general]}, says {place}{''.join(others)}"
    if general == "shadow":
        raise Advice(told, f"look at `airflow oncall shadow-report`, then set {place} to ask")
    return told


def people(patient: Patient) -> str:
    """people"""
    from airflow_oncall.act.routes import default_route, targets_of_route

    policy = _policy(patient)
    if not targets_of_route(policy, default_route(policy)):
        mend = "name notifiers in `routes` of policy.yaml or in [oncall] escalation_notifiers; `airflow oncall notify test` tries them"
        raise Advice("nobody is told of questions and escalations, they are seen in the UI only", mend)
    asked = ", ".join(policy.approvers) or "whoever Airflow lets answer"
    return f"messages reach somebody; questions may be answered by: {asked}"


def questions(patient: Patient) -> str:
    """questions"""
    if find_spec("airflow.providers.standard.operators.hitl") is None:
        raise Advice("nobody can be asked: Airflow's HITL operators are missing", "pip install 'apache-airflow-providers-standard>=1.10'")
    waiting = patient.store.rankings.waiting(now() - timedelta(hours=12))
    if waiting:
        raise Advice(
            f"{waiting} have waited for more than 12 hours", "answer them in Airflow under Required Actions, and see who is told of them"
        )
    return "none has waited for more than 12 hours"


def retention(patient: Patient) -> str:
    """retention"""
    days = _policy(patient).retention
    kept = {"closed incidents": days.closed_incidents, "log events": days.log_events, "the audit log": days.audit}
    if for_ever := [name for name, its_days in kept.items() if its_days is None]:
        raise Advice(f"kept for ever: {', '.join(for_ever)}", "set `retention` in policy.yaml, e.g. closed_incidents: 400, audit: 1095")
    return ", ".join(f"{name} {its_days} days" for name, its_days in kept.items())


def models(patient: Patient) -> str:
    """models"""
    from airflow_oncall.training import NAME

    champion = next(iter(patient.store.models.champions(NAME)), None)
    if champion is None:
        raise Advice("none is in service yet", "let oncall_triage run once, or run `airflow oncall train --starter`")
    if now() - champion.trained_at > MODEL_OLD:
        mend = "see why the weekly oncall_train promoted none: its task `report` says it"
        raise Advice(f"{champion.version} was trained on {champion.trained_at:%Y-%m-%d}", mend)
    return f"{champion.version}, trained on {champion.trained_at:%Y-%m-%d}"


def triage(patient: Patient) -> str:
    """triage"""
    from airflow_oncall.measures import TICK

    last: dict[str, Any] | None = patient.store.cursors.get(TICK)
    if last is None:
        raise Advice("it has never run", "unpause oncall_triage and see that scheduler, dag-processor and triggerer are up")
    at = datetime.fromisoformat(last["at"])
    if now() - at > TICK_LATE:
        raise Advice(f"it last ran at {at:%Y-%m-%d %H:%M} UTC", "see whether oncall_triage is paused or waits for a slot")
    return f"last ran at {at:%Y-%m-%d %H:%M} UTC, for {last['seconds']:.1f} s"


def queue(patient: Patient) -> str:
    """queue"""
    from airflow_oncall.capture.spool import waiting_bytes

    due, seconds = patient.store.recent.due()
    if seconds > QUEUE_LATE.total_seconds():
        raise Advice(f"{due} incidents are due, the first since {seconds / 60:.0f} min", "see the log of oncall_triage")
    if waiting := waiting_bytes():
        raise Advice(f"{waiting} bytes of failures wait in {conf.spool_path()}", "the next run of oncall_triage on this host stores them")
    return f"{due} incidents are due, the spool is empty"


def logs(patient: Patient) -> str:
    """logs"""
    from airflow_oncall.capture.logs.configured import read_sources
    from airflow_oncall.capture.logs.polling import health_cursor

    names = [one.name for one in read_sources().sources]
    if wrong := [f"{name} {said}" for name in names if (said := _unread(patient.store.logs.cursor(health_cursor(name))))]:
        raise Advice("; ".join(wrong), "see whether oncall_poll runs, and its log; docs/logs.md says what each kind of source needs")
    return f"{len(names)} sources, all of them were read in the last hour"


def _unread(health: dict[str, Any]) -> str:
    """What is wrong with a source of this health; empty: nothing is."""
    from airflow_oncall.capture.logs.polling import READ_AT, UNREADABLE_SINCE

    if since := health.get(UNREADABLE_SINCE):
        return f"cannot be read since {since}"
    if not (read_at := health.get(READ_AT)):
        return "was never read"
    at = datetime.fromisoformat(read_at)
    return f"was last read at {at:%Y-%m-%d %H:%M} UTC" if now() - at > LOGS_LATE else ""


def clocks(patient: Patient) -> str:
    """clocks"""
    off = abs(patient.api.server_time() - now())
    if off > SKEW:
        raise Advice(f"this host and the api-server are {off.total_seconds():.0f} s apart", "synchronise their clocks (NTP)")
    return "this host and the api-server agree"


def monitoring(patient: Patient) -> str:
    """monitoring"""
    who = "anybody" if conf.metrics_public() else "whoever may read oncall_triage"
    return f"{patient.api.base_url}/oncall/metrics, for {who}; docs/metrics.md says what is worth an alert"


CHECKS: tuple[Callable[[Patient], str], ...] = (
    database,
    disk,
    mode,
    people,
    questions,
    retention,
    models,
    triage,
    queue,
    logs,
    clocks,
    monitoring,
)


def _policy(patient: Patient) -> Policy:
    from airflow_oncall.act.policy_file import read_policy

    return read_policy(patient.store)
