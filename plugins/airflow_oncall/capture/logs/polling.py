"""One poll of one source: read, redact, fingerprint, correlate, collapse, and store each batch with its cursor in one transaction."""

from __future__ import annotations

import hashlib
import logging
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta, timezone
from functools import cache, lru_cache
from itertools import islice

from airflow_oncall.capture.fingerprint import fingerprint, normalised
from airflow_oncall.capture.logs.claims import claims
from airflow_oncall.capture.logs.correlation import NOBODY, Around, Owner, owners
from airflow_oncall.capture.logs.inference import Candidate
from airflow_oncall.capture.logs.source import Batch, Cursor, LogSource, Record, SourceFailed
from airflow_oncall.capture.record import is_watched
from airflow_oncall.capture.redact import redact
from airflow_oncall.errors import AirflowApiError, OnCallError, StoreError, StoreRefused
from airflow_oncall.incident import LogEvent
from airflow_oncall.rest import AirflowApi
from airflow_oncall.store.logs import CursorMoved, SqlLogs

log = logging.getLogger(__name__)

TEXT_LIMIT = 8_000
NAME_LIMIT = 200
INCIDENTS_A_POLL = 50
"""Kinds of trouble of nobody that one poll makes incidents of their own; the others are counted in one."""
MOST_INSTANCES = 2_000
"""Task instances of one time that are weighed."""
AHEAD = timedelta(minutes=5)
"""A record from further in the future has a wrong clock: the time of reading is taken."""
_ONE_DIGIT = bytes.maketrans(b"123456789", b"000000000")
_UNEXPECTED = (
    OnCallError, ArithmeticError, AttributeError, EOFError, ImportError, LookupError, OSError, RuntimeError, TypeError, ValueError,
)  # fmt: skip
"""What may come out of a source besides what it promises: Python's own families, for what people's files and servers hold is anything."""
UNREADABLE, PROBLEM, MORE = "source-unreadable", "source-problem", "more-like-this"
UNREADABLE_SINCE, READ_AT = "unreadable_since", "read_at"
"""Of the health of a source: one of the two."""


@dataclass
class PollResult:
    """What one poll did."""

    source: str
    records: int = 0
    events: int = 0
    incidents: int = 0
    problems: list[str] = field(default_factory=list)
    is_done: bool = True
    """Read up to now; else the next poll goes on."""


def poll(source: LogSource, logs: SqlLogs, around: Around | None = None, seconds: float = 45) -> PollResult:
    """Read ``source`` from its stored cursor, for about ``seconds``.

    A source that cannot be read is an incident, once; where it fails otherwise than it promises, the poll fails as well. ``around`` gives
    the task instances that ran at a time, for what names none.
    """
    result, until, kinds = PollResult(source.name), time.monotonic() + seconds, set[str]()
    cursor = logs.cursor(source.name)
    try:
        for batch in _read(source, cursor, logs):
            events = list(_events(source.name, batch, logs, around, kinds))
            result.incidents += logs.commit(source.name, cursor, batch.cursor, events)
            cursor = dict(batch.cursor)
            result.records += len(batch.records)
            result.events += len(events)
            result.problems += [redact(problem, TEXT_LIMIT) for problem in batch.problems]
            if time.monotonic() > until:
                result.is_done = False
                break
    except (SourceFailed, StoreRefused) as failure:  # what the store will never take would stop the source for good, unseen
        result.incidents += report_unreadable(source.name, logs, str(failure))
        result.problems.append(redact(str(failure), TEXT_LIMIT))
    except CursorMoved as moved:
        log.info("%s", moved)
        result.is_done = False
    else:
        _readable(source.name, logs)
    return result


