"""One training, step by step: collect -> validate -> train -> evaluate -> gate -> promote -> report.

Each step reads and writes files of its run's folder (``<models_path>/_runs/<run>/``), so that it can run on another worker
than the one before it, and can be run again after a crash: what a step has written, it does not do twice. A lease in the
store keeps two trainings apart; a dead one's ends by itself. Nothing before ``promote`` touches the champion.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import asdict
from datetime import datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

from airflow_oncall import conf
from airflow_oncall.brain import Brain, read_rules
from airflow_oncall.errors import OnCallError, StoreError, TrainingSkipped, UntrustedModel
from airflow_oncall.incident import ModelVersion
from airflow_oncall.store import open_store
from airflow_oncall.store.operator_files import OperatorFiles
from airflow_oncall.store.records import now
from airflow_oncall.store.sql import Store
from airflow_oncall.triage.table import MODEL

if TYPE_CHECKING:
    from airflow_oncall.learn.comparison import Reigning, Train
    from airflow_oncall.learn.dataset import Example
    from airflow_oncall.learn.evaluation import Predictor
    from airflow_oncall.learn.files import ModelsPath
    from airflow_oncall.learn.runs import RunFolder
    from airflow_oncall.triage.models import TriageModels

log = logging.getLogger(__name__)

NAME = MODEL
STEPS = ("collect", "validate", "train", "evaluate", "gate", "promote")
LEASE = timedelta(hours=1)
LAST = "training"
"""Cursor: when the last training ended and what it was about."""
ROUNDS = 10
"""Candidates that the weekly search of estimators tries."""
EXAMPLES = "examples.jsonl"


class Training:
    """One run of the training. ``run_id`` names its folder and holds the lease."""

    def __init__(self, store: Store, models_path: ModelsPath, run_id: str, *, rounds: int = ROUNDS, force: bool = False) -> None:
        self.store, self.models_path, self.run_id = store, models_path, run_id
        self._rounds, self._force = rounds, force

    @cached_property
    def _run(self) -> RunFolder:
        from airflow_oncall.learn.runs import RunFolder

        return RunFolder(self.models_path, self.run_id)

    # the steps

    def collect(self) -> dict[str, Any]:
        """Corpus, verified outcomes and feedback as one dataset. Raises ``TrainingSkipped`` with the reason."""
        from airflow_oncall.learn.corpus import read_corpus
        from airflow_oncall.learn.dataset import assemble, dump_examples, require_trainable
        from airflow_oncall.learn.labels import harvest

        self._hold()
        collected_at = now()  # what is said from here on is for the next training
        found = harvest(self.store.labels)
        dataset = assemble((*read_corpus(), *found.examples))
        require_trainable(dataset, conf.train_min_rows())
        last = last_training(self.store)
        if dataset.digest == last.dataset and not self._force and not self._is_outdated():
            raise TrainingSkipped(f"nothing is new since the training of {last.trained_at:%Y-%m-%d %H:%M} UTC: the examples are the same")
        notes = [*dataset.notes, *(f"people disagree about {conflict}" for conflict in found.conflicts)]
        notes += [f"{found.without_cause} labelled fingerprints left out: their cause is not known"] if found.without_cause else []
        notes += [f"{found.without_text} labelled fingerprints left out: no text was kept of them"] if found.without_text else []
        collected = {"at": collected_at.isoformat(), "dataset": dataset.digest, "rows": dataset.counts(), "notes": notes}
        self._run.write(EXAMPLES, dump_examples(dataset.examples))
        return self._run.keep("collected", collected)

    def validate(self) -> dict[str, Any]:
        """Look at the dataset as training will: its schema, its folds and how far the world has moved."""
        from airflow_oncall.learn.dataset import leaks
        from airflow_oncall.learn.estimators import splits

        self._hold()
        examples = self._examples
        folds = splits([one.category for one in examples], [one.group for one in examples])
        shared = sum(leaks(examples, train, test) for train, test in folds)
        if shared:
            raise OnCallError(f"{shared} texts stand on both sides of a split; figures would be too good. Give their rows one group")
        groups = {category: len({one.group for one in examples if one.category == category}) for category in self._categories}
        few = {category: count for category, count in groups.items() if count < len(folds)}
        thin = [f"{category}: {count} groups for {len(folds)} folds" for category, count in few.items()]
        drift = self._drift()
        return self._run.keep("validated", {"folds": len(folds), "groups": groups, "thin": thin, "drift": drift})

    def train(self) -> dict[str, Any]:
        """Fit on everything and save the challenger; it is registered, not promoted."""
        from airflow_oncall.learn.fitting import fit_models
        from airflow_oncall.learn.labels import repairs
        from airflow_oncall.learn.saving import save_trained

        self._hold()
        if done := self._run.find("trained"):
            return done
        actions = self.store.labels.verified_actions()
        fitted = fit_models(self._examples, judge=self._brain.judge, repairs=tuple(repairs(actions)), rounds=self._rounds)
        about = {
            "rows": self._run.need("collected")["rows"],
            "repairs": len(actions),
            "features": len(fitted.models.vectoriser.vocabulary_),
            "classes": list(fitted.models.category.classes),
            "parameters": fitted.choice.described(),
            "dataset": self._run.need("collected")["dataset"],
        }
        model, notes = save_trained(self.models_path, self.store.models, NAME, fitted.models, self._examples, about)
        return self._run.keep("trained", {"version": model.version, "notes": notes, **about})

    def evaluate(self) -> dict[str, Any]:
        """Challenger, champion, rules and majority on the same rows that none of them was trained on."""
        from airflow_oncall.learn.comparison import compare

        self._hold()
        if done := self._run.find("evaluated"):
            return done
        champion = next(iter(self.store.models.champions(NAME)), None)
        reigning, outdated = self._reigning(champion) if champion else (None, "")
        challenger = self._trainer(self._challenger().metrics)
        reports = compare(self._examples, challenger, self._predictor(None), reigning)
        return self._run.keep("evaluated", {"champion": champion.version if champion else "", "outdated": outdated, "reports": reports})

    def gate(self) -> str:
        """Why the challenger may be promoted; empty where the champion stays. Writes the card either way."""
        from airflow_oncall.learn.card import people_files
        from airflow_oncall.learn.comparison import CHALLENGER
        from airflow_oncall.learn.gate import gate
        from airflow_oncall.learn.registry import describe_model

        self._hold()
        evaluated, trained = self._run.need("evaluated"), self._run.need("trained")
        opponents = dict(evaluated["reports"])
        passage = gate(opponents.pop(CHALLENGER), opponents, outdated=evaluated["outdated"])
        if not self._run.find("gate"):
            notes = [*self._run.need("collected")["notes"], *trained["notes"], *self._run.need("validated")["thin"]]
            metrics = {"reports": evaluated["reports"], "gate": asdict(passage), "notes": notes}
            model = self._challenger()
            describe_model(self.models_path, self.store.models, model, metrics, people_files(model, {**model.metrics, **metrics}))
        self._run.keep("gate", asdict(passage))
        self.store.models.end_training(NAME, self.run_id)  # an approval may take half a day
        return "; ".join(passage.reasons) if passage.is_open else ""

    def promote(self, answer: Mapping[str, Any] | None = None) -> str:
        """Make the challenger the champion, unless the champion changed since it was measured (``ChampionChanged``).

        ``answer``: what the person who approved left in Airflow; the audit log names that person.
        """
        from airflow_oncall.learn.registry import promote_model

        actor = _person(answer) or "learn"
        passage, model = self._run.need("gate"), self._challenger()
        if not passage["is_open"]:
            raise TrainingSkipped("; ".join(passage["reasons"]))
        reigning = next(iter(self.store.models.champions(NAME)), None)
        if reigning is None or reigning.version != model.version:  # else a crash came between promotion and its report
            instead_of = self._run.need("evaluated")["champion"]
            promote_model(
                self.models_path, self.store.models, model, actor=actor, reason="; ".join(passage["reasons"]), instead_of=instead_of
            )
        self._run.keep("promoted", {"version": model.version, "by": actor})
        return model.version

    def report(self, answer: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """What came of this run, also of one that was skipped, rejected or broke; frees the lease and old runs' folders."""
        found = {name: self._run.find(name) for name in ("skipped", "trained", "gate", "promoted")}
        told = {
            "run_id": self.run_id,
            "version": (found["trained"] or {}).get("version"),
            "promoted": bool(found["promoted"]),
            "reasons": [*_kept_out(found, answer), *(found["skipped"] or found["gate"] or _BROKEN)["reasons"]],
        }
        last = last_training(self.store)
        if found["gate"]:
            collected = self._run.need("collected")
            last = LastTraining(now(), datetime.fromisoformat(collected["at"]), collected["dataset"])
        times = {"ended_at": now().isoformat(), "trained_at": last.trained_at.isoformat() if last.trained_at else None}
        self.store.cursors.set(LAST, {**times, "dataset": last.dataset, "run_id": self.run_id})
        self.store.models.end_training(NAME, self.run_id)
        self._run.keep("report", told)
        self._run.prune()
        return told

    def skip(self, reason: str) -> None:
        """Remember why this run was skipped."""
        self._run.keep("skipped", {"reasons": [reason]})

    # helpers

    def _hold(self) -> None:
        self.store.models.begin_training(NAME, self.run_id, LEASE)

    @cached_property
    def _examples(self) -> tuple[Example, ...]:
        from airflow_oncall.learn.dataset import parse_examples

        return parse_examples(f"{self._run}/{EXAMPLES}", self._run.read(EXAMPLES))

    @property
    def _categories(self) -> list[str]:
        return sorted({one.category for one in self._examples})

    @cached_property
    def _brain(self) -> Brain:
        """The rules in force, without models."""
        return Brain(read_rules(OperatorFiles(conf.include_paths(), self.store.good_files)))

    def _drift(self) -> dict[str, Any]:
        from airflow_oncall.learn.drift import measure_drift

        since = last_training(self.store).trained_at
        if since is None:
            return {"reasons": ["nothing to compare with: this is the first training"]}
        drift = measure_drift(self.store.labels, since - (now() - since), since, now())
        return {**asdict(drift), "reasons": list(drift.reasons)}

    def _trainer(self, metrics: Mapping[str, Any]) -> Train:
        """Trains as the version with these metrics was trained: the estimator that its search chose, without a new search."""
        from airflow_oncall.learn.estimators import Choice
        from airflow_oncall.learn.fitting import fit_models

        choice = Choice.of(metrics.get("parameters", {}))
        return lambda examples: self._predictor(fit_models(examples, judge=self._brain.judge, choice=choice).models)

    def _predictor(self, models: TriageModels | None) -> Predictor:
        """The whole ladder, as it answers in production."""
        from airflow_oncall.learn.evaluation import Answer

        brain = Brain(self._brain.rules, lambda: models)

        def predict(text: str) -> Answer:
            found = brain.classify({"text": text})
            return Answer(found["category"], found["confidence"], found["transient"])

        return predict

    def _is_outdated(self) -> bool:
        """Whether the champion cannot be loaded any more, as after an upgrade of scikit-learn."""
        from airflow_oncall.learn.registry import load_model

        champion = next(iter(self.store.models.champions(NAME)), None)
        try:
            if champion:
                load_model(self.models_path, champion)
        except UntrustedModel:
            return True
        return False

    def _reigning(self, champion: ModelVersion) -> tuple[Reigning | None, str]:
        """The champion to be compared with, and why it is outdated (empty where it is not)."""
        from airflow_oncall.learn.card import library_versions
        from airflow_oncall.learn.comparison import Reigning
        from airflow_oncall.learn.dataset import row_digest
        from airflow_oncall.learn.files import ROWS, read_trusted
        from airflow_oncall.learn.registry import load_model
        from airflow_oncall.triage.memory import CORPUS

        try:
            models = load_model(self.models_path, champion)
            had = set(read_trusted(self.models_path, champion, ROWS).decode().split()) if ROWS in champion.files else None
        except UntrustedModel as refusal:
            return None, str(refusal)
        is_current = champion.metrics.get("libraries") in (None, library_versions())
        outdated = "" if is_current else f"the champion {champion.version} was trained with other libraries"

        def knew(example: Example) -> bool:
            return example.origin == CORPUS if had is None else row_digest(example) in had

        is_alike = champion.metrics.get("parameters") == self._challenger().metrics["parameters"]
        return Reigning(self._predictor(models), knew, None if is_alike else self._trainer(champion.metrics)), outdated

    def _challenger(self) -> ModelVersion:
        version = self._run.need("trained")["version"]
        model = self.store.models.get(NAME, version)
        if model is None:
            raise StoreError(f"model {NAME} {version} of run {self.run_id} is no longer registered; train again")
        return model


