from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest
from tests.cast import vendor_was_down
from tests.cli.conftest import Run
from tests.examples import few_examples

from airflow_oncall import conf
from airflow_oncall.cli import learning, terminal
from airflow_oncall.learn.fitting import fit_models
from airflow_oncall.learn.registry import save_model
from airflow_oncall.learn.table_export import export
from airflow_oncall.store.sql import Store
from airflow_oncall.training import NAME, Training
from airflow_oncall.triage.models import TriageModels
from airflow_oncall.triage.table import TABLE

HEAP = "java.lang.OutOfMemoryError: Java heap space"
LEDGER = "acme.books.LedgerFrozenError: ledger of tenant 41 is frozen until the month is closed"

Output = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def _without_search(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(learning, "Training", partial(Training, rounds=0))


@pytest.fixture(scope="session")
def trained() -> tuple[TriageModels, bytes]:
    """Models and their table, trained once for all tests."""
    examples = few_examples()
    models = fit_models(examples).models
    return models, export(models, [example.text for example in examples]).encode()


@pytest.fixture
def champion(own: Path, deployment: Store, trained: tuple[TriageModels, bytes]) -> str:
    """Version of models that reign."""
    models, table = trained
    return save_model(conf.models_path(), deployment.models, NAME, "0.1.0", models, {}, {TABLE: table}).version


@pytest.fixture
def labelled(tmp_path: Path) -> Path:
    """A file of labelled failures; its last row has no text."""
    rows = [
        {"text": HEAP, "label": "memory_exhaustion"},
        {"text": "requests.exceptions.ReadTimeout: read timed out", "label": "network_timeout", "transient": True},
        {"text": "INFO - all 4 checks passed, finished well", "label": "none"},
        {"text": "", "label": "none"},
    ]
    path = tmp_path / "labelled.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


# train


def test_a_starter_training_ends_with_a_champion(own: Path, deployment: Store, oncall: Run, capsys: Output) -> None:
    assert oncall("train", "--starter", "--format", "json") == 0

    report = json.loads(capsys.readouterr().out)
    assert [model.version for model in deployment.models.champions(NAME)] == [report["version"]]


def test_a_training_tells_its_steps_and_what_came_of_it(own: Path, oncall: Run, capsys: Output) -> None:
    assert oncall("train", "--format", "json") == 0

    told = capsys.readouterr()
    assert [line.rpartition(" ")[2] for line in told.err.splitlines() if "training: " in line][:3] == ["collect", "validate", "train"]
    report = json.loads(told.out)
    assert report["version"] == "0.1.0"
    assert report["reasons"]


def test_a_training_without_news_is_left_out_unless_forced(own: Path, oncall: Run, capsys: Output) -> None:
    oncall("train")
    capsys.readouterr()

    assert oncall("train") == 0
    assert "nothing was trained\n  nothing is new" in capsys.readouterr().out
    assert oncall("train", "--force") == 0
    assert "0.2.0" in capsys.readouterr().out


def test_too_few_rows_are_a_reason_not_to_train(own: Path, oncall: Run, monkeypatch: pytest.MonkeyPatch, capsys: Output) -> None:
    monkeypatch.setattr(conf, "train_min_rows", lambda: 5000)

    assert oncall("train") == 0

    assert "are fewer than [oncall] train_min_rows = 5000" in capsys.readouterr().out


def test_a_second_training_leaves_while_the_first_goes_on(own: Path, deployment: Store, oncall: Run, capsys: Output) -> None:
    deployment.leases.take(f"training {NAME}", "the-weekly-run", timedelta(hours=1))

    assert oncall("train") == 0

    assert "the-weekly-run is training already" in capsys.readouterr().out


def test_a_starter_training_leaves_while_another_training_goes_on(own: Path, deployment: Store, oncall: Run, capsys: Output) -> None:
    deployment.models.begin_training(NAME, "the-weekly-run", timedelta(hours=1))

    assert oncall("train", "--starter") == 0

    assert "nothing was trained\n  the-weekly-run is training already" in capsys.readouterr().out
    assert deployment.models.list(NAME) == []


def test_a_full_disk_fails_in_one_line_and_the_champion_stays(
    champion: str, deployment: Store, oncall: Run, monkeypatch: pytest.MonkeyPatch, capsys: Output
) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)

    assert oncall("train", "--starter") == 1

    assert capsys.readouterr().err.splitlines()[-1] == "oncall: [Errno 28] No space left on device"
    assert [model.version for model in deployment.models.champions(NAME)] == [champion]


