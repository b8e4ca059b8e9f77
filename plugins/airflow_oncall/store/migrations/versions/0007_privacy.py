"""The audit log becomes a chain of hashes, rows that are there included; what a language model suggested, by fingerprint.

Revision ID: 0007
Revises: 0006
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

AUDIT, HEAD = "oncall_audit", "oncall_audit_head"
CHAIN = {"salt": 32, "digest": 64, "prev_hash": 64, "hash": 64}
AT_ONCE = 5_000


def upgrade() -> None:
    # With defaults: a process from before the upgrade may write a row yet, and that must not fail what it writes it for.
    for name, length in CHAIN.items():
        op.add_column(AUDIT, sa.Column(name, sa.String(length=length), nullable=False, server_default=""))
    head = op.create_table(
        HEAD,
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_oncall_audit_head"),
    )
    op.bulk_insert(head, [{"id": 1, "hash": _chain(op.get_bind())}])
    op.create_table(
        "oncall_suggestions",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("fingerprint", sa.String(length=64), nullable=False),
        sa.Column("category", sa.String(length=40), nullable=False),
        sa.Column("explanation", sa.Text(), nullable=False),
        sa.Column("steps", sa.JSON(), nullable=False),
        sa.Column("model", sa.String(length=200), nullable=False),
        sa.Column("problem", sa.Text(), nullable=False),
        sa.Column("asked_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_oncall_suggestions"),
        sa.UniqueConstraint("fingerprint", name="uq_oncall_suggestions_fingerprint"),
    )
    op.create_index("ix_oncall_suggestions_asked_at", "oncall_suggestions", ["asked_at"], unique=False)


def downgrade() -> None:
    op.drop_table("oncall_suggestions")
    op.drop_table(HEAD)
    for name in CHAIN:
        op.drop_column(AUDIT, name)


def _chain(connection: Any) -> str:
    """Chain the rows that are there; the hash of the last one."""
    from airflow_oncall.store.audit import BEGINNING, chain
    from airflow_oncall.store.tables import audit

    hashes: dict[str, Any] = {name: sa.bindparam(f"new_{name}") for name in CHAIN}
    link = sa.update(audit).where(audit.c.id == sa.bindparam("row")).values(hashes)
    old = [audit.c[name] for name in ("id", "at", "actor", "what", "incident_id", "detail")]
    previous, last = BEGINNING, 0
    while rows := connection.execute(sa.select(*old).where(audit.c.id > last).order_by(audit.c.id).limit(AT_ONCE)).mappings().all():
        chained = list(chain(previous, rows))
        connection.execute(link, [{"row": row["id"], **{f"new_{name}": row[name] for name in CHAIN}} for row in chained])
        previous, last = chained[-1]["hash"], chained[-1]["id"]
    return previous
