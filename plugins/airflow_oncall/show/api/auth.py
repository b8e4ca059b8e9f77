"""Who may do what: Airflow's auth manager decides, always; here is only what is asked of it.

A row of a DAG is read by who may read that DAG, and acted on by who may edit its task instances. What is the whole
deployment's (models, knowledge, the kill switch) goes by the DAG ``oncall_triage``: who may read it reads, who may edit it,
and so could pause it by hand, changes.
"""

from __future__ import annotations

from functools import cached_property
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from airflow.api_fastapi.app import get_auth_manager
from airflow.api_fastapi.auth.managers.models.resource_details import AccessView, DagAccessEntity
from airflow.api_fastapi.core_api.security import GetUserDep, requires_access_dag
from airflow.configuration import conf as airflow_conf
from fastapi import Depends, HTTPException, Request

from airflow_oncall.act.approval import APPROVAL_DAG
from airflow_oncall.incident import Incident, Kind
from airflow_oncall.show.api.errors import ApiError
from airflow_oncall.store.browse import Sight

TRIAGE_DAG = "oncall_triage"
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
Method = Literal["GET", "PUT"]


class Access:
    """What the signed-in user may do. A dependency; nobody signed in is an answer 401."""

    def __init__(self, request: Request, user: GetUserDep) -> None:
        self._request, self._user = request, user

    @property
    def name(self) -> str:
        """The user, as audit rows name it."""
        return str(self._user.get_name())

    @property
    def user_id(self) -> str:
        """The user, as Airflow compares it with the approvers that a question names; with some auth managers no name but a number."""
        return str(self._user.get_id())

    def may(self, method: Method, dag_id: str, entity: DagAccessEntity | None = None) -> bool:
        """Whether Airflow lets the user do this to a DAG, or to what belongs to it."""
        asked: Any = requires_access_dag(method, entity, dag_id)
        try:
            asked(self._request, self._user)
        except HTTPException:
            return False
        return True

    def may_act_on(self, dag_id: str) -> bool:
        """Whether the user may edit the task instances of a DAG."""
        return self.may("PUT", dag_id, DagAccessEntity.TASK_INSTANCE)

    @cached_property
    def may_steer(self) -> bool:
        """Whether the user may change what is the whole deployment's."""
        return self.may("PUT", TRIAGE_DAG)

    @cached_property
    def may_answer(self) -> bool:
        """Whether the user may answer the questions that people are asked; one that names its approvers only they may answer."""
        return self.may("PUT", APPROVAL_DAG, DagAccessEntity.HITL_DETAIL)

    @cached_property
    def may_inspect(self) -> bool:
        """Whether the user may read what is the whole deployment's."""
        return self.may("GET", TRIAGE_DAG)

    @cached_property
    def sight(self) -> Sight:
        """What of the store the user may see."""
        return Sight(
            dag_ids=frozenset(get_auth_manager().get_authorized_dag_ids(user=self._user, method="GET")),
            import_errors=self._may_view(AccessView.IMPORT_ERRORS),
            logs=self._may_view(AccessView.CLUSTER_ACTIVITY),
        )

    def may_read(self, incident: Incident) -> bool:
        """Whether the user may see an incident."""
        if incident.kind is Kind.DAG_IMPORT:
            return self._may_view(AccessView.IMPORT_ERRORS)
        if is_of_no_task(incident):
            return self._may_view(AccessView.CLUSTER_ACTIVITY)
        return self.may("GET", incident.ref.dag_id)

    def may_change(self, incident: Incident) -> bool:
        """Whether the user may act on an incident; one that belongs to no DAG is the whole deployment's."""
        if incident.kind is Kind.DAG_IMPORT or is_of_no_task(incident):
            return self.may_steer and self.may_read(incident)
        return self.may_act_on(incident.ref.dag_id)

    def may_read_dags(self) -> bool:
        """Whether the user may read DAGs at all."""
        return bool(get_auth_manager().is_authorized_dag(method="GET", user=self._user))

    def _may_view(self, view: AccessView) -> bool:
        return bool(get_auth_manager().is_authorized_view(access_view=view, user=self._user))


def is_of_no_task(incident: Incident) -> bool:
    """Whether it is what a source told about no task instance."""
    return incident.kind is Kind.LOG and not incident.ref.run_id


def forbidden(what: str) -> ApiError:
    """403."""
    return ApiError(403, "forbidden", f"Airflow's auth manager does not let you {what}")


def _reader(access: Annotated[Access, Depends(Access)]) -> Access:
    if not access.may_read_dags():
        raise forbidden("read DAGs")
    return access


def _inspector(access: Annotated[Access, Depends(Access)]) -> Access:
    if not access.may_inspect:
        raise forbidden(f"read the DAG {TRIAGE_DAG}, whose rights hold for what is the whole deployment's")
    return access


def _steerer(access: Annotated[Access, Depends(Access)]) -> Access:
    if not access.may_steer:
        raise forbidden(f"edit the DAG {TRIAGE_DAG}, whose rights hold for what is the whole deployment's")
    return access


SignedIn = Annotated[Access, Depends(Access)]
"""Whoever is signed in."""
Reader = Annotated[Access, Depends(_reader)]
"""Who may read DAGs; which ones is in :attr:`Access.sight`."""
Inspector = Annotated[Access, Depends(_inspector)]
"""Who may read what is the whole deployment's."""
Steerer = Annotated[Access, Depends(_steerer)]
"""Who may change what is the whole deployment's."""


def same_origin(request: Request) -> None:
    """Refuse changes that a page of another site asks for with the user's cookie. A dependency of every route.

    A browser says where a page comes from. Programs send a bearer token and say nothing, and then the token is enough.
    """
    if request.method in SAFE_METHODS:
        return
    said = request.headers.get("origin") or request.headers.get("referer")
    if said is None and request.headers.get("authorization", "").lower().startswith("bearer "):
        return
    if said is None or _host(said) not in _own_hosts(request):
        raise ApiError(403, "foreign_origin", "changes need an Origin (or Referer) of this Airflow, or a bearer token and neither of them")


def _own_hosts(request: Request) -> set[str]:
    allowed = airflow_conf.getlist("api", "access_control_allow_origins", fallback=[]) or []
    known = [airflow_conf.get("api", "base_url", fallback=""), *allowed]
    return {request.headers.get("host", "").lower(), *map(_host, known)} - {""}


def _host(address: str) -> str:
    try:
        return urlsplit(address).netloc.lower()
    except ValueError:
        return ""
