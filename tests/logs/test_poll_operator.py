"""``PollLogsOperator``: one poll, or one after another with waits that take no worker."""

from __future__ import annotations

import sys
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk.exceptions import TaskDeferred

from airflow_oncall.capture.logs import operator
from airflow_oncall.capture.logs.configured import Configured, usable_sources
from airflow_oncall.capture.logs.operator import PollLogsOperator
from airflow_oncall.capture.logs.polling import PollResult
from airflow_oncall.capture.logs.source import SourceFailed
from airflow_oncall.store.sql import Store

MINUTE = timedelta(minutes=1)
SOURCES = (
    "sources:\n  - {name: gateway, kind: files, path: /var/log/gateway.log}\n  - {name: loader, kind: fiels, path: /var/log/loader.log}\n"
)


@pytest.fixture
def sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """``sources.yaml`` with one good entry and one with a slip."""
    monkeypatch.setenv("AIRFLOW__ONCALL__INCLUDE_PATH", str(tmp_path))
    (tmp_path / "sources.yaml").write_text(SOURCES)
    return tmp_path / "sources.yaml"


@pytest.fixture
def polled(sources: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the sources that were polled."""
    names = list[str]()

    def poll(configured: Configured) -> PollResult:
        names.append(configured.name)
        return PollResult(configured.name, records=len(names))

    monkeypatch.setattr(operator, "poll_source", poll)
    return names


def task(**settings: Any) -> PollLogsOperator:
    return PollLogsOperator(**{"task_id": "poll", "source": "gateway", **settings})


def test_one_poll_is_told_as_its_xcom(polled: list[str]) -> None:
    told = task().execute({})
    assert (told["source"], told["records"], told["is_done"]) == ("gateway", 1, True)
    assert polled == ["gateway"]


def test_with_every_it_waits_in_the_triggerer_and_polls_again_until_its_time_is_over(polled: list[str]) -> None:
    often = task(every=MINUTE, lasting=timedelta(hours=1))
    with pytest.raises(TaskDeferred) as first:
        often.execute({})
    assert first.value.method_name == "resume"
    assert first.value.kwargs is not None
    until = first.value.kwargs["until"]
    left = datetime.fromisoformat(until) - datetime.now(timezone.utc)
    assert timedelta(minutes=58) < left <= timedelta(hours=1)

    with pytest.raises(TaskDeferred) as second:
        often.resume({}, event=None, until=until)
    assert second.value.kwargs == {"until": until}  # the end stays where it was
    assert often.resume({}, event=None, until=(datetime.now(timezone.utc) + MINUTE / 2).isoformat())["records"] == 3
    assert polled == ["gateway"] * 3


def test_the_wait_is_as_long_as_every_says(polled: list[str]) -> None:
    with pytest.raises(TaskDeferred) as deferred:
        task(every=MINUTE).execute({})
    moment = deferred.value.trigger.serialize()[1]["moment"]
    assert abs(moment - datetime.now(timezone.utc) - MINUTE) < timedelta(seconds=30)


def test_a_wrong_entry_is_one_incident_and_the_others_are_polled(
    polled: list[str], sqlite_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("airflow_oncall.store.open_store", lambda **_: sqlite_store)
    told = [task(source="loader").execute({}) for _ in range(2)]
    assert [one["incidents"] for one in told] == [1, 0]
    assert "'fiels' is no kind of source" in told[0]["problems"][0]
    (incident,) = sqlite_store.reading.incidents()
    (event,) = sqlite_store.logs.events(incident.id)
    assert (event.source, event.signature) == ("loader", "source-unreadable")
    assert "entry 2" in event.text
    assert polled == []
    task().execute({})
    assert polled == ["gateway"]


def test_a_source_that_cannot_be_built_is_one_incident_and_fails_the_task(
    sources: Path, sqlite_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("airflow_oncall.store.open_store", lambda **_: sqlite_store)
    monkeypatch.setattr("airflow_oncall.rest.open_api", lambda: None)
    monkeypatch.setitem(sys.modules, "hyperscan", None)
    sources.write_text(SOURCES.replace("gateway.log", "gateway.log, engine: fast"))
    for _ in range(2):
        with pytest.raises(SourceFailed, match="needs hyperscan"):
            task().execute({})
    (incident,) = sqlite_store.reading.incidents()
    (event,) = sqlite_store.logs.events(incident.id)
    assert (event.source, event.signature) == ("gateway", "source-unreadable")
    assert "pip install 'airflow-oncall[fast]'" in event.text


def test_of_two_entries_of_one_name_the_first_is_polled_and_the_second_told(sources: Path, polled: list[str]) -> None:
    sources.write_text(SOURCES.replace("loader, kind: fiels", "gateway, kind: files"))
    task().execute({})
    assert polled == ["gateway"]
    _, (wrong,) = usable_sources()
    assert wrong.name.startswith("sources.yaml-")
    assert "another source is called 'gateway'" in wrong.problem
