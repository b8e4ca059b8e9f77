"""Incidents as pages read them, and what people say and do about them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest
from tests.cast import FOURTH_SHARD, NIGHTLY_ORDERS
from tests.show.api.client import Api, error_of
from tests.show.api.story import DATABASE_LOG, LEASE, SHARD, Story

from airflow_oncall.incident import ActionState, Incident, State, StormState, TaskRef, Verdict
from airflow_oncall.store.queue import Queue
from airflow_oncall.store.sql import Store

BOTH = [TaskRef("shards", "manual__1", "work", index) for index in range(2)]


def ids(api: Api, query: str = "", user: str = "ada") -> list[int]:
    """Incidents of a page."""
    return [row["id"] for row in api.get(f"/incidents{query}", user).json()["items"]]


def test_a_row_says_where_it_stands_and_what_was_last_thought_of_it(api: Api, story: Story) -> None:
    asked = story.asked()
    page = api.get("/incidents").json()
    assert (page["total"], page["next_cursor"]) == (1, None)
    (row,) = page["items"]
    assert {name: row[name] for name in ("id", "dag_id", "task_id", "map_index", "kind", "state", "try_number")} == {
        "id": asked.id,
        "dag_id": "nightly",
        "task_id": "load_orders",
        "map_index": -1,
        "kind": "task",
        "state": "asked",
        "try_number": 1,
    }
    thought = {name: row[name] for name in ("category", "probability", "verdict", "action", "severity", "source")}
    assert thought == {
        "category": "network_timeout",
        "probability": 0.91,
        "verdict": "ask",
        "action": "clear_task",
        "severity": "high",
        "source": "airflow",
    }
    assert row["opened_at"].endswith("Z")


def test_filters_choose(api: Api, story: Story) -> None:
    asked, fresh = story.asked(), story.failed(SHARD)
    logged = story.engine_logged()
    assert ids(api) == [logged.id, fresh.id, asked.id]
    assert ids(api, "?state=asked&state=waiting") == [asked.id]
    assert ids(api, "?source=orders_db") == [logged.id]
    assert ids(api, "?severity=high") == [asked.id]
    assert ids(api, "?kind=task&category=network_timeout") == [asked.id]
    assert ids(api, "?dag_id=shards&run_id=manual__1&task_id=work&map_index=3") == [fresh.id]
    assert ids(api, "?q=LOAD_orders") == [asked.id]
    assert ids(api, "?open=false") == []
    assert ids(api, "?since=2000-01-01T00:00:00Z&until=2001-01-01T00:00:00Z") == []


def test_a_filter_given_several_times_means_any_of_its_values_and_filters_together_all(api: Api, story: Story) -> None:
    asked, fresh = story.asked(), story.failed(SHARD)
    logged, broken = story.engine_logged(), story.file_broke()
    assert ids(api, "?dag_id=nightly&dag_id=shards") == [fresh.id, asked.id]
    assert ids(api, "?state=asked&state=open") == [broken.id, logged.id, fresh.id, asked.id]
    assert ids(api, "?source=orders_db&source=airflow&state=open") == [broken.id, logged.id, fresh.id]
    assert ids(api, "?category=network_timeout&category=code_error&severity=high&severity=low") == [asked.id]
    assert ids(api, "?dag_id=nightly&dag_id=shards&state=open&state=held") == [fresh.id]
    assert ids(api, "?dag_id=nightly&dag_id=shards", "lena") == [asked.id]
    assert error_of(api.get("/incidents?" + "&".join(f"dag_id=d{number}" for number in range(51)))) == (422, "invalid")


def test_pages_follow_each_other_also_when_filters_take_several_values(api: Api, story: Story) -> None:
    wanted = [story.failed(replace(SHARD, map_index=number)).id for number in range(2)]
    story.engine_logged()
    wanted += [story.asked().id, story.failed(replace(SHARD, map_index=7)).id]
    query, seen = "?dag_id=shards&dag_id=nightly&state=open&state=asked&limit=2", []
    cursor: str | None = ""
    while cursor is not None:
        page = api.get(f"/incidents{query}&cursor={cursor}").json()
        assert page["total"] in (4, None)
        seen += [row["id"] for row in page["items"]]
        cursor = page["next_cursor"]
    assert seen == sorted(wanted, reverse=True)


def test_pages_follow_each_other_though_new_incidents_come_in_between(api: Api, story: Story) -> None:
    first, second, third = (story.failed(replace(SHARD, map_index=number)) for number in range(3))
    page = api.get("/incidents?limit=2").json()
    assert ([row["id"] for row in page["items"]], page["total"]) == ([third.id, second.id], 3)
    story.failed()
    behind = api.get(f"/incidents?limit=2&cursor={page['next_cursor']}").json()
    assert ([row["id"] for row in behind["items"]], behind["next_cursor"], behind["total"]) == ([first.id], None, None)


def test_what_a_user_may_not_see_is_neither_shown_nor_counted(api: Api, story: Story) -> None:
    mine = story.asked()
    theirs = story.asked(SHARD)
    story.file_broke()
    story.engine_logged()
    page = api.get("/incidents", "lena").json()
    assert ([row["id"] for row in page["items"]], page["total"]) == ([mine.id], 1)
    assert {row["incident_id"] for path in ("/decisions", "/actions") for row in api.get(path, "lena").json()["items"]} == {mine.id}
    statistics = api.get("/statistics", "lena").json()
    assert (statistics["open"], statistics["opened"], statistics["by_source"]) == (1, 1, {"airflow": 1})
    assert api.get("/incidents", "ada").json()["total"] == 4
    assert error_of(api.get(f"/incidents/{theirs.id}", "lena")) == (403, "forbidden")


def test_of_a_storm_only_members_that_may_be_seen_count(api: Api, story: Story) -> None:
    storm_id = story.storm([*BOTH, NIGHTLY_ORDERS])
    other = story.storm([replace(one, run_id="manual__2") for one in BOTH], "database_connectivity at db2")
    assert api.get(f"/storms/{storm_id}").json()["members"] == 3
    seen = api.get(f"/storms/{storm_id}", "lena").json()
    assert (seen["members"], seen["dag_ids"], [row["dag_id"] for row in seen["incidents"]]) == (1, ["nightly"], ["nightly"])
    assert [row["id"] for row in api.get("/storms", "lena").json()["items"]] == [storm_id]
    assert error_of(api.get(f"/storms/{other}", "lena")) == (404, "not_found")


def test_a_probe_that_may_not_be_seen_is_not_named(api: Api, story: Story) -> None:
    storm = story.store.storms.get(story.storm([*BOTH, NIGHTLY_ORDERS]))
    assert storm is not None
    (probe,) = (one for one in story.store.reading.incidents() if one.ref == BOTH[0])
    story.store.storms.probe(storm, probe.id, StormState.PROBING, "probe 1")
    assert [api.get(f"/storms/{storm.id}", reader).json()["probe_id"] for reader in ("ada", "lena")] == [probe.id, None]


def test_files_that_break_and_what_no_task_logged_go_by_airflows_views(api: Api, story: Story) -> None:
    broken, logged = story.file_broke(), story.engine_logged()
    for incident in (broken, logged):
        assert api.get(f"/incidents/{incident.id}", "vic").status_code == 200
        assert error_of(api.get(f"/incidents/{incident.id}", "lena")) == (403, "forbidden")
        body = {"comment": "I know"}
        assert error_of(api.post(f"/incidents/{incident.id}/feedback", body, "vic")) == (403, "forbidden")
        assert api.post(f"/incidents/{incident.id}/feedback", body, "uma").status_code == 201


def test_an_incident_tells_its_whole_story(api: Api, story: Story) -> None:
    asked = story.asked()
    view = api.get(f"/incidents/{asked.id}").json()
    assert [step["what"] for step in view["timeline"]] == ["noticed", "diagnosed", "decided", "asked"]
    (occurrence,) = view["occurrences"]
    decisive = {line["text"]: line["decisive"] for line in occurrence["evidence"]["lines"]}
    assert decisive == {
        "Traceback (most recent call last):": False,
        "httpx.HTTPStatusError: Server error '503 Service Unavailable'": True,
    }
    assert view["diagnosis"]["alternatives"] == {"network_timeout": 0.6, "rate_limit": 0.3}
    assert view["decisions"][0]["reasons"][0] == "0.70 is below the bar of 0.85"
    assert view["actions"][0]["state"] == "planned"
    (action,) = story.store.reading.actions(asked.id)
    assert view["question"] == {"dag_id": "oncall_approval", "run_id": action.own_run_id, "task_id": "question", "map_index": -1}


def test_who_may_only_read_is_told_so(api: Api, story: Story) -> None:
    asked = story.asked()
    may_act = {user: api.get(f"/incidents/{asked.id}", user).json()["may_act"] for user in ("vic", "uma", "lena")}
    assert may_act == {"vic": False, "uma": True, "lena": True}


def test_similar_incidents_of_hidden_dags_stay_hidden(api: Api, story: Story) -> None:
    asked, alike = story.asked(), story.failed(SHARD)
    assert [row["id"] for row in api.get(f"/incidents/{asked.id}").json()["similar"]] == [alike.id]
    assert api.get(f"/incidents/{asked.id}", "lena").json()["similar"] == []


def test_feedback_is_kept_under_the_name_of_who_gave_it(api: Api, story: Story, sqlite_store: Store) -> None:
    asked = story.asked()
    said = {"category": "rate_limit", "action_correct": False, "comment": "it was their quota, password=hunter2"}
    view = api.post(f"/incidents/{asked.id}/feedback", said, "lena").json()
    (label,) = view["labels"]
    assert (label["name"], label["value"], label["given_by"]) == ("feedback", "rate_limit", "lena")
    assert "hunter2" not in str(sqlite_store.reading.labels(asked.id))


def test_feedback_may_only_say_that_all_is_right(api: Api, story: Story) -> None:
    asked = story.asked()
    view = api.post(f"/incidents/{asked.id}/feedback", {"category_correct": True, "action_correct": True}).json()
    assert view["labels"][0]["value"] == "network_timeout"


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ({}, "refused"),
        ({"category_correct": False}, "invalid"),
        ({"category": "bad luck"}, "refused"),
        ({"category": "code_error", "false_positive": True}, "refused"),
        ({"comment": "x" * 2001}, "invalid"),
        ({"opinion": "none"}, "invalid"),
    ],
)
def test_feedback_that_says_nothing_or_nonsense_is_refused(api: Api, story: Story, said: dict[str, object], code: str) -> None:
    asked = story.asked()
    assert error_of(api.post(f"/incidents/{asked.id}/feedback", said)) == (422, code)


def test_a_page_that_is_behind_changes_nothing_and_learns_the_present_state(api: Api, story: Story) -> None:
    fresh = story.failed()
    seen = api.get(f"/incidents/{fresh.id}").json()["updated_at"]
    diagnosed = story.released(story.diagnosed(fresh))
    for path, body in (("feedback", {"comment": "no"}), ("resolve", {"reason": "no"})):
        answer = api.post(f"/incidents/{fresh.id}/{path}", body | {"expected_updated_at": seen})
        assert error_of(answer) == (409, "stale")
        assert answer.json()["error"]["detail"]["state"] == "diagnosed"
    assert story.now(fresh.id) == diagnosed


def test_closing_by_hand_drops_what_was_planned(api: Api, story: Story, sqlite_store: Store) -> None:
    asked = story.released(story.asked())
    said = {"reason": "vendor mended it", "expected_updated_at": api.get(f"/incidents/{asked.id}").json()["updated_at"]}
    view = api.post(f"/incidents/{asked.id}/resolve", said, "uma").json()
    assert (view["state"], view["detail"], view["question"]) == ("closed", "closed by uma: vendor mended it", None)
    assert view["timeline"][-1] | {"at": None} == {"at": None, "what": "closed", "actor": "uma", "detail": view["detail"]}
    assert [action.state for action in sqlite_store.reading.actions(asked.id)] == [ActionState.DROPPED]
    again = api.post(f"/incidents/{asked.id}/resolve", said | {"expected_updated_at": view["updated_at"]})
    assert error_of(again) == (409, "stale")


@pytest.mark.parametrize("is_acting", [True, False])
def test_what_triage_works_on_is_not_closed_under_its_hands(api: Api, story: Story, is_acting: bool) -> None:
    incident = story.decided(story.diagnosed(story.failed()), Verdict.AUTO, State.ACTING if is_acting else State.WAITING)
    if is_acting:
        story.released(incident)
    said = {"reason": "no", "expected_updated_at": api.get(f"/incidents/{incident.id}").json()["updated_at"]}
    assert error_of(api.post(f"/incidents/{incident.id}/resolve", said)) == (409, "in_progress")
    assert story.now(incident.id).state is incident.state


def before_the_claim(monkeypatch: pytest.MonkeyPatch, triage: Callable[[], object]) -> None:
    """Triage does this once, right before an incident is claimed."""
    claim = Queue.claim

    def after_triage(queue: Queue, incident_id: int, lease: timedelta) -> Incident | None:
        monkeypatch.setattr(Queue, "claim", claim)
        triage()
        return claim(queue, incident_id, lease)

    monkeypatch.setattr(Queue, "claim", after_triage)


def test_what_triage_moved_between_the_look_and_the_claim_is_not_closed(
    api: Api, story: Story, sqlite_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = story.released(story.asked())
    said = {"reason": "no", "expected_updated_at": api.get(f"/incidents/{asked.id}").json()["updated_at"]}
    before_the_claim(monkeypatch, lambda: story.released(story.decided(story.now(asked.id), Verdict.AUTO, State.VERIFYING)))
    answer = api.post(f"/incidents/{asked.id}/resolve", said)
    assert error_of(answer) == (409, "stale")
    assert answer.json()["error"]["detail"]["state"] == "verifying"
    assert story.now(asked.id).state is State.VERIFYING
    assert sqlite_store.queue.claim(asked.id, LEASE) is not None, "it is still claimed"


@pytest.mark.parametrize(
    ("verdict", "state"),
    [
        pytest.param(Verdict.ESCALATE, State.CLOSED, id="closed"),
        pytest.param(Verdict.AUTO, State.VERIFYING, id="moved, and still in triage's hands"),
    ],
)
def test_what_cannot_be_claimed_because_triage_moved_it_is_told_as_it_is_now(
    api: Api, story: Story, monkeypatch: pytest.MonkeyPatch, verdict: Verdict, state: State
) -> None:
    asked = story.released(story.asked())
    said = {"reason": "no", "expected_updated_at": api.get(f"/incidents/{asked.id}").json()["updated_at"]}
    before_the_claim(monkeypatch, lambda: story.decided(story.now(asked.id), verdict, state))
    answer = api.post(f"/incidents/{asked.id}/resolve", said)
    assert error_of(answer) == (409, "stale")
    assert answer.json()["error"]["detail"]["state"] == state


def test_statistics_tell_of_every_day(api: Api, story: Story) -> None:
    story.asked()
    story.engine_logged(DATABASE_LOG)
    found = api.get("/statistics?days=7").json()
    assert (found["open"], found["opened"], found["by_category"]) == (2, 2, {"network_timeout": 1})
    assert found["by_state"] == {"asked": 1, "open": 1}
    assert [len(found["per_day"]), found["per_day"][-1]["opened"], found["per_day"][0]["opened"]] == [8, 2, 0]
    assert (found["repair_rate"], found["mttr_minutes"]) == (None, {"with_action": None, "without": None})
    assert api.get("/statistics?days=7&dag_id=shards").json()["opened"] == 0


def test_a_mapped_task_instance_is_named_by_its_index(api: Api, story: Story) -> None:
    incident = story.failed(FOURTH_SHARD)
    assert api.get(f"/incidents/{incident.id}").json()["map_index"] == 3
