"""Who is told of an incident: the route that the policy names for it, else ``[oncall] escalation_notifiers``.

Each notifier has a place (``routes.default.0``), under which the store keeps what it was given to tell. What it is made
with stays in the policy: it may hold what the notifier signs in with.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from pydantic import ValidationError

from airflow_oncall import conf
from airflow_oncall.act.effective import DEFAULT_ROUTE, Effective, Subject, effective, subject_of
from airflow_oncall.act.policy import Notifier, Policy
from airflow_oncall.errors import AirflowApiError, BadSetting
from airflow_oncall.incident import TaskRef
from airflow_oncall.rest import AirflowApi
from airflow_oncall.store.notices import Occasion

SETTING = "escalation_notifiers"
SMTP = "airflow.providers.smtp.notifications.smtp.SmtpNotifier"
MAIL: Mapping[str, Any] = {
    "subject": "{{ oncall.subject }}",
    "html_content": "{{ oncall.html }}",
    # One thread an incident; a message that is sent again after a crash is the same one, which mail servers show once.
    "custom_headers": {"Message-ID": "<{{ oncall.message_id }}@airflow-oncall>", "References": "<{{ oncall.key }}@airflow-oncall>"},
}
"""What an e-mail is made with where the policy says nothing else."""
_TELLS = {
    Occasion.ASKED: "asked",
    Occasion.ESCALATED: "escalated",
    Occasion.HANDED_OVER: "escalated",
    Occasion.LEFT: "escalated",
    Occasion.RESOLVED: "resolved",
}
"""The word for each occasion in a route's ``tell_of``."""


class Target(NamedTuple):
    """One notifier: where it stands, how it is made, when it is its turn (minutes), and what it is told of."""

    place: str
    classpath: str
    kwargs: Mapping[str, Any] = {}
    after: int = 0
    tell_of: tuple[str, ...] = ()

    def hears(self, occasion: Occasion) -> bool:
        """Whether it is told of such things."""
        return _TELLS[occasion] in self.tell_of


def targets_of_route(policy: Policy, route: str | None) -> list[Target]:
    """The notifiers of a route; ``None``: those of the settings. Raises ``BadSetting`` where the settings are asked and wrong."""
    if route is None:
        return _of_settings()
    return [_target(f"routes.{route}.{number}", one) for number, one in enumerate(policy.routes[route])]


def default_route(policy: Policy) -> str | None:
    """The route of whatever no override sends elsewhere."""
    return DEFAULT_ROUTE if DEFAULT_ROUTE in policy.routes else None


def target_at(policy: Policy, place: str) -> Target | None:
    """The notifier at a place; ``None`` where the policy has none there any more. Raises ``BadSetting`` as :func:`targets_of_route`."""
    if place.startswith(f"{SETTING}."):
        found: Sequence[Target] = _of_settings()
    else:
        found = [target for route in policy.routes for target in targets_of_route(policy, route)]
    return next((target for target in found if target.place == place), None)


def targets_for(policy: Policy, found: Effective) -> list[Target]:
    """The notifiers for a task instance of which the policy is resolved. Raises ``BadSetting`` as :func:`targets_of_route`."""
    return targets_of_route(policy, found.route)


def targets_of(policy: Policy, api: AirflowApi, ref: TaskRef) -> list[Target]:
    """As :func:`targets_for`, for a task instance of which Airflow tells tags, pool and owners where a route depends on them."""
    return targets_for(policy, effective(policy, _subject(policy, api, ref), mode=""))


def _of_settings() -> list[Target]:
    """By their name they are for escalations; each may say otherwise, as the lines of a route do."""
    found = []
    for number, entry in enumerate(conf.escalation_notifiers()):
        place = f"{SETTING}.{number}"
        try:
            found.append(_target(place, Notifier.model_validate({"tell_of": ["escalated"], **entry})))
        except ValidationError as error:  # without the value, which may hold what the notifier signs in with
            first = error.errors(include_input=False, include_url=False, include_context=False)[0]
            where = ".".join(map(str, (place, *first["loc"])))
            raise BadSetting(f"[oncall] {where}: {first['msg'].removeprefix('Value error, ')}") from None
    return found


def _target(place: str, one: Notifier) -> Target:
    kwargs = {**MAIL, "to": list(one.email), **one.kwargs} if one.email else dict(one.kwargs)
    return Target(place, one.classpath or SMTP, kwargs, one.after, one.tell_of)


def _subject(policy: Policy, api: AirflowApi, ref: TaskRef) -> Subject:
    named = Subject(ref.dag_id, ref.task_id)
    if not any(override.route for override in policy.overrides):
        return named
    try:
        return subject_of(ref, api.task(ref.dag_id, ref.task_id))
    except AirflowApiError:  # people are told all the same: of a DAG that is gone, or while Airflow is busy
        return named