def _read(source: LogSource, cursor: Cursor, logs: SqlLogs) -> Iterator[Batch]:
    """What ``source`` reads. A failure that it does not promise is reported too: it would stop the source for good, unseen."""
    try:
        yield from source.read(cursor)
    except (SourceFailed, StoreError):  # the one is reported by the poll, the other is not the source's
        raise
    except _UNEXPECTED as error:
        way_out = "the log of the poll's task has the traceback; report it if it is not your configuration"
        report_unreadable(source.name, logs, f"source {source.name!r} cannot be read: {type(error).__name__}: {error}; {way_out}")
        raise


def task_instances_around(api: AirflowApi) -> Around:
    """Task instances over REST; where Airflow does not answer, nothing is inferred from them."""

    def around(start: datetime, end: datetime) -> Sequence[Candidate]:
        try:
            ran = islice(api.task_instances_during(start, end), MOST_INSTANCES)
            found = {one.ref: one for one in ran if is_watched(one.ref.dag_id)}
        except AirflowApiError as error:
            log.warning("what ran from %s to %s is not known, so no log record is tied to it by inference: %s", start, end, error)
            return []
        return [Candidate(one) for one in found.values()]

    return around


def _events(source: str, batch: Batch, logs: SqlLogs, around: Around | None, kinds: set[str]) -> Iterator[LogEvent]:
    now = datetime.now(timezone.utc)
    stored = logs.stored(source, [record.position for record in batch.records])
    # Before they are collapsed: a record that is known must not stand for others that are new.
    new = [record for record in batch.records if record.position not in stored]
    times = [_time(record, now) for record in new]
    found = owners(new, times, logs.resolve_keys, around)
    yield from capped(source, events_of(source, new, times, found), kinds)
    for number, problem in enumerate(batch.problems):
        place = hashlib.sha256(repr((problem, sorted(batch.cursor.items()))).encode("utf-8", "replace")).hexdigest()
        yield _own(source, f"{PROBLEM}:{place}:{number}", PROBLEM, problem, now)


def events_of(source: str, records: Sequence[Record], times: Sequence[datetime], found: Sequence[Owner]) -> list[LogEvent]:
    """One event for each kind of trouble of each try; records of DAGs that are not watched are left out."""
    kinds = _kinds(zip(records, times, found, strict=True))
    masked = cache(_masked)  # for one batch only: Airflow may know more secrets by the next
    return collapsed(event_of(source, record, at, owner, count, masked) for record, at, owner, count in kinds)


def _masked(value: str) -> str:
    return redact(value, NAME_LIMIT)


def _kinds(rows: Iterable[tuple[Record, datetime, Owner]]) -> Iterator[tuple[Record, datetime, Owner, int]]:
    """The first record of every kind of trouble, and how many there were: masking secrets costs more than telling kinds apart."""
    first: dict[object, tuple[Record, datetime, Owner]] = {}
    counts: Counter[object] = Counter()
    for record, at, owner in rows:
        if owner.ref and not is_watched(owner.ref.dag_id):
            continue
        kind = (
            record.signature,
            _wording(cause_line(record.text).encode("utf-8", "replace").translate(_ONE_DIGIT)),
            owner.ref,
            owner.try_number,
        )
        first.setdefault(kind, (record, at, owner))
        counts[kind] += 1
    return ((*one, counts[kind]) for kind, one in first.items())


@lru_cache(maxsize=4_096)
def _wording(line: bytes) -> str:
    """Lines that differ in their digits only are normalised once: no word is kept that has one."""
    return normalised(line.decode())


def event_of(
    source: str, record: Record, at: datetime, owner: Owner = NOBODY, count: int = 1, masked: Callable[[str], str] = _masked
) -> LogEvent:
    """A record as it is stored: redacted, then truncated."""
    text = redact(record.text, TEXT_LIMIT)
    guessed = {} if owner.is_believed or owner.ref is None else {"perhaps": f"{owner.ref} ({owner.probability:.0%})"}
    return LogEvent(
        source=source,
        position=record.position.encode("utf-8", "replace").decode(),
        happened_at=at,
        text=text,
        fingerprint=fingerprint((record.signature,), cause_line(text), None),
        signature=record.signature[:NAME_LIMIT],
        severity=record.severity[:20],
        identifiers={name: masked(value) for name, value in record.identifiers.items()},
        claimed=claims(text) | guessed,
        ref=owner.ref if owner.is_believed else None,
        try_number=owner.try_number if owner.is_believed else 0,
        correlation=owner.correlation,
        probability=owner.probability,
        count=count,
    )


