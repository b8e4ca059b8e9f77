"""The question of ``oncall_approval`` goes to those whom the policy names."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from airflow.dag_processing.dagbag import DagBag
from airflow.providers.standard.operators.hitl import HITLOperator
from tests.packaging.installation import ROOT


@pytest.fixture(scope="module")
def question() -> Any:
    bag = DagBag(str(ROOT / "dags" / "oncall_approval.py"), bundle_name="dags-folder")
    return bag.dags["oncall_approval"].get_task("question")


@pytest.mark.parametrize(
    ("conf", "users"),
    [
        ({"approvers": ["ann", "bob"]}, [{"id": "ann", "name": "ann"}, {"id": "bob", "name": "bob"}]),
        ({"approvers": []}, None),
        ({}, None),
    ],
    ids=["named", "nobody is named", "a question of an older version"],
)
def test_it_is_assigned_to_the_approvers_of_its_run(
    question: Any, conf: dict[str, Any], users: list[dict[str, str]] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []
    monkeypatch.setattr(HITLOperator, "execute", lambda self, context: asked.append(self.assigned_users))
    type(question).execute.__wrapped__(question, {"dag_run": SimpleNamespace(conf=conf)})
    assert asked == [users]
