from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from airflow.sdk import BaseNotifier
from sqlalchemy import text
from tests.cli.conftest import Run
from tests.simulated_airflow import SimulatedAirflow
from tests.simulated_world import Dag
from tests.tick.scene import airflow, sign_in

from airflow_oncall import conf
from airflow_oncall.cli import doctor
from airflow_oncall.cli.doctor import Finding, Patient, examine
from airflow_oncall.incident import OWN_DAG_IDS
from airflow_oncall.learn.registry import save_model
from airflow_oncall.learn.starter import NAME
from airflow_oncall.store.sql import Store

__all__ = ["airflow"]

Check = Callable[[Patient], str]


class LockedOut(BaseNotifier):
    """A notifier that cannot be made."""

    def __init__(self) -> None:
        raise RuntimeError("vault is sealed, token hunter22")

    def notify(self, context: object) -> None:
        """Never reached."""


def finding(check: Check) -> Finding:
    (found,) = examine((check,))
    return found


def operators(home: Path, name: str, content: bytes) -> Path:
    file = home / "include" / "oncall" / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)
    return file


FILES = [
    (doctor.policy, "policy.yaml"),
    (doctor.rules, "rules/mine.yaml"),
    (doctor.sources, "sources.yaml"),
    (doctor.signatures, "signatures/site.yaml"),
]


@pytest.mark.parametrize(("check", "name"), FILES, ids=[name for _, name in FILES])
@pytest.mark.parametrize("content", [b"\xff\xfe", b"- ["], ids=["not UTF-8", "not YAML"])
def test_an_unusable_file_is_named_with_the_way_out(deployment: Store, home: Path, check: Check, name: str, content: bytes) -> None:
    file = operators(home, name, content)

    found = finding(check)

    assert not found.ok
    assert str(file) in found.text
    assert "mend the file" in found.mend


def test_a_rule_file_that_cannot_be_read_is_named(deployment: Store, home: Path) -> None:
    folder = home / "include" / "oncall" / "rules" / "mine.yaml"
    folder.mkdir(parents=True)

    found = finding(doctor.rules)

    assert not found.ok
    assert str(folder) in found.text


@pytest.mark.parametrize("check", [check for check, _ in FILES])
def test_what_is_shipped_is_sound(deployment: Store, check: Check) -> None:
    assert finding(check).ok


def test_the_shipped_example_of_sources_is_one_that_is_taken(deployment: Store, home: Path) -> None:
    shipped = (conf.shipped_include() / "sources.yaml").read_text()
    example = [line.removeprefix("# ") for line in shipped.splitlines() if line.startswith(("# sources", "#   "))]
    operators(home, "sources.yaml", "\n".join(example).encode())
    assert finding(doctor.sources).text.startswith("6 log sources: spark (spark_events), orders-db (postgres_files)")


