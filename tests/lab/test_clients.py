"""The lab's clients engine, live: what real clients say to servers that misbehave is still what the scenarios promise."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from lab.engines.clients import ClientsEngine
from lab.record import recordings
from lab.scenario import Scenario, read_scenarios


@pytest.fixture(scope="module")
def engine() -> Iterator[ClientsEngine]:
    with ClientsEngine() as started:
        yield started


@pytest.fixture(scope="module")
def scenarios() -> dict[str, Scenario]:
    return {scenario.id: scenario for scenario in read_scenarios("clients")}


@pytest.mark.parametrize(
    ("name", "says"), [("socket-unreachable", "OSError"), ("urllib-certificate-expired", "URLError"), ("ftp-530", "error_perm")]
)
def test_a_fault_that_is_provoked_again_shows_itself_again(
    engine: ClientsEngine, scenarios: dict[str, Scenario], name: str, says: str
) -> None:
    scenario = scenarios[name]
    (recording,) = recordings(engine, scenario, scenario.variations[0])
    assert recording.exit_code == 1
    assert any(says in one.kind for one in recording.raised)
