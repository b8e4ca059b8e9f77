"""Commands for trying a log source and its signatures by hand. Nothing is written to the store."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from airflow_oncall import conf
from airflow_oncall.cli.terminal import command, complain, print_json
from airflow_oncall.errors import BadDataFile, OnCallError

if TYPE_CHECKING:
    from airflow_oncall.capture.logs.signatures import Signature
    from airflow_oncall.capture.logs.source import Batch, LogSource
    from airflow_oncall.incident import LogEvent

SHORT_KINDS = {"spark": "spark_events", "postgres": "postgres_files"}
_NEW_FILE = "# Signatures of this site; `airflow oncall patterns add` appends here.\nengine: site\nsignatures:\n"


@command
def scan(args: argparse.Namespace) -> int:
    """``scan``"""
    from airflow_oncall.capture.logs.source import SourceFailed

    events: dict[str, LogEvent] = {}
    source, problems = _source(SHORT_KINDS.get(args.source, args.source), args.path), list[str]()
    try:
        with _progress(args.path) as advance:
            for batch in source.read({}):
                _collect(batch, events)
                problems += batch.problems
                advance(batch, sum(event.count for event in events.values()))
    except SourceFailed as failure:
        problems.append(str(failure))
    found = sorted(events.values(), key=lambda event: event.happened_at)
    if args.format == "json":
        print_json({"incidents": [_plain(event) for event in found], "problems": problems})
    else:
        for event in found:
            _print(event)
        print(f"{len(found)} incidents of {sum(event.count for event in found)} records; nothing was stored")
    for problem in problems:
        complain(problem)
    return 1 if problems else 0


@command
def test_patterns(args: argparse.Namespace) -> int:
    """``patterns test``"""
    from airflow_oncall.capture.logs.scanner import Scanner

    scanner, found = Scanner(_signatures()), 0
    for line in (args.text or sys.stdin.read()).splitlines():
        matching = scanner.all_of(line.encode("utf-8", "replace"))
        found += bool(matching)
        for place, signature in enumerate(matching):
            print(f"{'  also ' if place else ''}{signature.id} ({signature.engine}, {signature.severity}): {signature.title}")
        print(f"  {line[:200]}" if matching else f"no signature: {line[:200]}")
    return 0 if found else 1


@command
def add_pattern(args: argparse.Namespace) -> int:
    """``patterns add``"""
    import yaml

    from airflow_oncall.capture.logs.signatures import SITE, parse_signatures

    path = conf.include_paths()[0] / SITE
    entry = {
        "id": args.signature_id or _asked("id, e.g. shop-ledger-frozen"),
        "title": args.title or _asked("what happened, for people"),
        "severity": args.severity,
        "pattern": args.pattern or _asked("expression (RE2)"),
        "match": args.match or [_asked("a line that it must find")],
        "no_match": args.no_match or [_asked("a line that looks alike and that it must not find")],
    }
    before = path.read_text(encoding="utf-8") if path.exists() else _NEW_FILE
    own = yaml.safe_dump([entry], sort_keys=False, allow_unicode=True, width=1_000)
    after = before.rstrip("\n") + "\n" + "".join(f"  {line}\n" for line in own.splitlines())
    _refuse_taken(entry["id"])
    parse_signatures(str(path), after)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(after, encoding="utf-8")
    print(f"{path}: {entry['id']} is in force from the next poll on")
    return 0


def _refuse_taken(signature: str) -> None:
    for one in _signatures():
        if one.id == signature:
            raise OnCallError(f"signature {signature!r} exists already ({one.engine}: {one.title}); choose another id")


def _signatures() -> tuple[Signature, ...]:
    from airflow_oncall.capture.logs.signatures import read_signatures
    from airflow_oncall.store.operator_files import OperatorFiles

    return read_signatures(OperatorFiles(conf.include_paths()))


def _asked(what: str) -> str:
    if not sys.stdin.isatty():
        raise OnCallError(f"nothing was given for: {what}; `airflow oncall patterns add --help` shows the options")
    return input(f"{what}: ")


def _source(kind: str, path: str) -> LogSource:
    """The source of this kind on ``path``, from its beginning."""
    from airflow_oncall.capture.logs.configured import settings_class

    settings = settings_class(kind)
    wanted = {"kind": kind, "path": path, "start": "start", "begin": "start", "settle_seconds": 0}
    try:
        made: LogSource = settings.model_validate({name: wanted[name] for name in wanted if name in settings.model_fields}).source("scan")
    except ValidationError as error:
        raise BadDataFile(path, str(error)) from error
    return made


def _collect(batch: Batch, events: dict[str, LogEvent]) -> None:
    from airflow_oncall.capture.logs.polling import event_of

    now = datetime.now(timezone.utc)
    for record in batch.records:
        event = event_of("scan", record, record.happened_at or now)
        first = events.get(event.incident_key)
        events[event.incident_key] = replace(first, count=first.count + 1) if first else event


@contextmanager
def _progress(path: str) -> Iterator[Any]:
    """Told of each batch; a bar over the bytes of ``path`` where the cursor tells them, else only the number of records."""
    console = Console(stderr=True)
    file = Path(path)
    size = file.stat().st_size if file.is_file() and file.suffix != ".gz" else None
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        shown = progress.add_task("scanning", total=size)

        def advance(batch: Batch, records: int) -> None:
            progress.update(shown, description=f"scanning: {records} records", completed=_bytes_read(batch.cursor) if size else 0)

        yield advance


def _bytes_read(cursor: Mapping[str, Any]) -> int:
    files: Sequence[Any] = cursor.get("files", ()) if isinstance(cursor.get("files", ()), Sequence) else ()
    return sum(int(one.get("offset", 0)) for one in files if isinstance(one, Mapping))


def _plain(event: LogEvent) -> dict[str, Any]:
    return {
        "happened_at": event.happened_at.isoformat(),
        "signature": event.signature,
        "severity": event.severity,
        "fingerprint": event.fingerprint,
        "count": event.count,
        "identifiers": dict(event.identifiers),
        "claimed": dict(event.claimed),
        "text": event.text,
    }


def _print(event: LogEvent) -> None:
    known = " ".join(f"{name}={value}" for name, value in event.identifiers.items())
    print(f"{event.happened_at:%Y-%m-%d %H:%M:%S}  {event.signature}  {event.fingerprint}  {event.count}x  {known}".rstrip())
    print(f"    {event.text.splitlines()[0][:200] if event.text else ''}")
