"""What people are told of incidents and storms, and how the notifiers fare.

Revision ID: 0006
Revises: 0005
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

BIG_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
UTC = sa.DateTime(timezone=True)
WAITING, TOLD = sa.text("state = 'waiting'"), sa.text("state = 'told'")
INDEXES = (
    ("ix_oncall_notices_storm_id", ["storm_id"], None),
    ("ix_oncall_notices_waiting", ["place", "due_at"], WAITING),
    ("ix_oncall_notices_told", ["incident_id"], TOLD),
    ("ix_oncall_notices_told_at", ["place", "told_at"], None),
)


def upgrade() -> None:
    op.create_table(
        "oncall_notices",
        sa.Column("id", BIG_ID, nullable=False),
        sa.Column("incident_id", BIG_ID, nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("occasion", sa.String(length=20), nullable=False),
        sa.Column("place", sa.String(length=250), nullable=False),
        sa.Column("storm_id", BIG_ID),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("after", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("made_at", UTC, nullable=False),
        sa.Column("due_at", UTC, nullable=False),
        sa.Column("told_at", UTC),
        sa.Column("message_id", BIG_ID),
        sa.PrimaryKeyConstraint("id", name="pk_oncall_notices"),
        sa.ForeignKeyConstraint(["incident_id"], ["oncall_incidents.id"], name="fk_oncall_notices_incident_id", ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["storm_id"], ["oncall_storms.id"], name="fk_oncall_notices_storm_id", ondelete="CASCADE"),
        sa.UniqueConstraint("incident_id", "number", "occasion", "place", name="uq_oncall_notices_incident_id_number_occasion_place"),
    )
    for name, columns, where in INDEXES:
        op.create_index(name, "oncall_notices", columns, unique=False, sqlite_where=where, postgresql_where=where)
    op.create_table(
        "oncall_notifiers",
        sa.Column("id", BIG_ID, nullable=False),
        sa.Column("place", sa.String(length=250), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("problem", sa.Text(), nullable=False),
        sa.Column("rests_until", UTC),
        sa.Column("changed_at", UTC, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_oncall_notifiers"),
        sa.UniqueConstraint("place", name="uq_oncall_notifiers_place"),
    )


def downgrade() -> None:
    op.drop_table("oncall_notifiers")
    op.drop_table("oncall_notices")
