"""Kubernetes: the provider's hook and the official client against an API server of our own words (no cluster runs here)."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from airflow_oncall.capture.logs.kubernetes import KubernetesSettings
from airflow_oncall.capture.logs.pod_owner import matches_label, pod_annotations
from airflow_oncall.capture.logs.source import Cursor, Record, SourceFailed
from tests.logs.kubernetes_world import BEGIN, KubernetesWorld, serving

TASK = {"dag_id": "nightly", "run_id": "manual__2026-03-02T12:00:00+00:00", "task_id": "report", "map_index": "3", "try_number": "2"}


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[KubernetesWorld]:
    """An empty cluster, and an Airflow connection to it."""
    with serving() as world:
        context = {"name": "c", "context": {"cluster": "c", "user": "u"}}
        config = {
            "current-context": "c",
            "contexts": [context],
            "clusters": [{"name": "c", "cluster": {"server": world.url}}],
            "users": [{"name": "u", "user": {"token": "secret"}}],
        }
        connection = {"conn_type": "kubernetes", "extra": {"kube_config": json.dumps(config)}}
        monkeypatch.setenv("AIRFLOW_CONN_CLUSTER", json.dumps(connection))
        yield world


class Poller:
    """Reads a source as the poller does: from the last cursor, remembering everything."""

    def __init__(self, **settings: Any) -> None:
        self.source = KubernetesSettings.model_validate({"conn_id": "cluster", "watch_seconds": 1} | settings).source("cluster")
        self.cursor: Cursor = {}

    def poll(self) -> list[Record]:
        records: list[Record] = []
        for batch in self.source.read(self.cursor):
            records += batch.records
            self.cursor = batch.cursor
        return records

    def reasons(self) -> list[str]:
        return [record.identifiers["reason"] for record in self.poll()]


@pytest.fixture
def poller(world: KubernetesWorld) -> Poller:
    """A source that has been read before, when nothing was there."""
    poller = Poller()
    assert poller.poll() == []
    return poller


def test_a_warning_is_one_record_with_what_kubernetes_knows_of_it(world: KubernetesWorld, poller: Poller) -> None:
    world.pod(annotations=TASK)
    world.event("BackOff", message="Back-off restarting failed container")
    (record,) = poller.poll()

    assert record.text == "BackOff: Back-off restarting failed container\nPod jobs/report-1"
    assert (record.position, record.signature, record.severity) == ("event/event-report-1-BackOff/BackOff", "kubernetes-event", "WARNING")
    assert record.happened_at == BEGIN + timedelta(seconds=2)
    engine = {"pod_name": "report-1", "namespace": "jobs", "container_name": "base", "node_name": "node-7", "reason": "BackOff"}
    assert record.identifiers == engine | TASK


def test_only_warnings_are_asked_for(world: KubernetesWorld, poller: Poller) -> None:
    about_events = [path for path in world.asked if "/events" in path]
    assert about_events
    assert all("fieldSelector=type%3DWarning" in path for path in about_events)


def test_an_event_that_happens_again_is_no_new_record(world: KubernetesWorld, poller: Poller) -> None:
    event = world.event("Unhealthy")
    assert poller.reasons() == ["Unhealthy"]
    world.put("events", event | {"count": 7})

    assert poller.reasons() == []


def test_the_first_poll_leaves_what_was_there(world: KubernetesWorld) -> None:
    event = world.event("FailedMount")
    world.pod(status={"phase": "Failed", "containerStatuses": [world.ended()]})
    poller = Poller()
    assert poller.reasons() == []
    world.later(60)
    world.put("events", event | {"count": 2})
    world.event("Evicted")

    assert poller.reasons() == ["Evicted"]


def test_the_first_poll_can_begin_with_what_is_there(world: KubernetesWorld) -> None:
    world.event("FailedMount")
    world.pod(status={"phase": "Failed", "containerStatuses": [world.ended()]})
    poller = Poller(start="start")

    assert poller.reasons() == ["FailedMount", "Error"]
    assert poller.reasons() == []


def test_long_lists_are_read_page_by_page(world: KubernetesWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("airflow_oncall.capture.logs.kubernetes._PAGE", 2)
    for number in range(5):
        world.event("FailedMount", pod=f"p{number}")

    assert len(Poller(start="start").poll()) == 5
    assert sum("continue=" in path for path in world.asked) == 2


def test_a_version_that_is_gone_is_listed_again_without_loss_or_double(world: KubernetesWorld, poller: Poller) -> None:
    world.event("BackOff")
    assert poller.reasons() == ["BackOff"]
    world.event("FailedMount")
    world.forget()

    assert poller.reasons() == ["FailedMount"]
    assert poller.reasons() == []


def test_what_is_listed_again_is_no_new_record_however_much_it_is(
    world: KubernetesWorld, poller: Poller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("airflow_oncall.capture.logs.kubernetes.SEEN_LIMIT", 2)
    for number in range(6):
        world.event("BackOff", pod=f"p{number}")
        world.pod(f"p{number}", status={"phase": "Failed", "containerStatuses": [world.ended()]})
    assert len(poller.poll()) == 12
    world.forget()
    world.event("FailedMount")

    assert poller.reasons() == ["FailedMount"]
    assert len(poller.cursor["seen"]) == 2


def test_a_server_that_counts_its_versions_anew_is_read_from_its_beginning(world: KubernetesWorld, poller: Poller) -> None:
    world.event("BackOff")
    poller.cursor = {**poller.cursor, "versions": {"events/": "900", "pods/": "900"}}
    world.refusals.append(("/events", 410, {}))

    assert poller.reasons() == ["BackOff"]


def test_a_list_that_is_left_half_way_is_read_on_without_double(world: KubernetesWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("airflow_oncall.capture.logs.kubernetes.SEEN_LIMIT", 1)
    monkeypatch.setattr("airflow_oncall.capture.logs.kubernetes._PAGE", 2)
    for number in range(5):
        world.event("FailedMount", pod=f"p{number}")
    poller = Poller(start="start")
    reading = poller.source.read({})
    first = [next(reading), next(reading)]
    del reading
    poller.cursor = first[-1].cursor

    assert [record.position for batch in first for record in batch.records] + [record.position for record in poller.poll()] == [
        f"event/event-p{number}-FailedMount/FailedMount" for number in range(5)
    ]


def test_what_was_there_before_the_first_poll_stays_left_out_when_it_is_listed_again(world: KubernetesWorld) -> None:
    world.event("FailedMount")
    world.pod("old", status={"phase": "Failed", "containerStatuses": [world.ended()]})
    world.later(60)
    poller = Poller()
    poller.poll()
    world.forget()
    world.event("BackOff")
    world.forget()

    assert poller.reasons() == ["BackOff"]


def test_a_page_that_is_gone_begins_the_list_anew(world: KubernetesWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("airflow_oncall.capture.logs.kubernetes._PAGE", 2)
    for number in range(3):
        world.event("FailedMount", pod=f"p{number}")
    world.refusals.append(("continue=", 410, {}))

    assert len(Poller(start="start").poll()) == 3


def test_a_list_that_is_always_gone_says_so(world: KubernetesWorld) -> None:
    world.refusals += [("/events", 410, {})] * 3
    with pytest.raises(SourceFailed, match="changes faster than it can be listed; choose `namespaces`"):
        Poller(start="start").poll()


def test_a_container_out_of_memory_is_told_with_its_exit_code(world: KubernetesWorld, poller: Poller) -> None:
    world.pod(annotations=TASK)
    status = {"phase": "Failed", "containerStatuses": [world.ended(137, "OOMKilled", message="heap at 4 GiB")]}
    world.pod(annotations=TASK, status=status)
    (record,) = poller.poll()

    assert record.text == "OOMKilled: container base ended with exit code 137\nheap at 4 GiB"
    assert record.identifiers["exit_code"] == "137"
    assert record.identifiers["reason"] == "OOMKilled"
    assert record.identifiers["container_name"] == "base"
    assert record.identifiers["run_id"] == TASK["run_id"]


def test_a_container_that_is_restarted_is_told_once_for_each_end(world: KubernetesWorld, poller: Poller) -> None:
    first = world.ended(run="one")
    world.pod(status={"phase": "Running", "containerStatuses": [first]})
    assert poller.reasons() == ["Error"]
    waiting = {"name": "base", "state": {"waiting": {"reason": "CrashLoopBackOff"}}, "lastState": first["state"]}
    world.pod(status={"phase": "Running", "containerStatuses": [waiting]})
    assert poller.reasons() == []
    second = world.ended(run="two") | {"lastState": first["state"]}
    world.pod(status={"phase": "Running", "containerStatuses": [second]})

    assert poller.reasons() == ["Error"]


def test_a_pod_that_came_and_went_between_two_polls_is_read(world: KubernetesWorld, poller: Poller) -> None:
    world.pod(status={"phase": "Failed", "initContainerStatuses": [world.ended(2, container="prepare")]})
    world.delete("pods", "pod-report-1")
    (record,) = poller.poll()

    assert (record.identifiers["container_name"], record.identifiers["exit_code"]) == ("prepare", "2")


def test_pods_that_end_well_or_are_told_to_end_are_no_trouble(world: KubernetesWorld, poller: Poller) -> None:
    world.pod(
        "fine", status={"phase": "Succeeded", "containerStatuses": [world.ended(0, "Completed"), world.ended(137, container="sidecar")]}
    )
    stopped = world.ended(143)
    world.pod("stopped", status={"containerStatuses": [stopped]}, deletionTimestamp=world.later(20), deletionGracePeriodSeconds=30)

    assert poller.poll() == []


def test_a_container_that_fell_before_its_pod_was_deleted_is_trouble(world: KubernetesWorld, poller: Poller) -> None:
    fallen = world.ended(137)
    world.pod("fallen", status={"containerStatuses": [fallen]}, deletionTimestamp=world.later(90), deletionGracePeriodSeconds=30)
    oom = world.ended(137, "OOMKilled")
    world.pod("hungry", status={"containerStatuses": [oom]}, deletionTimestamp=world.later(5), deletionGracePeriodSeconds=30)

    assert poller.reasons() == ["Error", "OOMKilled"]


def test_a_pod_that_was_put_out_is_told_with_the_reason(world: KubernetesWorld, poller: Poller) -> None:
    world.pod("evicted", status={"phase": "Failed", "reason": "Evicted", "message": "The node was low on memory"})
    condition = {
        "type": "DisruptionTarget",
        "status": "True",
        "reason": "PreemptionByScheduler",
        "message": "made room",
        "lastTransitionTime": world.later(1),
    }
    world.pod("preempted", status={"phase": "Running", "conditions": [condition]})
    evicted, preempted = poller.poll()

    assert evicted.text == "Evicted: The node was low on memory"
    assert preempted.text == "PreemptionByScheduler: made room"
    assert preempted.happened_at == world.now - timedelta(seconds=1)


def test_labels_of_a_pod_operator_are_exact_only_where_they_were_not_shortened(world: KubernetesWorld, poller: Poller) -> None:
    labels = {"dag_id": "nightly", "task_id": "report", "run_id": "manual__2026-03-02T1200000000-0a1b2c3d4", "try_number": "1"}
    world.pod(labels=labels, status={"containerStatuses": [world.ended()]})
    (record,) = poller.poll()

    assert {name: record.identifiers.get(name) for name in ("dag_id", "task_id", "run_id", "run_id_label", "try_number")} == {
        "dag_id": "nightly",
        "task_id": "report",
        "run_id": None,
        "run_id_label": labels["run_id"],
        "try_number": "1",
    }


def test_a_shortened_label_is_recognised_by_the_id_it_was_made_of() -> None:
    from airflow.providers.cncf.kubernetes.pod_generator import make_safe_label_value

    label = make_safe_label_value(TASK["run_id"])
    assert label != TASK["run_id"]
    assert matches_label(TASK["run_id"], label)
    assert not matches_label("manual__2026-03-03T12:00:00+00:00", label)


def test_without_the_provider_no_shortened_label_is_recognised(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "airflow.providers.cncf.kubernetes.pod_generator", None)
    assert not matches_label(TASK["run_id"], "manual__2026-03-02T1200000000-0a1b2c3d4")


def test_only_pods_of_believed_namespaces_name_their_task_instance(world: KubernetesWorld) -> None:
    world.pod(annotations=TASK, status={"containerStatuses": [world.ended()]})
    world.event("BackOff")
    labels = {"dag_id": "nightly", "task_id": "report", "run_id": "manual__2026-03-02T1200000000-0a1b2c3d4"}
    world.pod("labelled", labels=labels, status={"containerStatuses": [world.ended()]})
    strangers = Poller(start="start", believed_namespaces=["airflow"]).poll()
    believed = Poller(start="start", believed_namespaces=["airflow", "jobs"]).poll()

    assert len(strangers) == len(believed) == 3
    assert {record.identifiers["namespace"] for record in strangers} == {"jobs"}
    assert not any({*TASK, "run_id_label"} & set(record.identifiers) for record in strangers)
    assert all(record.identifiers["dag_id"] == "nightly" for record in believed)


def test_annotations_for_a_pod_operator_name_all_that_is_read_back() -> None:
    assert set(pod_annotations()) == set(TASK)


def test_an_event_about_a_pod_that_is_gone_or_replaced_names_no_task(world: KubernetesWorld, poller: Poller) -> None:
    world.pod("replaced", uid="pod-another", annotations=TASK)
    world.event("BackOff", pod="replaced")
    world.event("BackOff", pod="gone")

    assert [record.identifiers.get("dag_id") for record in poller.poll()] == [None, None]


def test_an_event_about_a_node_names_the_node(world: KubernetesWorld, poller: Poller) -> None:
    world.event("SystemOOM", involvedObject={"kind": "Node", "name": "node-9"})
    (record,) = poller.poll()

    assert record.identifiers == {"object": "Node/node-9", "node_name": "node-9", "reason": "SystemOOM"}


def test_reasons_can_be_ignored(world: KubernetesWorld) -> None:
    poller = Poller(ignored_reasons=["Unhealthy"])
    poller.poll()
    world.event("Unhealthy")
    world.event("BackOff")

    assert poller.reasons() == ["BackOff"]


def test_namespaces_and_labels_are_asked_for(world: KubernetesWorld) -> None:
    poller = Poller(namespaces=["jobs", "spark"], label_selector="dag_id")
    poller.poll()

    assert set(poller.cursor["versions"]) == {"events/jobs", "pods/jobs", "events/spark", "pods/spark"}
    assert "/api/v1/namespaces/spark/pods?labelSelector=dag_id&limit=1" in world.asked


def test_a_line_that_was_cut_off_is_read_by_the_next_poll(world: KubernetesWorld, poller: Poller) -> None:
    world.raw_lines.append(b'{"type": "ADDED", "object": {"metadata": {"na')
    world.event("BackOff")

    assert poller.reasons() == ["BackOff"]
    world.event("FailedMount")
    assert poller.reasons() == ["FailedMount"]


def test_a_kill_between_two_batches_loses_and_doubles_nothing(
    world: KubernetesWorld, poller: Poller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("airflow_oncall.capture.logs.kubernetes._PAGE", 2)
    for number in range(5):
        world.event("FailedMount", pod=f"p{number}")
    reading = poller.source.read(poller.cursor)
    first = next(reading)
    next(reading)  # read, and never stored
    del reading
    poller.cursor = first.cursor

    assert [record.position for record in [*first.records, *poller.poll()]] == [
        f"event/event-p{number}-FailedMount/FailedMount" for number in range(5)
    ]


@pytest.mark.parametrize(
    ("status", "way"),
    [(401, "renew the token or certificate in connection 'cluster'"), (403, "grant get, list and watch on events and pods")],
)
def test_a_refusal_says_what_to_set(world: KubernetesWorld, status: int, way: str) -> None:
    world.refusals.append(("/events", status, {}))
    with pytest.raises(SourceFailed, match=f"source 'cluster': .*{status} told to.*{way}"):
        Poller().poll()


def test_a_busy_server_is_asked_again(world: KubernetesWorld, poller: Poller) -> None:
    world.refusals.append(("/pods", 429, {"Retry-After": "0"}))
    world.event("BackOff")

    assert poller.reasons() == ["BackOff"]


def test_a_server_that_stays_away_is_left_for_the_next_poll(
    world: KubernetesWorld, poller: Poller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tenacity.nap.time.sleep", lambda seconds: None)
    world.refusals += [("/events", 503, {})] * 5
    with pytest.raises(SourceFailed, match=r"busy or away \(503 told to\); the next poll goes on"):
        poller.poll()
    world.event("BackOff")

    assert poller.reasons() == ["BackOff"]


def test_a_missing_connection_is_named() -> None:
    with pytest.raises(SourceFailed, match=r"no cluster to ask .*check connection 'nowhere'"):
        Poller(conn_id="nowhere").poll()


def test_a_missing_provider_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "airflow.providers.cncf.kubernetes.hooks.kubernetes", None)
    with pytest.raises(SourceFailed, match=r"pip install 'airflow-oncall\[kubernetes\]'"):
        Poller().poll()


def test_a_cursor_of_another_shape_is_named() -> None:
    poller = Poller()
    poller.cursor = {"shape": "files/1"}
    with pytest.raises(SourceFailed, match=r"\{'shape': 'files/1'\}.*new name"):
        poller.poll()
