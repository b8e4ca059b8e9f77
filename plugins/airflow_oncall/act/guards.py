"""What may stand against an action, each guard by itself: all are evaluated, and a decision lists all that held.

    Refuse  never, as things are: it is a person's           own DAG, budgets that cannot or must not be waited for
    Ask     a person decides                                 critical, far-reaching, old, other code than failed
    Hold    later, and then everything is decided anew       kill switch, maintenance, quiet hours, backfill, budgets of
                                                             hours, actions under way, circuit breakers

Pure. What is counted is named by :func:`limits_of` and :func:`breakers_of`; the store counts it, and counts the limits again
in the transaction that plans the action, so that two triage runs at once cannot overrun one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta

from airflow_oncall.act.breaker import Broken, broken
from airflow_oncall.act.effective import Effective
from airflow_oncall.act.hours import maintenance_of, maintenance_until, quiet_until
from airflow_oncall.act.policy import Budgets
from airflow_oncall.act.situation import Situation
from airflow_oncall.incident import OWN_DAG_IDS, TaskRef, Verdict
from airflow_oncall.store.limits import Limit, Used

REPAIR = frozenset({Verdict.AUTO, Verdict.WAIT})
QUESTION = frozenset({Verdict.ASK})
TELLING = frozenset({Verdict.ESCALATE})
AGAIN_SECONDS = 60
"""A hold of which nobody knows when it ends is looked at again after this."""
LONGEST_SECONDS = 3600
"""However long a hold will last, the task instance is looked at this often: a person may have repaired it."""


@dataclass(frozen=True)
class Refuse:
    """It is a person's."""

    guard: str
    reason: str


@dataclass(frozen=True)
class Ask:
    """A person decides."""

    guard: str
    reason: str


@dataclass(frozen=True)
class Hold:
    """Not now. ``covers``: the verdicts that wait."""

    guard: str
    reason: str
    seconds: float = AGAIN_SECONDS
    covers: frozenset[Verdict] = REPAIR


Finding = Refuse | Ask | Hold


@dataclass(frozen=True)
class ProposedAction:
    """An action that a guard judges."""

    situation: Situation
    policy: Effective
    kind: str


def hourly(budgets: Budgets, *, in_wave: bool) -> Limit:
    """What everything together may use in an hour; ``in_wave``: what members of storms may whose cause was seen to be gone."""
    if budgets.storm_attempts_per_hour is None:
        return Limit("attempts_per_hour", budgets.attempts_per_hour, 1)
    name = "storm_attempts_per_hour" if in_wave else "attempts_per_hour"
    return Limit(name, getattr(budgets, name), 1, {"in_wave": in_wave})


def limits_of(budgets: Budgets, ref: TaskRef, category: str, kind: str, *, in_wave: bool = False) -> tuple[Limit, ...]:
    """The budgets that this action uses, by the names they have in the policy; those without a limit are left out."""
    task = {"dag_id": ref.dag_id, "task_id": ref.task_id}
    possible: tuple[tuple[str, int | None, dict[str, str | int], bool], ...] = (
        ("attempts_per_task_instance", None, dict(asdict(ref)), False),
        ("attempts_per_task_and_day", 24, dict(task), False),
        ("attempts_per_dag_and_hour", 1, {"dag_id": ref.dag_id}, False),
        ("attempts_per_category_and_hour", 1, {"category": category}, False),
        ("attempts_per_action_and_hour", 1, {"kind": kind}, False),
        ("actions_in_flight", None, {}, True),
    )
    given = (
        Limit(name, most, hours, where, in_flight)
        for name, hours, where, in_flight in possible
        if (most := getattr(budgets, name)) is not None
    )
    return (*given, hourly(budgets, in_wave=in_wave))


def breakers_of(ref: TaskRef, category: str, kind: str) -> tuple[Limit, ...]:
    """The two circuit breakers of an action. As a limit each lets one action through, which counts while it is half-open."""
    alike: dict[str, str | int] = {"kind": kind, "category": category}
    return (Limit(_ALIKE, 1, where=alike, in_flight=True), breaker_of(ref.dag_id))


