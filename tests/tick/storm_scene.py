"""The stage for storms: many failures of few causes, and people who do something meanwhile."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

from airflow.sdk import BaseNotifier
from sqlalchemy import text
from tests.cast import vendor_was_down
from tests.tick.scene import NETWORK, POLICY, Oracle, Scene, proven

from airflow_oncall.act.approval import APPROVE, REJECT, answer
from airflow_oncall.act.policy import Policy
from airflow_oncall.incident import Diagnosis, Evidence, Incident, State, Storm, TaskRef

DATABASE_DOWN = Diagnosis("database_connectivity", 0.9, True, 0.9, identifiers={"host": "db1", "port": "5432"})
STORMY = Policy.model_validate(
    POLICY.model_dump()
    | {
        "budgets": {"attempts_per_task_instance": 4, "attempts_per_hour": 1000},
        "storms": {"members": 5, "first_wave": 2, "growth": 2, "most_probes": 2, "wait_seconds": 60},
        "categories": {**POLICY.model_dump()["categories"], "database_connectivity": {"action": "clear_task"}},
    }
)


class StormPager(BaseNotifier):
    """Writes down what it was told."""

    template_fields = ("text",)
    told: ClassVar[list[dict[str, Any]]] = []

    def __init__(self) -> None:
        super().__init__()
        self.text = "{{ oncall.subject }}"

    def notify(self, context: Any) -> None:
        self.told.append(context["oncall"])


@dataclass
class Expert(Oracle):
    """A brain that tells causes apart by a word of the text."""

    knows: dict[str, Diagnosis] = field(default_factory=dict)

    def diagnose(self, text: str, exception_chain: Sequence[str], operator: str | None, killed: bool) -> Diagnosis:
        usual = super().diagnose(text, exception_chain, operator, killed)
        return next((known for word, known in self.knows.items() if word in text), usual)


@dataclass
class StormScene(Scene):
    """A :class:`Scene` with many incidents."""

    brain: Expert = field(default_factory=Expert)
    policy: Policy = STORMY

    def strike(self, count: int = 6, dag_id: str = "nightly", message: str = "connection reset", **dag: Any) -> list[TaskRef]:
        """So many task instances of one DAG fail for good with one text, each in a run of its own, and capture reports them.

        Their task succeeded the day before.
        """
        known = sum(ref.dag_id == dag_id and ref.run_id.startswith("run-") for ref in self.airflow.instances)
        refs = [TaskRef(dag_id, f"run-{known + number}", "load") for number in range(count)]
        for ref in refs:
            self.airflow.fail(ref, **dag)
            self.report(ref, message)
        for ref in refs[:1]:
            proven(self, ref)
        return refs

    def report(self, ref: TaskRef, message: str = "connection reset", **more: Any) -> None:
        """Capture reports the present try of a task instance."""
        evidence = Evidence(exception_chain=("OSError",), message=message, operator="PythonOperator")
        try_number = self.airflow.instances[ref].try_number
        occurrence = replace(vendor_was_down, ref=ref, try_number=try_number, evidence=evidence, fingerprint=message.replace(" ", "-"))
        self.store.intake.record(replace(occurrence, **more))

    def later(self) -> None:
        """As of every scene; storms have waited long enough, too."""
        super().later()
        with self.store.engine.begin() as connection:
            connection.execute(text("UPDATE oncall_storms SET due_at = opened_at WHERE closed_at IS NULL"))

    def run_what_waits(self, fails: str = "") -> None:
        """The scheduler runs what was cleared: it succeeds, or fails with this text; then a tick sees it."""
        for ref in self.airflow.schedule():
            if fails:
                self.airflow.fail(ref)
                self.report(ref, fails)
            else:
                self.airflow.succeed(ref)
        self.ticks(1)

    def weather(self, most: int = 20) -> None:
        """Everything that runs succeeds from now on, until no storm is on."""
        for _ in range(most):
            self.run_what_waits()
            if not self.store.storms.open():
                return

    def say(self, option: str, of: int = 0) -> str:
        """Ann answers the newest question of an incident, else of the storm's probe."""
        incident = self.incident_number(of or self.storm.probe_id or 0)
        response = {"chosen_options": [option], "params_input": {}, "responded_by_user": {"id": "1", "name": "ann"}}
        return answer(self.another_worker("approval"), self.api, incident.id, incident.decisions, response)

    def approve(self, of: int = 0) -> str:
        """Ann says yes."""
        return self.say(APPROVE, of)

    def reject(self, of: int = 0) -> str:
        """Ann says no."""
        return self.say(REJECT, of)

    def incident_number(self, incident_id: int) -> Incident:
        """One that exists."""
        found = self.store.reading.incident(incident_id)
        assert found
        return found

    @property
    def storm(self) -> Storm:
        """The newest storm."""
        return self.store.storms.newest(1)[0]

    @property
    def states(self) -> Counter[str]:
        """How many incidents stand where."""
        return Counter(str(one.state) for one in self.store.reading.incidents(limit=10_000))

    @property
    def cleared(self) -> list[TaskRef]:
        """Task instances that were cleared by us, in order, each as often as it was."""
        return [ref for clear in self.airflow.clears for ref in clear]

    @property
    def questions(self) -> list[dict[str, Any]]:
        """What people were asked."""
        return [one.body["conf"] for one in self.airflow.did("trigger")]


__all__ = ["DATABASE_DOWN", "NETWORK", "STORMY", "Expert", "StormPager", "StormScene"]


def member(scene: StormScene) -> TaskRef:
    """A held one."""
    return scene.store.reading.incidents([State.HELD])[0].ref
