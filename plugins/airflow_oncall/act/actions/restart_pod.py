"""``restart_pod``: delete the one pod of a service that a task could not use, wait for its replacement, run the task instance again.

The policy names the pod by namespace and label selector; the API server deletes it only while its uid is the one that was planned.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from airflow_oncall.act.actions.base import (
    ActContext,
    Impossible,
    Plan,
    PlanContext,
    Result,
    SharedAction,
    TargetError,
    clear,
    later,
    refused,
)
from airflow_oncall.incident import ActionKind

TIMEOUT = 10
MOST_LOOKS = 60
PAUSE_SECONDS = 5.0


class RestartPod(SharedAction):
    """Parameters: ``namespace`` and ``selector`` (labels; both needed), ``conn_id`` (``kubernetes_default``)."""

    kind = str(ActionKind.RESTART_POD)

    def plan(self, context: PlanContext) -> Plan | Impossible:
        """The only pod that the selector finds; something has to make a new one when it is gone."""
        planned = super().plan(context)
        if isinstance(planned, Impossible):
            return planned
        said = {"conn_id": "kubernetes_default", **context.parameters}
        if not said.get("namespace") or not said.get("selector"):
            return Impossible("parameters namespace and selector have no default; together they name one pod")
        try:
            found = pods(said)
        except TargetError as error:
            return Impossible(str(error))
        if len(found) != 1:
            return Impossible(f"{said['selector']!r} in namespace {said['namespace']!r} finds {len(found)} pods; it has to be one")
        owner = _owner(found[0])
        if not owner:
            return Impossible(f"nothing would start pod {found[0].metadata.name!r} again: no controller owns it")
        where = {name: str(said[name]) for name in ("conn_id", "namespace", "selector")}
        return replace(planned, parameters={**where, "pod": found[0].metadata.name, "uid": found[0].metadata.uid, "owner": owner})

    def describe(self, parameters: Mapping[str, Any]) -> str:
        """Which one."""
        what = f"pod {parameters['pod']} in namespace {parameters['namespace']} is deleted; when its replacement is ready,"
        return f"{what} {super().describe(parameters)}"

    def execute(self, context: ActContext) -> Result:
        """Delete it while it is there, wait until another one is ready, then clear."""
        planned = context.parameters
        if context.incident.looks >= MOST_LOOKS:
            return refused(f"no replacement of pod {planned['pod']!r} became ready")
        found = pods(planned)
        ours = next((one for one in found if one.metadata.uid == planned["uid"]), None)
        if ours is not None and not ours.metadata.deletion_timestamp:
            context.make_sure_of_claim()
            delete_pod(planned)
            return later(PAUSE_SECONDS, f"pod {planned['pod']!r} was deleted; waits for its replacement")
        if ours is not None or not any(_owner(one) == planned["owner"] and _is_ready(one) for one in found):
            return later(PAUSE_SECONDS, f"waits for the replacement of pod {planned['pod']!r}")
        return clear(context)


def pods(where: Mapping[str, Any]) -> list[Any]:
    """Pods that the selector finds now."""
    with _cluster(str(where["conn_id"])) as core:
        found = core.list_namespaced_pod(where["namespace"], label_selector=where["selector"], _request_timeout=TIMEOUT)
        return list(found.items)


def delete_pod(planned: Mapping[str, Any]) -> None:
    """Delete the pod, if its uid still is the planned one; another one of its name is left alone."""
    from kubernetes.client.exceptions import ApiException  # type: ignore[import-untyped]
    from kubernetes.client.models import V1DeleteOptions, V1Preconditions  # type: ignore[import-untyped]

    options = V1DeleteOptions(preconditions=V1Preconditions(uid=planned["uid"]))
    with _cluster(str(planned["conn_id"])) as core:
        try:
            core.delete_namespaced_pod(planned["pod"], planned["namespace"], body=options, _request_timeout=TIMEOUT)
        except ApiException as error:
            if error.status not in (404, 409):  # gone, or another one by now: the next look tells
                raise


def _owner(pod: Any) -> str:
    return next((str(one.uid) for one in pod.metadata.owner_references or () if one.controller), "")


def _is_ready(pod: Any) -> bool:
    conditions = (pod.status.conditions or ()) if pod.status else ()
    return not pod.metadata.deletion_timestamp and any(one.type == "Ready" and one.status == "True" for one in conditions)


@contextmanager
def _cluster(conn_id: str) -> Iterator[Any]:
    try:
        from airflow.providers.cncf.kubernetes.hooks.kubernetes import KubernetesHook
        from airflow.sdk.exceptions import AirflowException, AirflowNotFoundException
        from kubernetes.client.exceptions import ApiException
        from kubernetes.config import ConfigException  # type: ignore[import-untyped]
        from urllib3.exceptions import HTTPError
    except ImportError as error:
        raise TargetError(f"restart_pod: {error}; pip install 'airflow-oncall[kubernetes]'", transient=False) from error
    try:
        yield KubernetesHook(conn_id=conn_id).core_v1_client
    except ApiException as error:
        advice = "its user may not list or delete pods there" if error.status == 403 else str(error.reason)
        busy = error.status == 429 or (error.status or 0) >= 500
        raise TargetError(f"connection {conn_id!r}: HTTP {error.status}; {advice}", transient=busy) from error
    except (HTTPError, OSError) as error:
        raise TargetError(f"connection {conn_id!r}: no answer from the cluster ({error})", transient=True) from error
    except (ConfigException, AirflowNotFoundException, AirflowException) as error:
        raise TargetError(f"connection {conn_id!r}: {error}", transient=False) from error