def breaker_of(dag_id: str) -> Limit:
    """The circuit breaker of a DAG."""
    return Limit(_DAG, 1, where={"dag_id": dag_id}, in_flight=True)


def limits_in_force(situation: Situation, policy: Effective, kind: str) -> tuple[Limit, ...]:
    """What has to hold when the action is planned: the budgets, and the breakers that are half-open."""
    ref, category = situation.incident.ref, situation.diagnosis.category
    half_open = (one for one in breakers_of(ref, category, kind) if (found := _broken(situation, policy, one)) and not found.until)
    return (*limits_of(policy.budgets, ref, category, kind, in_wave=situation.in_wave), *half_open)


def findings(proposal: ProposedAction) -> list[Finding]:
    """What every guard says; empty where nothing stands against the action."""
    return [finding for guard in GUARDS for finding in guard(proposal)]


def _own(proposal: ProposedAction) -> Iterator[Finding]:
    if proposal.situation.incident.ref.dag_id in OWN_DAG_IDS:
        yield Refuse("own_dag", "It is a DAG of this system, which never acts on itself.")


def _possible(proposal: ProposedAction) -> Iterator[Finding]:
    if proposal.situation.impossible:
        yield Refuse("action", f"{proposal.kind} cannot be done here: {proposal.situation.impossible}.")
    if proposal.situation.asks:
        yield Ask("action", proposal.situation.asks)


def _kill_switch(proposal: ProposedAction) -> Iterator[Finding]:
    if proposal.situation.why_paused:
        yield Hold("kill_switch", proposal.situation.why_paused, covers=REPAIR | QUESTION)


def _maintenance(proposal: ProposedAction) -> Iterator[Finding]:
    dag_id, at = proposal.situation.incident.ref.dag_id, proposal.situation.moment
    end = maintenance_until(proposal.policy.policy, dag_id, at)
    if end:
        why = next((f" ({one.reason})" for one in maintenance_of(proposal.policy.policy, dag_id) if one.covers(at) and one.reason), "")
        reason = f"Maintenance{why} until {_time(end)}"
        yield Hold("maintenance", reason, (end - at).total_seconds(), REPAIR | QUESTION | TELLING)


def _quiet_hours(proposal: ProposedAction) -> Iterator[Finding]:
    situation = proposal.situation
    end = quiet_until(proposal.policy.policy.quiet_hours, situation.moment)
    if end and not situation.is_critical and not situation.in_wave:  # of a member, nobody is told by itself
        seconds = (end - situation.moment).total_seconds()
        yield Hold("quiet_hours", f"Quiet hours until {_time(end)}: nobody is asked or told", seconds, QUESTION | TELLING)


def _backfill(proposal: ProposedAction) -> Iterator[Finding]:
    if proposal.situation.has_backfill and proposal.policy.policy.risk.backfill == "wait":
        yield Hold("backfill", "A backfill of the DAG is running", 5 * AGAIN_SECONDS, REPAIR | QUESTION)


def _budgets(proposal: ProposedAction) -> Iterator[Finding]:
    situation = proposal.situation
    ref, category, in_wave = situation.incident.ref, situation.diagnosis.category, situation.in_wave
    for limit in limits_of(proposal.policy.budgets, ref, category, proposal.kind, in_wave=in_wave):
        used = situation.used.get(limit.name, Used())
        if limit.would_be(used.amount, situation.attempts) > limit.most:
            yield _used_up(limit, used, situation)