_BROKEN = {"reasons": ["it did not get as far as the gate"]}


def _person(answer: Mapping[str, Any] | None) -> str:
    """Who answered the question of Airflow's approval; empty where time did, or nobody was asked."""
    return str(((answer or {}).get("responded_by_user") or {}).get("name") or "")


def _kept_out(found: Mapping[str, Any], answer: Mapping[str, Any] | None) -> list[str]:
    """Why a challenger that the gate let pass does not reign."""
    if not (found["gate"] or {}).get("is_open") or found["promoted"]:
        return []
    if answer is None:
        return ["it passed the gate but was not promoted; the run's tasks in Airflow say why"]
    return [f"rejected by {person}" if (person := _person(answer)) else "nobody approved it in time"]


class LastTraining(NamedTuple):
    """When a training last ended, however it did; when one last came as far as the gate, and what it learned from."""

    ended_at: datetime | None
    trained_at: datetime | None
    dataset: str | None


def last_training(store: Store) -> LastTraining:
    """Of this deployment; where only a starter model was trained yet, its time."""
    last = store.cursors.get(LAST) or {}
    champion = next(iter(store.models.champions(NAME)), None)
    starter = champion.trained_at.isoformat() if champion else None
    ended, trained = (datetime.fromisoformat(at) if (at := last.get(name) or starter) else None for name in ("ended_at", "trained_at"))
    return LastTraining(ended, trained, last.get("dataset"))


def open_training(run_id: str, **options: Any) -> Training:
    """The run of this name on this deployment's store and models folder."""
    return Training(open_store(), conf.models_path(), run_id, **options)


def run_step(name: str, run_id: str, *arguments: Any) -> Any:
    """One step as a task of ``oncall_train`` runs it: a reason to skip becomes Airflow's own skip."""
    from airflow.sdk.exceptions import AirflowSkipException

    training = open_training(run_id)
    try:
        return getattr(training, name)(*arguments)
    except TrainingSkipped as reason:
        training.skip(str(reason))
        raise AirflowSkipException(str(reason)) from reason


def run_training(training: Training, progress: Callable[[str], None] = lambda step: None) -> dict[str, Any]:
    """All steps in one process; ``progress`` hears the name of each before it begins. Returns the report, also of a skipped run."""
    try:
        for name in STEPS:
            progress(name)
            getattr(training, name)()
    except TrainingSkipped as reason:
        training.skip(str(reason))
    finally:
        told = training.report()
    return told
