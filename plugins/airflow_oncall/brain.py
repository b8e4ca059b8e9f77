"""Rules and model, put together: from the operator's files, the shipped ones and the registry."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cached_property
from typing import Any

from airflow_oncall import conf
from airflow_oncall.errors import BadDataFile, StoreError
from airflow_oncall.incident import NO_INCIDENT, UNKNOWN, Diagnosis, ModelVersion
from airflow_oncall.store import open_store
from airflow_oncall.store.operator_files import OperatorFiles
from airflow_oncall.store.records import now
from airflow_oncall.store.sql import Store
from airflow_oncall.triage.classifier import Classifier
from airflow_oncall.triage.classify import classify_record
from airflow_oncall.triage.diagnose import diagnose
from airflow_oncall.triage.rulefile import parse_rules
from airflow_oncall.triage.rules import RuleBook

log = logging.getLogger(__name__)


@dataclass
class Brain:
    """The rules, and the model, which loads only when a text first needs it (scikit-learn takes seconds)."""

    rules: RuleBook
    load: Callable[[], Classifier | None] = field(default=lambda: None)

    @cached_property
    def classifier(self) -> Classifier | None:
        """The champion, ``None`` where no trusted one can be loaded."""
        return self.load()

    @property
    def version(self) -> str | None:
        """Version of the model in force."""
        return self.classifier.version if self.classifier else None

    def diagnose(self, text: str, exception_chain: Sequence[str], operator: str | None, killed: bool) -> Diagnosis:
        """Diagnose a task instance that Airflow says failed: where its text shows no failure, the cause is unknown."""
        found = diagnose(text, exception_chain=exception_chain, operator=operator, killed=killed, rules=self.rules)
        if found.category == UNKNOWN and self.classifier:
            found = diagnose(
                text, exception_chain=exception_chain, operator=operator, killed=killed, rules=self.rules, classifier=self.classifier
            )
        if found.category != NO_INCIDENT:
            return found
        evidence = ("Airflow says that it failed, its text shows no failure", *found.evidence)
        return Diagnosis(UNKNOWN, 0.0, None, 0.3, True, found.identifiers, evidence, found.decided_by, found.model_version)

    def classify(self, record: Mapping[str, Any]) -> dict[str, Any]:
        """Classify ``{"id", "source", "text"}``, a text of which nothing else is known."""
        found = classify_record(record, self.rules)
        return classify_record(record, self.rules, self.classifier) if found["category"] == UNKNOWN else found


def load_brain(store: Store) -> Brain:
    """The brain of this deployment; the starter model is trained on the spot where there is no champion."""
    return Brain(read_rules(OperatorFiles(conf.include_paths(), store.good_files)), lambda: _champion(store))


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


def _champion(store: Store) -> Classifier | None:
    from airflow_oncall.learn.starter import NAME, load_starter, train_starter

    models = store.models
    try:
        found = load_starter(conf.models_path(), models)
        if found is None and _may_train(models.champions(NAME)):
            log.info("No champion: the starter model is trained from the shipped corpus")
            train_starter(conf.models_path(), models)
            found = load_starter(conf.models_path(), models)
    except (OSError, StoreError, BadDataFile) as error:  # e.g. a disk that is full: rules go on alone
        log.warning("No model: %s; rules decide alone", error)
        return None
    return Classifier(*found) if found else None