def _used_up(limit: Limit, used: Used, situation: Situation) -> Finding:
    unit = "actions" if limit.in_flight else "attempts"
    would_be, alone = limit.would_be(used.amount, situation.attempts), limit.would_be(0, situation.attempts)
    guard, what = f"budgets.{limit.name}", _BUDGETS[limit.name]
    if not limit.most:
        return Refuse(guard, f"The budget of {what} is 0: nothing is repaired ({guard}).")
    if alone > limit.most:
        return Refuse(guard, f"The budget of {what} is too small for one repair: it takes {alone} {unit} of {limit.most} ({guard}).")
    if limit.name in _NOT_WAITED_FOR:
        return Refuse(guard, f"The budget of {what} is used up: it would be {would_be} {unit} of {limit.most} ({guard}).")
    wait = (used.frees_at - situation.moment).total_seconds() if used.frees_at else AGAIN_SECONDS
    # Without the count, which grows and shrinks all the time: the same reason is written once.
    return Hold(guard, f"The budget of {what} is used up: it is {limit.most} {unit} ({guard})", max(wait, 1))


def _breakers(proposal: ProposedAction) -> Iterator[Finding]:
    situation = proposal.situation
    for limit in breakers_of(situation.incident.ref, situation.diagnosis.category, proposal.kind):
        found = _broken(situation, proposal.policy, limit)
        if found is None:
            continue
        what = _BREAKERS[limit.name].format(kind=proposal.kind, category=situation.diagnosis.category, ref=situation.incident.ref)
        if found.until:
            reason = f"{what} failed {found.failed} times of {found.of}: none before {_time(found.until)}"
            yield Hold(limit.name, reason, (found.until - situation.moment).total_seconds())
        elif situation.used.get(limit.name, Used()).amount:
            yield Hold(
                limit.name, f"{what} failed {found.failed} times of {found.of}: another one is under way, to see whether it helps now"
            )


def _broken(situation: Situation, policy: Effective, breaker: Limit) -> Broken | None:
    return broken(situation.ended.get(breaker.name, ()), policy.policy.breaker, situation.moment)


def _always_asked(proposal: ProposedAction) -> Iterator[Finding]:
    place = proposal.policy.asks(proposal.kind)
    if place:
        yield Ask("always_ask", f"A person always decides here ({place})")


def _reach(proposal: ProposedAction) -> Iterator[Finding]:
    most = proposal.policy.policy.risk.downstream
    if proposal.situation.downstream > most:
        yield Ask("risk.downstream", f"More than {most} task instances wait for it")


def _age(proposal: ProposedAction) -> Iterator[Finding]:
    most, began = proposal.policy.policy.risk.run_age_hours, proposal.situation.run_began
    if began is not None and proposal.situation.moment - began > timedelta(hours=most):
        yield Ask("risk.run_age_hours", f"Its run is older than {most:g} h")


def _changed_code(proposal: ProposedAction) -> Iterator[Finding]:
    if proposal.situation.changed_code and proposal.policy.policy.risk.changed_code == "ask":
        yield Ask("risk.changed_code", "The DAG's code changed since it failed")


def _time(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"


GUARDS: tuple[Callable[[ProposedAction], Iterator[Finding]], ...] = (
    _own,
    _possible,
    _maintenance,
    _kill_switch,
    _backfill,
    _budgets,
    _breakers,
    _always_asked,
    _reach,
    _age,
    _changed_code,
    _quiet_hours,
)
_ALIKE, _DAG = "breaker.action", "breaker.dag"
_BREAKERS = {_ALIKE: "{kind} for {category}", _DAG: "Repairs of {ref.dag_id}"}
_NOT_WAITED_FOR = frozenset({"attempts_per_task_instance", "attempts_per_task_and_day"})
_BUDGETS = {
    "attempts_per_task_instance": "this task instance",
    "attempts_per_task_and_day": "this task and day",
    "attempts_per_dag_and_hour": "this DAG and hour",
    "attempts_per_category_and_hour": "this category and hour",
    "attempts_per_action_and_hour": "this action and hour",
    "attempts_per_hour": "this hour",
    "storm_attempts_per_hour": "this hour for storms",
    "actions_in_flight": "actions under way",
}
