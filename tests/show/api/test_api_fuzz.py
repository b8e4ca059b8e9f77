"""Whatever is sent that the description allows, or nearly allows: never a server error, and always an answer that is described."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import cycle
from typing import Any
from urllib.parse import urlsplit

import pytest
import schemathesis
from hypothesis import HealthCheck, assume, given, settings
from hypothesis.errors import Unsatisfiable
from hypothesis.strategies import integers
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import content_type_conformance, response_schema_conformance, status_code_conformance
from tests.databases import Databases, fresh_store
from tests.show.api.client import Api
from tests.show.api.story import SHARD, Story
from tests.ui import learned as trained
from tests.ui.learned import drawn, learned, watched

from airflow_oncall.incident import Incident, OutcomeKind, TaskRef
from airflow_oncall.knowledge.book import Book
from airflow_oncall.knowledge.entry import read_entry

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
EXAMPLES = 12
"""Of each route and way of making them."""
LONGEST_ADDRESS = 65_536
"""What uvicorn's parser takes."""
ENTRIES = tuple(f"entry-{number}" for number in range(EXAMPLES))
TAKEN_OUT = tuple(f"old-{number}" for number in range(EXAMPLES))
"""Entries that are deleted, so that the others stay for the other routes."""
VERSIONS = tuple(trained.VERSIONS)
TRUE: dict[str, Any] = {
    "expected_version": 1,
    "category": "network_timeout",
    "fingerprint": "vendor-503",
    "pattern": "503",
    "actions": ["clear_task"],
    "confidence": 0.5,
    "runbook": "https://wiki.example/503",
    "tags": ["vendor"],
    "parent": "",
    "name": "another",
    "category_correct": True,
    "action_correct": None,
    "false_positive": False,
}
"""What fields of a body may hold that is not refused."""


@dataclass
class Fuzzed:
    """The API's description, and what is there: what is made up at random would be answered 404 by whatever has an id."""

    schema: Any
    incidents: list[Incident]
    storms: list[int]
    deletable: list[str] = field(default_factory=lambda: list(TAKEN_OUT))
    """Entries that no request has named yet: a second deletion of one is answered 404."""

    def meant(self, case: schemathesis.Case[Any], place: int) -> None:
        """Have a request name something that is there, and say nothing of it that a stale page or a slip would say."""
        incident = self.incidents[place % len(self.incidents)]
        model = {"name": "triage", "version": VERSIONS[place % len(VERSIONS)]}
        there = {
            "incident_id": incident.id,
            "storm_id": self.storms[place % len(self.storms)],
            **(model if "/models/" in case.operation.path else {"name": ENTRIES[place]}),
        }
        if case.method == "DELETE" and self.deletable:
            there["name"] = self.deletable.pop()
        case.path_parameters.update({name: there[name] for name in case.path_parameters})
        true = TRUE | {"expected_updated_at": incident.updated_at.isoformat()}
        for said in (case.body, case.query):
            if isinstance(said, dict):
                said.update({name: true[name] for name in said if name in true})


@pytest.fixture
def fuzzed(server: Api, databases: Databases) -> Iterator[Fuzzed]:
    """Over a store with something in it of all that the API shows."""
    for store in fresh_store(databases, "sqlite"):
        story = Story(store)
        happened(story)
        server.use(store)
        found = list(store.reading.incidents())
        storms = sorted({one.storm_id for one in found if one.storm_id})
        yield Fuzzed(schemathesis.openapi.from_dict(server.ours.openapi()), found, storms)
        server.use(None)


def happened(story: Story) -> None:
    """Incidents in every state that a test of the API can bring about, storms, models, an experiment, knowledge."""
    for number in range(EXAMPLES):
        story.asked(TaskRef("nightly", f"run-{number}", "load_orders"))
    story.ended(story.asked(), OutcomeKind.SUCCESS, minutes=5)
    story.storm([SHARD])
    story.engine_logged()
    story.file_broke()
    learned(story)
    watched(story, 1)
    drawn(story, 1)
    book = Book(story.store, "ada")
    entries = [read_entry({"name": name, "category": "network_timeout", "pattern": "503"}) for name in ENTRIES + TAKEN_OUT]
    book.propose(entries[:4])
    for entry in entries[4:]:
        book.add(entry)


def reaches_the_api(url: str) -> bool:
    """Whether neither the server refuses it, being too long, nor Airflow answers it: nothing is mounted at a path with a line break."""
    return len(url) < LONGEST_ADDRESS and "%0A" not in urlsplit(url).path


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE], ids=lambda mode: mode.value)
def test_no_request_breaks_the_server(fuzzed: Fuzzed, server: Api, mode: GenerationMode) -> None:
    base_url, headers = f"{str(server.client.base_url).rstrip('/')}/oncall", {"Authorization": f"Bearer {server.token('ada')}"}
    answers, is_meant = defaultdict[str, Counter[int]](Counter), cycle((True, False))  # not drawn: few of few draws may be
    for found in fuzzed.schema.get_all_operations():
        operation = found.ok()

        @settings(max_examples=EXAMPLES, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
        @given(case=operation.as_strategy(generation_mode=mode), place=integers(0, EXAMPLES - 1))
        def answers_as_described(case: schemathesis.Case[Any], place: int) -> None:
            if next(is_meant):
                fuzzed.meant(case, place)
            answer = case.call(base_url=base_url, headers=headers, timeout=60)
            assume(reaches_the_api(answer.request.url or ""))
            answers[case.operation.label][answer.status_code] += 1
            case.validate_response(answer, checks=CHECKS)

        try:
            answers_as_described()
        except Unsatisfiable:  # nothing about this route can be said wrongly
            assert mode is GenerationMode.NEGATIVE
            continue
    assert len(answers) > 15
    # An answer 404 tells nothing of what a route does, so at most three in four are.
    assert [route for route, statuses in answers.items() if statuses[404] > 0.75 * statuses.total()] == []
    if mode is GenerationMode.POSITIVE:
        assert [route for route, statuses in answers.items() if not any(status < 300 for status in statuses)] == []
