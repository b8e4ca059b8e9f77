"""One training from labels to a champion: every step, every reason to stop, and every place to die in."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from threading import Barrier, Event
from typing import Any

import pytest
from tests.learn.past import Past

from airflow_oncall import conf
from airflow_oncall.brain import load_brain
from airflow_oncall.errors import ChampionChanged, OnCallError, TrainingSkipped
from airflow_oncall.feedback import give_feedback
from airflow_oncall.incident import Diagnosis, Incident
from airflow_oncall.learn import comparison, corpus, fitting, registry, saving
from airflow_oncall.learn.dataset import Example
from airflow_oncall.learn.estimators import Choice
from airflow_oncall.learn.evaluation import Answer
from airflow_oncall.learn.fitting import Fitted, fit_models
from airflow_oncall.learn.registry import load_champion, save_model, verify_models
from airflow_oncall.learn.starter import train_starter
from airflow_oncall.store.sql import Store
from airflow_oncall.training import LEASE, NAME, STEPS, Training, last_training, run_training

NOBODY_KNOWS = Diagnosis("unknown", 0.0, None, 0.3, True, decided_by="unknown")
LEASE_NAME = f"training {NAME}"


@dataclass
class Site:
    """A deployment that learns: its store, its models folder, and a small corpus."""

    store: Store
    root: Path
    corpus: list[Example]
    runs: int = 0
    heard: list[str] = field(default_factory=list)

    def training(self, run_id: str = "", **options: Any) -> Training:
        self.runs += 1
        return Training(self.store, conf.models_path(), run_id or f"weekly-{self.runs}", **{"rounds": 0, **options})

    def train(self, **options: Any) -> dict[str, Any]:
        """A whole training; what it reports."""
        return run_training(self.training(**options), self.heard.append)

    def label(self, said: str, category: str, fingerprint: str) -> Incident:
        """A person names the cause of a failure that nothing knew."""
        incident = Past(self.store).failed(fingerprint, said, NOBODY_KNOWS)
        give_feedback(self.store, incident.id, "ada", category=category)
        return incident

    @property
    def reigning(self) -> str:
        """Version of the champion, which must also load."""
        loaded = load_champion(conf.models_path(), self.store.models, NAME)
        assert loaded is not None
        return loaded[1].version

    def files(self, run_id: str) -> set[str]:
        return set(os.listdir(self.root / "_runs" / run_id))


@pytest.fixture(scope="session")
def fitted(few: list[Example]) -> Fitted:
    """Models that were really trained, once."""
    return fit_models(few)


@pytest.fixture
def real_site(sqlite_store: Store, tmp_path: Path, few: list[Example], monkeypatch: pytest.MonkeyPatch) -> Site:
    """Here everything is trained and measured, which takes its time."""
    rows = list(few)
    monkeypatch.setattr(corpus, "read_corpus", lambda: rows)
    monkeypatch.setenv("AIRFLOW__ONCALL__MODELS_PATH", str(tmp_path))
    monkeypatch.setenv("AIRFLOW__ONCALL__TRAIN_MIN_ROWS", "50")
    return Site(sqlite_store, tmp_path, rows)


@pytest.fixture
def site(real_site: Site, fitted: Fitted, monkeypatch: pytest.MonkeyPatch) -> Site:
    """Here fitting is quick, for it always gives the same, and a challenger is as good as the champion."""
    monkeypatch.setattr(fitting, "fit_models", lambda *_, **__: fitted)
    better(monkeypatch)
    return real_site


@pytest.fixture
def trained(site: Site) -> Site:
    """Its first training has made 0.1.0 champion."""
    assert site.train()["promoted"]
    return site


def _word(number: int) -> str:
    """Another word for every number, so that texts differ by more than numbers."""
    return "".join("abcdefghij"[int(digit)] for digit in f"{number:03}")


def better(monkeypatch: pytest.MonkeyPatch, **figures: float) -> None:
    """Whatever is measured: everybody is middling, the challenger has these figures."""
    middling = {"macro_f1_lenient": 0.8, "transient_precision": 0.8, "ece": 0.1, "rows": 90}

    def compare(_rows: object, _train: object, _rules: object, champion: object) -> Any:
        opponents = ["rules", "majority", *(["champion"] if champion else [])]
        return {"challenger": {"unseen groups": middling | figures}, **{who: {"unseen groups": middling} for who in opponents}}

    monkeypatch.setattr(comparison, "compare", compare)


# from labels to a champion


def test_the_first_training_makes_a_champion_with_all_its_papers(site: Site) -> None:
    told = site.train()
    assert (told["promoted"], told["version"], site.reigning) == (True, "0.1.0", "0.1.0")
    assert "there is no champion" in told["reasons"][0]
    assert site.heard == list(STEPS)
    wanted = {"model.joblib", "table.json", "card.md", "metrics.json", "confusion.png", "reliability.png", "rows.txt"}
    assert set(os.listdir(site.root / NAME / "0.1.0")) == wanted
    assert (site.root / NAME / "latest").read_text() == "0.1.0\n"
    assert not any(checked.problems for checked in verify_models(site.root, site.store.models))
    card = (site.root / NAME / "0.1.0" / "card.md").read_text()
    assert "| | challenger | rules | majority |" in card
    assert "## Gate: promote" in card
    assert json.loads((site.root / NAME / "0.1.0" / "metrics.json").read_text())["gate"]["is_open"] is True


def test_what_a_person_named_is_known_after_the_next_training(real_site: Site) -> None:
    real_site.train()
    said = "acme.LedgerOutOfStep: the ledger of shop {n} walks out of step with the bank"
    for number, shop in enumerate(("Turin", "Lyon", "Porto")):
        real_site.label(said.format(n=shop), "data_quality", f"ledger-{number}")
    told = real_site.train()
    assert told["version"] == "0.2.0"
    about = real_site.store.models.list(NAME)[0].metrics
    assert about["rows"]["origin"] == {"corpus": len(real_site.corpus), "human": 3}
    assert set(about["classes"]) == {example.category for example in real_site.corpus} | {"data_quality"}
    assert {"features", "parameters", "libraries", "dataset", "gate"} <= about.keys()
    assert set(about["reports"]) == {"challenger", "champion", "rules", "majority"}
    report = about["reports"]["challenger"]["unseen groups"]
    low, high = report["intervals"]["macro_f1_lenient"]
    assert low <= report["macro_f1_lenient"] <= high
    real_site.store.models.promote(NAME, "0.2.0")
    found = load_brain(real_site.store).diagnose(said.format(n="Graz"), (), None, False)
    assert (found.category, found.decided_by, found.model_version) == ("data_quality", "memory", "triage 0.2.0")


def test_running_triage_takes_a_promoted_model_up_without_a_restart(trained: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    assert load_brain(trained.store).version == "triage 0.1.0"
    better(monkeypatch, macro_f1_lenient=0.9)
    trained.train(force=True)
    assert load_brain(trained.store).version == "triage 0.2.0"


def test_models_in_object_storage_are_trained_the_same_way(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__ONCALL__MODELS_PATH", f"memory://{site.root.name}/models")
    assert site.train()["promoted"]
    assert site.reigning == "0.1.0"


# reasons to skip and to keep


def test_a_training_without_anything_new_is_skipped(trained: Site) -> None:
    told = trained.train()
    assert (told["version"], told["promoted"]) == (None, False)
    assert "nothing is new since the training of" in told["reasons"][0]
    assert trained.train(force=True)["version"] == "0.2.0"


def test_a_training_is_not_skipped_where_the_champion_cannot_be_loaded_any_more(trained: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("airflow_oncall.learn.registry.LIBRARY", "scikit-learn 99.0")
    told = trained.train()
    assert (told["version"], told["promoted"]) == ("0.2.0", True)


def test_too_few_rows_skip_the_training_with_a_reason(site: Site) -> None:
    del site.corpus[10:]
    told = site.train()
    assert told["reasons"] == ["10 examples are fewer than [oncall] train_min_rows = 50"]
    assert site.store.models.list(NAME) == []


def test_rows_of_one_class_skip_the_training(site: Site) -> None:
    site.corpus[:] = [Example(f"{'x' * number} broke", "code_error", False, f"g{number}") for number in range(1, 61)]
    assert "there is nothing to tell apart" in site.train()["reasons"][0]


def test_groups_of_one_row_are_trained_on(real_site: Site) -> None:
    rows = [replace(row, text=f"{row.text} {_word(number)}", group=f"g{number}") for number, row in enumerate(real_site.corpus)]
    real_site.corpus[:] = rows
    assert real_site.train()["version"] == "0.1.0"
    report = real_site.store.models.list(NAME)[0].metrics["reports"]["challenger"]["unseen groups"]
    assert report["groups"] == report["rows"] == len(rows)


def test_a_challenger_that_is_worse_does_not_reign(trained: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    better(monkeypatch, macro_f1_lenient=0.9, ece=0.3)
    told = trained.train(force=True)
    assert (told["version"], told["promoted"], trained.reigning) == ("0.2.0", False, "0.1.0")
    assert told["reasons"] == ["ECE on the unseen groups is 0.300, champion: 0.100 [0.100, 0.100]"]
    assert "## Gate: keep the champion" in (trained.root / NAME / "0.2.0" / "card.md").read_text()


def test_a_tie_keeps_the_champion(trained: Site) -> None:
    told = trained.train(force=True)
    assert (told["promoted"], trained.reigning) == (False, "0.1.0")
    assert "the champion stays" in told["reasons"][0]


def test_a_champion_that_cannot_be_loaded_is_replaced(trained: Site) -> None:
    (trained.root / NAME / "0.1.0" / "model.joblib").write_bytes(b"truncat")
    assert trained.train(force=True)["promoted"]
    assert trained.reigning == "0.2.0"


def test_a_champion_that_changed_meanwhile_is_not_replaced_unmeasured(trained: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    better(monkeypatch, macro_f1_lenient=0.9)
    training = trained.training(force=True)
    for step in STEPS[:-1]:
        getattr(training, step)()
    save_model(trained.root, trained.store.models, NAME, "0.9.0", {}, {})
    with pytest.raises(ChampionChanged, match=r"measured against 0\.1\.0, now 0\.9\.0 reigns"):
        training.promote()
    assert trained.store.models.champions(NAME)[0].version == "0.9.0"


def test_promote_alone_does_not_get_round_the_gate(trained: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    better(monkeypatch, macro_f1_lenient=0.1)
    training = trained.training(force=True)
    for step in STEPS[:-1]:
        getattr(training, step)()
    with pytest.raises(TrainingSkipped, match="macro-F1"):
        training.promote()
    assert trained.reigning == "0.1.0"


# two at once, crashes, a full disk


def test_the_second_of_two_trainings_leaves_with_a_reason(site: Site) -> None:
    first = site.training("first")
    first.collect()
    told = run_training(site.training("second"))
    assert told["reasons"] == ["first is training already; train again when it is done (a dead one's turn ends within an hour)"]
    assert site.store.leases.holder(LEASE_NAME) == "first", "and leaves the first one's lease alone"
    assert first.validate()["folds"] == 3


def test_of_two_trainings_begun_at_one_moment_one_trains(
    store: Store, tmp_path: Path, few: list[Example], fitted: Fitted, monkeypatch: pytest.MonkeyPatch
) -> None:
    other_left = Event()

    def fit(*_: object, **__: object) -> Fitted:
        other_left.wait(30)
        return fitted

    monkeypatch.setattr(corpus, "read_corpus", lambda: few)
    monkeypatch.setattr(fitting, "fit_models", fit)
    monkeypatch.setenv("AIRFLOW__ONCALL__TRAIN_MIN_ROWS", "50")
    better(monkeypatch)
    start = Barrier(2)

    def run(run_id: str) -> dict[str, Any]:
        start.wait(30)
        told = run_training(Training(store, tmp_path, run_id, rounds=0))
        other_left.set()
        return told

    with ThreadPoolExecutor(2) as pool:
        told = list(pool.map(run, ("first", "second")))

    assert sorted(one["version"] or "" for one in told) == ["", "0.1.0"]
    assert [model.version for model in store.models.list(NAME)] == ["0.1.0"]
    (reason,) = next(one["reasons"] for one in told if not one["version"])
    assert "is training already" in reason


def test_a_training_goes_on_after_a_dead_one(site: Site) -> None:
    site.store.leases.take(LEASE_NAME, "dead", -LEASE)
    assert site.train()["promoted"]


def test_the_lease_is_free_after_the_training(trained: Site) -> None:
    assert trained.store.leases.holder(LEASE_NAME) is None


def test_the_lease_is_free_while_a_person_is_asked(site: Site) -> None:
    training = site.training("asks")
    for step in STEPS[:-1]:
        getattr(training, step)()
    assert site.store.leases.holder(LEASE_NAME) is None


@pytest.mark.parametrize("step", STEPS)
def test_a_step_can_be_run_again_on_another_worker(site: Site, step: str) -> None:
    for name in STEPS:
        getattr(site.training("retried"), name)()
        if name == step:
            getattr(site.training("retried"), name)()
    assert site.reigning == "0.1.0"
    assert [model.version for model in site.store.models.list(NAME)] == ["0.1.0"]
    assert site.training("retried").report()["promoted"]
    assert not any(checked.problems for checked in verify_models(site.root, site.store.models))


def test_a_step_whose_forerunner_wrote_elsewhere_says_so(site: Site) -> None:
    training = site.training("alone")
    with pytest.raises(OnCallError, match=r"no gate\.json; is \[oncall\] models_path shared by all workers"):
        training.promote()


def test_a_disk_that_is_full_leaves_the_champion_and_the_lease_free(trained: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    training = trained.training(force=True)
    training.collect()
    training.validate()
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        training.train()
    monkeypatch.undo()
    assert [model.version for model in trained.store.models.list(NAME)] == ["0.1.0"]


def test_two_trainings_that_took_the_same_version_both_keep_their_file(trained: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    real, stale = registry.next_version, ["0.2.0"]
    save_model(trained.root, trained.store.models, NAME, "0.2.0", {"of": "the faster one"}, {})
    monkeypatch.setattr(saving, "next_version", lambda known: stale.pop() if stale else real(known))
    trained.train(force=True)
    assert [model.version for model in trained.store.models.list(NAME)] == ["0.3.0", "0.2.0", "0.1.0"]
    assert not any(checked.problems for checked in verify_models(trained.root, trained.store.models))


def test_old_runs_are_tidied_away_and_old_versions_are_not(trained: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("airflow_oncall.learn.runs.KEPT_RUNS", 2)
    for _ in range(3):
        trained.train()
    assert len(os.listdir(trained.root / "_runs")) == 2
    assert (trained.root / NAME / "0.1.0" / "model.joblib").exists()


def test_a_run_id_of_airflow_makes_a_folder_name(site: Site) -> None:
    site.training("scheduled__2026-11-22T03:00:00+00:00").skip("no reason")
    assert site.files("scheduled__2026-11-22T03_00_00_00_00") == {"skipped.json"}


def test_what_is_said_while_a_training_runs_is_news_for_the_next(site: Site) -> None:
    training = site.training()
    training.collect()
    site.label("acme.LedgerFrozenError: frozen", "data_quality", "ledger")
    for step in STEPS[1:]:
        getattr(training, step)()
    training.report()
    assert site.store.labels.count(last_training(site.store).trained_at) == 1


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ({"chosen_options": ["Reject"], "responded_by_user": {"id": "7", "name": "ada"}}, "rejected by ada"),
        ({"chosen_options": ["Reject"], "responded_by_user": None}, "nobody approved it in time"),
        (None, "it passed the gate but was not promoted; the run's tasks in Airflow say why"),
    ],
    ids=["rejected", "no answer", "broke"],
)
def test_a_challenger_that_passed_the_gate_and_does_not_reign_says_why(site: Site, answer: dict[str, Any] | None, reason: str) -> None:
    training = site.training()
    for step in STEPS[:-1]:
        getattr(training, step)()
    told = training.report(answer)
    assert (told["promoted"], told["reasons"][0]) == (False, reason)
    assert "there is no champion" in told["reasons"][1], "and what the gate said"


def test_a_skipped_training_does_not_count_as_learned_from(trained: Site) -> None:
    learned = last_training(trained.store)
    trained.train()
    last = last_training(trained.store)
    assert (last.trained_at, last.dataset) == (learned.trained_at, learned.dataset)
    assert last.ended_at is not None
    assert learned.ended_at is not None
    assert last.ended_at > learned.ended_at


# what is measured is what was not trained on


@pytest.fixture
def chosen(real_site: Site, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The estimator of every fit, in the order of fitting; the search always finds that ComplementNB is best."""
    fits: list[str] = []

    def fit(rows: Any, **how: Any) -> Fitted:
        found = fit_models(rows, **how)
        fits.append(found.choice.name)
        return found

    monkeypatch.setattr(fitting, "search", lambda *_: Choice("ComplementNB", {"alpha": 0.3}))
    monkeypatch.setattr(fitting, "fit_models", fit)
    return fits


