"""The ladder: memory -> rules -> model -> unknown. Every step leaves a line in the diagnosis' evidence.

1. A person labelled the like of it: a person beats a rule.
2. A program that went on behind its trouble may have caught it: the models say how likely nothing failed.
3. Rules know what the world knows. The models say how far a rule can be trusted, and overrule it where they are surer.
4. The category model knows what only this site knows; it is silent about a text unlike anything seen.
5. What none of them knows is unknown, an anomaly: a person decides.

Without models rules stand alone, and their own estimates count.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from airflow_oncall.incident import NO_INCIDENT, UNKNOWN, Diagnosis
from airflow_oncall.triage.features import Features, read_features
from airflow_oncall.triage.identifiers import identifiers
from airflow_oncall.triage.memory import OUTCOME, Likeness
from airflow_oncall.triage.models import (
    Reading,
    RuleWord,
    TriageModels,
    caught_signals,
    contradiction_signals,
    rule_signals,
    transient_signals,
)
from airflow_oncall.triage.rules import Finding, RuleBook

RIVAL = 0.93
"""A finding of another category this close to the best one casts doubt on it."""
YES, NO = 0.7, 0.4
"""P(a re-run can help) from which the answer is yes, and up to which it is no: a re-run in vain costs more than a question."""
SURE_ALONE = 0.8
"""Where no rule speaks, a model's word below it names the category, but a person decides what is done."""
EVEN = 0.5
"""P(nothing failed) above which that is more likely than the failure that the rules speak of."""
RANKED = 3
"""Categories of the models' ranking that are kept."""
SHOWN = 4
"""Words shown of those that carried a judgement."""
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
    helps: float | None = None
    """P(a re-run can help), where it was measured."""
    ranking: Mapping[str, float] = field(default_factory=dict)
    """What the models hold likely."""


def diagnose(
    text: str,
    *,
    exception_chain: Sequence[str] = (),
    operator: str | None = None,
    killed: bool = False,
    rules: RuleBook,
    models: TriageModels | None = None,
) -> Diagnosis:
    """What is wrong, judged by ``text`` (log tail, traceback, message), exception classes (outermost first) and operator.

    ``killed``: the process vanished without exception or callback, so that the text may hold Airflow's own lines only.
    Category ``none`` says that the text shows no failure; who knows better from Airflow has an unknown one.
    """
    features = read_features(text, exception_chain, operator)
    verdict = _ladder(features, rules, models)
    if killed and not features.chain:
        verdict = _killed(text, verdict)
    return Diagnosis(
        category=verdict.category,
        probability=round(verdict.probability, 4),
        transient=verdict.transient,
        transient_probability=_transient_probability(verdict),
        anomaly=verdict.anomaly,
        identifiers=identifiers(text),
        evidence=verdict.evidence,
        decided_by=verdict.decided_by,
        model_version=models.version if models else None,
        alternatives=verdict.ranking,
    )


def rule_word(findings: Sequence[Finding]) -> RuleWord | None:
    """The rules' word, ``None`` where no rule fires."""
    if not findings:
        return None
    best, *others = findings
    rival = next((finding for finding in others if finding.category != best.category), None)
    contested = rival is not None and rival.probability >= RIVAL * best.probability
    return RuleWord(best.category, best.probability, best.transient, contested)


def _ladder(features: Features, rules: RuleBook, models: TriageModels | None) -> _Verdict:
    findings = rules.judge(features)
    if models is None:
        return _by_rules_alone(features, findings)
    like = models.memory.nearest(features)
    if like:
        return _remembered(like)
    reading, word = models.read(features), rule_word(findings)
    verdict = _caught(features, findings, word, models, reading)
    if verdict is None and word:
        verdict = _ruled(features, findings, word, models, reading)
    if verdict is None:
        verdict = _learned(models, reading, ("no rule fires", *(clause.text[:300] for clause in features.clauses[:1])))
    return replace(verdict, ranking=dict(list(reading.probabilities.items())[:RANKED]))


def _by_rules_alone(features: Features, findings: Sequence[Finding]) -> _Verdict:
    word = rule_word(findings)
    if word is None:
        steps = ("no rule fires", *(clause.text[:300] for clause in features.clauses[:1]), "no model is loaded")
        return _Verdict(UNKNOWN, 0.0, None, steps, "unknown", anomaly=True)
    trust, evidence = word.score * (0.95 if word.contested else 1), _rule_evidence(findings)
    return _Verdict(word.category, trust, word.transient, evidence, "rules", helps=findings[0].helps)


def _remembered(like: Likeness) -> _Verdict:
    known = like.remembered
    shared = ", ".join(f"{token} +{share:.2f}" for token, share in like.shared[:SHOWN])
    evidence = (f"a person labelled the like: {known.name} is {known.category} (cosine {like.cosine:.2f}: {shared})",)
    return _Verdict(known.category, like.trust, known.transient, evidence, "memory")


