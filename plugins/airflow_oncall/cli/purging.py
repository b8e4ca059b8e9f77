"""``purge``, ``data export`` and ``data delete``: what is kept no longer, and what a DAG's owner asks for or wants gone."""

from __future__ import annotations

import argparse
import json
import os
import sys
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path

from airflow_oncall import conf
from airflow_oncall.act.policy_file import read_policy
from airflow_oncall.capture import spool
from airflow_oncall.cli.terminal import command, complain, this_user
from airflow_oncall.errors import OnCallError
from airflow_oncall.store import open_store
from airflow_oncall.store.records import now
from airflow_oncall.store.sql import Store


@command
def purge(args: argparse.Namespace) -> int:
    """``purge``"""
    from airflow_oncall.store.retention import forget, would_forget

    store = open_store()
    days = args.older_than if args.older_than is not None else read_policy(store).retention.closed_incidents
    if days is None:
        raise OnCallError("the policy keeps closed incidents for ever; say how old is old enough with --older-than DAYS")
    before, also_open = now() - timedelta(days=days), not args.closed_only
    counts = would_forget(store.engine, before, args.dag_id, also_open)
    what = f"incidents{f' of DAG {args.dag_id}' if args.dag_id else ''} from before {before:%Y-%m-%d %H:%M} UTC"
    _print_counts(f"{what} that nothing of ours is being done about", counts)
    if args.dry_run or not counts["incidents"]:
        return 0
    if not _agreed(args, "Delete them?"):
        return 1
    gone = 0
    while some := forget(store.engine, before, None, dag_id=args.dag_id, also_open=also_open, actor=args.user or this_user()).incidents:
        gone += some
    print(f"{gone} incidents are deleted with all that belongs to them.")
    return 0


@command
def export_data(args: argparse.Namespace) -> int:
    """``data export``"""
    rows = open_store().dag_data.export(args.dag_id, args.user or this_user())
    if not args.output:
        for row in rows:
            print(json.dumps(row))
        return 0
    path, count = Path(args.output), 0
    part = path.with_name(path.name + ".part")  # whole or not at all
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        for row in rows:
            file.write(json.dumps(row) + "\n")
            count = row.get("rows", count)
    part.replace(path)
    print(f"{path}: {count} rows about DAG {args.dag_id}, readable by you alone")
    return 0


@command
def delete_data(args: argparse.Namespace) -> int:
    """``data delete``"""
    store = open_store()
    _print_counts(f"about DAG {args.dag_id}", store.dag_data.count(args.dag_id))
    if args.dry_run:
        return 0
    if not _agreed(args, "Delete all of it?"):
        return 1
    gone = store.dag_data.delete(args.dag_id, args.user or this_user())
    spooled = spool.drop(args.dag_id)
    trained = _delete_examples(store)
    told = {**asdict(gone), "spooled": spooled, "training files": trained}
    print(", ".join(f"{name}: {count}" for name, count in told.items() if name != "left"))
    print("What was spooled on other hosts is gone when they replay it and this command is run again.")
    print("Models keep the words that they were trained on until the next training; `airflow oncall train --force` is one.")
    if gone.left:
        complain(f"{gone.left} incidents stay: something is being done about them. Run this again when they are closed")
    return 1 if gone.left else 0


def _delete_examples(store: Store) -> int:
    """Delete the texts that trainings have read; the files of one that is running are left to it."""
    from airflow_oncall.learn.runs import RUNS
    from airflow_oncall.training import EXAMPLES, NAME

    root = conf.models_path()
    if not isinstance(root, Path):
        complain(f"{EXAMPLES} below {root}/{RUNS} hold texts of failures; delete them there, or let a lifecycle rule of the store do it")
        return 0
    if store.leases.holder(f"training {NAME}"):
        complain("a training is running; its copy of the texts goes when this is run again after it")
        return 0
    files = list((root / RUNS).glob(f"*/{EXAMPLES}"))
    for file in files:
        file.unlink(missing_ok=True)
    return len(files)


def _print_counts(what: str, counts: dict[str, int]) -> None:
    found = ", ".join(f"{count} {name}" for name, count in counts.items() if count)
    print(f"{what}: {found or 'nothing'}")


def _agreed(args: argparse.Namespace, question: str) -> bool:
    if args.yes:
        return True
    if not sys.stdin.isatty():
        complain("nothing is deleted: nobody can be asked here; say --yes")
        return False
    if input(f"{question} [y/N] ").strip().lower() in ("y", "yes"):
        return True
    print("Nothing is deleted.")
    return False
