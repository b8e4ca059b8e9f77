"""Rules: what the field knows about failures, as data. A rule judges one clause, never the whole text.

A rule fires on a clause when one of its ``exceptions``, ``codes`` or ``patterns`` matches and all of its conditions hold
(``service``, ``source``, and ``quiet`` for lines that were logged as mere information). The score of a finding is the
rule's probability times the weight of the clause's place, so that a cause beats its wrapper and a class its category.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase

from airflow_oncall.incident import NO_INCIDENT
from airflow_oncall.triage.features import PLAIN, Clause, Features
from airflow_oncall.triage.lines import ALARM_LEVELS

TRANSIENT = {
    "database_connectivity": True,
    "database_performance": True,
    "storage_exhaustion": False,
    "memory_exhaustion": None,
    "network_connectivity": True,
    "network_timeout": True,
    "rate_limit": True,
    "authentication": False,
    "configuration_error": False,
    "missing_data": None,
    "data_quality": False,
    "code_error": False,
    "infrastructure_failure": True,
    "workflow_timeout": None,
}
"""Whether a re-run can help, by category; a rule that knows better says so."""
UNPROVEN = 0.75
"""Factor where a rule is about a service that the text does not show."""
_CARRIERS = ("errno:", "http:", "exit:", "signal:", "grpc:")
"""Families of codes that only carry another cause: no better than words."""


@dataclass(frozen=True)
class Rule:
    """One piece of knowledge; see :func:`~airflow_oncall.triage.rulefile.parse_rules` for its YAML."""

    id: str
    category: str
    transient: bool | None
    probability: float
    exceptions: frozenset[str] = frozenset()
    """Class names, plain or with a module's tail."""
    codes: tuple[str, ...] = ()
    """``family:value`` words, with ``*`` and ``?``."""
    pattern: re.Pattern[str] | None = None
    service: str = ""
    source: re.Pattern[str] | None = None
    quiet: bool = False

    def fires(self, clause: Clause, service: str) -> bool:
        """Whether this rule speaks about ``clause``."""
        return self.strength(clause, service) > 0

    def strength(self, clause: Clause, service: str) -> float:
        """Probability that this rule is right about ``clause``; 0 where it does not fire.

        A program's own code says it best, words come second, a class name alone is the weakest.
        """
        if (clause.quiet and not self.quiet) or (self.source and not self.source.search(clause.source)):
            return 0.0
        if code := self._code(clause.codes):
            bonus = 0.03 if code in self.codes else 0.02  # a code by its name, or by a family's mask
            strength = self.probability if code.startswith(_CARRIERS) else min(0.995, self.probability + bonus)
        elif self.pattern and self.pattern.search(clause.text):
            strength = self.probability
        else:
            strength = max(0.0, self.probability - 0.015) if self._named(clause.exception) else 0.0
        return strength if not self.service or self.service == service else strength * UNPROVEN

    def _named(self, name: str) -> bool:
        parts = name.split(".")
        return any(".".join(parts[start:]) in self.exceptions for start in range(len(parts))) if self.exceptions else False

    def _code(self, codes: frozenset[str]) -> str:
        if not codes or not self.codes:
            return ""
        fitting = sorted(code for mask in self.codes for code in codes if code == mask or fnmatchcase(code, mask))
        return next((code for code in fitting if not code.startswith(_CARRIERS)), fitting[0] if fitting else "")


@dataclass(frozen=True)
class Finding:
    """What one rule says about one clause."""

    rule_id: str
    category: str
    transient: bool | None
    probability: float
    evidence_line: str


@dataclass(frozen=True)
class RuleBook:
    """All rules in force."""

    rules: tuple[Rule, ...] = ()

    def judge(self, features: Features) -> list[Finding]:
        """Findings, best first; at most one per rule. Empty: there is a failure that no rule knows.

        The finding ``no-failure`` (category ``none``) stands alone, where nothing in the text speaks of a failure.
        """
        if features.ended == "settled":
            return [Finding("airflow-says-success", NO_INCIDENT, None, 0.97, "")]
        benign = [rule for rule in self.rules if rule.category == NO_INCIDENT]
        clauses = [clause for clause in features.clauses if not any(rule.fires(clause, features.service) for rule in benign)]
        if features.ended == "success":
            clauses = [clause for clause in clauses if clause.exception or clause.level in ALARM_LEVELS]
        best: dict[str, Finding] = {}
        speaks = _speaks_of_failure(clauses, features)
        for finding in self._findings(clauses, features.service, speaks):
            if finding.rule_id not in best or finding.probability > best[finding.rule_id].probability:
                best[finding.rule_id] = finding
        if not best and not speaks:
            return [Finding("no-failure", NO_INCIDENT, None, 0.95, "")]
        return sorted(best.values(), key=lambda finding: -finding.probability)

    def _findings(self, clauses: list[Clause], service: str, speaks: bool) -> Iterator[Finding]:
        for clause in clauses:
            for rule in self.rules:
                strength = rule.strength(clause, service) if rule.category != NO_INCIDENT else 0.0
                # Where nothing speaks of a failure, words that only may mean one are a metric, a setting or a name.
                if strength and (speaks or clause.weight > PLAIN or rule.quiet):
                    yield Finding(rule.id, rule.category, rule.transient, round(strength * clause.weight, 4), clause.text[:300])


def _speaks_of_failure(clauses: list[Clause], features: Features) -> bool:
    if features.ended == "failed":
        return True
    return any(clause.exception or clause.level in ALARM_LEVELS or (not clause.quiet and clause.weight > PLAIN) for clause in clauses)