# evaluate


def test_rules_models_and_the_ladder_are_measured_side_by_side(champion: str, labelled: Path, oncall: Run, capsys: Output) -> None:
    assert oncall("evaluate", "--data", str(labelled), "--format", "json") == 0

    told = capsys.readouterr()
    reports = json.loads(told.out)
    assert list(reports) == ["rules alone", "models alone", "ladder"]
    assert reports["ladder"]["rows"] == 3
    low, high = reports["ladder"]["intervals"]["accuracy_lenient"]
    assert low <= reports["ladder"]["accuracy_lenient"] <= high
    assert f"{labelled}: row 4, text: is missing; left out" in told.err


def test_a_measurement_for_people_has_the_intervals(champion: str, labelled: Path, oncall: Run, capsys: Output) -> None:
    assert oncall("evaluate", "--data", str(labelled)) == 0
    assert "3 rows in 3 groups, with 95 % intervals" in capsys.readouterr().out


def test_a_file_without_a_fit_row_is_not_evaluated(own: Path, tmp_path: Path, oncall: Run, capsys: Output) -> None:
    path = tmp_path / "nothing.jsonl"
    path.write_text('{"text": NaN, "category": "none"}\n', encoding="utf-8")

    assert oncall("evaluate", "--data", str(path)) == 1

    assert f"oncall: {path}: no row is fit to be evaluated" in capsys.readouterr().err


def test_evaluating_nothing_says_what_can_be_given(own: Path, oncall: Run, capsys: Output) -> None:
    assert oncall("evaluate") == 1
    assert "--data FILE" in capsys.readouterr().err


# evaluate --interactive


def test_a_typed_text_is_explained_and_the_right_answer_is_kept(
    champion: str, own: Path, oncall: Run, standard_input: Callable[[bytes], None], monkeypatch: pytest.MonkeyPatch, capsys: Output
) -> None:
    monkeypatch.setattr("getpass.getuser", lambda: "dana")
    standard_input(f"{LEDGER}\npassword=hunter22\n.\nmoon phase\nmissing data\nperhaps\nyes\n".encode())

    assert oncall("evaluate", "--interactive") == 0

    told = capsys.readouterr().out
    assert "no rule fires" in told
    assert "'moon phase'" in told
    assert "'perhaps'; it must be yes, no or empty" in told
    (row,) = (json.loads(line) for line in (own / "corpus" / "feedback.jsonl").read_text(encoding="utf-8").splitlines())
    assert (row["category"], row["transient"], row["origin"], row["about"]["by"]) == ("missing_data", True, "human", "dana")
    assert LEDGER in row["text"]
    assert "hunter22" not in row["text"]


def test_enter_agrees_with_the_diagnosis(champion: str, tmp_path: Path, oncall: Run, standard_input: Callable[[bytes], None]) -> None:
    standard_input(f"{HEAP}\n.\n\n\n".encode())
    answers = tmp_path / "answers.jsonl"

    assert oncall("evaluate", "--interactive", "--answers", str(answers)) == 0

    assert [json.loads(line)["category"] for line in answers.read_text(encoding="utf-8").splitlines()] == ["memory_exhaustion"]


@pytest.mark.parametrize("typed", ["", ".\n", f"{HEAP}\n", f"{HEAP}\n.\nq\n", f"{HEAP}\n.\ns\n"])
def test_nothing_is_kept_of_what_was_not_answered(
    champion: str, own: Path, oncall: Run, standard_input: Callable[[bytes], None], capsys: Output, typed: str
) -> None:
    standard_input(typed.encode())

    assert oncall("evaluate", "--interactive") == 0

    assert "0 right answers kept" in capsys.readouterr().out
    assert not (own / "corpus").exists()


# feedback


