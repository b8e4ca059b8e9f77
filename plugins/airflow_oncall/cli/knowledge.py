"""``airflow oncall knowledge ...``: what is known about failures, who changed it, and exchanging it with others."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from airflow_oncall.cli.invented import moment
from airflow_oncall.cli.terminal import command, complain, print_json, this_user
from airflow_oncall.errors import BadDataFile, OnCallError
from airflow_oncall.store import open_store

if TYPE_CHECKING:
    from airflow_oncall.knowledge.base import KnowledgeBase
    from airflow_oncall.knowledge.book import Book
    from airflow_oncall.store.knowledge import Change, Kept, Tally
    from airflow_oncall.store.sql import Store

FIELDS = ("category", "fingerprint", "pattern", "example", "actions", "confidence", "notes", "runbook", "tags", "parent")
SHOWN_PROBLEMS = 20
LONGEST_TEXT = 20_000


@command
def list_knowledge(args: argparse.Namespace) -> int:
    """``knowledge list``"""
    proposed = True if args.proposed else None
    kept = open_store().knowledge.all(category=args.category, is_proposed=proposed)
    chosen = [one for one in kept if not args.tag or args.tag in one.entry.get("tags", ())]
    if args.format == "json":
        print_json([_plain(one) for one in chosen])
        return 0
    table = Table("name", "category", "actions", "confidence", "known by", "state", title=_entries(len(chosen)))
    for one in chosen:
        table.add_row(*map(Text, _row(one)))
    Console().print(table)
    return 0


@command
def search(args: argparse.Namespace) -> int:
    """``knowledge search``"""
    text = args.text if args.text is not None else sys.stdin.buffer.read(LONGEST_TEXT).decode("utf-8", "replace")
    if not text.strip():
        raise OnCallError("there is nothing to look for; give a text, or a log on standard input")
    base = _base(open_store())
    base.catch_up(float("inf"))
    found = base.search(text, args.limit)
    if args.format == "json":
        print_json([{**one.entry.kept(), "is_proposed": one.is_proposed, "how": one.how, "cosine": one.cosine} for one in found])
        return 0
    for one in found:
        state = ", proposed" if one.is_proposed else ""
        actions = ", ".join(one.entry.actions) or "a person has to look"
        print(f"{one.entry.name} ({one.how}{state}): {one.entry.category}, {actions}")
        for line in filter(None, (" ".join(one.entry.notes.split())[:200], one.entry.runbook)):
            print(f"   {line}")
    if not found:
        print("nothing is like it")
    return 0


@command
def add(args: argparse.Namespace) -> int:
    """``knowledge add``"""
    from airflow_oncall.knowledge.entry import read_entry

    store = open_store()
    entry = read_entry({"name": args.name, **_of_incident(store, args.incident), **_said(args)})
    _book(store, args).add(entry)
    print(f"knowledge {entry.name} is kept; it counts from the next look of triage on")
    return 0


@command
def edit(args: argparse.Namespace) -> int:
    """``knowledge edit``"""
    changes = _said(args)
    if not changes:
        raise OnCallError(f"nothing is changed; give what shall be different: {', '.join(f'--{name}' for name in FIELDS)}")
    entry = _book(open_store(), args).edit(args.name, changes)
    print(f"knowledge {entry.name} is changed; `airflow oncall knowledge stats {entry.name}` shows its history")
    return 0


@command
def confirm(args: argparse.Namespace) -> int:
    """``knowledge confirm``"""
    confirmed = _book(open_store(), args).confirm(args.names)
    for name in args.names:
        print(f"knowledge {name} " + ("counts from now on" if name in confirmed else "was confirmed before"))
    return 0


@command
def remove(args: argparse.Namespace) -> int:
    """``knowledge remove``"""
    _book(open_store(), args).remove(args.name)
    print(f"knowledge {args.name} is taken out; `knowledge rollback` brings it back")
    return 0


@command
def export(args: argparse.Namespace) -> int:
    """``knowledge export``"""
    from airflow_oncall.knowledge.entry import read_entry
    from airflow_oncall.knowledge.exchange import write_file
    from airflow_oncall.store.records import now

    known = open_store().knowledge
    entries = [read_entry(one.entry) for one in known.all(is_proposed=False)]
    write_file(Path(args.file), entries, known.tallies([one.fingerprint for one in entries]), now())
    print(f"{args.file}: {_entries(len(entries))}; look through it before you give it away: notes and examples are as people wrote them")
    return 0


@command
def import_knowledge(args: argparse.Namespace) -> int:
    """``knowledge import``"""
    from airflow_oncall.knowledge.exchange import read_file

    path = Path(args.file)
    read = read_file(path, args.confidence_adjustment)
    if not read.entries:
        _complain_of(path, read.problems)
        raise BadDataFile(path, "nothing is imported: no entry is fit to be kept")
    done = _book(open_store(), args).take_over(read.entries, replace=args.replace, confirm=args.confirm)
    _complain_of(path, read.problems)
    print(f"{path}: {len(done.written)} imported, {len(done.unchanged)} known already, {len(read.problems)} left out")
    if done.taken:
        print(f"{len(done.taken)} left out, because entries of these names stay unless --replace is given: {', '.join(done.taken[:10])}")
    if done.written and not args.confirm:
        print("They count for nothing until `airflow oncall knowledge confirm NAME ...`")
    return 1 if read.problems else 0


@command
def stats(args: argparse.Namespace) -> int:
    """``knowledge stats``"""
    store = open_store()
    kept = [_book(store, args).get(args.name)] if args.name else store.knowledge.all()
    tallies = store.knowledge.tallies([str(one.entry.get("fingerprint", "")) for one in kept])
    figures = [_figures(one, tallies.get(str(one.entry.get("fingerprint", "")), {})) for one in kept]
    history = [_plain_change(one) for one in store.knowledge.history(args.name)] if args.name else []
    if args.format == "json":
        print_json({**figures[0], "versions": history} if args.name else figures)
        return 0
    table = Table("name", "confidence", "helped here", "helped elsewhere", "earlier confidences", title=_entries(len(kept)))
    for one in figures:
        table.add_row(*map(Text, _columns(one)))
    Console().print(table)
    for change in history:
        print(f"version {change['version']}: {change['what']} by {change['actor']}, {change['at']:%Y-%m-%d %H:%M} UTC")
    return 0


@command
def rollback(args: argparse.Namespace) -> int:
    """``knowledge rollback``"""
    from airflow_oncall.store.records import now

    to = moment(args.to, "--to")
    if to > now():
        raise OnCallError(f"--to has value {args.to!r}, which is in the future")
    changed = _book(open_store(), args).roll_back(to, args.name)
    for name in changed:
        print(f"knowledge {name} is what it was")
    print(f"{_entries(len(changed))} changed back to {to:%Y-%m-%d %H:%M} UTC; what came later stays in their history")
    return 0


def _base(store: Store) -> KnowledgeBase:
    from airflow_oncall.knowledge.base import KnowledgeBase

    return KnowledgeBase(store)


def _book(store: Store, args: argparse.Namespace) -> Book:
    from airflow_oncall.knowledge.book import Book

    return Book(store, getattr(args, "user", None) or this_user())


def _said(args: argparse.Namespace) -> dict[str, Any]:
    return {name: value for name in FIELDS if (value := getattr(args, name)) is not None}


def _of_incident(store: Store, incident_id: int | None) -> dict[str, Any]:
    """What an incident says of itself; the person's own words go before it."""
    from airflow_oncall.incident import CATEGORIES
    from airflow_oncall.knowledge.proposing import decisive

    if incident_id is None:
        return {}
    incident = store.reading.incident(incident_id)
    if incident is None:
        raise OnCallError(f"incident {incident_id} is not in the store; `airflow oncall list` shows what is")
    text = store.labels.texts([incident_id]).get(incident_id, "")
    found: dict[str, Any] = {"fingerprint": incident.fingerprint, "example": decisive(text)}
    return found | ({"category": incident.category} if incident.category in CATEGORIES else {})


