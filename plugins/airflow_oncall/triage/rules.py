"""Rules: what the field knows about failures, as data. A rule judges one clause, never the whole text.

A rule fires on a clause when one of its ``exceptions``, ``codes`` or ``patterns`` matches and all of its conditions hold
(``service``, ``source``, and ``quiet`` for lines that were logged as mere information). The score of a finding is the
rule's probability times the weight of the clause's place, so that a cause beats its wrapper and a class its category.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cached_property

from airflow_oncall.incident import NO_INCIDENT
from airflow_oncall.regexes import RegexSet
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
TOGETHER = 40
"""Patterns that one automaton searches for: with more of them its states multiply, with fewer it runs too often."""
_JOKER = re.compile(r"[*?\[]")
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
    helps: float | None = None
    """P(a re-run can help), where such a failure is a hiccup as well as a mistake that stays."""

    def strength(self, clause: Clause, service: str, worded: bool) -> float:
        """Probability that this rule is right about ``clause``; 0 where it does not fire. ``worded``: its pattern matches there.

        A program's own code says it best, words come second, a class name alone is the weakest.
        """
        if (clause.quiet and not self.quiet) or (self.source and not self.source.search(clause.source)):
            return 0.0
        if code := self._code(clause.codes):
            bonus = 0.03 if code in self.codes else 0.02  # a code by its name, or by a family's mask
            strength = self.probability if code.startswith(_CARRIERS) else min(0.995, self.probability + bonus)
        elif worded:
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
        fitting = sorted(code for code in codes if code in self.codes or any(fnmatchcase(code, mask) for mask in self._masks))
        return next((code for code in fitting if not code.startswith(_CARRIERS)), fitting[0] if fitting else "")

    @cached_property
    def _masks(self) -> tuple[str, ...]:
        return tuple(mask for mask in self.codes if _JOKER.search(mask))


@dataclass(frozen=True)
class Finding:
    """What one rule says about one clause."""

    rule_id: str
    category: str
    transient: bool | None
    probability: float
    evidence_line: str
    helps: float | None = None
    """The rule's own word on P(a re-run can help)."""


@dataclass(frozen=True)
class RuleBook:
    """All rules in force."""

    rules: tuple[Rule, ...] = ()

    @cached_property
    def _wordings(self) -> list[tuple[list[int], RegexSet]]:
        """Places of the rules that have a pattern, and these patterns in the same order, :data:`TOGETHER` at a time."""
        worded = [(place, rule.pattern) for place, rule in enumerate(self.rules) if rule.pattern]
        parts = [worded[start : start + TOGETHER] for start in range(0, len(worded), TOGETHER)]
        return [([place for place, _ in part], RegexSet([pattern for _, pattern in part])) for part in parts]

    @cached_property
    def _named(self) -> dict[str, set[int]]:
        """Last part of an exception's name -> places of the rules that list it."""
        named: dict[str, set[int]] = {}
        for place, rule in enumerate(self.rules):
            for name in rule.exceptions:
                named.setdefault(name.rpartition(".")[2], set()).add(place)
        return named

    @cached_property
    def _coded(self) -> dict[str, set[int]]:
        """Family of codes -> places of the rules that know some of it; those whose mask has no plain family stand under ``""``."""
        coded: dict[str, set[int]] = {}
        for place, rule in enumerate(self.rules):
            for mask in rule.codes:
                family = mask.partition(":")[0]
                coded.setdefault("" if _JOKER.search(family) else family, set()).add(place)
        return coded

    def firing(self, clause: Clause, service: str) -> list[tuple[Rule, float]]:
        """The rules that speak about ``clause``, in the order of the files, and the probability that each is right."""
        worded = {places[found] for places, wordings in self._wordings for found in wordings.matching(clause.text)}
        families = {code.partition(":")[0] for code in clause.codes} | ({""} if clause.codes else set())
        named = self._named.get(clause.exception.rpartition(".")[2], set())
        candidates = worded.union(named, *(self._coded.get(family, ()) for family in families))
        strengths = ((self.rules[at], self.rules[at].strength(clause, service, at in worded)) for at in sorted(candidates))
        return [(rule, strength) for rule, strength in strengths if strength]

    def judge(self, features: Features) -> list[Finding]:
        """Findings, best first; at most one per rule. Empty: there is a failure that no rule knows.

        The finding ``no-failure`` (category ``none``) stands alone, where nothing in the text speaks of a failure.
        """
        if features.ended == "settled":
            return [Finding("airflow-says-success", NO_INCIDENT, None, 0.97, "")]
        fired = [(clause, self.firing(clause, features.service)) for clause in features.clauses]
        fired = [(clause, rules) for clause, rules in fired if not any(rule.category == NO_INCIDENT for rule, _ in rules)]
        if features.ended in ("success", "done"):
            caught = features.ended == "done"
            fired = [(clause, rules) for clause, rules in fired if clause.level in ALARM_LEVELS or (clause.exception and not caught)]
        speaks = _speaks_of_failure([clause for clause, _ in fired], features)
        best: dict[str, Finding] = {}
        for finding in _findings(fired, speaks):
            if finding.rule_id not in best or finding.probability > best[finding.rule_id].probability:
                best[finding.rule_id] = finding
        if not best and not speaks:
            return [Finding("no-failure", NO_INCIDENT, None, 0.95, "")]
        return sorted(best.values(), key=lambda finding: -finding.probability)


def _findings(fired: Sequence[tuple[Clause, list[tuple[Rule, float]]]], speaks: bool) -> Iterator[Finding]:
    for clause, rules in fired:
        for rule, strength in rules:
            # Where nothing speaks of a failure, words that only may mean one are a metric, a setting or a name.
            if speaks or clause.weight > PLAIN or rule.quiet:
                yield Finding(rule.id, rule.category, rule.transient, round(strength * clause.weight, 4), clause.text[:300], rule.helps)


def _speaks_of_failure(clauses: list[Clause], features: Features) -> bool:
    if features.ended == "failed":
        return True
    return any(clause.exception or clause.level in ALARM_LEVELS or (not clause.quiet and clause.weight > PLAIN) for clause in clauses)
