from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from sqlalchemy import select
from tests.cli.conftest import Run

from airflow_oncall import conf
from airflow_oncall.learn import registry
from airflow_oncall.store.engine import transaction
from airflow_oncall.store.sql import Store
from airflow_oncall.store.tables import audit
from airflow_oncall.training import NAME

Output = pytest.CaptureFixture[str]


@pytest.fixture
def three_models(deployment: Store) -> Path:
    """0.2.0 reigns after 0.1.0, 0.3.0 was never promoted. Gives their folder."""
    for number in (1, 2):
        registry.save_model(conf.models_path(), deployment.models, NAME, f"0.{number}.0", {"number": number}, {})
    registry.save_challenger(conf.models_path(), deployment.models, NAME, "0.3.0", {"number": 3}, {}, {"table.json": b"{}"})
    return Path(str(conf.models_path())) / NAME


def states(oncall: Run, capsys: Output) -> dict[str, str]:
    capsys.readouterr()
    assert oncall("models", "list", "--format", "json") == 0
    return {one["version"]: one["state"] for one in json.loads(capsys.readouterr().out)}


def test_models_are_listed_with_their_state(three_models: Path, oncall: Run, capsys: Output) -> None:
    assert states(oncall, capsys) == {"0.3.0": "not promoted", "0.2.0": "champion", "0.1.0": "predecessor"}


def test_a_list_for_people_counts_the_versions(three_models: Path, oncall: Run, capsys: Output) -> None:
    assert oncall("models", "list") == 0
    assert "3 version(s) of triage" in capsys.readouterr().out


def test_info_is_of_the_champion_unless_another_is_named(three_models: Path, oncall: Run, capsys: Output) -> None:
    assert oncall("models", "info") == 0
    assert "# triage 0.2.0" in capsys.readouterr().out
    assert oncall("models", "info", "0.1.0", "--format", "json") == 0
    assert json.loads(capsys.readouterr().out)["sha256"]


def test_info_without_a_champion_says_how_to_get_one(deployment: Store, oncall: Run, capsys: Output) -> None:
    assert oncall("models", "info") == 1
    assert "train --starter" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["info", "promote"])
def test_a_version_that_is_not_registered_is_refused(three_models: Path, oncall: Run, capsys: Output, command: str) -> None:
    assert oncall("models", command, "9.9.9") == 1
    assert "'9.9.9' is not registered; registered are: 0.3.0, 0.2.0, 0.1.0" in capsys.readouterr().err


def test_promoting_and_rolling_back_move_the_champion(three_models: Path, oncall: Run, capsys: Output) -> None:
    assert oncall("models", "promote", "0.3.0") == 0
    assert states(oncall, capsys)["0.3.0"] == "champion"
    assert oncall("models", "rollback", "--reason", "it escalates everything") == 0
    assert states(oncall, capsys) == {"0.3.0": "rolled back", "0.2.0": "champion", "0.1.0": "predecessor"}


def test_the_last_champion_cannot_be_rolled_back(deployment: Store, oncall: Run, capsys: Output) -> None:
    registry.save_model(conf.models_path(), deployment.models, NAME, "0.1.0", {}, {})

    assert oncall("models", "rollback") == 1

    assert "no predecessor" in capsys.readouterr().err


@pytest.mark.parametrize("content", [b"", b"altered"], ids=["truncated", "altered"])
def test_a_file_that_is_not_the_registered_one_is_found_and_never_promoted(
    three_models: Path, oncall: Run, capsys: Output, content: bytes
) -> None:
    (three_models / "0.3.0" / "model.joblib").write_bytes(content)

    assert oncall("models", "verify") == 1
    told = capsys.readouterr().out
    assert "wrong  triage 0.3.0" in told
    assert "ok     triage 0.2.0" in told
    assert oncall("models", "promote", "0.3.0") == 1
    assert "SHA-256" in capsys.readouterr().err


def test_sound_models_verify(three_models: Path, oncall: Run, capsys: Output) -> None:
    assert oncall("models", "verify", "--format", "json") == 0
    assert all(one["ok"] for one in json.loads(capsys.readouterr().out))


def test_a_model_of_another_scikit_learn_does_not_become_champion(
    three_models: Path, oncall: Run, monkeypatch: pytest.MonkeyPatch, capsys: Output
) -> None:
    monkeypatch.setattr(registry, "LIBRARY", "scikit-learn 99.0")

    assert oncall("models", "promote", "0.3.0") == 1

    assert "trained with" in capsys.readouterr().err
    assert states(oncall, capsys)["0.2.0"] == "champion"


def test_an_exported_version_can_be_put_back(three_models: Path, tmp_path: Path, oncall: Run, capsys: Output) -> None:
    archive = tmp_path / "backup.zip"
    assert oncall("models", "export", "0.3.0", str(archive)) == 0
    for file in (three_models / "0.3.0").iterdir():
        file.unlink()
    assert oncall("models", "verify") == 1

    assert oncall("models", "import", str(archive)) == 0
    assert oncall("models", "verify") == 0


def test_a_model_of_another_store_is_never_taken(three_models: Path, tmp_path: Path, oncall: Run, capsys: Output) -> None:
    archive = tmp_path / "foreign.zip"
    with zipfile.ZipFile(archive, "w") as packed:
        packed.writestr(registry.MANIFEST, json.dumps({"name": NAME, "version": "7.0.0"}))
        packed.writestr("model.joblib", b"anything")

    assert oncall("models", "import", str(archive)) == 1

    assert "a pickle from elsewhere is never trusted" in capsys.readouterr().err


def test_what_is_no_archive_is_refused(deployment: Store, tmp_path: Path, oncall: Run, capsys: Output) -> None:
    (tmp_path / "holiday.zip").write_bytes(b"not a zip")
    assert oncall("models", "import", str(tmp_path / "holiday.zip")) == 1
    assert "not an archive of `airflow oncall models export`" in capsys.readouterr().err


def test_who_promoted_and_why_stands_in_the_audit_log(
    three_models: Path, deployment: Store, oncall: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("airflow_oncall.cli.models.this_user", lambda: "dana")

    oncall("models", "promote", "0.3.0", "--reason", "the new ledger jobs")

    with transaction(deployment.engine, reading=True) as connection:
        newest = connection.execute(select(audit).order_by(audit.c.id.desc()).limit(1)).one()
    assert (newest.actor, newest.what, newest.detail["reason"]) == ("dana", "promoted", "the new ledger jobs")


@pytest.mark.parametrize("logs", ["spare", None], ids=["another folder", "the usual one"])
def test_an_answer_for_programs_is_json_also_where_airflow_cannot_write_its_home(tmp_path: Path, logs: str | None) -> None:
    (tmp_path / "logs").write_text("not a folder")
    (tmp_path / "data.jsonl").write_text('{"text": "worker lost", "category": "infrastructure_failure"}\n')
    spare = {"AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(tmp_path / logs)} if logs else {}
    environment = os.environ | spare | {"AIRFLOW_HOME": str(tmp_path), "PYTHONPATH": os.pathsep.join(part for part in sys.path if part)}
    command = [sys.executable, "-m", "airflow_oncall", "validate-data", str(tmp_path / "data.jsonl"), "--format", "json"]
    told = subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout
    before, brace, answer = told.partition("{\n")
    assert json.loads(brace + answer)["fit"] == 1
    if logs:
        assert before == ""
    else:
        assert len(before.splitlines()) <= 1, "Airflow's own warning, which comes before any command begins"
