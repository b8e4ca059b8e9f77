"""What an earlier repair of the same task was done with, so that the next one need not find it out again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Engine, select

from airflow_oncall.incident import OutcomeKind
from airflow_oncall.store.engine import transaction
from airflow_oncall.store.tables import actions, outcomes


class Remedies:
    """Reads actions together with how they ended."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def last_success(self, kind: str, dag_id: str, task_id: str) -> Mapping[str, Any]:
        """Parameters of the newest action of this kind on this task after which it succeeded; empty where there is none."""
        query = (
            select(actions.c.parameters)
            .join(outcomes, outcomes.c.action_id == actions.c.id)
            .where(actions.c.dag_id == dag_id, actions.c.task_id == task_id, actions.c.kind == kind)
            .where(outcomes.c.kind == str(OutcomeKind.SUCCESS))
            .order_by(actions.c.id.desc())
            .limit(1)
        )
        with transaction(self._engine, reading=True) as connection:
            return connection.execute(query).scalar() or {}
