"""Diagnosis, policy and guards to decision: a ladder whose first rung that holds decides, and every rung leaves its reason.

    1 a person paused the DAG: never undo a person             -> escalate
    2 removed from its DAG, or declared ``oncall: never``      -> escalate
    3 known from a log only, no category, or one that a re-run does not mend          -> escalate
    4 a guard refuses (own DAG, budget of the task instance)   -> escalate
    5 probability below ``ask``                                -> escalate
    6 anomaly, declared ``ask``, mode ``ask``, a guard asks (critical, far-reaching, old), below the bar  -> ask
    7 else                                                     -> auto (or wait first)

What came out may still have to wait: for the end of a maintenance, for room in a budget, for the kill switch. Then the
verdict is ``wait`` without an action (:func:`is_held`), and it is decided anew later.
A repair that would be made and was drawn to be left out, so that the gain is measured, is only observed at first.
Mode ``shadow`` goes down the same ladder and does none of it: observe, with what would have been done.
Pure: values in, a decision out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import timedelta
from typing import Any

from airflow_oncall.act.economics import Economics, Statistic, posterior
from airflow_oncall.act.effective import Effective, Subject, ThresholdsAt, effective
from airflow_oncall.act.guards import LONGEST_SECONDS, REPAIR, Ask, Finding, Hold, ProposedAction, Refuse, findings
from airflow_oncall.act.policy import Adapt, Policy
from airflow_oncall.act.situation import Situation
from airflow_oncall.incident import ActionKind, Decision, Kind, Verdict

__all__ = [
    "DECLARATIONS",
    "HOLDOUT",
    "Situation",
    "action_kind",
    "decide",
    "declaration",
    "effective_of",
    "held_by",
    "holding",
    "is_held",
    "otherwise",
]

DECLARATIONS = ("auto", "ask", "never")
HOLDOUT = "holdout"
"""Arm of a decision that leaves a repair out to measure the gain."""
RERUNS = frozenset({ActionKind.CLEAR_TASK, ActionKind.CLEAR_RUN, ActionKind.CLEAR_DOWNSTREAM, ActionKind.CLEAR_WITH_DELAY})
"""Actions that run the same again: these cannot mend what is permanent."""
UNTRIED = 0.5
"""Chance of an action that changes something, while no outcome of it is known."""
AIMED = {str(ActionKind.RETRY_WITH_MORE_MEMORY): ("memory_exhaustion", 0.65)}
"""The same chance for an action that does away with the very cause of a category."""


def declaration(tags: frozenset[str], params: Mapping[str, object]) -> str | None:
    """What the DAG's author said: ``params["oncall"]`` before a tag ``oncall:...``; an unknown word counts as ``ask``."""
    said = params.get("oncall")
    words = [str(said)] if said is not None else [tag.split(":", 1)[1] for tag in tags if tag.startswith("oncall:")]
    known = [word.strip().lower() for word in words]
    for word in reversed(DECLARATIONS):  # the most careful one wins
        if word in known:
            return word
    return "ask" if known else None


def effective_of(situation: Situation, policy: Policy) -> Effective:
    """The policy as it is for this task instance."""
    ref = situation.incident.ref
    return effective(policy, situation.subject or Subject(ref.dag_id, ref.task_id), situation.mode)


def action_kind(situation: Situation, policy: Effective) -> str:
    """The action that is judged: the assigned one, or that of the policy's rule; ``escalate`` where there is none."""
    rule = policy.rule(situation.diagnosis.category)
    kind = situation.action or (rule.action if rule else ActionKind.ESCALATE)
    is_run = situation.incident.kind is Kind.DAG_RUN
    return str(ActionKind.CLEAR_RUN if is_run and kind == ActionKind.CLEAR_TASK else kind)


def otherwise(situation: Situation, policy: Policy) -> str | None:
    """What the rule takes in place of its own action, where that one cannot be done here."""
    rule = effective_of(situation, policy).rule(situation.diagnosis.category)
    return str(rule.otherwise) if situation.impossible and not situation.action and rule and rule.otherwise else None


def is_held(decision: Decision) -> bool:
    """Whether nothing is done yet, and it has to be decided anew after ``wait_seconds``."""
    return decision.verdict is Verdict.WAIT and decision.action is None


def holding(situation: Situation, policy: Policy, kind: str, verdict: Verdict) -> Hold | None:
    """What would have an action of this kind wait if this were the verdict about it."""
    return _longest(findings(ProposedAction(situation, effective_of(situation, policy), kind)), verdict)


