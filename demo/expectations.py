"""What has to become of every fault of the demo, in one table, and how that is checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

RESTING = ("resolved", "self_healed", "closed", "escalated")
"""Incident states in which nothing more happens by itself."""

SUCCEEDED: dict[str, Any] = {"actions": "clear_task", "outcome": "success", "state": "resolved", "tries": ("failed", "success")}
REPAIRED: dict[str, Any] = {**SUCCEEDED, "decisions": "auto wait"}
APPROVED: dict[str, Any] = {**SUCCEEDED, "decisions": "ask", "answer": "Approve"}
REPAIRED_OR_APPROVED: dict[str, Any] = {**SUCCEEDED, "decisions": "auto wait ask", "answer": "Approve"}
"""For faults of which nobody can say for sure that a re-run helps."""
ESCALATED: dict[str, Any] = {"decisions": "escalate", "actions": "escalate", "outcome": None, "state": "escalated", "tries": ("failed",)}
REJECTED: dict[str, Any] = {**ESCALATED, "decisions": "ask", "actions": "clear_task escalate", "answer": "Reject"}

UNAVAILABLE = "infrastructure_failure network_connectivity"


@dataclass(frozen=True)
class Expectation:
    """One fault: which task instance fails, and what has to become of its incident."""

    dag_id: str
    task_id: str
    fault: str
    categories: str
    """Accepted values, separated by spaces; the same for ``decisions`` and ``actions``."""
    decisions: str
    actions: str
    outcome: str | None
    state: str
    tries: tuple[str, ...]
    """States of the task instance's tries, as Airflow's own history gives them."""
    map_index: int = -1
    answer: str | None = None
    """What the person answers to the question."""
    needs_warehouse: bool = False

    @property
    def name(self) -> str:
        """DAG, task and map index, as people write it."""
        return f"{self.dag_id}/{self.task_id}" + (f"[{self.map_index}]" if self.map_index >= 0 else "")

    def is_about(self, incident: Mapping[str, Any]) -> bool:
        """Whether this incident is the one of this fault."""
        return (incident["dag_id"], incident["task_id"], incident["map_index"]) == (self.dag_id, self.task_id, self.map_index)


def _fault(dag_id: str, task_id: str, fault: str, categories: str, becomes: Mapping[str, Any], **more: Any) -> Expectation:
    return Expectation(dag_id, task_id, fault, categories, **{**becomes, **more})


EXPECTATIONS: tuple[Expectation, ...] = (
    _fault("demo_out_of_memory", "sum_ledger", "killed by SIGKILL", "memory_exhaustion infrastructure_failure", REPAIRED),
    _fault("demo_payments", "settle_payments", "503, declared ask", UNAVAILABLE, APPROVED),
    _fault("demo_refunds", "send_refunds", "503, declared ask", UNAVAILABLE, REJECTED),
    _fault("demo_database_down", "count_invoices", "PostgreSQL not up yet", "database_connectivity", REPAIRED),
    _fault("demo_late_file", "read_sales", "input file not there yet", "missing_data", REPAIRED_OR_APPROVED),
    _fault("demo_reset_connection", "load_prices", "connection reset, 1 of 5", "network_connectivity", REPAIRED, map_index=3),
    _fault("demo_slow_api", "load_report", "execution timeout", "workflow_timeout network_timeout", REPAIRED_OR_APPROVED),
    _fault("demo_overloaded_api", "load_orders", "503 twice", UNAVAILABLE, REPAIRED, tries=("failed", "failed", "success")),
    _fault("demo_misread_answer", "load_customers", "KeyError, a bug", "code_error", ESCALATED),
    _fault("demo_wrong_password", "refresh_report", "wrong database password", "authentication", ESCALATED, needs_warehouse=True),
    _fault("demo_duplicate_row", "insert_invoice", "unique violation", "data_quality", ESCALATED, needs_warehouse=True),
)
"""In the order in which they are started; what only the sweep notices comes first, because it may take longest."""


def incidents_of(expectation: Expectation, incidents: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The incidents of this fault, newest first as the store gives them."""
    return [incident for incident in incidents if expectation.is_about(incident)]


def is_at_rest(expectation: Expectation, incidents: Sequence[Mapping[str, Any]]) -> bool:
    """Whether nothing more will happen to this fault by itself."""
    mine = incidents_of(expectation, incidents)
    return bool(mine) and mine[0]["state"] in RESTING


def incident_problems(expectation: Expectation, incidents: Sequence[Mapping[str, Any]]) -> list[str]:
    """Where the incident differs from what is expected, in words."""
    mine = incidents_of(expectation, incidents)
    if len(mine) != 1:
        return [f"{len(mine)} incidents instead of exactly one"]
    accepted: dict[str, list[str | None]] = {
        "category": [*expectation.categories.split()],
        "decision": [*expectation.decisions.split()],
        "action": [*expectation.actions.split()],
        "outcome": [expectation.outcome],
        "state": [expectation.state],
    }
    return [
        f"{field} is {_shown(mine[0][field])} instead of {' or '.join(map(_shown, values))}"
        for field, values in accepted.items()
        if mine[0][field] not in values
    ]


def try_problems(expectation: Expectation, tries: Mapping[tuple[str, int], Sequence[str]]) -> list[str]:
    """Where Airflow's try history of the run differs: the target's tries, and that every other task instance ran just once.

    ``tries`` maps (task_id, map_index) of every task instance of the run to the states of its tries, oldest first. A
    task instance downstream of the target is cleared with it, so it may have been ``upstream_failed``, which is no run.
    """
    target = (expectation.task_id, expectation.map_index)
    problems = [] if target in tries else [f"Airflow has no task instance {expectation.name}"]
    for (task_id, map_index), states in sorted(tries.items()):
        wanted = expectation.tries if (task_id, map_index) == target else ("success",)
        ran = tuple(state for state in states if state != "upstream_failed")
        if ran != wanted:
            name = task_id if map_index < 0 else f"{task_id}[{map_index}]"
            problems.append(f"tries of {name} are {', '.join(ran) or 'none'} instead of {', '.join(wanted)}")
    return problems


def _shown(value: str | None) -> str:
    return value or "none"
