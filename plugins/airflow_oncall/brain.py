"""Rules and models, put together: from the operator's files, the shipped ones and the registry."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import cached_property
from typing import Any

from airflow_oncall import conf
from airflow_oncall.errors import BadDataFile, StoreError, TrainingSkipped
from airflow_oncall.incident import NO_INCIDENT, UNKNOWN, Diagnosis, ModelVersion
from airflow_oncall.store import open_store
from airflow_oncall.store.operator_files import OperatorFiles
from airflow_oncall.store.records import now
from airflow_oncall.store.sql import Store
from airflow_oncall.triage.classify import classify_record
from airflow_oncall.triage.diagnose import diagnose, rule_word
from airflow_oncall.triage.features import Features
from airflow_oncall.triage.models import Circumstances, Recommendation, RuleWord, TriageModels
from airflow_oncall.triage.rulefile import parse_rules
from airflow_oncall.triage.rules import RuleBook

log = logging.getLogger(__name__)


@dataclass
class Brain:
    """The rules, and the models, which load only when a text is first diagnosed (scikit-learn takes seconds)."""

    rules: RuleBook
    load: Callable[[], TriageModels | None] = field(default=lambda: None)

    @cached_property
    def models(self) -> TriageModels | None:
        """The champion, ``None`` where no trusted one can be loaded."""
        return self.load()

    @property
    def version(self) -> str | None:
        """Version of the models in force."""
        return self.models.version if self.models else None

    def judge(self, features: Features) -> RuleWord | None:
        """The rules' word on a text: what a training calibrates."""
        return rule_word(self.rules.judge(features))

    def diagnose(self, text: str, exception_chain: Sequence[str], operator: str | None, killed: bool) -> Diagnosis:
        """Diagnose a task instance that Airflow says failed: where its text shows no failure, the cause is unknown."""
        found = diagnose(text, exception_chain=exception_chain, operator=operator, killed=killed, rules=self.rules, models=self.models)
        return unexplained(found, "Airflow says that it failed") if found.category == NO_INCIDENT else found

    def read(self, text: str) -> Diagnosis:
        """Diagnose what an engine logged, of which it is not known whether anything failed."""
        return diagnose(text, rules=self.rules, models=self.models)

    def recommend(self, diagnosis: Diagnosis, around: Circumstances) -> list[Recommendation]:
        """What can be done about it, best first; empty without models or for an unknown cause."""
        if self.models is None or diagnosis.category in {UNKNOWN, NO_INCIDENT}:
            return []
        return self.models.recommend(diagnosis.category, diagnosis.transient_probability, diagnosis.anomaly, around)

    def classify(self, record: Mapping[str, Any]) -> dict[str, Any]:
        """Classify ``{"id", "source", "text"}``, a text of which nothing else is known."""
        return classify_record(record, self.rules, self.models)


def unexplained(found: Diagnosis, who_says: str) -> Diagnosis:
    """The diagnosis of what is known to have failed though its text shows no failure."""
    evidence = (f"{who_says}, its text shows no failure", *found.evidence)
    return replace(found, category=UNKNOWN, probability=0.0, transient=None, transient_probability=0.3, anomaly=True, evidence=evidence)


def load_brain(store: Store) -> Brain:
    """The brain of this deployment; the starter models are trained on the spot where there is no champion."""
    rules = read_rules(OperatorFiles(conf.include_paths(), store.good_files))
    return Brain(rules, lambda: _champion(store, rules))


def brain_without_airflow() -> Brain:
    """The brain for classifying text by hand: as :func:`load_brain`, but a store that is out of reach is no reason to fail."""
    try:
        return load_brain(open_store())
    except StoreError as error:
        log.warning("%s; rules decide alone", error)
        return Brain(read_rules(OperatorFiles(conf.include_paths())))


def read_rules(files: OperatorFiles) -> RuleBook:
    """Every rule file of the operator and every shipped one that the operator did not replace by name.

    A wrong file is logged and its last good version used; one whose ids are taken already is left out.
    """
    rules: dict[str, Any] = {}
    for name in files.names("rules", ".yaml"):
        try:
            book = files.read(name, lambda path, text: parse_rules({path: text}))
        except BadDataFile as error:
            log.error("%s. The file is left out.", error)
            continue
        taken = [rule.id for rule in book.rules if rule.id in rules]
        if taken:
            log.error("%s: rule id %r is taken by another file; ids are unique over all files. The file is left out.", name, taken[0])
            continue
        rules |= {rule.id: rule for rule in book.rules}
    return RuleBook(tuple(rules.values()))


def _may_train(champions: Sequence[ModelVersion]) -> bool:
    """A champion that cannot be loaded is replaced at most daily: workers without a common models folder would never stop."""
    newest = champions[0].promoted_at if champions else None
    return newest is None or now() - newest > timedelta(days=1)


def _champion(store: Store, rules: RuleBook) -> TriageModels | None:
    from airflow_oncall.learn.starter import NAME, load_starter, train_starter

    versions = store.models
    try:
        found = load_starter(conf.models_path(), versions)
        if found is None and _may_train(versions.champions(NAME)):
            log.info("No champion: the starter models are trained from the shipped corpus")
            train_starter(conf.models_path(), versions, judge=Brain(rules).judge)
            found = load_starter(conf.models_path(), versions)
    except (OSError, StoreError, BadDataFile, TrainingSkipped) as error:  # e.g. a disk that is full: rules go on alone
        log.warning("No model: %s; rules decide alone", error)
        return None
    return replace(found[0], version=found[1]) if found else None
