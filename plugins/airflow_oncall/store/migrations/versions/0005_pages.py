"""What pages filter by: where an incident comes from, and how bad it is. What else a diagnosis held likely.

Revision ID: 0005
Revises: 0004
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

INCIDENTS = "oncall_incidents"
SOURCE_OF_LOGS = """
UPDATE oncall_incidents SET source = (
    SELECT event.source FROM oncall_log_events AS event WHERE event.incident_id = oncall_incidents.id ORDER BY event.id LIMIT 1
)
WHERE kind = 'log' AND EXISTS (SELECT 1 FROM oncall_log_events AS event WHERE event.incident_id = oncall_incidents.id)
"""


def upgrade() -> None:
    op.add_column(INCIDENTS, sa.Column("source", sa.String(length=250), nullable=False, server_default="airflow"))
    op.add_column(INCIDENTS, sa.Column("severity", sa.String(length=10), nullable=False, server_default=""))
    op.execute(SOURCE_OF_LOGS)
    op.add_column("oncall_diagnoses", sa.Column("alternatives", sa.JSON(), nullable=False, server_default="{}"))


def downgrade() -> None:
    op.drop_column("oncall_diagnoses", "alternatives")
    op.drop_column(INCIDENTS, "severity")
    op.drop_column(INCIDENTS, "source")
