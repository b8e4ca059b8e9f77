"""An auth manager with rights for each DAG, which Airflow's simple one lacks: some users may see and edit only a few."""

from __future__ import annotations

from typing import Any

from airflow.api_fastapi.auth.managers.models.resource_details import AccessView
from airflow.api_fastapi.auth.managers.simple.simple_auth_manager import SimpleAuthManager

ONLY: dict[str, frozenset[str]] = {"lena": frozenset({"nightly"}), "nemo": frozenset(), "zoe": frozenset({"oncall_triage"})}
"""By user the DAGs that exist for them; everybody else has what the role gives."""


class LimitedAuthManager(SimpleAuthManager):
    """Roles as Airflow's simple auth manager has them, and for :data:`ONLY` some DAGs only and no views but that of plugins."""

    def is_authorized_dag(self, *, method: Any, user: Any, access_entity: Any = None, details: Any = None) -> bool:
        """Whether the role allows it and the DAG is among the user's."""
        mine = ONLY.get(user.username)
        if mine is not None and (details.id not in mine if details and details.id else not mine):
            return False
        return bool(super().is_authorized_dag(method=method, user=user, access_entity=access_entity, details=details))

    def is_authorized_view(self, *, access_view: AccessView, user: Any) -> bool:
        """Whether the role allows it; without the view of plugins Airflow shows nobody a plugin's page."""
        allowed = user.username not in ONLY or access_view is AccessView.PLUGINS
        return allowed and bool(super().is_authorized_view(access_view=access_view, user=user))
