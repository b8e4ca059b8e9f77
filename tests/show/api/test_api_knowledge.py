"""What people know, read and written through the API."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
from tests.show.api.client import Api, error_of

from airflow_oncall.knowledge.book import Book
from airflow_oncall.knowledge.entry import read_entry
from airflow_oncall.show.api import knowledge
from airflow_oncall.store.sql import Store

VENDOR: dict[str, Any] = {
    "name": "vendor-503",
    "category": "network_timeout",
    "pattern": "503 Service Unavailable",
    "actions": ["clear_task"],
    "notes": "They restart at four.",
}


def test_an_entry_is_added_changed_and_taken_out(api: Api) -> None:
    added = api.post("/knowledge", VENDOR, "uma")
    assert (added.status_code, added.json()["version"], added.json()["is_proposed"]) == (201, 1, False)
    changed = api.put("/knowledge/vendor-503", {"notes": "They restart at five.", "expected_version": 1}).json()
    assert (changed["version"], changed["entry"]["notes"], changed["entry"]["actions"]) == (2, "They restart at five.", ["clear_task"])
    assert [(one["what"], one["actor"]) for one in changed["history"]] == [("added", "uma"), ("edited", "ada")]
    assert api.call("DELETE", "/api/v1/knowledge/vendor-503?expected_version=2").status_code == 204
    assert error_of(api.get("/knowledge/vendor-503")) == (404, "not_found")
    assert api.get("/knowledge").json()["items"] == []


def test_of_two_people_who_change_an_entry_the_second_sees_what_the_first_did(api: Api) -> None:
    api.post("/knowledge", VENDOR)
    api.put("/knowledge/vendor-503", {"notes": "first", "expected_version": 1})
    answer = api.put("/knowledge/vendor-503", {"notes": "second", "expected_version": 1})
    assert error_of(answer) == (409, "stale")
    assert answer.json()["error"]["detail"]["entry"]["notes"] == "first"


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("PUT", "", {"notes": "mine", "expected_version": 1}),
        ("POST", "/confirm", {"expected_version": 1}),
        ("DELETE", "?expected_version=1", None),
    ],
)
@pytest.mark.parametrize("between", ["before", "after"])
def test_what_was_decided_by_an_older_version_changes_nothing(
    method: str, path: str, body: Any, between: str, api: Api, sqlite_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``between``: whether somebody else's change comes before or after the look at which version there is."""
    Book(sqlite_store, "triage").propose([read_entry(VENDOR)])
    if between == "before":
        Book(sqlite_store, "uma").edit("vendor-503", {"notes": "hers"})
    else:
        monkeypatch.setattr(knowledge, "Book", partial(_after_a_change, sqlite_store))
    answer = api.call(method, f"/api/v1/knowledge/vendor-503{path}", json=body)
    assert error_of(answer) == (409, "stale")
    assert answer.json()["error"]["detail"]["version"] == 2
    assert answer.json()["error"]["detail"]["entry"]["notes"] == "hers"
    left = api.get("/knowledge/vendor-503").json()
    assert (left["version"], left["is_proposed"]) == (2, True)


def _after_a_change(store: Store, *given: Any, **more: Any) -> Book:
    Book(store, "uma").edit("vendor-503", {"notes": "hers"})
    return Book(*given, **more)


def test_entries_are_found_by_any_word_and_come_in_pages(api: Api, sqlite_store: Store) -> None:
    book = Book(sqlite_store, "ada")
    for name in ("a", "b", "c"):
        book.add(read_entry(VENDOR | {"name": name, "notes": f"note {name}"}))
    page = api.get("/knowledge?limit=2").json()
    assert [one["name"] for one in page["items"]] == ["a", "b"]
    assert [one["name"] for one in api.get(f"/knowledge?cursor={page['next_cursor']}").json()["items"]] == ["c"]
    assert [one["name"] for one in api.get("/knowledge?q=NOTE%20B").json()["items"]] == ["b"]
    assert api.get("/knowledge?q=%25").json()["items"] == []


def test_a_proposed_entry_counts_once_somebody_confirms_it(api: Api, sqlite_store: Store) -> None:
    Book(sqlite_store, "triage").propose([read_entry(VENDOR)])
    assert [one["name"] for one in api.get("/knowledge?proposed=true").json()["items"]] == ["vendor-503"]
    assert api.post("/knowledge/vendor-503/confirm", {"expected_version": 1}).json()["is_proposed"] is False
    assert api.get("/knowledge?proposed=true").json()["items"] == []


def test_an_entry_that_cannot_be_kept_is_refused_with_the_reason(api: Api) -> None:
    answer = api.post("/knowledge", VENDOR | {"pattern": "(unclosed"})
    assert error_of(answer) == (422, "bad_entry")
    assert answer.json()["error"]["message"].startswith("field 'pattern': RE2 does not take it")
    api.post("/knowledge", VENDOR)
    assert error_of(api.post("/knowledge", VENDOR)) == (422, "bad_entry")
