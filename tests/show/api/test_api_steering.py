"""Who is asking, the mode, and the kill switch."""

from __future__ import annotations

import pytest
from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser
from tests.show.api.client import Api, error_of

from airflow_oncall.store.sql import Store


def test_everybody_learns_what_the_system_does_and_who_they_are(api: Api) -> None:
    me = api.get("/me", "vic").json()
    rights = {"may_steer": False, "may_inspect": True, "may_answer": False}
    assert me == {"user": "vic", "user_id": "vic", **rights, "mode": "ask", "paused": None, "version": "0.1.0"}


def test_the_id_by_which_airflow_takes_answers_is_told_beside_the_name(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SimpleAuthManagerUser, "get_id", lambda user: f"number of {user.username}")
    me = api.get("/me", "vic").json()
    assert (me["user"], me["user_id"]) == ("vic", "number of vic")


def test_who_may_edit_the_triage_dag_pauses_repairs_and_lets_them_go_on(api: Api, sqlite_store: Store) -> None:
    paused = api.put("/switch", {"paused": True, "reason": "release night"}, "uma").json()["paused"]
    assert (paused["by"], paused["reason"]) == ("uma", "release night")
    assert paused["since"].endswith("Z")
    assert api.get("/me", "vic").json()["paused"] == paused
    assert sqlite_store.switch.get() is not None
    assert api.put("/switch", {"paused": False}, "ada").json() == {"paused": None}
    assert sqlite_store.switch.get() is None


def test_a_reason_with_a_secret_is_kept_without_it(api: Api, sqlite_store: Store) -> None:
    api.put("/switch", {"paused": True, "reason": "password=hunter2 leaked"})
    made = sqlite_store.switch.get()
    assert made is not None
    assert "hunter2" not in made.reason


def test_what_a_variable_paused_is_not_let_go_by_the_switch(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_VAR_ONCALL_PAUSED", "yes, all week")
    assert api.get("/switch").json()["paused"]["by"] == "Variable oncall_paused"
    assert error_of(api.put("/switch", {"paused": False})) == (409, "paused_by_variable")
