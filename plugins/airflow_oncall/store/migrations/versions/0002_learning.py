"""Rolled back models, hashes of all files of a model, leases.

Revision ID: 0002
Revises: 0001
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

BIG_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
UTC = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.add_column("oncall_model_versions", sa.Column("withdrawn_at", UTC, nullable=True))
    op.add_column("oncall_model_versions", sa.Column("files", sa.JSON(), server_default="{}", nullable=False))
    op.create_index("ix_oncall_incidents_fingerprint", "oncall_incidents", ["fingerprint", "opened_at"], unique=False)
    op.create_index("ix_oncall_incidents_opened_at", "oncall_incidents", ["opened_at"], unique=False)
    op.create_index("ix_oncall_labels_given_at", "oncall_labels", ["given_at"], unique=False)
    op.create_table(
        "oncall_leases",
        sa.Column("id", BIG_ID, nullable=False),
        sa.Column("name", sa.String(length=250), nullable=False),
        sa.Column("holder", sa.String(length=250), nullable=False),
        sa.Column("held_until", UTC, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_oncall_leases"),
        sa.UniqueConstraint("name", name="uq_oncall_leases_name"),
    )


def downgrade() -> None:
    op.drop_table("oncall_leases")
    op.drop_index("ix_oncall_labels_given_at", table_name="oncall_labels")
    op.drop_index("ix_oncall_incidents_opened_at", table_name="oncall_incidents")
    op.drop_index("ix_oncall_incidents_fingerprint", table_name="oncall_incidents")
    op.drop_column("oncall_model_versions", "files")
    op.drop_column("oncall_model_versions", "withdrawn_at")