def held_by(hold: Hold, decision: Decision) -> Decision:
    """The decision while this guard has it wait."""
    reason = f"{hold.reason}; then it is decided anew. It would be {decision.verdict}: {decision.reasons[0]}"
    seconds = int(min(max(hold.seconds, 1), LONGEST_SECONDS))
    basis = {**decision.basis, "held_by": hold.guard}
    reasons = (reason, *decision.reasons[1:])
    return replace(decision, verdict=Verdict.WAIT, action=None, arm="", wait_seconds=seconds, reasons=reasons, basis=basis)


def decide(situation: Situation, policy: Policy) -> Decision:
    """The decision, with every reason that led to it (the deciding one first) and every figure behind it."""
    found = effective_of(situation, policy)
    weighed = _weigh(situation, found)
    decision = _held(weighed, _ladder(weighed))
    if found.mode == "shadow":
        return _only_observed(decision, "Shadow mode, nothing is done")
    if situation.is_held_out and decision.action and decision.verdict in REPAIR:
        return replace(_only_observed(decision, "Left out to measure what repairs gain"), arm=HOLDOUT)
    return decision


def _only_observed(decision: Decision, why: str) -> Decision:
    reasons = (f"{why}; it would be {decision.verdict}: {decision.reasons[0]}", *decision.reasons[1:])
    return replace(decision, verdict=Verdict.OBSERVE, reasons=reasons, basis={**decision.basis, "would_be": str(decision.verdict)})


@dataclass(frozen=True)
class _Weighed:
    """A situation with all that follows from it."""

    situation: Situation
    policy: Effective
    kind: str
    economics: Economics
    auto: float
    """The policy's bar, as outcomes may have moved it."""
    bars: ThresholdsAt
    findings: Sequence[Finding]

    @property
    def probability(self) -> float:
        return self.economics.probability

    @property
    def bar(self) -> float:
        """From here on it is done without asking."""
        unproven = self.policy.policy.risk.never_succeeded if self.situation.never_succeeded else 0.0
        return max(self.auto, self.economics.break_even, unproven)

    @property
    def outlasted(self) -> timedelta | None:
        """For how long Airflow ran the same again already, in vain."""
        return _outlasted(self.situation, self.kind)

    @property
    def helps(self) -> str:
        what = "a re-run" if self.kind in RERUNS else self.kind
        return f"{what} helps with probability {self.probability:.0%}"


def _weigh(situation: Situation, policy: Effective) -> _Weighed:
    kind = action_kind(situation, policy)
    bars = policy.bars(situation.diagnosis.category, kind)
    economics = Economics(_probability(situation, policy, kind), situation.attempts, situation.minutes, policy.costs)
    auto = _adapted(situation, bars.thresholds.auto, policy.policy.adapt)
    return _Weighed(situation, policy, kind, economics, auto, bars, findings(ProposedAction(situation, policy, kind)))


def _probability(situation: Situation, policy: Effective, kind: str) -> float:
    failed = situation.failed_repairs
    # What outlasted retries is given time before the first repair; where that was in vain, the retries count as well.
    counted = failed + (1 if failed and _outlasted(situation, kind) is not None else 0)
    factor = policy.policy.after_failure.probability_factor**counted
    return round(posterior(_before(situation, kind), situation.statistic) * factor, 4)


def _outlasted(situation: Situation, kind: str) -> timedelta | None:
    """Airflow's own retries are re-runs that failed; what they failed of is gone where a storm's probe was seen to succeed."""
    return situation.outlasted if kind in RERUNS and not situation.in_wave else None


def _before(situation: Situation, kind: str) -> float:
    """The probability that it helps, before outcomes of the same are counted in."""
    model, transient = situation.chance, situation.diagnosis.transient_probability
    if model is None:
        category, aimed = AIMED.get(kind, ("", UNTRIED))
        model = transient if kind in RERUNS else max(transient, aimed if category == situation.diagnosis.category else UNTRIED)
    # What is only alike moves the model's word; what was seen of this failure itself then moves both.
    return posterior(model, situation.alike_statistics.get(kind))


def _learned(situation: Situation, kind: str) -> str:
    seen, before = situation.statistic or Statistic(), _before(situation, kind)
    counted = f"{seen.successes:.1f} helped, {seen.failures:.1f} did not"
    return f"Outcomes of the same {seen.level}, older ones counting less: {counted}; {before:.0%} becomes {posterior(before, seen):.0%}."


