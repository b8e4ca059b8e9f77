"""Alembic's door: runs inside the transaction that ``store.schema.upgrade`` opened."""

from __future__ import annotations

from alembic import context

from airflow_oncall.store.tables import VERSION_TABLE, metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table=VERSION_TABLE,
    render_as_batch=True,
)
context.run_migrations()
