"""Engines' own logs as evidence on a real Airflow, with a real PostgreSQL and a real Spark."""

from __future__ import annotations

import pytest

from airflow_oncall.incident import Correlation, Incident, Kind, LogEvent
from tests.e2e.world import World

pytestmark = pytest.mark.e2e


def failed_tasks(world: World, dag_id: str) -> list[Incident]:
    """Incidents of task instances; what was logged has incidents of its own until it is handed over."""
    return [incident for incident in world.incidents(dag_id) if incident.kind is Kind.TASK]


def logged(world: World, incident: Incident, sources: int) -> dict[str, LogEvent]:
    """Await what so many sources logged about an incident; the newest event of each."""
    return world.until(
        lambda: {event.source: event for event in world.store.logs.events(incident.id)},
        lambda events: len(events) == sources,
        f"what {sources} source(s) logged does not reach incident {incident.id}",
    )


def test_a_failed_task_has_what_both_engines_logged_about_it(world: World) -> None:
    (incident,) = world.until(lambda: failed_tasks(world, "l_spark_and_sql"), bool, "the failure is not noticed")
    events = logged(world, incident, sources=2)
    assert (incident.ref.run_id, incident.ref.task_id) == (world.begun["l_spark_and_sql"], "nightly")
    assert {event.correlation for event in events.values()} == {Correlation.EXPLICIT}
    assert {(event.ref, event.try_number) for event in events.values()} == {(incident.ref, 1)}
    warehouse, spark = events["warehouse"].identifiers, events["spark"].identifiers
    assert (warehouse["sqlstate"], warehouse["database"], warehouse["user"]) == ("22012", "postgres", "etl")
    assert warehouse["pid"].isdigit()
    assert spark["application_id"].startswith("local-")


def test_statements_of_tasks_that_name_themselves_nowhere_find_their_task_instance(world: World) -> None:
    incidents = world.until(
        lambda: failed_tasks(world, "l_nothing_written_down"), lambda found: len(found) == 3, "not all failures are noticed"
    )
    for incident in incidents:
        event = logged(world, incident, sources=1)["warehouse"]
        assert (event.correlation, event.ref) == (Correlation.INFERRED, incident.ref)
        assert event.probability >= 0.8
        assert incident.ref.task_id.removeprefix("load_") in event.text
