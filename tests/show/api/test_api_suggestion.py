"""What a language model suggested, as the incident's page reads it."""

from __future__ import annotations

from tests.show.api.client import Api
from tests.show.api.story import Story

from airflow_oncall.store.records import now
from airflow_oncall.store.suggestions import Suggested


def test_the_page_of_an_incident_holds_what_was_suggested(api: Api, story: Story) -> None:
    failed = story.failed()
    assert api.get(f"/incidents/{failed.id}").json()["suggestion"] is None
    hostile = "<script>alert(1)</script>"
    story.store.suggestions.put(Suggested(failed.fingerprint, "rate_limit", hostile, ["Wait."], "test", "", now()))
    told = api.get(f"/incidents/{failed.id}").json()["suggestion"]
    assert told.pop("asked_at").endswith("Z")
    assert told == {"category": "rate_limit", "explanation": hostile, "steps": ["Wait."], "model": "test"}


def test_a_question_that_failed_is_no_suggestion(api: Api, story: Story) -> None:
    failed = story.failed()
    story.store.suggestions.put(Suggested(failed.fingerprint, "unknown", "", [], "", "TimeoutError", now()))
    assert api.get(f"/incidents/{failed.id}").json()["suggestion"] is None
