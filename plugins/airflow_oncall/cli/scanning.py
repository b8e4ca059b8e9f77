"""Commands for trying a log source and its signatures by hand. Nothing is written to the store."""

from __future__ import annotations

import argparse
import glob
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

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
    kind = SHORT_KINDS.get(args.source, args.source)
    source, problems = _source(kind, args.path), list[str]()
    try:
        with _progress(_sizes(kind, args.path)) as advance:
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
def _progress(sizes: Mapping[str, int]) -> Iterator[Any]:
    """Told of each batch; a bar over the bytes of these files, one without an end where there are none."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        shown = progress.add_task("scanning", total=sum(sizes.values()) or None)

        def advance(batch: Batch, records: int) -> None:
            progress.update(shown, description=f"scanning: {records} records", completed=_bytes_read(batch.cursor, sizes))

        yield advance


def _sizes(kind: str, path: str) -> dict[str, int]:
    """Bytes of each file that is going to be read; empty where nobody can tell: of archives, and of folders, of which not all is."""
    paths = glob.glob(path, recursive=True)
    if kind == "spark_events" or (kind == "postgres_files" and len(paths) > 1) or any(name.endswith(".gz") for name in paths):
        return {}
    return {name: Path(name).stat().st_size for name in paths if Path(name).is_file()}


def _bytes_read(cursor: Mapping[str, Any], sizes: Mapping[str, int]) -> int:
    """Of these files; the cursor of ``files`` has a list of places, that of ``postgres_files`` a mapping."""
    files = cursor.get("files") or ()
    places = files.values() if isinstance(files, Mapping) else files
    return sum(place["offset"] for place in places if place.get("path", place.get("name")) in sizes)


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
