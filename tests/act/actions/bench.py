"""A failed task instance on the stage of triage, and one action taken through plan, steps and verification without a decision."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

from tests.tick.scene import NETWORK, ORDERS, Scene

from airflow_oncall.act import verify
from airflow_oncall.act.actions import registry
from airflow_oncall.act.actions.base import Impossible, Plan, PlanContext
from airflow_oncall.act.execute import execute
from airflow_oncall.incident import Action, Decision, Incident, Occurrence, State, Verdict

LEASE = timedelta(minutes=3)


def notice(scene: Scene, identifiers: Mapping[str, str] | None = None) -> Incident:
    """The nightly orders failed, and are understood."""
    tries = scene.airflow.instances[ORDERS].try_number
    scene.notice(Occurrence(ORDERS, "listener", happened_at=scene.airflow.now(), try_number=tries, fingerprint="f"))
    diagnosis = replace(NETWORK, identifiers=dict(identifiers or {}))
    return scene.store.ledger.diagnosed(scene.claimed(), diagnosis)


def plan(scene: Scene, kind: str, identifiers: Mapping[str, str] | None = None, /, **parameters: Any) -> Plan | Impossible:
    """What an action would do about them."""
    return planned_for(scene, notice(scene, identifiers), kind, parameters)


def planned_for(scene: Scene, incident: Incident, kind: str, parameters: Mapping[str, Any]) -> Plan | Impossible:
    """The same, about an incident."""
    diagnosis = scene.store.reading.diagnosis(incident.id)
    assert diagnosis is not None
    task = scene.api.task(incident.ref.dag_id, incident.ref.task_id)
    return registry.plan(kind, PlanContext(scene.store, scene.api, incident, diagnosis, task, parameters))


def decided(scene: Scene, kind: str, identifiers: Mapping[str, str] | None = None, /, **parameters: Any) -> Action:
    """The action is planned, decided about and due."""
    incident = notice(scene, identifiers)
    made = planned_for(scene, incident, kind, parameters)
    assert isinstance(made, Plan), made
    return stored(scene, incident, kind, made)


def stored(scene: Scene, incident: Incident, kind: str, made: Plan) -> Action:
    """The decision for a plan."""
    decision = Decision(incident.id, 1, Verdict.AUTO, kind, incident.try_number, 0.9, ("because",), parameters=made.parameters)
    scene.store.ledger.decided(incident, decision, State.ACTING, 0, made.attempts)
    scene.store.queue.release(incident.id)
    action = scene.store.ledger.open_action(incident.id)
    assert action is not None
    return action


def step(scene: Scene) -> Action:
    """Triage looks once: at what was planned, or at what became of it."""
    incident = scene.store.queue.claim(scene.incident.id, LEASE)
    assert incident is not None
    action = scene.store.ledger.open_action(incident.id)
    if action:
        execute(scene.store, scene.api, incident, action, "because")
    else:
        action = scene.store.reading.actions(incident.id)[-1]
        verify.verify(scene.store, scene.api, incident, verify.look(scene.api, incident), action)
    scene.store.queue.release(incident.id)
    return scene.store.reading.actions(incident.id)[-1]
