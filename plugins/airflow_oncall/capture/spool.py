"""Local disk takes what the store could not: one JSON line per record, replayed when the store is back.

``waiting.jsonl`` is appended to under a lock. A replay renames it to ``claimed-*.jsonl``, feeds it, and deletes it only
after the last record is stored; a replay that dies leaves its file to the next one. Records are idempotent, so a second
feeding does no harm. What cannot be read, or what the store refuses, goes to ``rejected.jsonl`` and holds nothing up.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

from airflow_oncall import conf
from airflow_oncall.errors import BadSetting, StoreRefused
from airflow_oncall.incident import Evidence, Kind, Occurrence, TaskRef
from airflow_oncall.store.base import Intake

log = logging.getLogger(__name__)

OCCURRENCE = "occurrence"
SWEEP = "sweep"
WAITING = "waiting.jsonl"
REJECTED = "rejected.jsonl"


def append(kind: str, payload: Mapping[str, Any]) -> bool:
    """Keep one record on local disk, safe against power loss. A full disk or spool is logged, never raised; then ``False``."""
    # A crash may have left half a line: each record starts on a line of its own.
    line = b"\n" + json.dumps({"kind": kind, "payload": payload}).encode() + b"\n"
    try:
        folder = conf.spool_path()
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with _locked(folder):
            _write(folder, line)
    except (OSError, BadSetting) as error:
        log.error("The failure could not be spooled in %s and is left to the next sweep: %s", conf.spool_path(), error)
        return False
    return True


def replay(intake: Intake) -> int:
    """Feed everything spooled on this host to the store; give how many records it took.

    Raises :class:`~airflow_oncall.errors.StoreError` when the store fails midway; the rest stays spooled.
    """
    folder, fed = conf.spool_path(), 0
    try:
        # What an earlier replay left behind comes first: while the store stays down, no further files pile up.
        for path in sorted(folder.glob("claimed-*.jsonl")):
            fed += _feed(path, intake)
        if claimed := _claim(folder):
            fed += _feed(claimed, intake)
    except OSError as error:
        log.error("The spool in %s cannot be replayed now and is kept: %s", folder, error)
    return fed


def waiting_bytes() -> int:
    """Size of what is spooled on this host and not stored yet."""
    folder = conf.spool_path()
    return sum(path.stat().st_size for path in (folder / WAITING, *folder.glob("claimed-*.jsonl")) if path.exists())


def drop(dag_id: str) -> int:
    """Delete what is spooled on this host about a DAG; how many records. What is being replayed at this moment is left to the replay."""
    folder = conf.spool_path()
    if not folder.is_dir():
        return 0
    with _locked(folder):
        return sum(_without(folder / name, dag_id) for name in (WAITING, REJECTED))


def to_payload(occurrence: Occurrence) -> dict[str, Any]:
    """An occurrence as plain JSON values."""
    return {**asdict(occurrence), "happened_at": occurrence.happened_at.isoformat(), "kind": occurrence.kind.value}


def from_payload(payload: Mapping[str, Any]) -> Occurrence:
    """The occurrence of :func:`to_payload`; ``KeyError``, ``TypeError`` or ``ValueError`` for anything else."""
    evidence = dict(payload["evidence"])
    evidence["exception_chain"] = tuple(evidence["exception_chain"])
    plain = {
        **payload,
        "ref": TaskRef(**payload["ref"]),
        "kind": Kind(payload["kind"]),
        "happened_at": datetime.fromisoformat(payload["happened_at"]),
        "evidence": Evidence(**evidence),
    }
    return Occurrence(**plain)


def _without(path: Path, dag_id: str) -> int:
    lines = [line for line in path.read_bytes().splitlines() if line.strip()] if path.exists() else []
    kept = [line for line in lines if _dag_of(line) != dag_id]
    if len(kept) < len(lines):
        part = path.with_name(f"{path.name}.part")
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(b"".join(line + b"\n" for line in kept))
            os.fsync(file.fileno())
        part.replace(path)
    return len(lines) - len(kept)


def _dag_of(line: bytes) -> str | None:
    try:
        payload = json.loads(line)["payload"]
        return str(payload["ref"]["dag_id"] if "ref" in payload else payload["dag_id"])
    except (KeyError, TypeError, ValueError):
        return None


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    with (folder / "lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _write(folder: Path, line: bytes) -> None:
    used = sum(_size(path) for path in folder.glob("*.jsonl"))
    if used + len(line) > conf.spool_max_bytes():
        raise OSError(f"the spool holds {used} bytes and may not grow beyond {conf.spool_max_bytes()} ([oncall] spool_max_mb)")
    file = os.open(folder / WAITING, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        before = os.fstat(file).st_size
        if os.write(file, line) != len(line):
            os.ftruncate(file, before)
            raise OSError("the disk is full")
        os.fsync(file)
    finally:
        os.close(file)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:  # a replay finished it in this moment
        return 0


def _claim(folder: Path) -> Path | None:
    """Take the waiting file away from those who append; ``None`` when nothing waits."""
    waiting = folder / WAITING
    if not waiting.exists():
        return None
    claimed = folder / f"claimed-{time.time_ns()}-{os.getpid()}.jsonl"
    with _locked(folder):
        try:
            waiting.rename(claimed)
        except FileNotFoundError:
            return None
    return claimed


def _feed(path: Path, intake: Intake) -> int:
    fed, rejected = 0, []
    try:
        file = path.open("r+b")
    except FileNotFoundError:
        return 0
    with file:
        try:
            # Held while feeding and let go by the kernel when this process dies, so a dead replay blocks nobody.
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return 0
        for line in filter(None, (raw.strip() for raw in file)):
            if _fed(line, intake):
                fed += 1
            else:
                rejected.append(line)
        _reject(path.parent, rejected)
        path.unlink(missing_ok=True)
    return fed


def _fed(line: bytes, intake: Intake) -> bool:
    try:
        record = json.loads(line)
        kind, payload = record["kind"], record["payload"]
        if kind == SWEEP:
            dag_id, run_id = str(payload["dag_id"]), str(payload["run_id"])
        else:
            occurrence = from_payload(payload)
    except (KeyError, TypeError, ValueError, AttributeError):
        return False
    try:
        if kind == SWEEP:
            intake.request_sweep(dag_id, run_id)
        else:
            intake.record(occurrence)
    except StoreRefused as error:
        log.error("A spooled %s is put aside: %s", kind, error)
        return False
    return True


def _reject(folder: Path, lines: list[bytes]) -> None:
    if not lines:
        return
    log.error("%d spooled records cannot be stored; they are kept in %s", len(lines), folder / REJECTED)
    with (folder / REJECTED).open("ab") as file:
        file.write(b"\n".join(lines) + b"\n")
