"""A deployment of its own: nothing of the user's Airflow gets in, and what dies is named at once."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from demo.deployment import Deployment, DeploymentError


@pytest.fixture
def deployment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Deployment:
    """Not started; its bundles are ``demo`` and ``mine``."""
    monkeypatch.setenv("AIRFLOW__CORE__EXECUTOR", "CeleryExecutor")
    monkeypatch.setenv("AIRFLOW_CONN_ONCALL_DB", "postgresql://production")
    return Deployment(tmp_path, bundles={"demo": tmp_path / "dags", "mine": tmp_path / "more"}, env={"AIRFLOW__ONCALL__MODE": "auto"})


def test_settings_of_the_users_own_airflow_stay_out(deployment: Deployment) -> None:
    assert deployment.env["AIRFLOW__CORE__EXECUTOR"] == "LocalExecutor"
    assert "AIRFLOW_CONN_ONCALL_DB" not in deployment.env


def test_every_bundle_is_listed(deployment: Deployment) -> None:
    listing = json.loads(deployment.env["AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST"])

    assert [bundle["name"] for bundle in listing] == ["demo", "mine"]


def test_extra_environment_wins(deployment: Deployment) -> None:
    assert deployment.env["AIRFLOW__ONCALL__MODE"] == "auto"


def test_the_product_reaches_airflow_as_its_own_user(deployment: Deployment) -> None:
    connection = json.loads(deployment.env["AIRFLOW_CONN_ONCALL_AIRFLOW"])

    assert (connection["login"], connection["port"]) == ("oncall", deployment.port)


def test_a_database_that_cannot_be_made_is_reported_with_the_log(tmp_path: Path) -> None:
    broken = Deployment(tmp_path, bundles={}, env={"AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": "sqlite:////dev/null/airflow.db"})

    with pytest.raises(DeploymentError, match=r"(?s)`airflow db migrate` failed:.*unable to open database file"):
        broken.start()
