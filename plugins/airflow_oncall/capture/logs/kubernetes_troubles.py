"""What Kubernetes itself calls trouble, as :class:`Record`: warning events, containers that ended badly, pods that were put out."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import datetime, timedelta, timezone
from typing import Any

from airflow_oncall.capture.logs.pod_owner import task_instance
from airflow_oncall.capture.logs.source import Record

EVENT, TERMINATION = "kubernetes-event", "kubernetes-termination"
_KILLED = {128 + 9, 128 + 15}
_STATUSES = ("initContainerStatuses", "containerStatuses", "ephemeralContainerStatuses")

Json = Mapping[str, Any]


def event_record(event: Json, pod: Json | None) -> Record:
    """A warning event; ``pod`` is the one it is about, where that still exists. Its count is no part of it."""
    about, reason = event.get("involvedObject") or {}, event.get("reason") or "Unknown"
    kind, name, namespace = (str(about.get(key) or "") for key in ("kind", "name", "namespace"))
    container = re.search(r"\{(.+)\}", about.get("fieldPath") or "")
    identifiers = {
        "pod_name" if kind == "Pod" else "object": name if kind == "Pod" else f"{kind}/{name}",
        "namespace": namespace,
        "container_name": container[1] if container else "",
        "node_name": name if kind == "Node" else ((pod or {}).get("spec") or {}).get("nodeName") or (event.get("source") or {}).get("host"),
        "reason": reason,
        **task_instance((pod or {}).get("metadata") or {}),
    }
    return Record(
        position=f"event/{event['metadata']['uid']}/{reason}",
        text=f"{reason}: {event.get('message') or ''}\n{kind} {namespace}/{name}",
        happened_at=event_time(event),
        signature=EVENT,
        severity="WARNING",
        identifiers={key: str(value) for key, value in identifiers.items() if value},
    )


def event_time(event: Json) -> datetime | None:
    """When it happened last."""
    times = ((event.get("series") or {}).get("lastObservedTime"), event.get("lastTimestamp"), event.get("eventTime"))
    return next((at for at in map(moment, (*times, event["metadata"].get("creationTimestamp"))) if at), None)


def terminations(pod: Json) -> Iterator[Record]:
    """Containers of a pod that ended badly, each once, now or before their restart, and the pod's own end where it was put out."""
    status = pod.get("status") or {}
    if status.get("phase") == "Succeeded":  # what a sidecar says when it is stopped then is no trouble
        return
    yield from _put_out(pod, status)
    for container in (one for statuses in _STATUSES for one in status.get(statuses) or ()):
        for ended in ((container.get(state) or {}).get("terminated") for state in ("lastState", "state")):
            if ended and ended.get("exitCode") != 0 and not _asked_for(pod, ended):
                yield _termination(pod, str(container["name"]), ended)


def moment(stamp: Any) -> datetime | None:
    """A time as Kubernetes writes it."""
    with suppress(ValueError, TypeError, AttributeError):
        return datetime.fromisoformat(stamp.replace("Z", "+00:00")).astimezone(timezone.utc)
    return None


def _termination(pod: Json, container: str, ended: Json) -> Record:
    reason, code, at = ended.get("reason") or "Error", ended.get("exitCode"), ended.get("finishedAt")
    by_signal = f", signal {ended['signal']}" if ended.get("signal") else ""
    said = f"\n{ended['message']}" if ended.get("message") else ""
    return Record(
        position=f"pod/{pod['metadata']['uid']}/{container}/{ended.get('containerID') or at}",
        text=f"{reason}: container {container} ended with exit code {code}{by_signal}{said}",
        happened_at=moment(at),
        signature=TERMINATION,
        identifiers=_identifiers(pod, container_name=container, reason=reason, exit_code=code),
    )


def _put_out(pod: Json, status: Json) -> Iterator[Record]:
    """Evicted, preempted, lost with its node, out of time: told by the pod's status or by its disruption condition."""
    conditions = status.get("conditions") or ()
    disruption: Json = next((one for one in conditions if (one["type"], one["status"]) == ("DisruptionTarget", "True")), {})
    reason = (status.get("phase") == "Failed" and status.get("reason")) or disruption.get("reason")
    if reason:
        said = status.get("message") or disruption.get("message") or "the pod was put out"
        yield Record(
            position=f"pod/{pod['metadata']['uid']}//{reason}",
            text=f"{reason}: {said}",
            happened_at=moment(disruption.get("lastTransitionTime")) or _last_change(status),
            signature=TERMINATION,
            identifiers=_identifiers(pod, reason=reason),
        )


def _last_change(status: Json) -> datetime | None:
    """When the last of its containers ended, or when a condition of the pod changed."""
    ends = [((one.get("state") or {}).get("terminated") or {}).get("finishedAt") for one in status.get("containerStatuses") or ()]
    changes = [one.get("lastTransitionTime") for one in status.get("conditions") or ()]
    return max(filter(None, map(moment, [*ends, *changes])), default=None)


def _asked_for(pod: Json, ended: Json) -> bool:
    """Killed because somebody deleted the pod, which Airflow does with its own; running out of memory never is."""
    deadline, finished = moment(pod["metadata"].get("deletionTimestamp")), moment(ended.get("finishedAt"))
    if not deadline or not finished or ended.get("reason") == "OOMKilled":
        return False
    asked_at = deadline - timedelta(seconds=pod["metadata"].get("deletionGracePeriodSeconds") or 0)
    return ended.get("exitCode") in _KILLED and finished >= asked_at


def _identifiers(pod: Json, **more: Any) -> dict[str, str]:
    metadata = pod["metadata"]
    found = {
        "pod_name": metadata.get("name"),
        "namespace": metadata.get("namespace"),
        "node_name": (pod.get("spec") or {}).get("nodeName"),
        **more,
        **task_instance(metadata),
    }
    return {name: str(value) for name, value in found.items() if value not in (None, "")}
