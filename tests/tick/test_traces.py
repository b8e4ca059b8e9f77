"""A tick is a span where Airflow has traces on, and the same tick where it has none."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from tests.cast import vendor_was_down
from tests.tick.scene import ORDERS, Scene, judgement_of

from airflow_oncall import telemetry, tick
from airflow_oncall.tick import TickResult

Run = Callable[[], TickResult]


@pytest.fixture
def traced(monkeypatch: pytest.MonkeyPatch) -> InMemorySpanExporter:
    """Traces are on; every span that ended is kept."""
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", provider)
    return exporter


@pytest.fixture
def run(failed: Scene, monkeypatch: pytest.MonkeyPatch) -> Run:
    """What the task of ``oncall_triage`` runs, where a task instance failed."""
    monkeypatch.setattr(tick, "open_store", lambda: failed.store)
    monkeypatch.setattr(tick, "open_api", lambda: failed.api)
    monkeypatch.setattr(tick, "Judgement", lambda store: judgement_of(store, failed.brain, failed.mode, failed.policy))
    monkeypatch.setattr(tick, "look_after_models", lambda store, api: None)
    return lambda: tick.run_tick(seconds=0, linger=0)


def test_a_tick_is_one_span_inside_that_of_its_task(run: Run, traced: InMemorySpanExporter) -> None:
    with trace.get_tracer("airflow").start_as_current_span("task_run.tick") as task:
        result = run()
    told, _ = traced.get_finished_spans()
    assert (told.name, told.parent) == ("oncall.tick", task.get_span_context())
    assert dict(told.attributes or {}) == {"oncall.noticed": result.noticed, "oncall.steps": result.steps}
    assert (result.noticed, result.steps > 0) == (1, True)
    assert told.status.status_code is trace.StatusCode.UNSET


def test_each_tick_has_a_span_of_its_own(run: Run, traced: InMemorySpanExporter) -> None:
    run()
    run()
    first, second = traced.get_finished_spans()
    assert {first.parent, second.parent} == {None}
    assert first.get_span_context() != second.get_span_context()


def test_the_span_of_a_tick_that_breaks_says_so(run: Run, failed: Scene, traced: InMemorySpanExporter) -> None:
    failed.notice(replace(vendor_was_down, ref=ORDERS))
    failed.brain.breaks = ["503"]
    with pytest.raises(ZeroDivisionError):
        run()
    (told,) = traced.get_finished_spans()
    assert told.status.status_code is trace.StatusCode.ERROR
    assert [event.name for event in told.events] == ["exception"]


def test_without_traces_a_tick_does_the_same(run: Run, failed: Scene) -> None:
    with telemetry.span("tick") as begun:
        assert not begun.is_recording()
    assert run().noticed == 1
    assert failed.airflow.clears == [(ORDERS,)]
