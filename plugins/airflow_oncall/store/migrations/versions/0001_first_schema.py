"""The first schema.

Revision ID: 0001
Revises: nothing
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

BIG_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
UTC = sa.DateTime(timezone=True)
OPEN = sa.text("closed_at IS NULL")


def upgrade() -> None:
    _troubles()
    _judgements()
    _deeds()
    _keeping()


def _troubles() -> None:
    """Storms, incidents and their occurrences."""
    op.create_table(
        "oncall_storms",
        sa.Column("id", BIG_ID, nullable=False),
        sa.Column("cause", sa.String(length=250), nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("opened_at", UTC, nullable=False),
        sa.Column("closed_at", UTC, nullable=True),
        sa.Column("detail", sa.Text(), server_default="", nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_oncall_storms"),
    )
    op.create_index("uq_oncall_storms_open_cause", "oncall_storms", ["cause"], unique=True, sqlite_where=OPEN, postgresql_where=OPEN)
    op.create_table(
        "oncall_incidents",
        sa.Column("id", BIG_ID, nullable=False),
        sa.Column("key", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("dag_id", sa.String(length=1000), nullable=False),
        sa.Column("run_id", sa.String(length=250), nullable=False),
        sa.Column("task_id", sa.String(length=250), nullable=False),
        sa.Column("map_index", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("fingerprint", sa.String(length=64), nullable=False),
        sa.Column("category", sa.String(length=40), nullable=True),
        sa.Column("try_number", sa.Integer(), nullable=False),
        sa.Column("opened_at", UTC, nullable=False),
        sa.Column("updated_at", UTC, nullable=False),
        sa.Column("closed_at", UTC, nullable=True),
        sa.Column("due_at", UTC, nullable=True),
        sa.Column("looks", sa.Integer(), server_default="0", nullable=False),
        sa.Column("decisions", sa.Integer(), server_default="0", nullable=False),
        sa.Column("claimed_by", sa.String(length=100), nullable=True),
        sa.Column("claimed_until", UTC, nullable=True),
        sa.Column("storm_id", BIG_ID, nullable=True),
        sa.Column("detail", sa.Text(), server_default="", nullable=False),
        sa.ForeignKeyConstraint(["storm_id"], ["oncall_storms.id"], name="fk_oncall_incidents_storm_id"),
        sa.PrimaryKeyConstraint("id", name="pk_oncall_incidents"),
    )
    op.create_index("ix_oncall_incidents_dag", "oncall_incidents", ["dag_id", "opened_at"], unique=False)
    op.create_index("ix_oncall_incidents_due", "oncall_incidents", ["due_at"], unique=False, sqlite_where=OPEN, postgresql_where=OPEN)
    op.create_index("uq_oncall_incidents_open_key", "oncall_incidents", ["key"], unique=True, sqlite_where=OPEN, postgresql_where=OPEN)
    op.create_table(
        "oncall_occurrences",
        sa.Column("id", BIG_ID, nullable=False),
        sa.Column("incident_id", BIG_ID, nullable=False),
        sa.Column("key", sa.String(length=64), nullable=False),
        sa.Column("try_number", sa.Integer(), nullable=False),
        sa.Column("seen_by", sa.String(length=20), nullable=False),
        sa.Column("seen_at", UTC, nullable=False),
        sa.Column("happened_at", UTC, nullable=False),
        sa.Column("will_retry", sa.Boolean(), nullable=False),
        sa.Column("by_hand", sa.Boolean(), nullable=False),
        sa.Column("fingerprint", sa.String(length=64), nullable=False),
        sa.Column("exception_chain", sa.JSON(), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("traceback", sa.Text(), nullable=False),
        sa.Column("operator", sa.String(length=250), nullable=True),
        sa.Column("hostname", sa.String(length=250), nullable=True),
        sa.Column("duration", sa.Float(), nullable=True),
        sa.Column("max_tries", sa.Integer(), nullable=True),
        sa.Column("log_tail", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["incident_id"], ["oncall_incidents.id"], name="fk_oncall_occurrences_incident_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name="pk_oncall_occurrences"),
        sa.UniqueConstraint("key", name="uq_oncall_occurrences_key"),
    )
    op.create_index("ix_oncall_occurrences_incident_id", "oncall_occurrences", ["incident_id"], unique=False)


def _judgements() -> None:
    """What triage thought and decided."""
    op.create_table(
        "oncall_diagnoses",
        sa.Column("id", BIG_ID, nullable=False),
        sa.Column("incident_id", BIG_ID, nullable=False),
        sa.Column("try_number", sa.Integer(), nullable=False),
        sa.Column("made_at", UTC, nullable=False),
        sa.Column("category", sa.String(length=40), nullable=False),
        sa.Column("probability", sa.Float(), nullable=False),
        sa.Column("transient", sa.Boolean(), nullable=True),
        sa.Column("transient_probability", sa.Float(), nullable=False),
        sa.Column("anomaly", sa.Boolean(), nullable=False),
        sa.Column("identifiers", sa.JSON(), nullable=False),
        sa.Column("evidence", sa.JSON(), nullable=False),
        sa.Column("decided_by", sa.String(length=40), nullable=False),
        sa.Column("model_version", sa.String(length=200), nullable=True),
        sa.ForeignKeyConstraint(["incident_id"], ["oncall_incidents.id"], name="fk_oncall_diagnoses_incident_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name="pk_oncall_diagnoses"),
    )
    op.create_index("ix_oncall_diagnoses_incident_id", "oncall_diagnoses", ["incident_id"], unique=False)
    op.create_table(
        "oncall_decisions",
        sa.Column("id", BIG_ID, nullable=False),
        sa.Column("incident_id", BIG_ID, nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("verdict", sa.String(length=20), nullable=False),
        sa.Column("action", sa.String(length=40), nullable=True),
        sa.Column("answers_try", sa.Integer(), nullable=False),
        sa.Column("probability", sa.Float(), nullable=False),
        sa.Column("wait_seconds", sa.Integer(), nullable=False),
        sa.Column("mode", sa.String(length=10), nullable=False),
        sa.Column("reasons", sa.JSON(), nullable=False),
        sa.Column("made_at", UTC, nullable=False),
        sa.ForeignKeyConstraint(["incident_id"], ["oncall_incidents.id"], name="fk_oncall_decisions_incident_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name="pk_oncall_decisions"),
        sa.UniqueConstraint("incident_id", "number", name="uq_oncall_decisions_incident_id_number"),
    )


def _deeds() -> None:
    """What was done, how it ended, what it taught."""
    op.create_table(
        "oncall_actions",
        sa.Column("id", BIG_ID, nullable=False),
        sa.Column("incident_id", BIG_ID, nullable=False),
        sa.Column("decision_number", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(length=40), nullable=False),
        sa.Column("dag_id", sa.String(length=250), nullable=False),
        sa.Column("run_id", sa.String(length=250), nullable=False),
        sa.Column("task_id", sa.String(length=250), nullable=False),
        sa.Column("map_index", sa.Integer(), nullable=False),
        sa.Column("answers_try", sa.Integer(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("approved_by", sa.String(length=250), nullable=True),
        sa.Column("planned_at", UTC, nullable=False),
        sa.Column("done_at", UTC, nullable=True),
        sa.Column("detail", sa.Text(), server_default="", nullable=False),
        sa.ForeignKeyConstraint(["incident_id"], ["oncall_incidents.id"], name="fk_oncall_actions_incident_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name="pk_oncall_actions"),
        sa.UniqueConstraint("incident_id", "decision_number", name="uq_oncall_actions_incident_id_decision_number"),
    )
    op.create_index("ix_oncall_actions_budget", "oncall_actions", ["planned_at", "dag_id"], unique=False)
    op.create_table(
        "oncall_outcomes",
        sa.Column("id", BIG_ID, nullable=False),
        sa.Column("incident_id", BIG_ID, nullable=False),
        sa.Column("action_id", BIG_ID, nullable=True),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("try_number", sa.Integer(), nullable=False),
        sa.Column("seen_at", UTC, nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["action_id"], ["oncall_actions.id"], name="fk_oncall_outcomes_action_id", ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["incident_id"], ["oncall_incidents.id"], name="fk_oncall_outcomes_incident_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name="pk_oncall_outcomes"),
        sa.UniqueConstraint("action_id", name="uq_oncall_outcomes_action_id"),
    )
    op.create_index("ix_oncall_outcomes_incident_id", "oncall_outcomes", ["incident_id"], unique=False)
    op.create_table(
        "oncall_labels",
        sa.Column("id", BIG_ID, nullable=False),
        sa.Column("incident_id", BIG_ID, nullable=False),
        sa.Column("name", sa.String(length=40), nullable=False),
        sa.Column("value", sa.String(length=250), nullable=False),
        sa.Column("given_by", sa.String(length=250), nullable=False),
        sa.Column("given_at", UTC, nullable=False),
        sa.Column("detail", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(["incident_id"], ["oncall_incidents.id"], name="fk_oncall_labels_incident_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name="pk_oncall_labels"),
    )
    op.create_index("ix_oncall_labels_incident_id", "oncall_labels", ["incident_id"], unique=False)


def _keeping() -> None:
    """The audit trail and what must outlive a process."""
    op.create_table(
        "oncall_audit",
        sa.Column("id", BIG_ID, nullable=False),
        sa.Column("at", UTC, nullable=False),
        sa.Column("actor", sa.String(length=250), nullable=False),
        sa.Column("what", sa.String(length=60), nullable=False),
        sa.Column("incident_id", BIG_ID, nullable=True),
        sa.Column("detail", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_oncall_audit"),
    )
    op.create_index("ix_oncall_audit_at", "oncall_audit", ["at"], unique=False)
    op.create_index("ix_oncall_audit_incident_id", "oncall_audit", ["incident_id"], unique=False)
    op.create_table(
        "oncall_cursors",
        sa.Column("id", BIG_ID, nullable=False),
        sa.Column("name", sa.String(length=250), nullable=False),
        sa.Column("value", sa.JSON(), nullable=False),
        sa.Column("updated_at", UTC, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_oncall_cursors"),
        sa.UniqueConstraint("name", name="uq_oncall_cursors_name"),
    )
    op.create_table(
        "oncall_sweep_requests",
        sa.Column("id", BIG_ID, nullable=False),
        sa.Column("dag_id", sa.String(length=250), nullable=False),
        sa.Column("run_id", sa.String(length=250), nullable=False),
        sa.Column("asked_at", UTC, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_oncall_sweep_requests"),
        sa.UniqueConstraint("dag_id", "run_id", name="uq_oncall_sweep_requests_dag_id_run_id"),
    )
    op.create_table(
        "oncall_good_files",
        sa.Column("id", BIG_ID, nullable=False),
        sa.Column("name", sa.String(length=250), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("read_at", UTC, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_oncall_good_files"),
        sa.UniqueConstraint("name", name="uq_oncall_good_files_name"),
    )
    op.create_table(
        "oncall_model_versions",
        sa.Column("id", BIG_ID, nullable=False),
        sa.Column("name", sa.String(length=60), nullable=False),
        sa.Column("version", sa.String(length=60), nullable=False),
        sa.Column("path", sa.String(length=500), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("library", sa.String(length=100), nullable=False),
        sa.Column("trained_at", UTC, nullable=False),
        sa.Column("promoted_at", UTC, nullable=True),
        sa.Column("metrics", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_oncall_model_versions"),
        sa.UniqueConstraint("name", "version", name="uq_oncall_model_versions_name_version"),
    )


def downgrade() -> None:
    for table in (
        "oncall_model_versions",
        "oncall_good_files",
        "oncall_sweep_requests",
        "oncall_cursors",
        "oncall_audit",
        "oncall_labels",
        "oncall_outcomes",
        "oncall_actions",
        "oncall_decisions",
        "oncall_diagnoses",
        "oncall_occurrences",
        "oncall_incidents",
        "oncall_storms",
    ):
        op.drop_table(table)
