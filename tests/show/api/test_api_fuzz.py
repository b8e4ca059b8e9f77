"""Whatever is sent that the description allows, or nearly allows: never a server error, and always an answer that is described."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
import schemathesis
from hypothesis import HealthCheck, assume, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import content_type_conformance, response_schema_conformance, status_code_conformance
from tests.databases import Databases, fresh_store
from tests.show.api.client import Api
from tests.show.api.story import SHARD, Story

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
EXAMPLES = 12
"""Of each route and way of making them."""
LONGEST_ADDRESS = 65_536
"""What uvicorn's parser takes."""


@pytest.fixture(scope="module")
def described(server: Api, databases: Databases) -> Iterator[Any]:
    """The API's own description, over a store with some incidents in it."""
    for store in fresh_store(databases, "sqlite"):
        story = Story(store)
        story.asked()
        story.storm([SHARD])
        story.engine_logged()
        server.use(store)
        yield schemathesis.openapi.from_dict(server.ours.openapi())
        server.use(None)


def reaches_the_api(url: str) -> bool:
    """Whether neither the server refuses it, being too long, nor Airflow answers it: nothing is mounted at a path with a line break."""
    return len(url) < LONGEST_ADDRESS and "%0A" not in urlsplit(url).path


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE], ids=lambda mode: mode.value)
def test_no_request_breaks_the_server(described: Any, server: Api, mode: GenerationMode) -> None:
    base_url, headers = f"{str(server.client.base_url).rstrip('/')}/oncall", {"Authorization": f"Bearer {server.token('ada')}"}
    tried = set()
    for found in described.get_all_operations():
        operation = found.ok()

        @settings(max_examples=EXAMPLES, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
        @given(case=operation.as_strategy(generation_mode=mode))
        def answers_as_described(case: schemathesis.Case[Any]) -> None:
            answer = case.call(base_url=base_url, headers=headers, timeout=60)
            assume(reaches_the_api(answer.request.url or ""))
            case.validate_response(answer, checks=CHECKS)

        try:
            answers_as_described()
        except Unsatisfiable:  # nothing about this route can be said wrongly
            assert mode is GenerationMode.NEGATIVE
            continue
        tried.add(operation.label)
    assert len(tried) > 15