def _complain_of(path: Path, problems: Sequence[str]) -> None:
    for problem in problems[:SHOWN_PROBLEMS]:
        complain(f"{path}: {problem}")
    if len(problems) > SHOWN_PROBLEMS:
        complain(f"{path}: {len(problems) - SHOWN_PROBLEMS} more problems")


def _entries(count: int) -> str:
    return "1 entry" if count == 1 else f"{count} entries"


def _plain(kept: Kept) -> dict[str, Any]:
    return {**kept.entry, "is_proposed": kept.is_proposed, "version": kept.version, "updated_at": kept.updated_at}


def _row(kept: Kept) -> tuple[str, ...]:
    entry = kept.entry
    known_by = ", ".join(name for name in ("fingerprint", "pattern", "example") if entry.get(name))
    actions = ", ".join(entry.get("actions", ()))
    return (
        kept.name,
        str(entry["category"]),
        actions,
        f"{entry['confidence']:.0%}",
        known_by,
        "proposed" if kept.is_proposed else "confirmed",
    )


def _plain_change(change: Change) -> dict[str, Any]:
    confidence = change.entry.get("confidence") if change.entry else None
    return {"version": change.version, "what": change.what, "actor": change.actor, "at": change.at, "confidence": confidence}


def _figures(kept: Kept, here: Mapping[str, Tally]) -> dict[str, Any]:
    return {
        "name": kept.name,
        "is_proposed": kept.is_proposed,
        "confidence": kept.entry["confidence"],
        "confidence_history": kept.entry.get("confidence_history", []),
        "here": {action: tally._asdict() for action, tally in here.items()},
        "elsewhere": kept.entry.get("elsewhere", {}),
    }


def _columns(figures: Mapping[str, Any]) -> tuple[str, ...]:
    earlier = ", ".join(f"{one['confidence']:.0%}" for one in figures["confidence_history"][:-1])
    return figures["name"], f"{figures['confidence']:.0%}", _counted(figures["here"]), _counted(figures["elsewhere"]), earlier


def _counted(seen: Mapping[str, Mapping[str, float]]) -> str:
    return ", ".join(
        f"{action} {one.get('successes', 0):g} of {one.get('successes', 0) + one.get('failures', 0):g}" for action, one in seen.items()
    )
