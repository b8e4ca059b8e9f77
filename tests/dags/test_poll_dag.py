"""``oncall_poll``: one mapped task for each source, in its pool, and nothing at all where no source is configured."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from airflow.dag_processing.dagbag import DagBag
from tests.packaging.installation import ROOT

SOURCES = """
sources:
  - {name: gateway, kind: files, path: /var/log/gateway/*.log, timeout: 30}
  - {name: orders-db, kind: files, path: /var/log/orders/*.log, pool: slow_disks, timeout: 200}
  - {name: loader, kind: files, path: /var/log/loader/*.log}
"""


@pytest.fixture
def include(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The operator's include folder."""
    monkeypatch.setenv("AIRFLOW__ONCALL__INCLUDE_PATH", str(tmp_path))
    return tmp_path


def read() -> DagBag:
    return DagBag(str(ROOT / "dags" / "oncall_poll.py"), bundle_path=ROOT / "dags", bundle_name="oncall")


def test_without_sources_it_is_not_scheduled(include: Path) -> None:
    poll: Any = read().dags["oncall_poll"]
    assert (poll.schedule, poll.tasks) == (None, [])


def test_every_source_is_a_map_index_of_the_task_of_its_pool(include: Path) -> None:
    (include / "sources.yaml").write_text(SOURCES)
    poll: Any = read().dags["oncall_poll"]
    tasks = {task.task_id: task for task in poll.tasks}
    assert {name: task.expand_input.value["source"] for name, task in tasks.items()} == {
        "poll": ["gateway", "loader"],
        "poll_slow_disks": ["orders-db"],
    }
    assert {name: task.pool for name, task in tasks.items()} == {"poll": "default_pool", "poll_slow_disks": "slow_disks"}
    assert poll.timetable.expression == "* * * * *"


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("kind: files", "kind: tea_leaves", "tea_leaves"),
        ("timeout: 30", "timeout: -1", "timeout"),
        ("name: loader", "name: gateway", "another source is called 'gateway'"),
        ("path: /var/log/gateway/*.log", "paht: /var/log", "paht"),
    ],
)
def test_a_wrong_entry_is_told_and_the_sources_around_it_are_polled(
    include: Path, caplog: pytest.LogCaptureFixture, old: str, new: str, problem: str
) -> None:
    (include / "sources.yaml").write_text(SOURCES.replace(old, new, 1))
    bag = read()
    assert bag.import_errors == {}
    poll: Any = bag.dags["oncall_poll"]
    tasks = {task.task_id: task.expand_input.value["source"] for task in poll.tasks}
    assert tasks["poll_slow_disks"] == ["orders-db"]
    assert len(tasks["poll"]) == 2  # the wrong one is polled too, which reports it
    assert problem in caplog.text
    assert "sources.yaml" in caplog.text


def test_a_file_that_is_no_yaml_is_one_source_that_cannot_be_read(include: Path) -> None:
    (include / "sources.yaml").write_text("sources: [")
    bag = read()
    assert bag.import_errors == {}
    poll: Any = bag.dags["oncall_poll"]
    (task,) = poll.tasks
    (name,) = task.expand_input.value["source"]
    assert name.startswith("sources.yaml-")
