"""A promotion that waits for a person: ``oncall_train`` run by Airflow itself, answered through Airflow's own API."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.examples import few_examples
from tests.packaging.installation import ROOT, Installation

from airflow_oncall.training import NAME

ANSWERED = """
import faulthandler, json, os, sys, threading, time, traceback
from airflow.dag_processing.dagbag import DagBag

from fastapi.testclient import TestClient
from airflow.api_fastapi.app import create_app

faulthandler.dump_traceback_later(540, exit=True)  # a run that hangs says where
dags, answer = sys.argv[1:]
app = create_app(apps="core")  # before there are two threads, which may wait for each other while they import
dag = DagBag(dags, bundle_name="dags-folder").dags["oncall_train"]
asked = []

def person():
    with TestClient(app) as api:
        token = api.post("/auth/token", json={"username": "ada", "password": "secret"}).json()["access_token"]
        signed_in = {"Authorization": f"Bearer {token}"}
        until = time.monotonic() + 500
        while not asked and time.monotonic() < until:
            time.sleep(0.5)
            found = api.get("/api/v2/dags/oncall_train/dagRuns/~/hitlDetails", headers=signed_in, params={"response_received": "false"})
            asked.extend(found.json().get("hitl_details", ()))
        one = asked[0]["task_instance"]
        path = f"/api/v2/dags/oncall_train/dagRuns/{one['dag_run_id']}/taskInstances/approve/-1/hitlDetails"
        told = api.patch(path, headers=signed_in, json={"chosen_options": [answer], "params_input": {}})
        assert told.status_code == 200, told.text

def or_end():
    try:
        person()
    except BaseException:  # else the run would wait for ever
        print(traceback.format_exc(), file=sys.__stderr__, flush=True)
        os._exit(1)

threading.Thread(target=or_end, daemon=True).start()
run = dag.test()
ended = {one.task_id: {"state": str(one.state), "result": one.xcom_pull(task_ids=one.task_id)} for one in run.get_task_instances()}
print()
print(json.dumps({"asked": [asked[0]["subject"], asked[0]["body"]], **ended}, default=str))
"""
AUDITED = """
import json
from sqlalchemy import select
from airflow_oncall.store import open_store
from airflow_oncall.store.tables import audit

with open_store().engine.connect() as connection:
    print(json.dumps(connection.execute(select(audit.c.actor).where(audit.c.what == "promoted")).scalars().all()))
"""
Train = Callable[[str], dict[str, Any]]


@pytest.fixture
def somewhere(somewhere: Installation) -> Installation:
    """An AIRFLOW_HOME with an empty database and a user who answers questions; a training there takes its time."""
    (somewhere.home / "passwords.json").write_text(json.dumps({"ada": "secret"}))
    return replace(somewhere, patience=600)


@pytest.fixture
def settings(somewhere: Installation, tmp_path: Path) -> dict[str, str]:
    """What makes the training small and has it ask."""
    own = {
        "ONCALL__INCLUDE_PATH": _small_corpus(tmp_path / "include"),
        "ONCALL__MODELS_PATH": tmp_path / "models",
        "ONCALL__TRAIN_MIN_ROWS": 50,
        "ONCALL__TRAIN_APPROVAL": True,
        "CORE__DAGS_FOLDER": ROOT / "dags",
        "CORE__PLUGINS_FOLDER": ROOT / "plugins",
        "API_AUTH__JWT_SECRET": "a secret of this test and of nothing else",
        "CORE__SIMPLE_AUTH_MANAGER_USERS": "ada:admin",
        "CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": somewhere.home / "passwords.json",
    }
    return {f"AIRFLOW__{name}": str(value) for name, value in own.items()} | {"PYTHONPATH": str(ROOT / "plugins")}


def _small_corpus(folder: Path) -> Path:
    """An include folder whose corpus trains in a moment: its files take the place of the shipped ones."""
    (folder / "corpus").mkdir(parents=True)
    for shipped in (ROOT / "include" / "oncall" / "corpus").glob("*.jsonl"):
        (folder / "corpus" / shipped.name).touch()
    with (folder / "corpus" / "few.jsonl").open("w") as file:
        for one in few_examples():
            provenance = {"engine": "few", "scenario": one.group}
            row = {"text": one.text, "category": one.category, "transient": one.transient, "provenance": provenance}
            file.write(json.dumps(row) + "\n")
    return folder


@pytest.fixture
def train(somewhere: Installation, settings: dict[str, str]) -> Train:
    """Runs ``oncall_train``; a person gives this answer. How its tasks ended, and what they returned."""

    def run(answer: str) -> dict[str, Any]:
        done = somewhere.run("-c", ANSWERED, str(ROOT / "dags"), answer, **settings)
        assert done.returncode == 0, done.stderr
        ended: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
        return ended

    return run


@pytest.mark.slow
def test_an_approved_challenger_reigns_by_the_word_of_who_approved(
    train: Train, somewhere: Installation, settings: dict[str, str], tmp_path: Path
) -> None:
    ended = train("Approve")
    assert ended["asked"][0] == "Promote the newly trained model 0.1.0?"
    assert ended["asked"][1].startswith("It passed the gate: there is no champion")
    assert ended["promote"] == {"state": "success", "result": "0.1.0"}
    assert ended["report"]["result"]["promoted"] is True
    assert (tmp_path / "models" / NAME / "latest").read_text() == "0.1.0\n"
    audited = somewhere.run("-c", AUDITED, **settings)
    assert json.loads(audited.stdout.strip().splitlines()[-1]) == ["ada"], audited.stderr


@pytest.mark.slow
def test_a_rejected_challenger_does_not_reign_and_the_report_says_who_rejected_it(train: Train, tmp_path: Path) -> None:
    ended = train("Reject")
    assert {name: ended[name]["state"] for name in ("approve", "promote", "report")} == {
        "approve": "success",
        "promote": "skipped",
        "report": "success",
    }
    told = ended["report"]["result"]
    assert (told["version"], told["promoted"], told["reasons"][0]) == ("0.1.0", False, "rejected by ada")
    assert (tmp_path / "models" / NAME / "0.1.0" / "card.md").exists()
    assert not (tmp_path / "models" / NAME / "latest").exists()
