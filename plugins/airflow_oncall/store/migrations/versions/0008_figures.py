"""Counts of what is closed, so that figures need not count it anew; indexes for what pages filter by.

Revision ID: 0008
Revises: 0007
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

INCIDENTS = "oncall_incidents"
INDEXES = {
    "ix_oncall_incidents_closed_at": ["closed_at"],
    "ix_oncall_incidents_category": ["category", "id"],
    "ix_oncall_incidents_source": ["source", "id"],
}


def upgrade() -> None:
    for name, columns in INDEXES.items():
        op.create_index(name, INCIDENTS, columns, unique=False)
    _create(
        "incidents",
        *_texts(opened_on=10, closed_on=10, sort=10, state=20, category=40, source=250, severity=10),
        *_numbers("number"),
        _sum("minutes"),
        key=("uq_oncall_rollup_incidents_key", ["closed_on", "opened_on", "sort", "state", "category", "source", "severity"]),
    )
    _create(
        "told",
        *_texts(made_on=10, sort=10),
        *_numbers("number", "tries"),
        key=("uq_oncall_rollup_told_made_on_sort", ["made_on", "sort"]),
    )
    _create(
        "tried",
        *_texts(done_on=10, sort=10, action=40),
        *_numbers("bin", "successes", "number"),
        _sum("expected"),
        *_numbers("resolved"),
        _sum("minutes"),
        key=("uq_oncall_rollup_tried_done_on_sort_action_bin", ["done_on", "sort", "action", "bin"]),
    )
    _create("dags", *_texts(dag_id=1000), *_numbers("number"), key=("uq_oncall_rollup_dags_dag_id", ["dag_id"]))


def downgrade() -> None:
    for name in ("dags", "tried", "told", "incidents"):
        op.drop_table(f"oncall_rollup_{name}")
    for name in INDEXES:
        op.drop_index(name, INCIDENTS)
    op.execute("DELETE FROM oncall_cursors WHERE name = 'rollups'")


def _create(name: str, *columns: Any, key: tuple[str, list[str]]) -> None:
    table = f"oncall_rollup_{name}"
    number = sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False)
    unique = sa.UniqueConstraint(*key[1], name=key[0])
    op.create_table(table, number, *columns, sa.PrimaryKeyConstraint("id", name=f"pk_{table}"), unique)


def _texts(**lengths: int) -> list[Any]:
    return [sa.Column(name, sa.String(length=length), nullable=False) for name, length in lengths.items()]


def _numbers(*names: str) -> list[Any]:
    return [sa.Column(name, sa.Integer(), nullable=False) for name in names]


def _sum(name: str) -> Any:
    return sa.Column(name, sa.Float(), nullable=False)
