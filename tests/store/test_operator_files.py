"""A wrong file of an operator never comes into force."""

from __future__ import annotations

from pathlib import Path

import pytest

from airflow_oncall.act.policy import Policy
from airflow_oncall.conf import shipped_include
from airflow_oncall.datafile import parse
from airflow_oncall.errors import BadDataFile
from airflow_oncall.judgement import read_policy
from airflow_oncall.store.operator_files import OperatorFiles
from airflow_oncall.store.sql import Store

SHIPPED = (shipped_include() / "policy.yaml").read_text()


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The operator's own policy file, which is not there yet."""
    monkeypatch.setenv("AIRFLOW__ONCALL__INCLUDE_PATH", str(tmp_path))
    return tmp_path / "policy.yaml"


def hourly(policy: Policy) -> int:
    return policy.budgets.attempts_per_hour


def test_without_an_own_file_the_shipped_one_is_in_force(sqlite_store: Store, own: Path) -> None:
    assert read_policy(sqlite_store) == parse(Policy, "shipped", SHIPPED)


def test_the_own_file_comes_before_the_shipped_one(sqlite_store: Store, own: Path) -> None:
    own.write_text(SHIPPED.replace("attempts_per_hour: 100", "attempts_per_hour: 7"))
    assert hourly(read_policy(sqlite_store)) == 7


def test_the_last_good_file_stays_in_force_and_the_error_is_told(sqlite_store: Store, own: Path, caplog: pytest.LogCaptureFixture) -> None:
    own.write_text(SHIPPED.replace("attempts_per_hour: 100", "attempts_per_hour: 7"))
    read_policy(sqlite_store)
    own.write_text(SHIPPED.replace("attempts_per_hour: 100", "attempts_per_hour: many"))
    assert hourly(read_policy(sqlite_store)) == 7
    for part in (str(own), "line ", "budgets.attempts_per_hour", "'many'", "The last good version stays in force"):
        assert part in caplog.text


def test_a_mended_file_comes_into_force(sqlite_store: Store, own: Path) -> None:
    for hours in ("7", "many", "9"):
        own.write_text(SHIPPED.replace("attempts_per_hour: 100", f"attempts_per_hour: {hours}"))
        policy = read_policy(sqlite_store)
    assert hourly(policy) == 9


def test_a_file_that_was_never_good_leaves_the_shipped_one_in_force(
    sqlite_store: Store, own: Path, caplog: pytest.LogCaptureFixture
) -> None:
    own.write_text("version: [")
    assert hourly(read_policy(sqlite_store)) == 100
    assert "is in force" in caplog.text


def test_in_an_installed_wheel_a_wrong_file_falls_back_to_the_shipped_one_without_any_memory(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The wheel's own folder comes before that of an install from folders, which is not there."""
    own, wheel, nowhere = tmp_path / "own", tmp_path / "wheel", tmp_path / "nowhere"
    for folder, text in ((own, "version: ["), (wheel, SHIPPED)):
        folder.mkdir()
        (folder / "policy.yaml").write_text(text)
    files = OperatorFiles([own, wheel, nowhere])
    assert hourly(files.read("policy.yaml", lambda name, text: parse(Policy, name, text))) == 100
    assert "The shipped policy.yaml is in force" in caplog.text


@pytest.mark.parametrize("raw", [b"\xff\xfe\x00broken", b""], ids=["no UTF-8", "empty"])
def test_bytes_that_are_no_text_do_not_come_into_force(sqlite_store: Store, own: Path, raw: bytes) -> None:
    read_policy(sqlite_store)
    own.write_bytes(raw)
    assert hourly(read_policy(sqlite_store)) == 100


def test_a_file_that_is_nowhere_says_where_it_was_looked_for(sqlite_store: Store, tmp_path: Path) -> None:
    files = OperatorFiles([tmp_path / "a", tmp_path / "b"], sqlite_store.good_files)
    with pytest.raises(BadDataFile, match=r"policy\.yaml: not found in .*a, .*b; reinstall, or set \[oncall\] include_path"):
        files.read("policy.yaml", lambda name, text: parse(Policy, name, text))
