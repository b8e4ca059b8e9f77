"""The registry's rows: one champion at every moment, whoever promotes and whatever the clocks say."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import text
from tests.databases import Databases

from airflow_oncall.errors import ChampionChanged, StoreError, VersionTaken
from airflow_oncall.incident import ModelVersion
from airflow_oncall.store import schema
from airflow_oncall.store.engine import engine_for, transaction
from airflow_oncall.store.sql import Store

NOW = datetime(2026, 11, 21, tzinfo=timezone.utc)


def model(version: str, digest: str = "a", **changes: object) -> ModelVersion:
    path = f"triage/{version}/model.joblib"
    return ModelVersion("triage", version, path, digest, "scikit-learn 1", NOW, **changes)  # type: ignore[arg-type]


@pytest.fixture
def two(store: Store) -> Store:
    """0.1.0 was promoted, then 0.2.0."""
    for version in ("0.1.0", "0.2.0"):
        store.models.register(model(version))
        store.models.promote("triage", version)
    return store


def reigning(store: Store) -> str:
    return store.models.champions("triage")[0].version


def test_the_last_promoted_reigns_and_its_predecessors_follow(two: Store) -> None:
    assert [one.version for one in two.models.champions("triage")] == ["0.2.0", "0.1.0"]


def test_a_registered_version_is_no_champion(two: Store) -> None:
    two.models.register(model("0.3.0"))
    assert reigning(two) == "0.2.0"
    assert [one.version for one in two.models.list("triage")] == ["0.3.0", "0.2.0", "0.1.0"]
    assert two.models.get("triage", "0.3.0") is not None
    assert two.models.get("triage", "9.9.9") is None
    assert two.models.list("another") == []


def test_a_version_has_one_hash_for_ever(two: Store) -> None:
    two.models.register(model("0.2.0", "a"))
    with pytest.raises(VersionTaken, match=r"triage 0\.2\.0 is registered with hash a"):
        two.models.register(model("0.2.0", "b"))


def test_figures_are_added_and_hashes_stay(two: Store) -> None:
    two.models.describe("triage", "0.2.0", {"rows": 7}, {"card.md": "c"})
    two.models.describe("triage", "0.2.0", {"f1": 0.9}, {"card.md": "forged", "table.json": "t"})
    found = two.models.get("triage", "0.2.0")
    assert found is not None
    assert found.metrics == {"rows": 7, "f1": 0.9}
    assert found.files == {"card.md": "c", "table.json": "t"}


def test_a_promotion_wins_although_another_machines_clock_was_ahead(two: Store) -> None:
    two.models.register(model("0.3.0", promoted_at=datetime.now(timezone.utc) + timedelta(days=2)))
    assert reigning(two) == "0.3.0"
    two.models.promote("triage", "0.1.0")
    assert reigning(two) == "0.1.0"


def test_a_challenger_measured_against_a_former_champion_is_not_promoted(two: Store) -> None:
    two.models.register(model("0.3.0"))
    with pytest.raises(ChampionChanged, match=r"measured against 0\.1\.0, now 0\.2\.0 reigns"):
        two.models.promote("triage", "0.3.0", instead_of="0.1.0")
    with pytest.raises(ChampionChanged, match="measured against no champion"):
        two.models.promote("triage", "0.3.0", instead_of="")
    assert reigning(two) == "0.2.0"
    two.models.promote("triage", "0.3.0", instead_of="0.2.0")
    assert reigning(two) == "0.3.0"


def test_a_withdrawn_champion_gives_way_to_its_predecessor(two: Store) -> None:
    two.models.withdraw("triage", "0.2.0", actor="ada", reason="it cleared too much")
    assert [one.version for one in two.models.champions("triage")] == ["0.1.0"]
    with pytest.raises(ChampionChanged, match="does not reign"):
        two.models.withdraw("triage", "0.2.0")
    two.models.promote("triage", "0.2.0")
    assert reigning(two) == "0.2.0"


def test_who_promoted_and_why_is_kept(two: Store) -> None:
    two.models.promote("triage", "0.1.0", actor="ada", reason="known good")
    with two.engine.connect() as connection:
        actor, detail = connection.execute(text("SELECT actor, detail FROM oncall_audit ORDER BY id DESC LIMIT 1")).one()
    assert actor == "ada"
    assert "known good" in str(detail)


def test_what_is_not_registered_cannot_reign(two: Store) -> None:
    with pytest.raises(StoreError, match=r"'9\.9\.9' is not registered"):
        two.models.promote("triage", "9.9.9")
    with pytest.raises(StoreError, match=r"'9\.9\.9' is not registered"):
        two.models.describe("triage", "9.9.9", {}, {})


@pytest.mark.parametrize("kind", ["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def test_a_store_of_the_first_schema_keeps_its_champion(databases: Databases, kind: str) -> None:
    engine = engine_for(databases.create(kind), 30.0)
    config = Config()
    config.set_main_option("script_location", str(Path(schema.__file__).parent / "migrations"))
    with transaction(engine) as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        connection.execute(
            text(
                "INSERT INTO oncall_model_versions (name, version, path, sha256, library, trained_at, promoted_at, metrics) "
                "VALUES ('triage', '0.1.0', 'triage/0.1.0/model.joblib', 'a', 's', '2026-11-20 00:00:00+00:00', "
                "'2026-11-20 00:00:00+00:00', '{}')"
            )
        )
    schema.upgrade(engine)
    (champion,) = Store.over(engine, "w").models.champions("triage")
    assert (champion.version, champion.files, champion.withdrawn_at) == ("0.1.0", {}, None)
    engine.dispose()
