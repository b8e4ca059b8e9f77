"""``airflow oncall audit list|verify``: who did what, and whether anybody changed what the log says."""

from __future__ import annotations

import argparse
import json

from airflow_oncall.cli.terminal import command, complain, print_json
from airflow_oncall.store import open_store


@command
def list_audit(args: argparse.Namespace) -> int:
    """``audit list``"""
    rows = open_store().audit.rows(limit=args.limit, actor=args.actor, what=args.what, incident_id=args.incident)
    if args.format == "json":
        print_json([row._asdict() for row in rows])
        return 0
    for row in rows:
        incident = f" incident {row.incident_id}" if row.incident_id else ""
        print(f"{row.id}  {row.at:%Y-%m-%d %H:%M:%S}  {_one_line(row.actor)}: {_one_line(row.what)}{incident}  {json.dumps(row.detail)}")
    return 0


@command
def verify(args: argparse.Namespace) -> int:
    """``audit verify``"""
    found = open_store().audit.verify(args.known or "")
    if args.format == "json":
        print_json(found._asdict())
    elif found.problem:
        complain(f"audit log, {f'row {found.row}: ' if found.row is not None else ''}{found.problem}")
    else:
        erased = f", {found.erased} of them with their detail erased by `data delete`" if found.erased else ""
        print(f"{found.rows} rows{erased}: none was changed, removed or inserted. The newest has the hash {found.head}")
    return 1 if found.problem else 0


def _one_line(text: str) -> str:
    """Text that moves no terminal's cursor and turns no line round."""
    return "".join(one if one.isprintable() else "\N{REPLACEMENT CHARACTER}" for one in text)
