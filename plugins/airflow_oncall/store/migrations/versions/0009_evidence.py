"""Which actions are evidence and of which failure, so that decisions read no others; when Airflow says that a success ended.

Revision ID: 0009
Revises: 0008
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

ACTIONS, DECISIONS, OUTCOMES = "oncall_actions", "oncall_decisions", "oncall_outcomes"
EVIDENCE = sa.text("is_evidence")
OF_AN_ARM = sa.text("arm <> ''")
INDEXES = (
    ("ix_oncall_actions_evidence_fingerprint", ACTIONS, ["fingerprint", "done_at"], EVIDENCE),
    ("ix_oncall_actions_evidence_task", ACTIONS, ["dag_id", "task_id", "category", "done_at"], EVIDENCE),
    ("ix_oncall_actions_evidence_category", ACTIONS, ["category", "done_at"], EVIDENCE),
    ("ix_oncall_decisions_arm", DECISIONS, ["arm", "made_at"], OF_AN_ARM),
)
UNUSED = ("ix_oncall_actions_budget", ACTIONS, ["planned_at", "dag_id"])
# Those that Airflow was seen to end; of a storm the probe.
MARK = """
UPDATE oncall_actions SET is_evidence = true, fingerprint = coalesce((
    SELECT seen.fingerprint FROM oncall_occurrences AS seen
    WHERE seen.incident_id = oncall_actions.incident_id AND seen.try_number = oncall_actions.answers_try
    ORDER BY seen.id DESC LIMIT 1
), '')
WHERE state = 'done' AND kind <> 'escalate' AND NOT in_wave
AND id IN (SELECT action_id FROM oncall_outcomes WHERE kind IN ('success', 'failed_same', 'failed_other'))
AND NOT EXISTS (
    SELECT 1 FROM oncall_incidents AS incident JOIN oncall_storms AS storm ON storm.id = incident.storm_id
    WHERE incident.id = oncall_actions.incident_id AND coalesce(storm.probe_id, 0) <> incident.id
)
"""


def upgrade() -> None:
    op.add_column(ACTIONS, sa.Column("fingerprint", sa.String(length=64), nullable=False, server_default=""))
    op.add_column(ACTIONS, sa.Column("is_evidence", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.add_column(OUTCOMES, sa.Column("ended_at", sa.DateTime(timezone=True)))
    op.drop_index(UNUSED[0], UNUSED[1])
    op.execute(MARK)
    for name, table, columns, where in INDEXES:
        op.create_index(name, table, columns, unique=False, sqlite_where=where, postgresql_where=where)


def downgrade() -> None:
    for name, table, _, _ in reversed(INDEXES):
        op.drop_index(name, table)
    op.create_index(*UNUSED, unique=False)
    op.drop_column(OUTCOMES, "ended_at")
    op.drop_column(ACTIONS, "is_evidence")
    op.drop_column(ACTIONS, "fingerprint")
