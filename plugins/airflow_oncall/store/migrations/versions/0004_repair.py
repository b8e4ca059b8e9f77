"""Storms, figures behind decisions, knowledge, experiments, bars that outcomes move.

Revision ID: 0004
Revises: 0003
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

BIG_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
UTC = sa.DateTime(timezone=True)
OPEN_ONLY = sa.text("closed_at IS NULL")
ADDED = {
    "oncall_storms": (
        sa.Column("category", sa.String(length=40), nullable=False, server_default=""),
        sa.Column("probe_id", BIG_ID),
        sa.Column("probes", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("wave", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("since", UTC),
        sa.Column("due_at", UTC),
        sa.Column("answer", sa.String(length=20), nullable=False, server_default=""),
        sa.Column("answered_by", sa.String(length=250), nullable=False, server_default=""),
    ),
    "oncall_incidents": (sa.Column("cause", sa.String(length=250), nullable=False, server_default=""),),
    "oncall_decisions": (
        sa.Column("parameters", sa.JSON(), nullable=False, server_default="{}"),
        sa.Column("basis", sa.JSON(), nullable=False, server_default="{}"),
        sa.Column("arm", sa.String(length=100), nullable=False, server_default=""),
    ),
    "oncall_actions": (
        sa.Column("category", sa.String(length=40), nullable=False, server_default=""),
        sa.Column("parameters", sa.JSON(), nullable=False, server_default="{}"),
        sa.Column("in_wave", sa.Boolean(), nullable=False, server_default=sa.false()),
    ),
}
INDEXES = (
    ("ix_oncall_decisions_made_at", "oncall_decisions", ["made_at"], None),
    ("ix_oncall_actions_done_at", "oncall_actions", ["done_at"], None),
    ("ix_oncall_actions_task", "oncall_actions", ["dag_id", "task_id", "run_id"], None),
    ("ix_oncall_incidents_key", "oncall_incidents", ["key"], None),
    ("ix_oncall_incidents_run", "oncall_incidents", ["dag_id", "run_id"], None),
    ("ix_oncall_incidents_storm", "oncall_incidents", ["storm_id", "state"], None),
    ("ix_oncall_incidents_open_state", "oncall_incidents", ["state", "category"], OPEN_ONLY),
    ("ix_oncall_incidents_open_cause", "oncall_incidents", ["cause", "state"], OPEN_ONLY),
)


def upgrade() -> None:
    for table, columns in ADDED.items():
        for column in columns:
            op.add_column(table, column.copy())
    for name, table, indexed, where in INDEXES:
        op.create_index(name, table, indexed, unique=False, sqlite_where=where, postgresql_where=where)
    _knowledge()
    _experiments()


def _knowledge() -> None:
    op.create_table(
        "oncall_knowledge",
        sa.Column("id", BIG_ID, nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("entry", sa.JSON(), nullable=False),
        sa.Column("fingerprint", sa.String(length=64), nullable=False, server_default=""),
        sa.Column("pattern", sa.Text(), nullable=False, server_default=""),
        sa.Column("category", sa.String(length=40), nullable=False, server_default=""),
        sa.Column("is_proposed", sa.Boolean(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("made_at", UTC, nullable=False),
        sa.Column("updated_at", UTC, nullable=False),
        sa.Column("deleted_at", UTC),
        sa.PrimaryKeyConstraint("id", name="pk_oncall_knowledge"),
        sa.UniqueConstraint("name", name="uq_oncall_knowledge_name"),
    )
    op.create_index("ix_oncall_knowledge_fingerprint", "oncall_knowledge", ["fingerprint"], unique=False)
    has_pattern = sa.text("pattern <> ''")
    op.create_index("ix_oncall_knowledge_pattern", "oncall_knowledge", ["name"], sqlite_where=has_pattern, postgresql_where=has_pattern)
    op.create_index("ix_oncall_knowledge_updated_at", "oncall_knowledge", ["updated_at"], unique=False)
    op.create_table(
        "oncall_knowledge_history",
        sa.Column("id", BIG_ID, nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("entry", sa.JSON()),
        sa.Column("is_proposed", sa.Boolean(), nullable=False),
        sa.Column("actor", sa.String(length=250), nullable=False),
        sa.Column("what", sa.String(length=60), nullable=False),
        sa.Column("at", UTC, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_oncall_knowledge_history"),
        sa.UniqueConstraint("name", "version", name="uq_oncall_knowledge_history_name_version"),
    )
    op.create_index("ix_oncall_knowledge_history_at", "oncall_knowledge_history", ["at"], unique=False)


def _experiments() -> None:
    op.create_table(
        "oncall_experiments",
        sa.Column("id", BIG_ID, nullable=False),
        sa.Column("name", sa.String(length=60), nullable=False),
        sa.Column("category", sa.String(length=40), nullable=False),
        sa.Column("fingerprint", sa.String(length=64), nullable=False, server_default=""),
        sa.Column("arms", sa.JSON(), nullable=False),
        sa.Column("assignment", sa.String(length=20), nullable=False),
        sa.Column("started_by", sa.String(length=250), nullable=False),
        sa.Column("started_at", UTC, nullable=False),
        sa.Column("stopped_at", UTC),
        sa.Column("detail", sa.Text(), nullable=False, server_default=""),
        sa.PrimaryKeyConstraint("id", name="pk_oncall_experiments"),
        sa.UniqueConstraint("name", name="uq_oncall_experiments_name"),
    )
    op.create_table(
        "oncall_bars",
        sa.Column("id", BIG_ID, nullable=False),
        sa.Column("category", sa.String(length=40), nullable=False),
        sa.Column("action", sa.String(length=40), nullable=False),
        sa.Column("auto", sa.Float(), nullable=False),
        sa.Column("base", sa.Float(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("changed_at", UTC, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_oncall_bars"),
        sa.UniqueConstraint("category", "action", name="uq_oncall_bars_category_action"),
    )


def downgrade() -> None:
    for table in ("oncall_bars", "oncall_experiments", "oncall_knowledge_history", "oncall_knowledge"):
        op.drop_table(table)
    for name, table, _, _ in reversed(INDEXES):
        op.drop_index(name, table)
    for table, columns in ADDED.items():
        for column in columns:
            op.drop_column(table, column.name)
