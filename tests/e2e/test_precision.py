"""Faults injected on a real Airflow: how often an automatic repair is right, and how many transient faults it repairs.

77 tasks and runs of 8 DAGs meet real conditions with real clients (``dags/faults_*.py``, ``outside.py``); all 14 categories
are among them, and half are transient. The mode is auto; the policy is the shipped one with every wait cut to ten seconds, so
that the test ends (causes go away by what happened, not by time). Nobody answers a question. Whether a repair was right is
read from Airflow's own try history; what was left is run once more by hand at the end, so that what is said to be transient,
or permanent, is seen to be. With ``-s`` the table is printed; it is kept as ``precision.txt`` in the session's folder.
"""

from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

import pytest
from demo.deployment import ROOT
from lab.engines.postgres_server import Cluster
from sqlalchemy import and_, or_, select

from airflow_oncall.incident import CATEGORIES, CLOSING, Action, ActionKind, ActionState, Incident, Kind, State, StormState
from airflow_oncall.store.tables import incidents, storms
from tests.e2e.faults import FAULTS, Fault
from tests.e2e.outside import Outside
from tests.e2e.world import World

pytestmark = pytest.mark.faults

DAGS = sorted({fault.dag_id for fault in FAULTS}, key=lambda dag_id: dag_id != "f_night")
"""The one with a time limit for its run first, while slots are free."""
RESTING = CLOSING | {State.ASKED, State.ESCALATED, State.OBSERVED}
"""Nothing more happens until a person acts; the same goes for members held by a storm that was handed over."""
REPAIRED = "success"
PRECISION, COVERAGE = 0.95, 0.5
LONGEST_WAIT = 10


@dataclass(frozen=True)
class Handled:
    """What became of a fault, without a person."""

    fault: Fault
    category: str
    verdicts: tuple[str, ...]
    repairs: tuple[bool, ...]
    """Of every automatic repair, whether the try that it made succeeded."""
    reason: str

    @property
    def is_repaired(self) -> bool:
        """Whether the last repair helped."""
        return any(self.repairs[-1:])


@pytest.fixture(scope="module")
def runs(world: World, warehouse: Cluster) -> Iterator[dict[str, str]]:
    """Every fault has happened, and triage has dealt with it."""
    outside = Outside(world.home / "inbox", warehouse)
    for key, value in outside.variables.items():
        world.airflow.post("/variables", {"key": key, "value": value})
    world.airflow.wait_ready(DAGS)
    outside.start()
    policy = world.home / "include" / "oncall" / "policy.yaml"
    policy.write_text(hurried((ROOT / "include" / "oncall" / "policy.yaml").read_text()))
    try:
        started = {dag_id: world.airflow.trigger(dag_id) for dag_id in DAGS}
        world.until(lambda: watched(world, outside), lambda unsettled: not unsettled, "not all faults come to rest", timeout=900)
        yield started
    finally:
        policy.unlink()
        outside.stop()


@pytest.fixture(scope="module")
def handled(world: World, runs: Mapping[str, str]) -> list[Handled]:
    """What became of each fault."""
    found = [handled_in(world, fault, runs[fault.dag_id]) for fault in FAULTS]
    report = table(found)
    (world.home / "precision.txt").write_text(report)
    sys.stdout.write(f"\n{report}")
    return found


def test_automatic_repairs_are_right(handled: list[Handled]) -> None:
    assert precision(handled) >= PRECISION


def test_transient_faults_are_repaired_without_a_person(handled: list[Handled]) -> None:
    assert coverage(handled) >= COVERAGE


def test_every_category_is_among_the_faults() -> None:
    expected = Counter(fault.categories[0] for fault in FAULTS)
    assert len(FAULTS) >= 60
    assert expected.keys() == set(CATEGORIES)
    assert min(expected.values()) >= 4


def test_a_run_by_hand_shows_that_what_was_left_is_transient_or_permanent(
    world: World, runs: Mapping[str, str], handled: list[Handled]
) -> None:
    left = [one.fault for one in handled if not one.is_repaired]
    ended = run_by_hand(world, runs, [fault for fault in left if fault.task_id])
    ended |= run_by_hand(world, runs, [fault for fault in left if not fault.task_id])  # its time limit counts while it waits for a slot
    assert ended == {fault.name: "success" if fault.transient else "failed" for fault in left}
    assert [one.fault.name for one in handled if one.is_repaired and not one.fault.transient] == []


def hurried(policy: str) -> str:
    """The same policy, with no wait above :data:`LONGEST_WAIT`, nor between the probes of a storm."""
    shorter = re.sub(r"(?<=wait_seconds: )\d+", lambda found: str(min(int(found[0]), LONGEST_WAIT)), policy)
    return f"{shorter}\nstorms: {{ wait_seconds: {LONGEST_WAIT} }}\n"


