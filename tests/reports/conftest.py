"""A week on call, told by hand."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.act.notify.chat import chat
from tests.act.notify.mailbox import mailbox
from tests.cast import NIGHTLY_ORDERS, vendor_was_down

from airflow_oncall import conf
from airflow_oncall.incident import ActionState as Ended
from airflow_oncall.incident import Decision, Diagnosis, Label, ModelVersion, Outcome, OutcomeKind, State, TaskRef, Verdict
from airflow_oncall.store.bars import Bar
from airflow_oncall.store.records import now
from airflow_oncall.store.sql import Store

__all__ = ["chat", "mailbox"]

SHIPPED = (Path(__file__).parents[2] / "include" / "oncall" / "policy.yaml").read_text(encoding="utf-8")
HOSTILE = TaskRef("<script>alert(1)</script>", "manual__1", '"><img src=x onerror=alert(2)>')
LEASE = timedelta(minutes=5)


def repaired(store: Store, ref: TaskRef, how: OutcomeKind = OutcomeKind.SUCCESS) -> None:
    """It failed, was cleared, and was seen to end so."""
    incident_id = store.intake.record(replace(vendor_was_down, ref=ref))
    incident = store.queue.claim(incident_id or 0, LEASE)
    assert incident is not None
    incident = store.ledger.diagnosed(incident, Diagnosis("network_timeout", 0.9, True, 0.9))
    decision = Decision(incident.id, 1, Verdict.AUTO, "clear_task", 1, 0.9, ("it is likely to help",))
    incident = store.ledger.decided(incident, decision, State.ACTING, 0, 1)
    action = store.ledger.open_action(incident.id)
    assert action is not None
    incident = store.ledger.acted(incident, action, Ended.DONE, "cleared", State.VERIFYING, 60)
    state = State.RESOLVED if how is OutcomeKind.SUCCESS else State.ESCALATED
    label = Label(incident.id, "category", "network_timeout", "ada", now(), {})
    outcome = Outcome(incident.id, how, now(), 2, action.id)
    store.ledger.ended(incident, outcome, [label], state, None if state is State.RESOLVED else 60, "seen")
    store.queue.release(incident.id)


@pytest.fixture
def routes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Writes a policy with these routes, each a list of notifiers."""

    def write(**routes: list[dict[str, Any]]) -> None:
        (tmp_path / "policy.yaml").write_text(f"{SHIPPED}\nroutes: {json.dumps(routes)}\n", encoding="utf-8")
        monkeypatch.setattr(conf, "include_paths", lambda: [tmp_path])

    return write


@pytest.fixture
def week(store: Store) -> Store:
    """Four repairs of one task, of which one failed; a task with a hostile name; a model, and a threshold that moved."""
    for number in range(4):
        how = OutcomeKind.FAILED_SAME if number == 3 else OutcomeKind.SUCCESS
        repaired(store, replace(NIGHTLY_ORDERS, run_id=f"manual__{number}"), how)
    repaired(store, HOSTILE)
    figures = {"reports": {"challenger": {"unseen groups": {"accuracy_strict": 0.91, "macro_f1_lenient": 0.88, "ece": 0.04}}}}
    store.models.register(ModelVersion("triage", "7", "triage/7/model", "0" * 64, "scikit-learn", now(), metrics=figures))
    store.models.promote("triage", "7")
    store.bars.move(Bar("network_timeout", "clear_task", 0.65, 0.7, "9 of 10 helped", now()))
    return store
