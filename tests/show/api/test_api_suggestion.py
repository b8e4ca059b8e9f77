"""What a language model suggested, as the incident's page reads it."""

from __future__ import annotations

from datetime import timedelta

from tests.show.api.client import Api
from tests.show.api.story import SHARD, Story

from airflow_oncall.incident import Incident, State, Verdict
from airflow_oncall.store.records import now
from airflow_oncall.store.retention import forget
from airflow_oncall.store.suggestions import Suggested


def test_the_page_of_an_incident_holds_what_was_suggested(api: Api, story: Story) -> None:
    failed = story.failed()
    assert api.get(f"/incidents/{failed.id}").json()["suggestion"] is None
    hostile = "<script>alert(1)</script>"
    story.store.suggestions.put(Suggested(failed.fingerprint, "rate_limit", hostile, ["Wait."], "test", "", now()))
    told = api.get(f"/incidents/{failed.id}").json()["suggestion"]
    assert told.pop("asked_at").endswith("Z")
    assert told == {"category": "rate_limit", "explanation": hostile, "steps": ["Wait."], "model": "test"}


def suggestion_for(api: Api, user: str, incident: Incident) -> object:
    return api.get(f"/incidents/{incident.id}", user=user).json()["suggestion"]


def test_what_may_have_been_made_of_hidden_evidence_is_not_shown(api: Api, story: Story) -> None:
    shown, hidden = story.failed(), story.failed(SHARD)
    assert shown.fingerprint == hidden.fingerprint
    story.store.suggestions.put(Suggested(shown.fingerprint, "rate_limit", "The vendor said so.", [], "test", "", now()))
    assert suggestion_for(api, "ada", shown) is not None
    assert suggestion_for(api, "lena", shown) is None, "she may not see the DAG of the other incident"


def test_what_may_have_been_made_of_a_purged_incident_of_a_hidden_dag_is_not_shown(api: Api, story: Story) -> None:
    shown = story.failed()
    hidden = story.decided(story.diagnosed(story.failed(SHARD)), Verdict.ESCALATE, State.CLOSED)
    assert shown.fingerprint == hidden.fingerprint
    story.store.suggestions.put(Suggested(shown.fingerprint, "rate_limit", "The vendor said so.", [], "test", "", now()))
    gone = forget(story.store.engine, now() + timedelta(days=1), None)
    assert gone.incidents == 1
    assert suggestion_for(api, "ada", shown) is not None
    assert suggestion_for(api, "lena", shown) is None, "she may not see the DAG of the incident that was purged"


def test_a_question_that_failed_is_no_suggestion(api: Api, story: Story) -> None:
    failed = story.failed()
    story.store.suggestions.put(Suggested(failed.fingerprint, "unknown", "", [], "", "TimeoutError", now()))
    assert api.get(f"/incidents/{failed.id}").json()["suggestion"] is None