def watched(world: World, outside: Outside) -> Collection[str]:
    """Let the world react to what failed; the faults that have not come to rest."""
    of_airflow = (incidents.c.dag_id.in_(DAGS), incidents.c.kind != str(Kind.LOG))
    is_theirs = and_(incidents.c.state == str(State.HELD), storms.c.state == str(StormState.ESCALATED))
    query = select(incidents.c.dag_id, incidents.c.task_id, or_(incidents.c.state.in_(RESTING), is_theirs).label("rests"))
    query = query.outerjoin(storms, storms.c.id == incidents.c.storm_id).where(*of_airflow)
    with world.store.engine.connect() as connection:
        rests = {(dag_id, task_id): rests for dag_id, task_id, rests in connection.execute(query)}
    outside.react({task_id or dag_id for dag_id, task_id in rests})
    return [fault.name for fault in FAULTS if not rests.get((fault.dag_id, fault.task_id))]


def handled_in(world: World, fault: Fault, run_id: str) -> Handled:
    """What became of a fault's one incident."""
    reading = world.store.reading
    of_airflow = [one for one in world.incidents(fault.dag_id) if one.kind is not Kind.LOG]
    (incident,) = [one for one in of_airflow if (one.ref.task_id, one.ref.run_id) == (fault.task_id, run_id)]
    decisions = reading.decisions(incident.id)
    return Handled(
        fault,
        category=reading.diagnoses(incident.id)[0].category,
        verdicts=tuple(str(one.verdict) for one in decisions),
        repairs=tuple(helped(world, fault, incident, action) for action in reading.actions(incident.id) if is_automatic(action)),
        reason=decisions[-1].reasons[0],
    )


def is_automatic(action: Action) -> bool:
    """Whether it changed something, and nobody had been asked."""
    return action.kind != ActionKind.ESCALATE and action.state is ActionState.DONE and action.approved_by is None


def helped(world: World, fault: Fault, incident: Incident, action: Action) -> bool:
    """Whether the try that follows what the action answers succeeded, as Airflow has it."""
    return tries(world, fault, {fault.dag_id: incident.ref.run_id})[action.answers_try] == REPAIRED


def tries(world: World, fault: Fault, runs: Mapping[str, str]) -> list[str]:
    """States of all tries, oldest first; of a run, those of its one task."""
    return world.tries(fault.dag_id, runs[fault.dag_id], fault.task_id or "close_day")


def run_by_hand(world: World, runs: Mapping[str, str], faults: list[Fault]) -> dict[str, str]:
    """Clear them as a person does, and await the end; how the next try of each ended."""
    before = {fault.name: len(tries(world, fault, runs)) for fault in faults}
    for dag_id, is_task in {(fault.dag_id, bool(fault.task_id)) for fault in faults}:
        world.airflow.post(f"/dags/{dag_id}/clearTaskInstances", {"dry_run": False, "dag_run_id": runs[dag_id], "only_failed": is_task})
    return {fault.name: next_try(world, fault, runs, before[fault.name]) for fault in faults}


def next_try(world: World, fault: Fault, runs: Mapping[str, str], before: int) -> str:
    """Await the end of the try that follows so many; its state."""
    ended = world.until(
        lambda: tries(world, fault, runs)[before:],
        lambda states: states[:1] in (["success"], ["failed"], ["skipped"]),
        f"{fault.name} does not end",
    )
    return ended[0]


def precision(handled: list[Handled]) -> float:
    """Share of automatic repairs that were right."""
    repairs = [right for one in handled for right in one.repairs]
    return sum(repairs) / len(repairs)


def coverage(handled: list[Handled]) -> float:
    """Share of transient faults that were repaired."""
    repaired = [one.is_repaired for one in handled if one.fault.transient]
    return sum(repaired) / len(repaired)


def table(handled: list[Handled]) -> str:
    """A line a fault, a paragraph a category, and the two figures."""
    return "\n".join([line for category in sorted(CATEGORIES) for line in paragraph(category, handled)] + summary(handled)) + "\n"


def paragraph(category: str, handled: list[Handled]) -> list[str]:
    """The faults of one category."""
    return ["", category, *(line(one) for one in handled if one.fault.categories[0] == category)]


def line(one: Handled) -> str:
    """Expected and found, decided and done; ``!`` marks another category than the accepted ones."""
    truth = "transient" if one.fault.transient else "permanent"
    found = one.category if one.category in one.fault.categories else f"! {one.category}"
    repairs = " ".join("right" if right else "WRONG" for right in one.repairs) or "-"
    return f"  {one.fault.name:26} {truth:10} {found:26} {' '.join(one.verdicts):24} {repairs:14} {one.reason[:100]}"


def summary(handled: list[Handled]) -> list[str]:
    """The figures."""
    repairs = Counter(right for one in handled for right in one.repairs)
    transient = [one for one in handled if one.fault.transient]
    wrong = sum(one.category not in one.fault.categories for one in handled)
    return [
        "",
        f"{len(handled)} faults, {len(transient)} transient; another category than accepted: {wrong}",
        f"automatic repairs: {repairs[True]} right, {repairs[False]} wrong; precision {precision(handled):.3f}, bar {PRECISION}",
        f"transient faults repaired: {sum(one.is_repaired for one in transient)}; coverage {coverage(handled):.3f}, bar {COVERAGE}",
    ]
