"""Other packages add kinds of action; ours cannot be replaced, and what cannot be loaded is told and not fatal."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import EntryPoint

import pytest
from tests.act.actions.bench import notice, plan, step, stored
from tests.tick.scene import Scene

from airflow_oncall.act.actions import registry
from airflow_oncall.act.actions.base import ActContext, Impossible, Plan, Result, TaskAction, clear
from airflow_oncall.act.actions.clear_task import ClearTask
from airflow_oncall.act.policy import ENTRY_POINTS
from airflow_oncall.incident import ActionState, State


class WarmCache(TaskAction):
    """Another package's kind."""

    kind = "warm_cache"
    warmed: list[str] = []  # noqa: RUF012 - the test reads it

    def execute(self, context: ActContext) -> Result:
        self.warmed.append(context.action.ref.task_id)
        return clear(context)


@pytest.fixture(autouse=True)
def registered(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Three entry points of other packages."""
    here = f"{__name__}:WarmCache"
    found = [
        EntryPoint(name, value, ENTRY_POINTS) for name, value in (("warm_cache", here), ("clear_task", here), ("lost", "no.such:Kind"))
    ]
    monkeypatch.setattr(registry, "entry_points", lambda group: found if group == ENTRY_POINTS else [])
    registry.action_type.cache_clear()
    yield
    registry.action_type.cache_clear()


def test_a_kind_of_another_package_is_done_as_ours_are(failed: Scene) -> None:
    assert plan(failed, "warm_cache") == Plan(1)
    stored(failed, failed.incident, "warm_cache", Plan(1))
    assert step(failed).state is ActionState.DONE
    assert WarmCache.warmed == ["load_orders"]
    assert len(failed.airflow.clears) == 1


def test_ours_cannot_be_replaced() -> None:
    assert type(registry.action_type("clear_task")) is ClearTask


def test_one_that_cannot_be_loaded_is_no_plan_and_no_crash(failed: Scene) -> None:
    planned = plan(failed, "lost")
    assert isinstance(planned, Impossible)
    assert "action 'lost' (no.such:Kind) cannot be loaded: No module named 'no'" in planned.reason
    assert registry.describe("lost", {}) == "lost"


def test_one_whose_package_is_gone_when_it_is_to_be_done_is_a_persons(failed: Scene) -> None:
    stored(failed, notice(failed), "lost", Plan(1))
    assert step(failed).state is ActionState.REFUSED
    assert failed.state == State.ESCALATED


def test_one_whose_package_is_gone_when_its_end_is_to_be_seen_ends_as_the_task_instance(
    failed: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored(failed, notice(failed), "warm_cache", Plan(1))
    step(failed)
    monkeypatch.setattr(registry, "entry_points", lambda group: [])
    registry.action_type.cache_clear()
    failed.airflow.schedule()
    for ref in list(failed.airflow.instances):
        failed.airflow.succeed(ref)
    step(failed)
    assert (failed.state, failed.outcomes()) == (State.RESOLVED, ["success"])
