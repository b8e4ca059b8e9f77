"""The store's tables: our own metadata, never Airflow's. One table a noun, one migration history (``migrations/``)."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Dialect,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
    false,
    text,
)

PREFIX = "oncall_"
VERSION_TABLE = "oncall_alembic_version"

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


class UtcDateTime(TypeDecorator[datetime]):
    """Aware UTC in, aware UTC out; SQLite forgets the zone, so it is put back."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Refuse naive times: they would silently shift."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"naive time {value!r} given to the store; use timezone-aware UTC")
        return value.astimezone(timezone.utc)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Give UTC back."""
        if value is None:
            return None
        return value.replace(tzinfo=timezone.utc) if value.tzinfo is None else value.astimezone(timezone.utc)


BigId = BigInteger().with_variant(Integer, "sqlite")  # only INTEGER PRIMARY KEY counts up by itself in SQLite


def _table(name: str, *items: Any) -> Table:
    return Table(PREFIX + name, metadata, Column("id", BigId, primary_key=True), *items)


def _incident(unique: bool = False) -> Column[Any]:
    return Column("incident_id", BigId, ForeignKey(PREFIX + "incidents.id", ondelete="CASCADE"), nullable=False, index=not unique)


incidents = _table(
    "incidents",
    Column("key", String(64), nullable=False),
    Column("kind", String(20), nullable=False),
    Column("dag_id", String(1000), nullable=False),
    Column("run_id", String(250), nullable=False),
    Column("task_id", String(250), nullable=False),
    Column("map_index", Integer, nullable=False),
    Column("state", String(20), nullable=False),
    Column("fingerprint", String(64), nullable=False),
    Column("category", String(40)),
    Column("try_number", Integer, nullable=False),
    Column("opened_at", UtcDateTime, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
    Column("closed_at", UtcDateTime),
    Column("due_at", UtcDateTime),
    Column("looks", Integer, nullable=False, server_default="0"),
    Column("decisions", Integer, nullable=False, server_default="0"),
    Column("claimed_by", String(100)),
    Column("claimed_until", UtcDateTime),
    Column("storm_id", BigId, ForeignKey(PREFIX + "storms.id")),
    Column("detail", Text, nullable=False, server_default=""),
    Column("cause", String(250), nullable=False, server_default=""),
    Column("source", String(250), nullable=False, server_default="airflow"),
    Column("severity", String(10), nullable=False, server_default=""),
)
open_only = text("closed_at IS NULL")
Index("uq_oncall_incidents_open_key", incidents.c.key, unique=True, sqlite_where=open_only, postgresql_where=open_only)
Index("ix_oncall_incidents_due", incidents.c.due_at, sqlite_where=open_only, postgresql_where=open_only)
Index("ix_oncall_incidents_key", incidents.c.key)
Index("ix_oncall_incidents_run", incidents.c.dag_id, incidents.c.run_id)
Index("ix_oncall_incidents_dag", incidents.c.dag_id, incidents.c.opened_at)
Index("ix_oncall_incidents_fingerprint", incidents.c.fingerprint, incidents.c.opened_at)
Index("ix_oncall_incidents_opened_at", incidents.c.opened_at)
Index("ix_oncall_incidents_closed_at", incidents.c.closed_at)
Index("ix_oncall_incidents_category", incidents.c.category, incidents.c.id)
Index("ix_oncall_incidents_source", incidents.c.source, incidents.c.id)
Index("ix_oncall_incidents_storm", incidents.c.storm_id, incidents.c.state)
Index("ix_oncall_incidents_open_cause", incidents.c.cause, incidents.c.state, sqlite_where=open_only, postgresql_where=open_only)
Index("ix_oncall_incidents_open_state", incidents.c.state, incidents.c.category, sqlite_where=open_only, postgresql_where=open_only)

storms = _table(
    "storms",
    Column("cause", String(250), nullable=False),
    Column("state", String(20), nullable=False),
    Column("opened_at", UtcDateTime, nullable=False),
    Column("closed_at", UtcDateTime),
    Column("detail", Text, nullable=False, server_default=""),
    Column("category", String(40), nullable=False, server_default=""),
    Column("probe_id", BigId),
    Column("probes", Integer, nullable=False, server_default="0"),
    Column("wave", Integer, nullable=False, server_default="0"),
    Column("since", UtcDateTime),
    Column("due_at", UtcDateTime),
    Column("answer", String(20), nullable=False, server_default=""),
    Column("answered_by", String(250), nullable=False, server_default=""),
)
Index("uq_oncall_storms_open_cause", storms.c.cause, unique=True, sqlite_where=open_only, postgresql_where=open_only)

occurrences = _table(
    "occurrences",
    _incident(),
    Column("key", String(64), nullable=False, unique=True),
    Column("try_number", Integer, nullable=False),
    Column("seen_by", String(20), nullable=False),
    Column("seen_at", UtcDateTime, nullable=False),
    Column("happened_at", UtcDateTime, nullable=False),
    Column("will_retry", Boolean, nullable=False),
    Column("by_hand", Boolean, nullable=False),
    Column("fingerprint", String(64), nullable=False),
    Column("exception_chain", JSON, nullable=False),
    Column("message", Text, nullable=False),
    Column("traceback", Text, nullable=False),
    Column("operator", String(250)),
    Column("hostname", String(250)),
    Column("duration", Float),
    Column("max_tries", Integer),
    Column("log_tail", Text, nullable=False),
)

diagnoses = _table(
    "diagnoses",
    _incident(),
    Column("try_number", Integer, nullable=False),
    Column("made_at", UtcDateTime, nullable=False),
    Column("category", String(40), nullable=False),
    Column("probability", Float, nullable=False),
    Column("transient", Boolean),
    Column("transient_probability", Float, nullable=False),
    Column("anomaly", Boolean, nullable=False),
    Column("identifiers", JSON, nullable=False),
    Column("evidence", JSON, nullable=False),
    Column("decided_by", String(40), nullable=False),
    Column("model_version", String(200)),
    Column("alternatives", JSON, nullable=False, server_default="{}"),
)

decisions = _table(
    "decisions",
    _incident(unique=True),
    Column("number", Integer, nullable=False),
    Column("verdict", String(20), nullable=False),
    Column("action", String(40)),
    Column("answers_try", Integer, nullable=False),
    Column("probability", Float, nullable=False),
    Column("wait_seconds", Integer, nullable=False),
    Column("mode", String(10), nullable=False),
    Column("reasons", JSON, nullable=False),
    Column("made_at", UtcDateTime, nullable=False, index=True),
    Column("parameters", JSON, nullable=False, server_default="{}"),
    Column("basis", JSON, nullable=False, server_default="{}"),
    Column("arm", String(100), nullable=False, server_default=""),
    UniqueConstraint("incident_id", "number"),
)
of_an_arm = text("arm <> ''")
Index("ix_oncall_decisions_arm", decisions.c.arm, decisions.c.made_at, sqlite_where=of_an_arm, postgresql_where=of_an_arm)

actions = _table(
    "actions",
    _incident(unique=True),
    Column("decision_number", Integer, nullable=False),
    Column("kind", String(40), nullable=False),
    Column("dag_id", String(250), nullable=False),
    Column("run_id", String(250), nullable=False),
    Column("task_id", String(250), nullable=False),
    Column("map_index", Integer, nullable=False),
    Column("answers_try", Integer, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("state", String(20), nullable=False),
    Column("approved_by", String(250)),
    Column("planned_at", UtcDateTime, nullable=False),
    Column("done_at", UtcDateTime),
    Column("detail", Text, nullable=False, server_default=""),
    Column("category", String(40), nullable=False, server_default=""),
    Column("parameters", JSON, nullable=False, server_default="{}"),
    Column("in_wave", Boolean, nullable=False, server_default=false()),
    Column("fingerprint", String(64), nullable=False, server_default=""),
    Column("is_evidence", Boolean, nullable=False, server_default=false()),
    UniqueConstraint("incident_id", "decision_number"),
)
Index("ix_oncall_actions_task", actions.c.dag_id, actions.c.task_id, actions.c.run_id)
Index("ix_oncall_actions_done_at", actions.c.done_at)
evidence_only = text("is_evidence")
_partial: dict[str, Any] = {"sqlite_where": evidence_only, "postgresql_where": evidence_only}
Index("ix_oncall_actions_evidence_fingerprint", actions.c.fingerprint, actions.c.done_at, **_partial)
Index("ix_oncall_actions_evidence_task", actions.c.dag_id, actions.c.task_id, actions.c.category, actions.c.done_at, **_partial)
Index("ix_oncall_actions_evidence_category", actions.c.category, actions.c.done_at, **_partial)

outcomes = _table(
    "outcomes",
    _incident(),
    Column("action_id", BigId, ForeignKey(PREFIX + "actions.id", ondelete="CASCADE"), unique=True),
    Column("kind", String(20), nullable=False),
    Column("try_number", Integer, nullable=False),
    Column("seen_at", UtcDateTime, nullable=False),
    Column("detail", Text, nullable=False),
    Column("ended_at", UtcDateTime),
)

labels = _table(
    "labels",
    _incident(),
    Column("name", String(40), nullable=False),
    Column("value", String(250), nullable=False),
    Column("given_by", String(250), nullable=False),
    Column("given_at", UtcDateTime, nullable=False, index=True),
    Column("detail", JSON, nullable=False),
)

audit = _table(
    "audit",
    Column("at", UtcDateTime, nullable=False, index=True),
    Column("actor", String(250), nullable=False),
    Column("what", String(60), nullable=False),
    Column("incident_id", BigId, index=True),
    Column("detail", JSON, nullable=False),
    Column("salt", String(32), nullable=False, server_default=""),
    Column("digest", String(64), nullable=False, server_default=""),
    Column("prev_hash", String(64), nullable=False, server_default=""),
    Column("hash", String(64), nullable=False, server_default=""),
    Column("dag_id", String(1000), index=True),
)
"""``dag_id`` is that of an incident that was purged, and is not part of what is hashed."""

dag_fingerprints = _table(
    "dag_fingerprints",
    Column("dag_id", String(1000), nullable=False),
    Column("fingerprint", String(64), nullable=False),
    UniqueConstraint("dag_id", "fingerprint", name="uq_oncall_dag_fingerprints_dag_id_fingerprint"),
)

audit_head = _table("audit_head", Column("hash", String(64), nullable=False))

suggestions = _table(
    "suggestions",
    Column("fingerprint", String(64), nullable=False, unique=True),
    Column("category", String(40), nullable=False),
    Column("explanation", Text, nullable=False),
    Column("steps", JSON, nullable=False),
    Column("model", String(200), nullable=False),
    Column("problem", Text, nullable=False),
    Column("asked_at", UtcDateTime, nullable=False, index=True),
)

cursors = _table(
    "cursors",
    Column("name", String(250), nullable=False, unique=True),
    Column("value", JSON, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
)

sweep_requests = _table(
    "sweep_requests",
    Column("dag_id", String(250), nullable=False),
    Column("run_id", String(250), nullable=False),
    Column("asked_at", UtcDateTime, nullable=False),
    UniqueConstraint("dag_id", "run_id"),
)

good_files = _table(
    "good_files",
    Column("name", String(250), nullable=False, unique=True),
    Column("sha256", String(64), nullable=False),
    Column("body", Text, nullable=False),
    Column("read_at", UtcDateTime, nullable=False),
)

model_versions = _table(
    "model_versions",
    Column("name", String(60), nullable=False),
    Column("version", String(60), nullable=False),
    Column("path", String(500), nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("library", String(100), nullable=False),
    Column("trained_at", UtcDateTime, nullable=False),
    Column("promoted_at", UtcDateTime),
    Column("metrics", JSON, nullable=False),
    Column("withdrawn_at", UtcDateTime),
    Column("files", JSON, nullable=False, server_default="{}"),
    UniqueConstraint("name", "version"),
)

leases = _table(
    "leases",
    Column("name", String(250), nullable=False, unique=True),
    Column("holder", String(250), nullable=False),
    Column("held_until", UtcDateTime, nullable=False),
)

log_events = _table(
    "log_events",
    _incident(),
    Column("key", String(64), nullable=False, unique=True),
    Column("source", String(250), nullable=False),
    Column("position", Text, nullable=False),
    Column("happened_at", UtcDateTime, nullable=False),
    Column("seen_at", UtcDateTime, nullable=False, index=True),
    Column("text", Text, nullable=False),
    Column("fingerprint", String(64), nullable=False),
    Column("signature", String(250), nullable=False),
    Column("severity", String(20), nullable=False),
    Column("identifiers", JSON, nullable=False),
    Column("claimed", JSON, nullable=False),
    Column("dag_id", String(1000), nullable=False),
    Column("run_id", String(250), nullable=False),
    Column("task_id", String(250), nullable=False),
    Column("map_index", Integer, nullable=False),
    Column("try_number", Integer, nullable=False),
    Column("correlation", String(20), nullable=False),
    Column("probability", Float, nullable=False),
    Column("count", Integer, nullable=False),
)

task_keys = _table(
    "task_keys",
    Column("key", String(40), nullable=False, unique=True),
    Column("dag_id", String(250), nullable=False),
    Column("run_id", String(250), nullable=False),
    Column("task_id", String(250), nullable=False),
    Column("map_index", Integer, nullable=False),
    Column("try_number", Integer, nullable=False),
    Column("made_at", UtcDateTime, nullable=False, index=True),
)

knowledge = _table(
    "knowledge",
    Column("name", String(100), nullable=False, unique=True),
    Column("entry", JSON, nullable=False),
    Column("fingerprint", String(64), nullable=False, server_default="", index=True),
    Column("pattern", Text, nullable=False, server_default=""),
    Column("category", String(40), nullable=False, server_default=""),
    Column("is_proposed", Boolean, nullable=False),
    Column("version", Integer, nullable=False),
    Column("made_at", UtcDateTime, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False, index=True),
    Column("deleted_at", UtcDateTime),
)

has_pattern = text("pattern <> ''")
Index("ix_oncall_knowledge_pattern", knowledge.c.name, sqlite_where=has_pattern, postgresql_where=has_pattern)

knowledge_history = _table(
    "knowledge_history",
    Column("name", String(100), nullable=False),
    Column("version", Integer, nullable=False),
    Column("entry", JSON(none_as_null=True)),
    Column("is_proposed", Boolean, nullable=False),
    Column("actor", String(250), nullable=False),
    Column("what", String(60), nullable=False),
    Column("at", UtcDateTime, nullable=False, index=True),
    UniqueConstraint("name", "version"),
)

experiments = _table(
    "experiments",
    Column("name", String(60), nullable=False, unique=True),
    Column("category", String(40), nullable=False),
    Column("fingerprint", String(64), nullable=False, server_default=""),
    Column("arms", JSON, nullable=False),
    Column("assignment", String(20), nullable=False),
    Column("started_by", String(250), nullable=False),
    Column("started_at", UtcDateTime, nullable=False),
    Column("stopped_at", UtcDateTime),
    Column("detail", Text, nullable=False, server_default=""),
)

bars = _table(
    "bars",
    Column("category", String(40), nullable=False),
    Column("action", String(40), nullable=False),
    Column("auto", Float, nullable=False),
    Column("base", Float, nullable=False),
    Column("reason", Text, nullable=False),
    Column("changed_at", UtcDateTime, nullable=False),
    UniqueConstraint("category", "action"),
)

notices = _table(
    "notices",
    _incident(unique=True),
    Column("number", Integer, nullable=False),
    Column("occasion", String(20), nullable=False),
    Column("place", String(250), nullable=False),
    Column("storm_id", BigId, ForeignKey(PREFIX + "storms.id", ondelete="CASCADE"), index=True),
    Column("detail", Text, nullable=False),
    Column("after", Integer, nullable=False),
    Column("state", String(20), nullable=False),
    Column("tries", Integer, nullable=False, server_default="0"),
    Column("made_at", UtcDateTime, nullable=False),
    Column("due_at", UtcDateTime, nullable=False),
    Column("told_at", UtcDateTime),
    Column("message_id", BigId),
    UniqueConstraint("incident_id", "number", "occasion", "place"),
)
waiting_notices = text("state = 'waiting'")
Index("ix_oncall_notices_waiting", notices.c.place, notices.c.due_at, sqlite_where=waiting_notices, postgresql_where=waiting_notices)
unfinished_notices = text("state = 'told'")
Index("ix_oncall_notices_told", notices.c.incident_id, sqlite_where=unfinished_notices, postgresql_where=unfinished_notices)
Index("ix_oncall_notices_told_at", notices.c.place, notices.c.told_at)

notifiers = _table(
    "notifiers",
    Column("place", String(250), nullable=False, unique=True),
    Column("failures", Integer, nullable=False),
    Column("problem", Text, nullable=False),
    Column("rests_until", UtcDateTime),
    Column("changed_at", UtcDateTime, nullable=False),
)


def _number() -> Column[Any]:
    return Column("number", Integer, nullable=False)


def _day(name: str) -> Column[Any]:
    return Column(name, String(10), nullable=False)


def _sort() -> Column[Any]:
    return Column("sort", String(10), nullable=False)


rollup_incidents = _table(
    "rollup_incidents",
    _day("opened_on"),
    _day("closed_on"),
    _sort(),
    Column("state", String(20), nullable=False),
    Column("category", String(40), nullable=False),
    Column("source", String(250), nullable=False),
    Column("severity", String(10), nullable=False),
    _number(),
    Column("minutes", Float, nullable=False),
    UniqueConstraint("closed_on", "opened_on", "sort", "state", "category", "source", "severity", name="uq_oncall_rollup_incidents_key"),
)

rollup_told = _table(
    "rollup_told",
    _day("made_on"),
    _sort(),
    _number(),
    Column("tries", Integer, nullable=False),
    UniqueConstraint("made_on", "sort"),
)

rollup_tried = _table(
    "rollup_tried",
    _day("done_on"),
    _sort(),
    Column("action", String(40), nullable=False),
    Column("bin", Integer, nullable=False),
    Column("successes", Integer, nullable=False),
    _number(),
    Column("expected", Float, nullable=False),
    Column("resolved", Integer, nullable=False),
    Column("minutes", Float, nullable=False),
    UniqueConstraint("done_on", "sort", "action", "bin"),
)

rollup_dags = _table("rollup_dags", Column("dag_id", String(1000), nullable=False, unique=True), _number())