def _adapted(situation: Situation, auto: float, adapt: Adapt) -> float:
    moved = situation.adapted
    if not adapt.enabled or moved is None or moved.base != auto:
        return auto
    return min(max(moved.auto, adapt.lowest), adapt.highest)


def _ladder(weighed: _Weighed) -> Decision:
    situation = weighed.situation
    if situation.incident.kind is Kind.LOG and situation.diagnosis.category not in weighed.policy.policy.logs.escalate:
        return _decision(weighed, Verdict.OBSERVE, None, "A log tells of it, and no task instance is known for it.")
    refusal = _refusal(weighed)
    if refusal:
        return _decision(weighed, Verdict.ESCALATE, ActionKind.ESCALATE, refusal)
    wait = _wait(weighed)
    doubt = _doubt(weighed)
    if doubt:
        return _decision(weighed, Verdict.ASK, weighed.kind, f"{doubt}; {weighed.helps}.", wait)
    verdict = Verdict.WAIT if wait else Verdict.AUTO
    first = f"Waits {wait} s first, then repairs" if wait else "Repairs"
    return _decision(weighed, verdict, weighed.kind, f"{first}: {weighed.helps}, the bar is {weighed.bar:.0%}.", wait)


def _held(weighed: _Weighed, decision: Decision) -> Decision:
    """The same decision, or that it has to wait."""
    hold = _longest(weighed.findings, decision.verdict)
    return held_by(hold, decision) if hold else decision


def _longest(found: Sequence[Finding], verdict: Verdict) -> Hold | None:
    """Of several guards, the one that holds it longest counts."""
    covering = (one for one in found if isinstance(one, Hold) and verdict in one.covers)
    return max(covering, key=lambda one: one.seconds, default=None)


def _wait(weighed: _Weighed) -> int:
    situation, after = weighed.situation, weighed.policy.policy.after_failure
    rule, failed = weighed.policy.rule(situation.diagnosis.category), situation.failed_repairs
    first = max(rule.wait_seconds if rule else 0, situation.planned_wait) * after.wait_factor**failed
    again = after.wait_seconds * after.wait_factor ** (failed - 1) if failed else 0
    # What is not over after ten minutes is hardly over in the next second: it gets as long again.
    outlasted = min(weighed.outlasted.total_seconds(), after.wait_seconds) if weighed.outlasted else 0
    return int(min(max(first, again, outlasted), 86_400))


def _refusal(weighed: _Weighed) -> str | None:
    """Why nothing may be done, ``None`` when something may."""
    situation, category = weighed.situation, weighed.situation.diagnosis.category
    rule = weighed.policy.rule(category)
    permanent = situation.diagnosis.transient is False and weighed.kind in RERUNS
    refused = next((one.reason for one in weighed.findings if isinstance(one, Refuse)), "")
    rungs = (
        (situation.is_paused, "The DAG is paused; a person stopped it."),
        (situation.incident.kind is Kind.LOG, "A log tells of it, and no task instance is known that a re-run would repair."),
        (situation.incident.kind is Kind.DAG_IMPORT, "A DAG file that cannot be imported needs its author."),
        (situation.is_removed, "The task is no longer part of its DAG."),
        (situation.declared == "never", 'Declared "oncall: never".'),
        (rule is None, f"No category of the policy fits ({category})."),
        (weighed.kind == ActionKind.ESCALATE, f"{category} needs a person: a re-run does not mend it."),
        (permanent, f"This {category} is permanent: a re-run does not mend it."),
        (bool(refused), refused),
        (weighed.probability < min(weighed.bars.thresholds.ask, weighed.auto), f"{weighed.helps[0].upper()}{weighed.helps[1:]} only."),
    )
    return next((reason for holds, reason in rungs if holds), None)


def _doubt(weighed: _Weighed) -> str | None:
    """Why a person decides, ``None`` when the system may."""
    situation = weighed.situation
    if situation.diagnosis.anomaly:
        return "Unlike anything known"
    if situation.declared == "ask":
        return 'Declared "oncall: ask"'
    asked = next((one.reason for one in weighed.findings if isinstance(one, Ask)), None)
    if asked:
        return asked
    rule = weighed.policy.rule(situation.diagnosis.category)
    if situation.failed_repairs and rule and not rule.repeat:
        return "A repair failed with the same cause already, and such trouble is over at once or stays"
    if weighed.probability < weighed.bar:
        unproven = " for a task that never succeeded" if situation.never_succeeded else ""
        return f"Below the bar of {weighed.bar:.0%}{unproven}" if weighed.bar <= 1 else "It would cost more than it gains"
    if weighed.policy.mode == "ask" and situation.declared != "auto":
        return "Mode ask"
    return None