@pytest.fixture
def incident(deployment: Store) -> int:
    """Number of an incident."""
    found = deployment.intake.record(vendor_was_down)
    assert found
    return found


def test_feedback_is_kept_with_the_user(incident: int, deployment: Store, oncall: Run, capsys: Output) -> None:
    words = ("--category", "rate_limit", "--action-correct", "no", "--comment", "their limit, token=hunter22hunter22", "--user", "dana")
    assert oncall("feedback", str(incident), *words) == 0

    (label,) = deployment.reading.labels(incident)
    assert (label["name"], label["value"], label["given_by"]) == ("feedback", "rate_limit", "dana")
    assert label["detail"]["action_correct"] is False
    assert "hunter22" not in label["detail"]["comment"]
    assert "said by dana" in capsys.readouterr().out


def test_a_false_positive_is_no_incident(incident: int, deployment: Store, oncall: Run) -> None:
    assert oncall("feedback", str(incident), "--false-positive") == 0
    assert [label["value"] for label in deployment.reading.labels(incident)] == ["none"]


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        ((), "nothing is said"),
        (("--false-positive", "--category", "rate_limit"), "say one of the two"),
    ],
    ids=["empty", "contradiction"],
)
def test_feedback_that_says_nothing_clear_is_refused(
    incident: int, deployment: Store, oncall: Run, capsys: Output, words: tuple[str, ...], problem: str
) -> None:
    assert oncall("feedback", str(incident), *words) == 1
    assert problem in capsys.readouterr().err
    assert deployment.reading.labels(incident) == []


def test_feedback_on_an_unknown_incident_is_refused(deployment: Store, oncall: Run, capsys: Output) -> None:
    assert oncall("feedback", "7", "--false-positive") == 1
    assert "incident 7 is not in the store" in capsys.readouterr().err


def test_a_category_that_does_not_exist_is_a_wrong_usage(incident: int, oncall: Run, capsys: Output) -> None:
    assert oncall("feedback", str(incident), "--category", "moon_phase") == 2
    assert "moon_phase" in capsys.readouterr().err


# test-features


def test_the_features_of_a_text_are_shown_and_the_table_agrees_with_the_pickle(champion: str, oncall: Run, capsys: Output) -> None:
    assert oncall("test-features", "--text", HEAP, "--format", "json") == 0

    told = json.loads(capsys.readouterr().out)
    assert told["features"]["chain"] == ["java.lang.OutOfMemoryError"]
    assert "class:OutOfMemoryError" in told["tokens"]
    assert told["table"]["difference"] <= told["table"]["tolerance"]
    assert told["table"]["by_table"].keys() == told["table"]["by_pickle"].keys()


def test_features_for_people_name_the_version(champion: str, oncall: Run, standard_input: Callable[[bytes], None], capsys: Output) -> None:
    standard_input(HEAP.encode())

    assert oncall("test-features") == 0

    told = capsys.readouterr().out
    assert "innermost: java.lang.OutOfMemoryError: Java heap space" in told
    assert f"triage {champion}" in told


def test_an_altered_table_is_wrong(champion: str, oncall: Run, capsys: Output) -> None:
    path = Path(str(conf.models_path())) / NAME / champion / TABLE
    path.write_bytes(path.read_bytes()[:-1])

    assert oncall("test-features", "--text", HEAP) == 1

    assert "SHA-256" in capsys.readouterr().out


def test_without_a_champion_features_are_shown_all_the_same(own: Path, oncall: Run, capsys: Output) -> None:
    assert oncall("test-features", "--text", HEAP) == 0
    assert "no champion yet" in capsys.readouterr().out


def test_no_text_has_no_features(own: Path, oncall: Run, capsys: Output) -> None:
    assert oncall("test-features", "--text", " ") == 1
    assert "there is no text" in capsys.readouterr().err


def test_what_was_said_is_not_forgotten_when_a_user_has_no_name(monkeypatch: pytest.MonkeyPatch) -> None:
    def nameless() -> str:
        raise KeyError("getpwuid(): uid not found: 50000")

    monkeypatch.setattr("getpass.getuser", nameless)
    monkeypatch.setattr("os.getuid", lambda: 50000)

    assert terminal.this_user() == "50000"
