"""Writing the audit log: rows that are only ever added, each holding the hash of the row before it.

A part of the store says what it did with :func:`note`. The rows are written when its transaction is about to commit, so
that the lock on the head of the log is the last one taken: it is held for the length of a commit, and nobody who holds
it waits for anything else. What a row tells is hashed with a salt, and the row's hash is over that digest: once salt and
detail are erased, nobody can guess from the digest what they said, and the chain still holds.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timezone
from typing import Any

from sqlalchemy import Connection, insert, select, update

from airflow_oncall.store.records import now
from airflow_oncall.store.tables import audit, audit_head, incidents

PENDING = "oncall_audit"
"""Execution option of a transaction's connection: the rows that it will write."""
BEGINNING = ""
"""What stands for the row before the first one."""
ERASED, CUT = "audit erased", "audit cut"
"""Rows about the log itself: whose detail was taken out, and up to where its oldest part was."""
HEAD = audit_head.c.id == 1


def note(
    connection: Connection, actor: str, what: str, detail: Mapping[str, Any], *, incident_id: int | None = None, at: datetime | None = None
) -> None:
    """Have a row written with this transaction; ``actor`` is who did it, a person or a part of ours."""
    row = {"at": at or now(), "actor": actor[:250], "what": what[:60], "incident_id": incident_id, "detail": dict(detail)}
    connection.get_execution_options()[PENDING].append(row)


def write_pending(connection: Connection) -> None:
    """Write what was noted, as the last thing before the commit; for :func:`airflow_oncall.store.engine.transaction`."""
    rows = connection.get_execution_options()[PENDING]
    if not rows:
        return
    previous = connection.execute(select(audit_head.c.hash).where(HEAD).with_for_update()).scalar_one()
    chained = list(chain(previous, rows))
    connection.execute(insert(audit), chained)
    connection.execute(update(audit_head).where(HEAD).values(hash=chained[-1]["hash"]))


def name_dag(connection: Connection, incident_ids: Sequence[int]) -> None:
    """Have rows about these incidents, which are about to be deleted, name their DAG: nothing else tells it then. No hash is over it.

    Rows that name one are of an incident that was purged before: SQLite gives ids again.
    """
    of_incident = select(incidents.c.dag_id).where(incidents.c.id == audit.c.incident_id).scalar_subquery()
    unnamed = (audit.c.incident_id.in_(incident_ids), audit.c.dag_id.is_(None), audit.c.salt != "")
    connection.execute(update(audit).where(*unnamed).values(dag_id=of_incident))


def chain(previous: str, rows: Iterable[Mapping[str, Any]]) -> Iterable[dict[str, Any]]:
    """The rows with salt, digest and both hashes; the first one follows the row whose hash is ``previous``."""
    for row in rows:
        salt = secrets.token_hex(16)
        linked = {**row, "salt": salt, "digest": digest_of(salt, row["detail"]), "prev_hash": previous}
        previous = hash_of(linked)
        yield linked | {"hash": previous}


def digest_of(salt: str, detail: Any) -> str:
    """SHA-256 of what a row tells. Never to change: what is written would not verify any more."""
    as_stored = json.loads(json.dumps(detail))
    return _sha256(f"{salt}{_canonical(as_stored)}")


def hash_of(row: Mapping[str, Any]) -> str:
    """SHA-256 of a row and of the one before it. Never to change."""
    at = row["at"].astimezone(timezone.utc).isoformat(timespec="microseconds")
    return _sha256(_canonical([row["prev_hash"], at, row["actor"], row["what"], row["incident_id"], row["digest"]]))


def _canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
