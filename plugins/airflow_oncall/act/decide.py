"""Diagnosis and policy to decision: a ladder whose first rung that holds decides, and every rung leaves its reason.

    1 a person paused the DAG: never undo a person             -> escalate
    2 removed from its DAG, or declared ``oncall: never``      -> escalate
    3 known from a log only, no category, or one that a re-run does not mend          -> escalate
    4 budget used up                                           -> escalate
    5 probability below ``ask``                                -> escalate
    6 anomaly, declared ``ask``, mode ``ask``, below ``auto``  -> ask
    7 else                                                     -> auto (or wait first)

Mode ``shadow`` goes down the same ladder and does none of it: observe, with what would have been done.
Pure: values in, a decision out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from airflow_oncall.act.policy import Policy
from airflow_oncall.incident import ActionKind, Decision, Diagnosis, Incident, Kind, Verdict

DECLARATIONS = ("auto", "ask", "never")


@dataclass(frozen=True)
class Situation:
    """Everything a decision depends on."""

    incident: Incident
    diagnosis: Diagnosis
    mode: str
    declared: str | None = None
    """``auto``, ``ask``, ``never``, or nothing said."""
    retries: int = 0
    is_paused: bool = False
    is_removed: bool = False
    """The task is no longer part of its DAG."""
    used_here: int = 0
    """Attempts already re-armed for this task instance."""
    used_this_hour: int = 0
    failed_repairs: int = 0
    """Repairs of this incident after which it failed with the same cause."""
    chance: float | None = None
    """P(the repair resolves it), as the confidence model has it; without one, P(a re-run can help) counts."""
    advice: str = ""
    """How the models rank what can be done, for people."""
    severity: str = ""
    """How bad it is and why, for people."""

    @property
    def attempts(self) -> int:
        """Runs that one clear re-arms."""
        return self.retries + 1


def declaration(tags: frozenset[str], params: Mapping[str, object]) -> str | None:
    """What the DAG's author said: ``params["oncall"]`` before a tag ``oncall:...``; an unknown word counts as ``ask``."""
    said = params.get("oncall")
    words = [str(said)] if said is not None else [tag.split(":", 1)[1] for tag in tags if tag.startswith("oncall:")]
    known = [word.strip().lower() for word in words]
    for word in reversed(DECLARATIONS):  # the most careful one wins
        if word in known:
            return word
    return "ask" if known else None


def decide(situation: Situation, policy: Policy) -> Decision:
    """The decision, with every reason that led to it (the deciding one first)."""
    decision = _ladder(situation, policy, _probability(situation, policy))
    if situation.mode != "shadow":
        return decision
    shadowed = f"Shadow mode, nothing is done; it would be {decision.verdict}: {decision.reasons[0]}"
    return replace(decision, verdict=Verdict.OBSERVE, reasons=(shadowed, *decision.reasons[1:]))


def _ladder(situation: Situation, policy: Policy, probability: float) -> Decision:
    if situation.incident.kind is Kind.LOG and situation.diagnosis.category not in policy.logs.escalate:
        return _decision(situation, Verdict.OBSERVE, None, probability, "A log tells of it, and no task instance is known for it.")
    refusal = _refusal(situation, policy, probability)
    if refusal:
        return _decision(situation, Verdict.ESCALATE, ActionKind.ESCALATE, probability, refusal)
    action = ActionKind.CLEAR_RUN if situation.incident.kind is Kind.DAG_RUN else ActionKind.CLEAR_TASK
    wait = _wait(situation, policy)
    helps = f"a re-run helps with probability {probability:.0%}"
    doubt = _doubt(situation, policy, probability)
    if doubt:
        return _decision(situation, Verdict.ASK, action, probability, f"{doubt}; {helps}.", wait)
    verdict = Verdict.WAIT if wait else Verdict.AUTO
    first = f"Waits {wait} s first, then repairs" if wait else "Repairs"
    return _decision(situation, verdict, action, probability, f"{first}: {helps}, the bar is {policy.thresholds.auto:.0%}.", wait)


def _probability(situation: Situation, policy: Policy) -> float:
    factor = policy.after_failure.probability_factor**situation.failed_repairs
    chance = situation.diagnosis.transient_probability if situation.chance is None else situation.chance
    return round(chance * factor, 4)


def _wait(situation: Situation, policy: Policy) -> int:
    rule = policy.categories.get(situation.diagnosis.category)
    base = rule.wait_seconds if rule else 0
    return min(int(base * policy.after_failure.wait_factor**situation.failed_repairs), 86_400)


def _refusal(situation: Situation, policy: Policy, probability: float) -> str | None:
    """Why nothing may be done, ``None`` when something may."""
    category, budgets = situation.diagnosis.category, policy.budgets
    rule = policy.categories.get(category)
    here = situation.used_here + situation.attempts
    hour = situation.used_this_hour + situation.attempts
    rungs = (
        (situation.is_paused, "The DAG is paused; a person stopped it."),
        (situation.incident.kind is Kind.LOG, "A log tells of it, and no task instance is known that a re-run would repair."),
        (situation.incident.kind is Kind.DAG_IMPORT, "A DAG file that cannot be imported needs its author."),
        (situation.is_removed, "The task is no longer part of its DAG."),
        (situation.declared == "never", 'Declared "oncall: never".'),
        (rule is None, f"No category of the policy fits ({category})."),
        (rule is not None and rule.action == "escalate", f"{category} needs a person: a re-run does not mend it."),
        (situation.diagnosis.transient is False, f"This {category} is permanent: a re-run does not mend it."),
        (here > budgets.attempts_per_task_instance, _used_up("task instance", here, budgets.attempts_per_task_instance)),
        (hour > budgets.attempts_per_hour, _used_up("hour", hour, budgets.attempts_per_hour)),
        (probability < policy.thresholds.ask, f"A re-run helps with probability {probability:.0%} only."),
    )
    return next((reason for holds, reason in rungs if holds), None)


def _used_up(what: str, would_be: int, limit: int) -> str:
    return f"The budget of this {what} is used up: it would be {would_be} attempts of {limit}."


def _doubt(situation: Situation, policy: Policy, probability: float) -> str | None:
    """Why a person decides, ``None`` when the system may."""
    if situation.diagnosis.anomaly:
        return "Unlike anything known"
    if situation.declared == "ask":
        return 'Declared "oncall: ask"'
    if probability < policy.thresholds.auto:
        return f"Below the bar of {policy.thresholds.auto:.0%}"
    if situation.mode == "ask" and situation.declared != "auto":
        return "Mode ask"
    return None


def _decision(
    situation: Situation, verdict: Verdict, action: ActionKind | None, probability: float, reason: str, wait: int = 0
) -> Decision:
    diagnosis, incident = situation.diagnosis, situation.incident
    reasons = (
        reason,
        f"Category {diagnosis.category} with probability {diagnosis.probability:.0%}, by {diagnosis.decided_by}"
        + (f" ({diagnosis.model_version})." if diagnosis.model_version else "."),
        *(f"Evidence: {line}" for line in diagnosis.evidence[:3]),
        *((f"By earlier outcomes: {situation.advice}.",) if situation.advice else ()),
        *((f"Severity {situation.severity}.",) if situation.severity else ()),
        *((f"{situation.failed_repairs} repair(s) failed with the same cause before.",) if situation.failed_repairs else ()),
    )
    return Decision(
        incident_id=incident.id,
        number=incident.decisions + 1,
        verdict=verdict,
        action=action,
        answers_try=incident.try_number,
        probability=probability,
        reasons=reasons,
        wait_seconds=wait,
        mode=situation.mode,
    )