def test_the_challenger_is_measured_with_the_estimator_that_its_search_chose(real_site: Site, chosen: list[str]) -> None:
    assert real_site.train(rounds=1)["version"] == "0.1.0"
    assert chosen == ["ComplementNB"] * 4, "the challenger, then its twin in each of three folds"


def test_a_champion_of_another_estimator_is_measured_with_its_own(real_site: Site, chosen: list[str]) -> None:
    train_starter(real_site.root, real_site.store.models, real_site.corpus)
    assert real_site.train(rounds=1, force=True)["version"] == "0.2.0"
    assert chosen == ["ComplementNB", *["ComplementNB", "LogisticRegression"] * 3], "in each fold the challenger's twin and the champion's"


def test_nobody_is_asked_about_a_row_it_was_trained_on(few: list[Example]) -> None:
    trained_on: list[set[str]] = []

    def train(rows: Any) -> Callable[[str], Answer]:
        mine = {row.text for row in rows}
        groups = {row.group for row in rows}
        trained_on.append(groups)

        def predict(text: str) -> Answer:
            assert text not in mine
            return Answer("code_error", 0.5, False)

        return predict

    dated = [replace(row, given_at=datetime(2026, 11, 1, tzinfo=timezone.utc) + timedelta(hours=number)) for number, row in enumerate(few)]
    dated = [replace(row, group=f"{row.group}-{number}") for number, row in enumerate(dated)]
    older = {row.text for row in dated[:60]}
    champion = comparison.Reigning(lambda text: Answer("none", 0.5, None), lambda row: row.text in older)
    reports = comparison.compare(dated, train, lambda text: Answer("none", 1.0, None), champion)
    assert reports["challenger"]["unseen groups"]["rows"] == len(dated)
    assert {who: found["newest labels"]["rows"] for who, found in reports.items()} == dict.fromkeys(reports, 18)
    assert reports["champion"]["newest labels"]["false_alarms"] == 0.0, "there the champion itself answers"
    assert len(trained_on) == 3 * 2 + 1, "in each fold the challenger and the champion's twin; one for the newest labels"


def test_a_champion_that_had_every_row_is_as_good_as_its_challenger(few: list[Example]) -> None:
    trainings: list[int] = []

    def train(rows: Any) -> Callable[[str], Answer]:
        trainings.append(len(rows))
        return lambda text: Answer("code_error", 0.5, False)

    champion = comparison.Reigning(lambda text: Answer("none", 0.5, None), lambda row: True)
    reports = comparison.compare(few, train, lambda text: Answer("none", 1.0, None), champion)
    assert reports["champion"] == reports["challenger"] != reports["rules"]
    assert len(trainings) == 3
