"""The ladder: rules -> model -> unknown. Every step leaves a line in the diagnosis' evidence.

A rule's finding stands unless another category is as well supported; a model speaks only where no rule does, because rules
know what the world knows and models what only this site knows. What neither knows is an anomaly: a person decides.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from airflow_oncall.incident import NO_INCIDENT, UNKNOWN, Diagnosis
from airflow_oncall.triage.classifier import Classifier
from airflow_oncall.triage.features import Features, read_features
from airflow_oncall.triage.identifiers import identifiers
from airflow_oncall.triage.rules import TRANSIENT, Finding, RuleBook

SURE = 0.5
"""Below it a model's word is a guess."""
RIVAL = 0.93
"""A finding of another category this close to the best one casts doubt on it."""
_MEMORY = re.compile(
    r"\boom\b|out of memory|oom-?kill|memory|\brss\b|exit[_ ]code[\"=: ]+(?:-9|137)\b|return code (?:-9|137)\b|SIGKILL", re.IGNORECASE
)


@dataclass(frozen=True)
class _Verdict:
    category: str
    probability: float
    transient: bool | None
    evidence: tuple[str, ...]
    decided_by: str
    anomaly: bool = False


def diagnose(
    text: str,
    *,
    exception_chain: Sequence[str] = (),
    operator: str | None = None,
    by_hand: bool = False,
    killed: bool = False,
    rules: RuleBook,
    classifier: Classifier | None = None,
) -> Diagnosis:
    """What is wrong, judged by ``text`` (log tail, traceback, message), exception classes (outermost first) and operator.

    ``killed``: the process vanished without exception or callback, so that the text may hold Airflow's own lines only.
    ``by_hand``: a person marked the task instance failed; then no re-run is ever proposed.
    Category ``none`` says that the text shows no failure; who knows better from Airflow has an unknown one.
    """
    features = read_features(text, exception_chain, operator)
    verdict = _ladder(features, rules, classifier)
    if killed and not features.chain:
        verdict = _killed(text, verdict)
    if by_hand:
        verdict = _by_hand(verdict)
    return Diagnosis(
        category=verdict.category,
        probability=verdict.probability,
        transient=verdict.transient,
        transient_probability=_transient_probability(verdict),
        anomaly=verdict.anomaly,
        identifiers=identifiers(text),
        evidence=verdict.evidence,
        decided_by=verdict.decided_by,
        model_version=classifier.version if classifier and verdict.decided_by == "model" else None,
    )


def _ladder(features: Features, rules: RuleBook, classifier: Classifier | None) -> _Verdict:
    findings = rules.judge(features)
    if findings:
        return _ruled(findings)
    steps = ("no rule fires", *([features.clauses[0].text[:300]] if features.clauses else []))
    if classifier is None:
        return _Verdict(UNKNOWN, 0.0, None, (*steps, "no model is loaded"), "unknown", anomaly=True)
    return _learned(features, classifier, steps)


def _ruled(findings: Sequence[Finding]) -> _Verdict:
    best = findings[0]
    rivals = [finding for finding in findings[1:] if finding.category != best.category]
    probability = best.probability
    evidence = [f"rule {best.rule_id} ({best.probability:.2f}): {best.evidence_line}"]
    if rivals and rivals[0].probability >= RIVAL * best.probability:
        probability *= 0.95
    evidence += [f"rule {rival.rule_id} ({rival.probability:.2f}) says {rival.category}: {rival.evidence_line}" for rival in rivals[:2]]
    return _Verdict(best.category, round(probability, 4), best.transient, tuple(evidence), "rules")


def _learned(features: Features, classifier: Classifier, steps: tuple[str, ...]) -> _Verdict:
    probabilities = classifier.probabilities(features)
    (category, probability), *others = probabilities.items()
    ranking = ", ".join(f"{name} {share:.2f}" for name, share in [(category, probability), *others[:2]])
    evidence = (*steps, f"model {classifier.version}: {ranking}")
    if probability < SURE:
        return _Verdict(UNKNOWN, round(probability, 4), None, evidence, "unknown", anomaly=True)
    return _Verdict(category, round(probability, 4), TRANSIENT.get(category), evidence, "model")


def _killed(text: str, verdict: _Verdict) -> _Verdict:
    """A vanished process: out of memory where the text says so, else a lost process or node."""
    if verdict.category not in {NO_INCIDENT, UNKNOWN, "infrastructure_failure", "memory_exhaustion"}:
        return replace(verdict, evidence=(*verdict.evidence, "the process vanished without an exception"))
    shown = _MEMORY.search(text)
    category, why = ("memory_exhaustion", f"memory evidence: {shown[0]!r}") if shown else ("infrastructure_failure", "no memory evidence")
    found = verdict.evidence if verdict.category == category else ()
    return _Verdict(category, 0.8, True, (f"the process vanished without an exception; {why}", *found), "rules")


def _by_hand(verdict: _Verdict) -> _Verdict:
    evidence = ("a person marked it failed", *verdict.evidence)
    if verdict.category in {NO_INCIDENT, UNKNOWN}:
        return _Verdict(NO_INCIDENT, 0.9, False, evidence, "rules")
    return replace(verdict, transient=False, evidence=evidence)


def _transient_probability(verdict: _Verdict) -> float:
    """Probability that a re-run can help."""
    if verdict.transient is None:
        return 0.4 if verdict.category != UNKNOWN else 0.3
    return round(0.9 * verdict.probability if verdict.transient else 1 - 0.92 * verdict.probability, 4)