def cause_line(text: str) -> str:
    """The line that tells one cause from another: a traceback's last one, else the first."""
    whole = text.strip()
    return whole.rpartition("\n")[2] if "Traceback (most recent" in whole else whole.partition("\n")[0]


def collapsed(events: Iterable[LogEvent]) -> list[LogEvent]:
    """One event for each kind of trouble of each try: what differed in a secret only is one kind."""
    kinds: dict[tuple[str, int], LogEvent] = {}
    for event in events:
        kind = event.incident_key, event.try_number
        first = kinds.get(kind)
        kinds[kind] = replace(first, count=first.count + event.count) if first else event
    return list(kinds.values())


def capped(source: str, events: Sequence[LogEvent], kinds: set[str]) -> Iterator[LogEvent]:
    """Of events that belong to nobody at most :data:`INCIDENTS_A_POLL` kinds; the rest as one event that says how many there were.

    ``kinds``: those that this poll let through so far; it grows.
    """
    rest = []
    for event in events:
        if event.ref or event.incident_key in kinds or len(kinds) < INCIDENTS_A_POLL:
            kinds |= set() if event.ref else {event.incident_key}
            yield event
        else:
            rest.append(event)
    if rest:
        samples = "\n".join(cause_line(event.text)[:NAME_LIMIT] for event in rest[:5])
        text = f"{sum(event.count for event in rest)} more records of {len(rest)} kinds in source {source!r}, among them:\n{samples}"
        own = _own(source, f"{MORE}:{rest[0].position}", MORE, text, rest[0].happened_at)
        yield replace(own, fingerprint=_digest(f"{MORE}:{source}"), count=sum(event.count for event in rest))


def _own(source: str, position: str, signature: str, text: str, at: datetime) -> LogEvent:
    """Something that the poller itself has to say."""
    return LogEvent(source, position, at, redact(text, TEXT_LIMIT), _digest(f"{signature}:{normalised(text)}"), signature, "ERROR")


def report_unreadable(source: str, logs: SqlLogs, failure: str) -> int:
    """One incident for as long as the source fails: the health of a source is a cursor of its own. The number of incidents opened."""
    log.error("%s", redact(failure, TEXT_LIMIT))
    health = health_cursor(source)
    before = logs.cursor(health)
    if UNREADABLE_SINCE in before:
        return 0
    now = datetime.now(timezone.utc)
    event = _own(source, f"{UNREADABLE} since {now.isoformat()}", UNREADABLE, failure, now)
    try:
        return logs.commit(health, before, {UNREADABLE_SINCE: now.isoformat()}, [event])
    except CursorMoved:
        return 0


def _readable(source: str, logs: SqlLogs) -> None:
    """Note that the source was read. What it told is stored already, so a store that is busy now fails no poll."""
    health = health_cursor(source)
    try:
        before = logs.cursor(health)
        if UNREADABLE_SINCE in before:
            log.info("source %r can be read again", source)
        with suppress(CursorMoved):
            logs.commit(health, before, {READ_AT: datetime.now(timezone.utc).isoformat()}, [])
    except StoreError as error:
        log.warning("source %r was read and nothing is lost, but when it was is not noted; the next poll tries again: %s", source, error)


def health_cursor(source: str) -> str:
    """Under which it is kept since when a source cannot be read, or when it last was: where nothing is new, its own cursor stays."""
    return f"{source}: health"


def _digest(text: str) -> str:
    return fingerprint((), text, None)


def _time(record: Record, now: datetime) -> datetime:
    at = record.happened_at
    return at if at is not None and at <= now + AHEAD else now
