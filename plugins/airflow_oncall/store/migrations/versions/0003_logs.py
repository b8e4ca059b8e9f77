"""What log sources told.

Revision ID: 0003
Revises: 0002
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

BIG_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
UTC = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "oncall_log_events",
        sa.Column("id", BIG_ID, nullable=False),
        sa.Column("incident_id", BIG_ID, nullable=False),
        sa.Column("key", sa.String(length=64), nullable=False),
        sa.Column("source", sa.String(length=250), nullable=False),
        sa.Column("position", sa.Text(), nullable=False),
        sa.Column("happened_at", UTC, nullable=False),
        sa.Column("seen_at", UTC, nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("fingerprint", sa.String(length=64), nullable=False),
        sa.Column("signature", sa.String(length=250), nullable=False),
        sa.Column("severity", sa.String(length=20), nullable=False),
        sa.Column("identifiers", sa.JSON(), nullable=False),
        sa.Column("claimed", sa.JSON(), nullable=False),
        sa.Column("dag_id", sa.String(length=1000), nullable=False),
        sa.Column("run_id", sa.String(length=250), nullable=False),
        sa.Column("task_id", sa.String(length=250), nullable=False),
        sa.Column("map_index", sa.Integer(), nullable=False),
        sa.Column("try_number", sa.Integer(), nullable=False),
        sa.Column("correlation", sa.String(length=20), nullable=False),
        sa.Column("probability", sa.Float(), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_oncall_log_events"),
        sa.UniqueConstraint("key", name="uq_oncall_log_events_key"),
        sa.ForeignKeyConstraint(
            ["incident_id"], ["oncall_incidents.id"], name="fk_oncall_log_events_incident_id_oncall_incidents", ondelete="CASCADE"
        ),
    )
    op.create_index("ix_oncall_log_events_incident_id", "oncall_log_events", ["incident_id"], unique=False)
    op.create_index("ix_oncall_log_events_seen_at", "oncall_log_events", ["seen_at"], unique=False)
    op.create_table(
        "oncall_task_keys",
        sa.Column("id", BIG_ID, nullable=False),
        sa.Column("key", sa.String(length=40), nullable=False),
        sa.Column("dag_id", sa.String(length=250), nullable=False),
        sa.Column("run_id", sa.String(length=250), nullable=False),
        sa.Column("task_id", sa.String(length=250), nullable=False),
        sa.Column("map_index", sa.Integer(), nullable=False),
        sa.Column("try_number", sa.Integer(), nullable=False),
        sa.Column("made_at", UTC, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_oncall_task_keys"),
        sa.UniqueConstraint("key", name="uq_oncall_task_keys_key"),
    )
    op.create_index("ix_oncall_task_keys_made_at", "oncall_task_keys", ["made_at"], unique=False)


def downgrade() -> None:
    op.drop_table("oncall_task_keys")
    op.drop_table("oncall_log_events")