def _ruled(features: Features, findings: Sequence[Finding], word: RuleWord, models: TriageModels, reading: Reading) -> _Verdict:
    trust = word.score
    if models.rule_trust:
        trust = models.rule_trust.probability(rule_signals(word, reading.probabilities, reading.distance))
    evidence = _rule_evidence(findings)
    settled = word.category == NO_INCIDENT and features.ended  # the job's own last word stands
    contradicted = reading.category != word.category and not reading.unlike and reading.probability >= models.sure
    if contradicted and models.model_trust and not settled:
        overruling = models.model_trust.probability(contradiction_signals(word, reading.probabilities, reading.distance))
        if overruling > trust:
            step = f"the models are surer ({overruling:.2f}) than the rule ({trust:.2f})"
            return replace(_learned(models, reading, (step, *evidence)), probability=overruling, anomaly=overruling < SURE_ALONE)
    evidence = (*evidence, _model_line(models, reading))
    if word.category == NO_INCIDENT:
        return _Verdict(NO_INCIDENT, trust, None, evidence, "rules")
    verdict = _Verdict(word.category, trust, word.transient, evidence, "rules", reading.unlike, findings[0].helps)
    return verdict if verdict.helps is not None else _on_re_runs(features, verdict, models, reading)


def _caught(
    features: Features, findings: Sequence[Finding], word: RuleWord | None, models: TriageModels, reading: Reading
) -> _Verdict | None:
    """No failure, where the models say that a program which went on behind its trouble had caught it."""
    if models.caught is None or not features.went_on or (word and word.category == NO_INCIDENT):
        return None
    probability = models.caught.probability(caught_signals(word, features, reading.probabilities, reading.distance))
    if probability <= EVEN:
        return None
    step = f"it was caught ({probability:.2f}), for the program went on; calm log records behind it: {features.behind}"
    ruled = _rule_evidence(findings) if word else ()
    return _Verdict(NO_INCIDENT, probability, None, (step, *ruled, _model_line(models, reading)), "model")


def _on_re_runs(features: Features, verdict: _Verdict, models: TriageModels, reading: Reading) -> _Verdict:
    """Whether a re-run can help: the rule's word, weighed with the model; where the rule has none, how the like of it ended."""
    modelled = models.transient.probability(reading.vector, verdict.category)
    helps = models.rule_transient.probability(transient_signals(verdict.transient, modelled)) if models.rule_transient else modelled
    if verdict.transient is None and (like := models.memory.nearest(features, (OUTCOME,))) and like.remembered.transient is not None:
        how = "succeeded" if like.remembered.transient else "failed again"
        evidence = (*verdict.evidence, f"the like of it {how} when run again: {like.remembered.name} (cosine {like.cosine:.2f})")
        return replace(verdict, transient=like.remembered.transient, evidence=evidence)
    if verdict.transient is not None and reading.unlike:
        return verdict  # a model has nothing to say about a text unlike anything it saw
    said = verdict.transient if verdict.transient is not None else _clear(helps)
    return replace(verdict, transient=said, helps=helps)


def _clear(helps: float) -> bool | None:
    return True if helps >= YES else False if helps <= NO else None


def _rule_evidence(findings: Sequence[Finding]) -> tuple[str, ...]:
    best = findings[0]
    rivals = [finding for finding in findings[1:] if finding.category != best.category]
    return (
        f"rule {best.rule_id} ({best.probability:.2f}): {best.evidence_line}",
        *(f"rule {rival.rule_id} ({rival.probability:.2f}) says {rival.category}: {rival.evidence_line}" for rival in rivals[:2]),
    )


def _model_line(models: TriageModels, reading: Reading) -> str:
    ranking = ", ".join(f"{name} {share:.2f}" for name, share in list(reading.probabilities.items())[:RANKED])
    unlike = f"; unlike anything seen (distance {reading.distance:.2f}, limit {models.patterns.limit:.2f})" if reading.unlike else ""
    return f"model {models.version}: {ranking}{unlike}"


def _learned(models: TriageModels, reading: Reading, steps: tuple[str, ...]) -> _Verdict:
    evidence = (*steps, _model_line(models, reading))
    if reading.unlike or reading.probability < models.sure:
        return _Verdict(UNKNOWN, 0.0, None, evidence, "unknown", anomaly=True)
    words = ", ".join(f"{token} {weight:+.2f}" for token, weight in models.carried(reading)[:SHOWN])
    evidence = (*evidence, f"carried by {words} (log odds over {list(reading.probabilities)[1]})")
    if reading.category == NO_INCIDENT:
        return _Verdict(NO_INCIDENT, reading.probability, None, evidence, "model")
    helps = models.transient.probability(reading.vector, reading.category)
    return _Verdict(reading.category, reading.probability, _clear(helps), evidence, "model", reading.probability < SURE_ALONE, helps)


def _killed(text: str, verdict: _Verdict) -> _Verdict:
    """A vanished process: out of memory where the text says so, else a lost process or node."""
    if verdict.category not in {NO_INCIDENT, UNKNOWN, "infrastructure_failure", "memory_exhaustion"}:
        return replace(verdict, evidence=(*verdict.evidence, "the process vanished without an exception"))
    shown = _MEMORY.search(text)
    category, why = ("memory_exhaustion", f"memory evidence: {shown[0]!r}") if shown else ("infrastructure_failure", "no memory evidence")
    found = verdict.evidence if verdict.category == category else ()
    return _Verdict(category, 0.8, True, (f"the process vanished without an exception; {why}", *found), "rules")


def _transient_probability(verdict: _Verdict) -> float:
    """Probability that a re-run can help."""
    if verdict.helps is not None:
        return round(verdict.helps, 4)
    if verdict.transient is None:
        return 0.4 if verdict.category != UNKNOWN else 0.3
    return round(0.9 * verdict.probability if verdict.transient else 1 - 0.92 * verdict.probability, 4)