def test_a_notifier_that_cannot_be_made_is_a_finding_and_keeps_its_secret(deployment: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    classpath = f"{__name__}.LockedOut"
    monkeypatch.setattr(conf, "escalation_notifiers", lambda: [{"classpath": classpath}])

    found = finding(doctor.notifiers)

    assert not found.ok
    assert f"{classpath} failed with RuntimeError" in found.text
    assert "hunter22" not in found.text + found.mend
    assert found.mend


def test_notifiers_of_routes_are_tried_too(deployment: Store, home: Path) -> None:
    shipped = (conf.shipped_include() / "policy.yaml").read_text()
    operators(home, "policy.yaml", f"{shipped}routes: {{sales: [{{classpath: {__name__}.LockedOut}}]}}\n".encode())

    found = finding(doctor.notifiers)

    assert not found.ok
    assert f"{__name__}.LockedOut failed with RuntimeError" in found.text


def test_looking_at_the_model_trains_none(deployment: Store, home: Path) -> None:
    found = finding(doctor.model)

    assert found.ok
    assert "the first triage run trains the starter model" in found.text
    assert deployment.models.champions(NAME) == []
    assert not (home / "models").exists()


def test_a_registered_model_that_is_refused_is_wrong(deployment: Store, home: Path) -> None:
    save_model(conf.models_path(), deployment.models, NAME, "1", {"number": 1}, {})
    assert finding(doctor.model) == Finding("model", True, "triage 1")

    (conf.models_path() / NAME / "1" / "model.joblib").write_bytes(b"altered")

    found = finding(doctor.model)
    assert not found.ok
    assert found.mend
    assert len(deployment.models.champions(NAME)) == 1


@pytest.fixture
def signed_in(airflow: SimulatedAirflow, monkeypatch: pytest.MonkeyPatch) -> SimulatedAirflow:
    """An Airflow that the doctor reaches."""
    monkeypatch.setattr(doctor, "open_api", lambda: sign_in(airflow.url))
    return airflow


def test_tables_of_a_newer_version_need_newer_code_and_not_an_upgrade(deployment: Store) -> None:
    with deployment.engine.begin() as connection:
        connection.execute(text("UPDATE oncall_alembic_version SET version_num = '9999'"))
    found = finding(doctor.store)
    assert (found.ok, "revision 9999" in found.text) == (False, True)
    assert "db upgrade" not in found.mend
    assert "install the version" in found.mend


def test_every_dag_of_ours_has_to_be_loaded_and_unpaused(signed_in: SimulatedAirflow) -> None:
    for dag_id in OWN_DAG_IDS - {"oncall_poll"}:
        signed_in.dags[dag_id] = Dag()
    assert "oncall_poll is not loaded" in finding(doctor.dags).text
    signed_in.dags["oncall_poll"] = Dag(is_paused=True)
    assert "airflow dags unpause oncall_poll" in finding(doctor.dags).mend
    signed_in.dags["oncall_poll"] = Dag()
    assert finding(doctor.dags).ok


def test_a_role_that_could_not_be_checked_is_not_called_sound(signed_in: SimulatedAirflow) -> None:
    found = finding(doctor.rest)

    assert not found.ok
    assert "oncall_triage is not loaded" in found.text
    assert found.mend


def test_a_user_who_may_clear_is_sound(signed_in: SimulatedAirflow) -> None:
    signed_in.dags["oncall_triage"] = Dag()

    assert "may clear task instances" in finding(doctor.rest).text


def test_a_plugin_that_is_loaded_twice_is_wrong(signed_in: SimulatedAirflow) -> None:
    signed_in.plugins[:] = ["oncall", "oncall"]

    found = finding(doctor.plugin)

    assert not found.ok
    assert found.mend


def test_a_wrong_setting_says_where_to_mend_it(deployment: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conf, "_raw", lambda _: "sometimes")

    found = finding(doctor.settings)

    assert not found.ok
    assert "airflow.cfg" in found.mend


WRONG_VALUES = {
    "llm_per_day": "many",
    "train_min_rows": "x",
    "rollback_margin": "9",
    "spool_max_mb": "-1",
    "ignore_dags": "(",
    "policy_hook": "perhaps",
    "metrics_public": "",
}


def test_every_value_that_cannot_be_used_is_named(deployment: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    assert finding(doctor.settings).ok
    for name, value in WRONG_VALUES.items():
        monkeypatch.setenv(f"AIRFLOW__ONCALL__{name.upper()}", value)

    found = finding(doctor.settings)

    assert not found.ok
    for name, value in WRONG_VALUES.items():
        assert f"[oncall] {name} has value {value!r}" in found.text


def test_a_sick_installation_is_listed_line_by_line_and_ends_with_1(
    deployment: Store, oncall: Run, signed_in: SimulatedAirflow, capsys: pytest.CaptureFixture[str]
) -> None:
    assert oncall("doctor") == 1

    lines = capsys.readouterr().out.splitlines()
    assert f"ok     [oncall] settings: {len(conf.OPTIONS)} options, every value can be used" in lines
    assert any(line.startswith("ok     incident store: sqlite:///") for line in lines)
    assert any(line.startswith("wrong  REST API: ") for line in lines)
    assert any(line.startswith("       -> ") for line in lines)
