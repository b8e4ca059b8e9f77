"""What a deletion of a DAG's data is found by once its incidents are purged: the DAG of audit rows, the fingerprints of its failures.

Revision ID: 0010
Revises: 0009
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

AUDIT, FINGERPRINTS = "oncall_audit", "oncall_dag_fingerprints"


def upgrade() -> None:
    op.add_column(AUDIT, sa.Column("dag_id", sa.String(length=1000)))
    op.create_index("ix_oncall_audit_dag_id", AUDIT, ["dag_id"], unique=False)
    op.create_table(
        FINGERPRINTS,
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("dag_id", sa.String(length=1000), nullable=False),
        sa.Column("fingerprint", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_oncall_dag_fingerprints"),
        sa.UniqueConstraint("dag_id", "fingerprint", name="uq_oncall_dag_fingerprints_dag_id_fingerprint"),
    )


def downgrade() -> None:
    op.drop_table(FINGERPRINTS)
    op.drop_index("ix_oncall_audit_dag_id", AUDIT)
    op.drop_column(AUDIT, "dag_id")