def _decision(weighed: _Weighed, verdict: Verdict, action: str | None, reason: str, wait: int = 0) -> Decision:
    situation = weighed.situation
    acts = action is not None and action != ActionKind.ESCALATE
    return Decision(
        incident_id=situation.incident.id,
        number=situation.incident.decisions + 1,
        verdict=verdict,
        action=action,
        answers_try=situation.incident.try_number,
        probability=weighed.probability,
        reasons=_reasons(weighed, reason),
        wait_seconds=wait,
        mode=weighed.policy.mode,
        parameters=dict(situation.parameters) if acts else {},
        basis=_basis(weighed),
        arm=situation.arm if acts else "",
    )


def _reasons(weighed: _Weighed, reason: str) -> tuple[str, ...]:
    situation, diagnosis = weighed.situation, weighed.situation.diagnosis
    also = [one.reason for one in weighed.findings if one.reason not in reason]
    weighs = weighed.kind != ActionKind.ESCALATE
    return (
        reason,
        f"Category {diagnosis.category} with probability {diagnosis.probability:.0%}, by {diagnosis.decided_by}"
        + (f" ({diagnosis.model_version})." if diagnosis.model_version else "."),
        *(f"Evidence: {line}" for line in diagnosis.evidence[:3]),
        *((f"{weighed.economics}.",) if weighs else ()),
        *((_learned(situation, weighed.kind),) if weighs and situation.statistic else ()),
        *(f"Guard: {line.rstrip('.')}." for line in also),
        *((f"{_adviser(situation)}: {situation.advice}.",) if situation.advice else ()),
        *(f"Alike: {line}" for line in situation.alike),
        *((f"Severity {situation.severity}.",) if situation.severity else ()),
        *((f"{situation.failed_repairs} repair(s) failed with the same cause before.",) if situation.failed_repairs else ()),
        *_in_vain(weighed.outlasted),
    )


def _in_vain(outlasted: timedelta | None) -> tuple[str, ...]:
    if outlasted is None:
        return ()
    span = f"{outlasted / timedelta(minutes=1):.0f} min" if outlasted >= timedelta(minutes=1) else "less than a minute"
    return (f"Airflow's own retries failed with the same cause, over {span}.",)


def _adviser(situation: Situation) -> str:
    """Whose ranking of the actions it is."""
    has_outcomes = situation.statistic or situation.alike_statistics
    return "By the models, corrected by earlier outcomes" if has_outcomes else "By the models"


def _basis(weighed: _Weighed) -> dict[str, Any]:
    """The figures, as JSON; ``lines``: the places of the policy that they come from."""
    situation, economics, policy = weighed.situation, weighed.economics, weighed.policy
    category = situation.diagnosis.category
    places = {name: policy.places.get(name, "") for name in ("mode", "always_ask", "costs", "approvers", "route")}
    return {
        "action": weighed.kind,
        "probability": {
            "model": situation.chance,
            "before": round(_before(situation, weighed.kind), 4),
            "after": round(posterior(_before(situation, weighed.kind), situation.statistic), 4),
            "transient": situation.diagnosis.transient_probability,
            "outcomes": asdict(situation.statistic) if situation.statistic else None,
            "alike": asdict(alike) if (alike := situation.alike_statistics.get(weighed.kind)) else None,
            "failed_repairs": situation.failed_repairs,
            "outlasted_seconds": weighed.outlasted.total_seconds() if weighed.outlasted is not None else None,
        },
        "bar": weighed.bar if weighed.bar <= 1 else None,
        "auto": weighed.auto,
        "policy_auto": weighed.bars.thresholds.auto,
        "ask": weighed.bars.thresholds.ask,
        "break_even": economics.break_even if economics.break_even <= 1 else None,
        "gain": economics.gain,
        "attempts": economics.attempts,
        "minutes": economics.minutes,
        "run_began": situation.run_began.isoformat() if situation.run_began else None,
        "costs": policy.costs.model_dump(),
        "used": {name: used.amount for name, used in situation.used.items()},
        "guards": [{"guard": one.guard, "says": type(one).__name__.lower(), "reason": one.reason} for one in weighed.findings],
        "alike": list(situation.alike),
        "approvers": list(policy.approvers),
        "severity": situation.severity.partition(" ")[0],
        "route": policy.route,
        "lines": {**places, "thresholds": weighed.bars.place, "rule": policy.rule_place(category)},
    }
